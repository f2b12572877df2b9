"""What is kept of a cohort's real SPECTs, to give synthetic ones a unit and a shape along the axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_spectsynth.synthesis.data.slices import UNKNOWN_UNITS, CaseArrays
from bids_spectsynth.synthesis.data.through_slice import NODES, case_profiles

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CohortStatistics:
    """What is kept of the real SPECTs of a cohort, to give synthetic ones a unit and a shape along the axis.

    Parameters
    ----------
    participants : tuple of str
        Labels, each once.
    mean_in_brain : float
        Mean over the cases of the in-brain mean of the unscaled SPECT.
    units : str
        Their common unit, or ``arbitrary``.
    grid_shape : tuple of int
        (I, J, K) of the volumes.
    log_gain, log_step : tuple of 33 floats
        See :func:`bids_spectsynth.synthesis.data.through_slice.case_profiles`.
    """

    participants: tuple[str, ...]
    mean_in_brain: float
    units: str
    grid_shape: tuple[int, int, int]
    log_gain: tuple[float, ...]
    log_step: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class CaseFacts:
    """What one case contributes to them."""

    participant: str
    mean: float
    units: str
    grid_shape: tuple[int, int, int]
    profiles: tuple[FloatArray, FloatArray] | None


def case_facts(case: CaseArrays) -> CaseFacts:
    """The facts of a case that was loaded with its SPECT."""
    assert case.target is not None
    assert case.target_slope is not None
    assert case.target_mean is not None
    profiles = case_profiles(case.target, case.target_slope, case.mask, case.target_mean)
    return CaseFacts(case.participant, case.target_mean, case.target_units, case.target.shape, profiles)


def cohort_statistics(facts: Sequence[CaseFacts]) -> CohortStatistics:
    """The statistics of a cohort of at least one case."""
    units = {fact.units for fact in facts}
    profiles = [fact.profiles for fact in facts if fact.profiles is not None] or [(np.zeros(len(NODES)),) * 2]
    log_gain, log_step = np.mean(profiles, axis=0)
    return CohortStatistics(
        participants=tuple(dict.fromkeys(fact.participant for fact in facts)),
        mean_in_brain=float(np.mean([fact.mean for fact in facts])),
        units=units.pop() if len(units) == 1 else UNKNOWN_UNITS,
        grid_shape=facts[0].grid_shape,
        log_gain=tuple(log_gain.tolist()),
        log_step=tuple(log_step.tolist()),
    )
