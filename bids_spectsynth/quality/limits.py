"""What is doubtful about a case: every rule with its name, its limit and its sentence, in one table.

Limits were set on simulated heads of seeds 101 and 102 and hold for others (`benchmarks/quality_judge.py`). Those of a
case by itself lie between what scanners make and what no PET or SPECT of a brain is; those of a cohort are robust z.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bids_spectsynth.bids.roles import INTERICTAL

PET, PAIR = "pet", "pair"


@dataclass(frozen=True)
class Rule:
    """A limit of one measurement.

    Parameters
    ----------
    name : str
        Of the flag.
    measure : str
        ``<role>.<name>`` of :mod:`bids_spectsynth.quality.measures`.
    side : {'low', 'high'}
        Which side of the limit is doubtful.
    limit : float
        Of the measurement of a case by itself.
    sentence : str
        What it means and what to look at, without the numbers.
    of_camera : bool
        Whether good scans of another camera or reconstruction may all lie beyond it.
    """

    name: str
    measure: str
    side: Literal["low", "high"]
    limit: float
    sentence: str
    of_camera: bool = False

    def broken_by(self, value: float) -> bool:
        """Whether a value lies beyond the limit; what is not known breaks nothing."""
        return value < self.limit if self.side == "low" else value > self.limit


_FLAT = "the {what} hardly varies in the brain: an attenuation map, a uniform or a saturated image?"
_CUT = "the highest values of the {what} are hardly above the middle ones: was it clipped or saturated?"
_HOT = "a small part of the {what} is far brighter than the rest: a DaTSCAN, an amyloid PET or a hot spot?"
_FOREIGN = (
    "the participant's T1w explains the {what} no better than its mirror image does: is it another participant's, or "
    "badly registered?"
)
_NAMES = {PET: "PET", INTERICTAL: "interictal SPECT"}


def _of_image(role: str) -> tuple[Rule, ...]:
    what, short = _NAMES[role], "pet" if role == PET else "spect"
    return (
        Rule(f"{short}-flat", f"{role}.spread", "low", 0.12, _FLAT.format(what=what)),
        Rule(f"{short}-clipped", f"{role}.peak", "low", 1.25, _CUT.format(what=what)),
        Rule(f"{short}-hot", f"{role}.peak", "high", 3.0, _HOT.format(what=what), of_camera=True),
        Rule(f"{short}-foreign", f"{role}.own_anatomy", "low", FOREIGN[role], _FOREIGN.format(what=what)),
    )


#: Least gain of the own anatomy over its mirror image.
FOREIGN = {PET: 0.28, INTERICTAL: 0.2}
#: Rules that a case is held against by itself.
RULES: tuple[Rule, ...] = (
    *_of_image(PET),
    *_of_image(INTERICTAL),
    Rule(
        "pet-blurred", f"{PET}.fwhm", "high", 9.0,
        "the PET is as blurred as no PET camera makes it: was it smoothed, or is it a SPECT?", of_camera=True,
    ),
    Rule(
        "spect-blurred", f"{INTERICTAL}.fwhm", "high", 15.0,
        "the interictal SPECT is more blurred than SPECT cameras make it: was it smoothed?", of_camera=True,
    ),
    Rule(
        "spect-sharp", f"{INTERICTAL}.fwhm", "low", 7.5,
        "the interictal SPECT is sharper than SPECT cameras make it: is it a PET?", of_camera=True,
    ),
    Rule(
        "exchanged", f"{PAIR}.sharper", "low", 0.0,
        "the SPECT is sharper than the PET: were the two stored under each other's name?",
    ),
    Rule(
        "copy", f"{PAIR}.agreement", "high", 0.97,
        "PET and SPECT are the same image: was one stored under both names?",
    ),
    Rule(
        "ictal", f"{PAIR}.focus", "high", 0.5,
        "a part of one side of the interictal SPECT is far brighter than the PET explains: is it ictal?",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class CohortRule:
    """A measurement that is compared with that of the other participants.

    Parameters
    ----------
    name : str
    measure : str
    side : {'low', 'high', 'either'}
    z : float
        Robust z beyond which a value is doubtful.
    least_spread : float
        The least median absolute deviation that is taken for one, on the transformed scale: what differs between good
        scans anyway.
    transform : callable
        To a scale on which good scans spread evenly.
    sentence : str
    """

    name: str
    measure: str
    side: Literal["low", "high", "either"]
    z: float
    least_spread: float
    transform: Callable[[float], float]
    sentence: str

    def broken_by(self, z: float) -> bool:
        """Whether a robust z lies beyond the limit."""
        return bool(z < -self.z if self.side == "low" else z > self.z if self.side == "high" else abs(z) > self.z)


def _quality(score: float) -> float:
    """A score of 0 to 1 as the logarithm of what it leaves unexplained, higher is better."""
    return -float(np.log(np.clip(1 - score, 1e-6, 1)))


def _fisher(correlation: float) -> float:
    return float(np.arctanh(np.clip(correlation, -0.9999, 0.9999)))


def _log(value: float) -> float:
    return float(np.log(max(value, 1e-6)))


_OTHERS = "unlike that of the other participants"


def _of_cohort(role: str) -> tuple[CohortRule, ...]:
    what, short = _NAMES[role], "pet" if role == PET else "spect"
    unlike = f"{{}} of the {what} is {_OTHERS}: another scanner, another reconstruction, or another image?"
    return (
        CohortRule(
            f"{short}-registration", f"{role}.score", "low", 6.0, 0.08, _quality,
            f"the registration of the {what} explains much less than those of the other participants: is it another "
            "participant's?",
        ),
        CohortRule(f"{short}-resolution", f"{role}.fwhm", "either", 6.0, 0.04, _log, unlike.format("the resolution")),
        CohortRule(
            f"{short}-contrast", f"{role}.grey_white", "either", 6.0, 0.04, _log,
            unlike.format("the grey-white contrast"),
        ),
        CohortRule(
            f"{short}-pattern", f"{role}.hindbrain", "either", 6.0, 0.04, _log,
            unlike.format("the uptake of the cerebellum"),
        ),
    )  # fmt: skip


#: Rules that compare a case with the others.
COHORT_RULES: tuple[CohortRule, ...] = (
    *_of_cohort(PET),
    *_of_cohort(INTERICTAL),
    CohortRule(
        "disagreement", f"{PAIR}.agreement", "low", 6.0, 0.08, _fisher,
        f"how PET and SPECT agree is {_OTHERS}: is one of them another participant's?",
    ),
)  # fmt: skip
