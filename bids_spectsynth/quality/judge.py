"""Flags of cases: each measurement against its limit, by itself and among the others."""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bids_spectsynth.bids.roles import INTERICTAL, role_of
from bids_spectsynth.quality.limits import COHORT_RULES, PET, RULES, CohortRule

#: Key of sidecars that lists flags.
QC = "QC"
_SHORT = {INTERICTAL: "spect"}
#: Others that a robust z needs.
LEAST_OTHERS = 4
#: A limit that more than this share of at least so many cases breaks is of another kind of scanner than the limit's.
_COMMON_SHARE, _LEAST_CASES = 1 / 3, 3


@dataclass(frozen=True)
class Flag:
    """Something doubtful about a case.

    Parameters
    ----------
    name : str
    value, threshold : float
        Of the measurement, or its robust z among the participants and the z from which it is doubtful.
    sentence : str
        What it means, with the numbers.
    """

    name: str
    value: float
    threshold: float
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """As files have it."""
        return asdict(self)


def common_rules(measures: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[int, int]]:
    """Limits of cameras that so many cases break that it is what these scanners are like.

    They flag nobody: else a camera that is sharper than those that the limits were set on would leave nobody to train
    on. Whoever runs the program is told. What no camera makes, such as another head, stays flagged in any number.

    Parameters
    ----------
    measures : mapping of str to mapping
        As :func:`judge` takes them.

    Returns
    -------
    dict
        Number of cases that break the limit, and of those in which the measurement is known, by name of the rule.
    """
    found = {}
    for rule in RULES:
        if not rule.of_camera:
            continue
        values = [value for own in measures.values() if math.isfinite(value := own.get(rule.measure, math.nan))]
        broken = sum(rule.broken_by(value) for value in values)
        if len(values) >= _LEAST_CASES and broken > _COMMON_SHARE * len(values):
            found[rule.name] = (broken, len(values))
    return found


def judge(measures: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[Flag, ...]]:
    """The flags of every case.

    Parameters
    ----------
    measures : mapping of str to mapping
        Measurements ``<role>.<name>`` by case; ``<role>.poor`` is 1 where the checks of the registration do not trust
        it. Sessions of one participant are not told apart from participants.

    Returns
    -------
    dict
        Of all cases; empty where nothing is doubtful.
    """
    names, common = list(measures), common_rules(measures)
    among = [_among(rule, [measures[name].get(rule.measure, math.nan) for name in names]) for rule in COHORT_RULES]
    return {
        name: (
            *_untrusted(measures[name]),
            *_by_itself(measures[name], common),
            *(flag for found in among if (flag := found[place]) is not None),
        )
        for place, name in enumerate(names)
    }


def flagged_names(flags: Sequence[Flag]) -> str:
    """Names of flags, each once, separated by commas; ``n/a`` without any."""
    return ", ".join(dict.fromkeys(flag.name for flag in flags)) or "n/a"


def _untrusted(own: Mapping[str, float]) -> list[Flag]:
    """Flags of registrations that their own checks do not trust."""
    sentence = "the registration of the {} is not to be trusted without looking; its sidecar says why"
    # What no network is given or held against costs nobody the training.
    roles = [role for role in (PET, INTERICTAL) if own.get(f"{role}.poor", 0) > 0]
    return [
        Flag(f"{_SHORT.get(role, role)}-poor-registration", 1.0, 0.0, sentence.format(role_of(role).sentence))
        for role in roles
    ]


def _by_itself(own: Mapping[str, float], common: Container[str]) -> list[Flag]:
    flags = []
    for rule in RULES:
        value = own.get(rule.measure, math.nan)
        if rule.name not in common and rule.broken_by(value):
            than = "below" if rule.side == "low" else "above"
            text = f"{rule.sentence} ({rule.measure} {value:.3g}, {than} {rule.limit:g})"
            flags.append(Flag(rule.name, value, rule.limit, text))
    return flags


def _among(rule: CohortRule, values: Sequence[float]) -> list[Flag | None]:
    """Flags of one rule, in the order of the values."""
    known = np.array([rule.transform(value) if math.isfinite(value) else math.nan for value in values])
    good = known[np.isfinite(known)]
    if len(good) <= LEAST_OTHERS:
        return [None] * len(values)
    median = float(np.median(good))
    spread = max(float(np.median(np.abs(good - median))), rule.least_spread)
    scores = 0.6745 * (known - median) / spread
    middle = float(np.median([value for value in values if math.isfinite(value)]))
    return [
        _cohort_flag(rule, value, float(z), middle, len(good))
        if math.isfinite(z) and rule.broken_by(float(z))
        else None
        for value, z in zip(values, scores, strict=True)
    ]


def _cohort_flag(rule: CohortRule, value: float, z: float, middle: float, n: int) -> Flag:
    text = f"{rule.sentence} ({rule.measure} {value:.3g}, the median of {n} is {middle:.3g}; robust z {z:.1f}"
    return Flag(rule.name, z, rule.z, f"{text}, limit {rule.z:g})")
