"""``group_siscom_localisation.tsv``: which baseline finds the focus, over participants of whom it is known.

Units are participants: of several ictal scans of one that a question can be asked of, the first by file name counts.
Whoever the model behind a baseline has learned from does not count.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd

from bids_spectsynth.evaluation.statistics.categories import exact_mcnemar, exact_share
from bids_spectsynth.evaluation.statistics.corrections import holm
from bids_spectsynth.siscom.concordance import SAME_FOCUS_MM
from bids_spectsynth.siscom.group.results import Result, by_participant
from bids_spectsynth.siscom.group.scans import Dictionary
from bids_spectsynth.siscom.group.truth import Truth
from bids_spectsynth.siscom.records import Focus

NO_SEIZURE = "no seizure"
_INTERVAL = "{} bound of its 95 % interval by Clopper and Pearson."


def _rate(name: str, text: str) -> Dictionary:
    return {
        name: {"Description": text, "Units": "1"},
        f"{name}_low": {"Description": _INTERVAL.format("Lower"), "Units": "1"},
        f"{name}_high": {"Description": _INTERVAL.format("Upper"), "Units": "1"},
    }


LOCALISATION_DICTIONARY: Dictionary = {
    "against": {
        "Description": "What foci are held against.",
        "Levels": {"focus": "Where the seizure started.", "resected": "Where was operated."},
    },
    "source": {"Description": "What tells it: phantom, sidecar, participants.tsv; joined by + where several do."},
    "measure": {
        "Description": "What counts as the place.",
        "Levels": {
            "side": "The side.",
            "lobe": "The lobe, on the side where that is known. Deep is insula, cingulate and subcortical grey matter.",
            "within_15_mm": f"The peak is at most {SAME_FOCUS_MM:g} mm from the centre (phantom).",
            NO_SEIZURE: "Scans that are known to be without a seizure (phantom): every significant focus is false.",
        },
    },
    "baseline": {"Description": "What was subtracted."},
    "other": {
        "Description": "A baseline that it is compared with, on the participants that both have; n/a in rows of one "
        "baseline."
    },
    "n_participants": {"Description": "Participants that count: the first ictal scan, by file name, of each."},
    "n_scans": {"Description": "Ictal scans that there are of them."},
    "n_seen": {"Description": "Participants left out because a model has learned from them."},
    "n_hits": {"Description": "Participants whose top focus (first-ranked hyperperfusion, whatever its p) is there."},
    **_rate("hit_rate", "n_hits over n_participants."),
    "n_missed": {
        "Description": "Participants without any significant focus of hyperperfusion there (omitted; corrected p below "
        "0.05)."
    },
    **_rate("missed_rate", "n_missed over n_participants."),
    "n_false": {
        "Description": "Participants with significant hyperperfusion elsewhere (fabricated); without a seizure, with a "
        "significant focus of any sign."
    },
    **_rate("false_rate", "n_false over n_participants."),
    "n_false_foci": {"Description": "All such foci."},
    "n_only_baseline": {
        "Description": "Participants in whom only baseline hits (without a seizure: has a false focus)."
    },
    "n_only_other": {"Description": "Participants in whom only other does."},
    "p_mcnemar": {"Description": "Two-sided p of McNemar's exact test of the two.", "Units": "1"},
    "p_holm": {
        "Description": "The same after Holm, over the pairs of baselines of the same against and measure.",
        "Units": "1",
    },
}


@dataclass(frozen=True, kw_only=True)
class _Question:
    against: str
    measure: str
    #: Whether it can be asked of a scan.
    applies: Callable[[Truth], bool]
    #: Whether a focus is where it should be.
    right: Callable[[Truth, Focus], bool]


def _near(truth: Truth, focus: Focus) -> bool:
    return truth.point_mm is not None and math.dist(truth.point_mm, focus.peak_mm) <= SAME_FOCUS_MM


_MEASURES: dict[str, tuple[Callable[[Truth], bool], Callable[[Truth, Focus], bool]]] = {
    "side": (lambda truth: truth.side is not None, lambda truth, focus: focus.names.side == truth.side),
    "lobe": (
        lambda truth: truth.lobe is not None,
        lambda truth, focus: truth.is_at(focus.names),
    ),
    "within_15_mm": (lambda truth: truth.point_mm is not None, _near),
    NO_SEIZURE: (lambda truth: truth.none, lambda truth, focus: False),
}
_QUESTIONS = tuple(
    _Question(against=against, measure=measure, applies=applies, right=right)
    for against, (measure, (applies, right)) in product(("focus", "resected"), _MEASURES.items())
)


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What one baseline says of one scan."""

    hit: bool
    missed: bool
    n_false: int


def localisation_table(results: Sequence[Result], known: Sequence[Sequence[Truth]]) -> pd.DataFrame:
    """One row per question and baseline, then one per pair of baselines; columns of :data:`LOCALISATION_DICTIONARY`.

    Parameters
    ----------
    results : sequence of Result
    known : sequence of sequence of Truth
        What is known of the scan of each result, in the same order.
    """
    rows = [row for question in _QUESTIONS for row in _rows(question, results, known)]
    return pd.DataFrame(rows, columns=list(LOCALISATION_DICTIONARY))


def _rows(question: _Question, results: Sequence[Result], known: Sequence[Sequence[Truth]]) -> list[dict[str, Any]]:
    asked: dict[str, list[tuple[Result, Truth]]] = {}
    for result, truths in sorted(zip(results, known, strict=True), key=lambda pair: pair[0].place):
        fitting = [one for one in truths if one.against == question.against and question.applies(one)]
        if fitting and _has_names(question, result):
            asked.setdefault(result.label, []).append((result, fitting[0]))
    names = {"against": question.against, "measure": question.measure}
    single = [{**names, "baseline": label, "other": "n/a", **_counts(question, own)} for label, own in asked.items()]
    pairs = [{**names, **_pair(question, asked[a], asked[b])} for a, b in combinations(asked, 2)]
    corrected = holm([row["p_mcnemar"] for row in pairs])
    return [*single, *({**row, "p_holm": float(p)} for row, p in zip(pairs, corrected, strict=True))]


def _has_names(question: _Question, result: Result) -> bool:
    """Whether the foci of a scan bear the names that are asked for: without labels of regions, no lobe is wrong."""
    names = [str(getattr(focus.names, question.measure, "")) for focus in result.foci]
    return not names or set(names) != {"n/a"}


def _counts(question: _Question, asked: Sequence[tuple[Result, Truth]]) -> dict[str, Any]:
    unseen = [(result, truth) for result, truth in asked if not result.seen]
    answers = list(_answers(question, unseen).values())
    n = len(answers)
    seen = {result.participant for result, _ in asked} - {result.participant for result, _ in unseen}
    values: dict[str, Any] = {
        "source": "+".join(sorted({truth.source for _, truth in asked})),
        "n_participants": n,
        "n_scans": len(unseen),
        "n_seen": len(seen),
        "n_false": sum(answer.n_false > 0 for answer in answers),
        "n_false_foci": sum(answer.n_false for answer in answers),
    }
    values |= _rate_values("false_rate", values["n_false"], n)
    if question.measure == NO_SEIZURE:
        return values
    values |= {"n_hits": sum(answer.hit for answer in answers), "n_missed": sum(answer.missed for answer in answers)}
    return {
        **values,
        **_rate_values("hit_rate", values["n_hits"], n),
        **_rate_values("missed_rate", values["n_missed"], n),
    }


def _pair(
    question: _Question, first: Sequence[tuple[Result, Truth]], second: Sequence[tuple[Result, Truth]]
) -> dict[str, Any]:
    """Both baselines on the scans that both have, unseen by the models of both."""
    scans = [{result.found.ictal for result, _ in own if not result.seen} for own in (first, second)]
    common = scans[0] & scans[1]
    a, b = ([(result, truth) for result, truth in own if result.found.ictal in common] for own in (first, second))
    one, other = _answers(question, a), _answers(question, b)
    yes = [(_is_yes(question, one[scan]), _is_yes(question, other[scan])) for scan in one]
    only = [sum(x and not y for x, y in yes), sum(y and not x for x, y in yes)]
    people = {result.participant for result, _ in (*first, *second)}
    return {
        **_counts(question, a),
        "source": "+".join(sorted({truth.source for _, truth in first})),
        "n_seen": len(people - {result.participant for result, _ in a}),
        "baseline": first[0][0].label,
        "other": second[0][0].label,
        "n_only_baseline": only[0],
        "n_only_other": only[1],
        "p_mcnemar": exact_mcnemar(*only) if yes else math.nan,
    }


def _is_yes(question: _Question, answer: _Answer) -> bool:
    return answer.n_false > 0 if question.measure == NO_SEIZURE else answer.hit


def _answers(question: _Question, asked: Sequence[tuple[Result, Truth]]) -> dict[str, _Answer]:
    """By scan: the first one of each participant."""
    truths = {result.found.ictal: truth for result, truth in asked}
    chosen = by_participant([result for result, _ in asked])
    return {result.found.ictal: _answer(question, result, truths[result.found.ictal]) for result in chosen}


def _answer(question: _Question, result: Result, truth: Truth) -> _Answer:
    # Without a seizure hypoperfusion is as false as hyperperfusion; with one it may be true and nobody knows.
    significant = result.significant(None if question.measure == NO_SEIZURE else "hyper")
    right = [question.right(truth, focus) for focus in significant]
    return _Answer(
        hit=result.top is not None and question.right(truth, result.top),
        missed=not any(right),
        n_false=len(right) - int(np.count_nonzero(right)),
    )


def _rate_values(name: str, k: int, n: int) -> dict[str, float]:
    share = exact_share(k, n)
    return {name: share.share, f"{name}_low": share.low, f"{name}_high": share.high}
