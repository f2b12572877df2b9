"""Fitting the baselines to the training participants, one case in memory at a time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import Scaling
from bids_spectsynth.synthesis.baselines.base import (
    TEMPLATE,
    Baseline,
    CaseImages,
    Float32,
    Gathered,
    TrainingCase,
    TrainingCohort,
)
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.registry import BASELINES, left_out_of
from bids_spectsynth.synthesis.baselines.template import template_of
from bids_spectsynth.synthesis.data.slices import load_case


def fit_baselines(cases: Sequence[PreparedCase], inputs: Sequence[str], scaling: Scaling) -> Baselines:
    """Fit the baselines; images are read one case at a time.

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
    chosen = [baseline for name, baseline in BASELINES.items() if name not in left_out]
    cohort = TrainingCohort(cases, tuple(inputs), scaling)
    gathered = Gathered((kind for baseline in chosen for kind in baseline.gathers), cohort)
    for case in cases:
        gathered.add(TrainingCase(case, load_case(case, inputs, scaling)))
    numbers: dict[str, Any] = {}
    arrays: dict[str, npt.NDArray[Any]] = {}
    for baseline in chosen:
        stored = baseline.fit(gathered)
        numbers |= stored.numbers
        arrays |= stored.arrays
    fitted = Baselines(
        inputs=cohort.inputs,
        space=cases[0].space,
        scaling=scaling,
        template=template_of(cases[0]) if any(TEMPLATE in one.needs for one in chosen) else None,
        n_subjects=len({case.participant for case in cases}),
        numbers=numbers,
        arrays=arrays,
        left_out=left_out,
    )
    return replace(fitted, calibration=_calibrate(fitted, [one for one in chosen if one.leave_out], cases))


def _calibrate(
    fitted: Baselines, chosen: Sequence[Baseline], cases: Sequence[PreparedCase]
) -> dict[str, tuple[float, float]]:
    """Gain and offset of the baselines that can leave cases out, in a second pass over the training cases."""
    if not chosen:
        return {}
    lines = {baseline.name: StraightLine() for baseline in chosen}
    several = fitted.n_subjects > 1
    for case in cases:
        one = TrainingCase(case, load_case(case, fitted.inputs[:1], fitted.scaling))
        own = [other for other in cases if other.participant == case.participant] if several else []
        others = fitted
        for leave_out in dict.fromkeys(baseline.leave_out for baseline in chosen):
            assert leave_out is not None
            others = leave_out(others, own)
        images = CaseImages(case, one.arrays.mask, one.arrays.affine)
        inside = one.evaluation_mask
        for baseline in chosen:
            lines[baseline.name].add(baseline.predict(others, images)[inside], one.target[inside])
    return {name: line.result() for name, line in lines.items()}


class StraightLine:
    """Least-squares line of a target on a prediction, from voxels that are added one case after the other."""

    def __init__(self) -> None:
        self._gram, self._moments = np.zeros((2, 2)), np.zeros(2)

    def add(self, prediction: Float32, target: Float32) -> None:
        """Add the voxels of a case; two arrays of shape (N,)."""
        x, y = prediction.astype(np.float64), target.astype(np.float64)
        self._gram += [[x @ x, x.sum()], [x.sum(), x.size]]
        self._moments += [x @ y, y.sum()]

    def result(self) -> tuple[float, float]:
        """Gain and offset: ``target = gain * prediction + offset``; the least-norm pair for a constant prediction."""
        gain, offset = np.linalg.lstsq(self._gram, self._moments, rcond=1e-10)[0]
        return float(gain), float(offset)
