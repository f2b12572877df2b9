"""The training cohort's mean SPECT, brought to the subject; alone, and times the ratio of the PETs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, PET
from bids_spectsynth.errors import ModelError
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.options.settings import Scaling
from bids_spectsynth.synthesis.baselines.base import (
    TEMPLATE,
    Baseline,
    CaseImages,
    Float32,
    Float64,
    Gathered,
    Mask,
    Stored,
    TrainingCase,
    TrainingCohort,
    calibrated,
    unscaled,
)
from bids_spectsynth.synthesis.baselines.cohort_mean import CohortMean, sample_in_brain
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.template import template_of
from bids_spectsynth.synthesis.data.scaling import apply_scaling, scaling_coefficients
from bids_spectsynth.synthesis.data.slices import brain_and_evaluation_mask

#: Both PETs are smoothed before they are divided, towards the coarser resolution of SPECT (full width, mm).
RATIO_FWHM_MM = 4.0
#: Added to both PETs, which have an in-brain mean of 1: where both are near zero (ventricles, a cavity, the rim)
#: the ratio tends to 1 and not to noise.
RATIO_OFFSET = 0.1
#: Highest ratio that is believed.
RATIO_MAX = 3.0


class SpectMean:
    """Mean of the training cases' SPECTs, each where it was measured."""

    def __init__(self, cohort: TrainingCohort) -> None:
        self.mean = CohortMean(cohort.grid)

    def add(self, case: TrainingCase) -> None:
        """Add the SPECT of a case."""
        self.mean.add(case.prepared, unscaled(case.prepared, INTERICTAL), case.evaluation_mask, case.arrays.affine)


class PetMean:
    """Mean of the training cases' PETs, each in the brain."""

    def __init__(self, cohort: TrainingCohort) -> None:
        self.mean = CohortMean(cohort.grid)

    def add(self, case: TrainingCase) -> None:
        """Add the PET of a case."""
        self.mean.add(case.prepared, unscaled(case.prepared, PET), case.arrays.mask, case.arrays.affine)


def _fit_spect(gathered: Gathered) -> Stored:
    mean = gathered[SpectMean].mean
    return Stored(
        arrays={"mean_affine": mean.grid.affine, "mean_spect": mean.result(), "coverage_mean_spect": mean.coverage}
    )


def _fit_pet(gathered: Gathered) -> Stored:
    mean = gathered[PetMean].mean
    return Stored(arrays={"mean_pet": mean.result(), "coverage_mean_pet": mean.coverage})


def _on_subject(baselines: Baselines, name: str, case: CaseImages) -> Float32:
    arrays = baselines.arrays
    return case.shared(
        name, lambda: sample_in_brain(arrays[name], arrays["mean_affine"], case.prepared, case.mask, case.affine)
    )


def _mean_spect(baselines: Baselines, case: CaseImages) -> Float32:
    return _scaled(_on_subject(baselines, "mean_spect", case), case.mask, baselines.scaling)


def _mean_times_ratio(baselines: Baselines, case: CaseImages) -> Float32:
    spect, mean_pet = (_on_subject(baselines, name, case) for name in ("mean_spect", "mean_pet"))
    ratio = pet_ratio(unscaled(case.prepared, PET), mean_pet, case.mask, case.affine)
    return _scaled(spect * ratio, case.mask, baselines.scaling)


def _scaled(volume: Float32, mask: Mask, scaling: Scaling) -> Float32:
    return apply_scaling(volume, *scaling_coefficients(volume, mask, scaling))


def pet_ratio(pet: Float32, mean_pet: Float32, mask: Mask, affine: Float64) -> Float32:
    """How much more or less tracer than the cohort a subject takes up, voxel by voxel.

    Parameters
    ----------
    pet : array, shape (I, J, K)
        The subject's, unscaled.
    mean_pet : array, shape (I, J, K)
        The cohort's mean on the subject's voxels.
    mask : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)

    Returns
    -------
    array, shape (I, J, K), float32
        0 to 3; 1 where both agree, and everywhere when the PET has no signal. Both are first brought to an in-brain
        mean of 1 and smoothed within the brain (:data:`RATIO_FWHM_MM`); :data:`RATIO_OFFSET` keeps the ratio near 1
        where both are small. 0 outside the brain.
    """
    sigma = RATIO_FWHM_MM / np.sqrt(8 * np.log(2)) / np.linalg.norm(affine[:3, :3], axis=0)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = mask[box].astype(np.float32)
    weight = ndimage.gaussian_filter(inside, sigma, mode="constant")[mask[box]]
    parts = []
    for volume in (pet, mean_pet):
        values = np.where(mask[box], volume[box], 0).astype(np.float32)
        level = float(values.sum(dtype=np.float64)) / float(inside.sum(dtype=np.float64))
        if not level > 0:
            return mask.astype(np.float32)
        parts.append(ndimage.gaussian_filter(values, sigma, mode="constant")[mask[box]] / weight / level)
    ratio = np.zeros(mask.shape, dtype=np.float32)
    ratio[mask] = np.clip((parts[0] + RATIO_OFFSET) / (parts[1] + RATIO_OFFSET), 0, RATIO_MAX)
    return ratio


def without_cases(fitted: Baselines, cases: Sequence[PreparedCase]) -> Baselines:
    """The baselines with means that some of their cases do not count in."""
    if not cases:
        return fitted
    arrays = fitted.arrays
    i, j, k = arrays["mean_spect"].shape
    grid = Grid((i, j, k), arrays["mean_affine"])
    own = {name: CohortMean(grid) for name in ("mean_spect", "mean_pet") if name in arrays}
    for one in cases:
        case = one.through(fitted.template)
        mask, evaluation_mask, affine = brain_and_evaluation_mask(case)
        own["mean_spect"].add(case, unscaled(case, INTERICTAL), evaluation_mask, affine)
        if "mean_pet" in own:
            own["mean_pet"].add(case, unscaled(case, PET), mask, affine)
    means = {
        name: CohortMean.from_result(grid, arrays[name], arrays[f"coverage_{name}"]).without(sums).result()
        for name, sums in own.items()
    }
    return replace(fitted, arrays={**arrays, **means})


MEAN_SPECT = Baseline(
    name="meanSpect",
    title="Mean SPECT of the cohort",
    description="The training cohort's mean SPECT, brought to the subject through the affine to the template.",
    needs=(TEMPLATE,),
    gathers=(SpectMean,),
    fit=_fit_spect,
    keeps=("mean_affine", "mean_spect", "coverage_mean_spect"),
    predict=_mean_spect,
    # Scaled by its own maximum alone, a mean is too bright, because it is smoother than any single SPECT.
    leave_out=without_cases,
)

MEAN_TIMES_RATIO = Baseline(
    name="meanSpectPetRatio",
    title="Mean SPECT × PET ratio",
    description="meanSpect times the ratio of the subject's PET to the training cohort's mean PET.",
    needs=(PET, TEMPLATE),
    gathers=(SpectMean, PetMean),
    fit=_fit_pet,
    keeps=("mean_affine", "mean_spect", "mean_pet", "coverage_mean_pet"),
    predict=_mean_times_ratio,
    leave_out=without_cases,
)


def mean_image(
    baselines: Baselines,
    baseline: Baseline,
    case: PreparedCase,
    mask: Mask,
    affine: Float64,
    left_out: Sequence[PreparedCase] = (),
) -> Float32:
    """One of the two baselines that use the cohort's mean, for one case.

    Parameters
    ----------
    baselines : Baselines
    baseline : Baseline
        :data:`MEAN_SPECT` or :data:`MEAN_TIMES_RATIO`.
    case : PreparedCase
    mask : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
        Of the mask.
    left_out : sequence of PreparedCase
        Cases that the means were fitted to and that shall not count; ignored where nobody else would be left.

    Returns
    -------
    array, shape (I, J, K), float32
        In [-1, 1]; -1 outside the brain.

    Raises
    ------
    ModelError
        The case has no transform to the template of the means.
    """
    case = case.through(baselines.template)
    if baselines.template != template_of(case):
        raise ModelError(
            f"{case.name}: no transform to {baselines.template}, in which the model's cohort mean lies; prepare with "
            f"--output-spaces {case.space} {baselines.template}"
        )
    if baselines.n_subjects > len({one.participant for one in left_out}):
        baselines = without_cases(baselines, left_out)
    return calibrated(baselines, baseline, CaseImages(case, mask, affine))
