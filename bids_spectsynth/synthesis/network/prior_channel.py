"""What the training cohort expects of a subject: its mean SPECT, times the PET ratio where the model sees the PET.

The best of the baselines, given to the network as one more image. The mean that a training participant gets is that of
the others: with its own SPECT in it, the prior would be better in training than it ever is on new subjects.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import PET
from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.mean import MEAN_SPECT, MEAN_TIMES_RATIO, mean_image
from bids_spectsynth.synthesis.baselines.registry import BASELINES
from bids_spectsynth.synthesis.data.slices import CaseArrays, PreparedCases

Float32 = npt.NDArray[np.float32]


def prior_baseline(inputs: Iterable[str]) -> str:
    """Name of the baseline that is the prior of a model with these inputs."""
    return (MEAN_TIMES_RATIO if PET in inputs else MEAN_SPECT).name


def cohort_prior(
    baselines: Baselines, case: PreparedCase, arrays: CaseArrays, left_out: tuple[PreparedCase, ...] = ()
) -> Float32:
    """The prior of a case.

    Parameters
    ----------
    baselines : Baselines
        Fitted to the model's training participants.
    case : PreparedCase
    arrays : CaseArrays
        Its images; only mask and affine are used.
    left_out : tuple of PreparedCase
        Cases that the means were fitted to and that shall not count.

    Returns
    -------
    array, shape (I, J, K), float32
        In [-1, 1]; -1 outside the brain.

    Raises
    ------
    ModelError
        The cohort's means could not be fitted, or the case has no transform to their template.
    """
    name = prior_baseline(baselines.inputs)
    if name in baselines.left_out:
        raise ModelError(f"--cohort-prior: {baselines.left_out[name]}; use --cohort-prior none")
    return mean_image(baselines, BASELINES[name], case, arrays.mask, arrays.affine, left_out)


def with_prior(cases: Collection[CaseArrays], folder: Path, *, fitted_to: bool) -> PreparedCases:
    """The same cases, with the cohort prior as the last input image.

    Parameters
    ----------
    cases : PreparedCases
    folder : Path
        Model folder with the baselines.
    fitted_to : bool
        Whether the cohort's means were fitted to these cases: each participant is then left out of its own prior.

    Raises
    ------
    ModelError
        The cases are not on disk, or there are no baselines.
    """
    if not isinstance(cases, PreparedCases):
        raise ModelError("--cohort-prior: needs prepared images on disk")
    baselines = Baselines.load(folder)
    if baselines.n_subjects < 2:
        raise ModelError("--cohort-prior: one training participant has no others to take a mean of; use none")
    own: dict[str, tuple[PreparedCase, ...]] = {}
    if fitted_to:
        for case in cases.cases:
            own[case.participant] = (*own.get(case.participant, ()), case)

    def prior(case: PreparedCase, arrays: CaseArrays) -> Float32:
        return cohort_prior(baselines, case, arrays, own.get(case.participant, ()))

    return replace(cases, prior=prior)
