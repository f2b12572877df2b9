"""Fitting the baselines to the training participants, one case in memory at a time."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, PET
from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import Scaling
from bids_spectsynth.synthesis.baselines.base import (
    OF_THE_MEAN,
    Baselines,
    from_means,
    left_out_of,
    rated_target,
    template_of,
    unscaled,
    without_cases,
)
from bids_spectsynth.synthesis.baselines.mean import CohortMean, StraightLine, mean_grid
from bids_spectsynth.synthesis.baselines.quadratic import feature_names, quadratic_features
from bids_spectsynth.synthesis.data.slices import load_case


def fit_baselines(cases: Sequence[PreparedCase], inputs: Sequence[str], scaling: Scaling) -> Baselines:
    """Fit the five baselines; images are read one case at a time.

    Parameters
    ----------
    cases : sequence of PreparedCase
        The training cases only, of one space, each with an interictal SPECT and the inputs.
    inputs : sequence of str
        Roles of the model's input channels.
    scaling : {'slice', 'volume'}

    Returns
    -------
    Baselines
        Without those that use PET unless all cases have one, and without those that use the cohort's mean where
        cases lack a transform to one common template; ``left_out`` has the reasons.

    Raises
    ------
    ModelError
        There is no case, the cases lie in several spaces, or no SPECT overlaps with its brain.
    ImageError
        An image is missing or damaged.
    """
    if not cases or len({case.space for case in cases}) > 1:
        raise ModelError(f"baselines need training cases of one space, not {len(cases)} of several or none")
    left_out = left_out_of(cases)
    grid = None if "meanSpect" in left_out else mean_grid(cases)
    spect_mean = CohortMean(grid) if grid else None
    pet_mean = CohortMean(grid) if grid and "petCopy" not in left_out else None
    n_terms = len(feature_names(inputs))
    gram, moments = np.zeros((n_terms, n_terms)), np.zeros(n_terms)
    for case in cases:
        arrays = load_case(case, inputs, scaling)
        target, rated = rated_target(arrays)
        features = quadratic_features(arrays.inputs[:, rated])
        gram += features @ features.T
        moments += features @ target[rated].astype(np.float64)
        if spect_mean:
            spect_mean.add(case, unscaled(case, INTERICTAL), rated, arrays.affine)
        if pet_mean:
            pet_mean.add(case, unscaled(case, PET), arrays.mask, arrays.affine)
    if not gram[0, 0]:
        raise ModelError("no training SPECT overlaps with the brain of its T1w; look at the registrations")
    # The least-norm solution also serves inputs that are constant or equal to each other.
    coefficients = np.linalg.lstsq(gram, moments, rcond=1e-10)[0]
    fitted = Baselines(
        inputs=tuple(inputs),
        space=cases[0].space,
        scaling=scaling,
        template=template_of(cases[0]) if grid else None,
        n_subjects=len({case.participant for case in cases}),
        constant=float(moments[0] / gram[0, 0]),
        coefficients=np.asarray(coefficients, dtype=np.float64),
        mean_affine=grid.affine if grid else None,
        mean_spect=spect_mean.result() if spect_mean else None,
        mean_pet=pet_mean.result() if pet_mean else None,
        left_out=left_out,
        coverage={name: mean.coverage for name, mean in (("mean_spect", spect_mean), ("mean_pet", pet_mean)) if mean},
    )
    return replace(fitted, calibration=_calibrate(fitted, cases)) if grid else fitted


def _calibrate(fitted: Baselines, cases: Sequence[PreparedCase]) -> dict[str, tuple[float, float]]:
    """Gain and offset of the baselines that use the mean SPECT, in a second pass over the training cases."""
    names = [name for name in OF_THE_MEAN if name not in fitted.left_out]
    lines = {name: StraightLine() for name in names}
    several = fitted.n_subjects > 1
    for case in cases:
        arrays = load_case(case, fitted.inputs[:1], fitted.scaling)
        target, rated = rated_target(arrays)
        own = [other for other in cases if other.participant == case.participant] if several else []
        others = without_cases(fitted, own)
        with_ratio = "meanSpectPetRatio" in lines
        for name, image in from_means(others, case, arrays.mask, arrays.affine, with_ratio=with_ratio).items():
            lines[name].add(image[rated], target[rated])
    return {name: line.result() for name, line in lines.items()}
