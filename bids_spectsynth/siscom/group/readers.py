"""Tables of a reader study: agreement and localisation of its readers, and their marks as JAFROC takes them.

Units are participants: of several ictal scans of one, the first by file name that a number can be had of counts.
"""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from bids_spectsynth.evaluation.statistics.categories import cohen_kappa, exact_mcnemar, exact_share
from bids_spectsynth.siscom.concordance import SAME_FOCUS_MM, UNKNOWN
from bids_spectsynth.siscom.group.readings import Mark, Reading
from bids_spectsynth.siscom.group.scans import Dictionary
from bids_spectsynth.siscom.group.truth import Truth
from bids_spectsynth.siscom.records import Names

#: Category of a reading without a mark.
NOTHING = "nothing"

READERS_DICTIONARY: Dictionary = {
    "measure": {
        "Description": "What the row is of. The mark of a reading that counts is that of highest confidence.",
        "Levels": {
            "kappa_side": "Cohen's kappa of the side (nothing found is a category): of two readers with one baseline, "
            "or of one reader with two baselines.",
            "kappa_lobe": "The same of the lobe.",
            "hit_side": "Share of participants whose mark is on the true side.",
            "hit_lobe": "Share of participants whose mark is in the true lobe, on the true side where that is known.",
            "hit_within_15_mm": f"Share of participants whose mark is at most {SAME_FOCUS_MM:g} mm from the focus.",
            "mark_without_seizure": "Share of participants without a seizure in whom anything is marked.",
        },
    },
    "reader": {"Description": "The reader."},
    "other_reader": {"Description": "The reader that is compared with; n/a for none."},
    "baseline": {"Description": "What was subtracted."},
    "other": {"Description": "The baseline that is compared with; n/a for none."},
    "n_participants": {"Description": "Participants that count: the first ictal scan, by file name, of each."},
    "value": {"Description": "Kappa, or the share (of two baselines: of the first one).", "Units": "1"},
    "low": {
        "Description": "Lower bound of the 95 % interval: of shares by Clopper and Pearson, of kappa for large samples."
    },
    "high": {"Description": "Upper bound of the interval."},
    "n_only_baseline": {"Description": "Of two baselines: participants in whom only baseline is a yes."},
    "n_only_other": {"Description": "Participants in whom only other is."},
    "p_mcnemar": {"Description": "Two-sided p of McNemar's exact test of the two.", "Units": "1"},
}
JAFROC_DICTIONARY: Dictionary = {
    "case": {
        "Description": "The ictal scan: the case that all baselines and readers share. Only scans of known truth."
    },
    "blinded": {"Description": "Name of the case in the study."},
    "reader": {"Description": "The reader."},
    "modality": {"Description": "The baseline."},
    "truth": {"Description": "Lesions in the case.", "Levels": {"0": "No seizure.", "1": "One focus."}},
    "lesion": {"Description": "Number of the lesion that a mark is of; 0 for none."},
    "criterion": {
        "Description": "What decides whether a mark is of the lesion: the finest that both tell.",
        "Levels": {
            "within_15_mm": f"The mark is at most {SAME_FOCUS_MM:g} mm from it.",
            "lobe": "The lobe, on the side where that is known.",
            "side": "The side.",
            "n/a": "There is no mark or no lesion.",
        },
    },
    "mark": {
        "Description": "Of several marks of one lesion that of highest rating stands here alone.",
        "Levels": {
            "LL": "Lesion localisation.",
            "NL": "Non-lesion localisation.",
            "none": "A reading without a mark, so that every reading has a row.",
        },
    },
    "rating": {"Description": "Confidence of the mark, 1 to 5; n/a without one, which JAFROC rates below all marks."},
}
_CATEGORIES: dict[str, Callable[[Mark], str]] = {"side": lambda mark: mark.side, "lobe": lambda mark: mark.lobe}


def is_of(mark: Mark, truth: Truth) -> tuple[bool, str]:
    """Whether a mark is of the true focus, and by which criterion: the finest that both tell."""
    if mark.point_mm is not None and truth.point_mm is not None:
        return math.dist(mark.point_mm, truth.point_mm) <= SAME_FOCUS_MM, "within_15_mm"
    if mark.lobe != UNKNOWN and truth.lobe is not None:
        return truth.is_at(Names(side=mark.side, lobe=mark.lobe)), "lobe"
    return mark.side == truth.side, "side"


def _hit(measure: str, reading: Reading) -> bool | None:
    """Whether a reading is a yes to a measure; None where nothing tells."""
    truth, mark = reading.case.truth, reading.top
    if truth is None or truth.none != (measure == "mark_without_seizure"):
        return None
    if measure == "mark_without_seizure":
        return mark is not None
    if measure == "hit_side":
        return None if truth.side is None else mark is not None and mark.side == truth.side
    if measure == "hit_lobe":
        return None if truth.lobe is None else mark is not None and truth.is_at(Names(side=mark.side, lobe=mark.lobe))
    if truth.point_mm is None or (mark is not None and mark.point_mm is None):
        return None
    return mark is not None and mark.point_mm is not None and math.dist(mark.point_mm, truth.point_mm) <= SAME_FOCUS_MM


_HITS = ("hit_side", "hit_lobe", "hit_within_15_mm", "mark_without_seizure")


def readers_table(readings: Sequence[Reading]) -> pd.DataFrame:
    """Agreement and localisation, with the columns of :data:`READERS_DICTIONARY`."""
    by_both: dict[tuple[str, str], dict[str, Reading]] = {}
    for reading in sorted(readings, key=lambda one: (one.reader, one.case.baseline, one.case.ictal)):
        by_both.setdefault((reading.reader, reading.case.baseline), {})[reading.case.ictal] = reading
    rows: list[dict[str, Any]] = []
    for (reader, baseline), own in by_both.items():
        rows += _rates({"reader": reader, "other_reader": UNKNOWN, "baseline": baseline, "other": UNKNOWN}, own)
    for ((reader, baseline), one), ((other_reader, other), two) in combinations(by_both.items(), 2):
        if (reader == other_reader) == (baseline == other):
            continue
        names = {"reader": reader, "other_reader": UNKNOWN, "baseline": baseline, "other": UNKNOWN}
        names |= {"other": other} if reader == other_reader else {"other_reader": other_reader}
        rows += _kappas(names, one, two)
        rows += _tests(names, one, two) if reader == other_reader else []
    order = [*(f"kappa_{what}" for what in _CATEGORIES), *_HITS]
    rows.sort(key=lambda row: order.index(row["measure"]))
    return pd.DataFrame(rows, columns=list(READERS_DICTIONARY))


def _first_scans(readings: dict[str, Any], participant: Callable[[str], str]) -> list[str]:
    first: dict[str, str] = {}
    for ictal in sorted(readings):
        first.setdefault(participant(ictal), ictal)
    return list(first.values())


def _kappas(names: dict[str, str], one: dict[str, Reading], two: dict[str, Reading]) -> list[dict[str, Any]]:
    rows = []
    for what, category in _CATEGORIES.items():
        pairs = {}
        for ictal in one.keys() & two.keys():
            tops = one[ictal].top, two[ictal].top
            said = [NOTHING if mark is None else category(mark) for mark in tops]
            if UNKNOWN not in said:
                pairs[ictal] = said
        chosen = [pairs[ictal] for ictal in _first_scans(pairs, lambda ictal: one[ictal].case.participant)]
        found = cohen_kappa([a for a, _ in chosen], [b for _, b in chosen])
        values = {"n_participants": found.n, "value": found.kappa, "low": found.low, "high": found.high}
        rows.append({"measure": f"kappa_{what}", **names, **values})
    return rows


def _answers(measure: str, readings: dict[str, Reading]) -> dict[str, bool]:
    answers = {ictal: _hit(measure, reading) for ictal, reading in readings.items()}
    return {ictal: answer for ictal, answer in answers.items() if answer is not None}


def _rates(names: dict[str, str], readings: dict[str, Reading]) -> list[dict[str, Any]]:
    rows = []
    for measure in _HITS:
        answers = _answers(measure, readings)
        chosen = _first_scans(answers, lambda ictal: readings[ictal].case.participant)
        if chosen:
            rows.append({"measure": measure, **names, **_share([answers[ictal] for ictal in chosen])})
    return rows


def _tests(names: dict[str, str], one: dict[str, Reading], two: dict[str, Reading]) -> list[dict[str, Any]]:
    rows = []
    for measure in _HITS:
        first, second = _answers(measure, one), _answers(measure, two)
        common = {ictal: (first[ictal], second[ictal]) for ictal in first.keys() & second.keys()}
        chosen = [common[ictal] for ictal in _first_scans(common, lambda ictal: one[ictal].case.participant)]
        if chosen:
            only = [sum(a and not b for a, b in chosen), sum(b and not a for a, b in chosen)]
            values = {"n_only_baseline": only[0], "n_only_other": only[1], "p_mcnemar": exact_mcnemar(*only)}
            rows.append({"measure": measure, **names, **_share([a for a, _ in chosen]), **values})
    return rows


def _share(answers: Sequence[bool]) -> dict[str, Any]:
    found = exact_share(sum(answers), len(answers))
    return {"n_participants": found.n, "value": found.share, "low": found.low, "high": found.high}


def jafroc_table(readings: Sequence[Reading]) -> pd.DataFrame:
    """Every mark in a scan of known truth, with the columns of :data:`JAFROC_DICTIONARY`."""
    rows = [row for reading in readings for row in _marks(reading)]
    table = pd.DataFrame(rows, columns=list(JAFROC_DICTIONARY))
    return table.sort_values(["reader", "modality", "case"], kind="stable", ignore_index=True)


def _marks(reading: Reading) -> list[dict[str, Any]]:
    truth = reading.case.truth
    if truth is None:
        return []
    names = {
        "case": reading.case.ictal,
        "blinded": reading.case.case,
        "reader": reading.reader,
        "modality": reading.case.baseline,
        "truth": 0 if truth.none else 1,
    }
    none = {**names, "lesion": 0, "criterion": UNKNOWN, "mark": "none", "rating": math.nan}
    rows = []
    localised = False
    for mark in sorted(reading.marks, key=lambda one: (-one.confidence, one.focus)):
        right, criterion = (False, UNKNOWN) if truth.none else is_of(mark, truth)
        if right and localised:
            continue
        localised = localised or right
        kind = {"lesion": int(right), "criterion": criterion, "mark": "LL" if right else "NL"}
        rows.append({**names, **kind, "rating": mark.confidence})
    return rows or [none]
