"""The article's comparisons (its Figures 5, 6 and 7) as a table, with the tests of ``group_ttests.tsv``."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bids_spectsynth.evaluation.case.metrics import Metric, metrics_in
from bids_spectsynth.evaluation.columns import NETWORK
from bids_spectsynth.evaluation.group.configurations import (
    FIGURE_NUMBERS,
    PAPER_SCALE,
    Configuration,
    Kind,
    comparison_groups,
    pairs,
)
from bids_spectsynth.evaluation.paper.columns import comparisons_dictionary
from bids_spectsynth.evaluation.statistics.paired_tests import ALPHA

_SLICE_TEST, _SUBJECT_TEST, _EQUIVALENCE_TEST = "slice_t", "subject_t", "equivalence"


@dataclass(frozen=True)
class PairResult:
    """What the tests say of one pair and metric; numbers that do not exist are NaN. Differences are first minus second.

    ``p_slice`` is the article's test, ``p_holm`` the subject-wise one, corrected.
    """

    n_subjects: float = math.nan
    n_slices: float = math.nan
    mean_a: float = math.nan
    mean_b: float = math.nan
    mean_difference: float = math.nan
    p_slice: float = math.nan
    p_subject: float = math.nan
    p_holm: float = math.nan
    p_equivalence: float = math.nan
    p_equivalence_holm: float = math.nan

    @property
    def tested(self) -> bool:
        """Whether at least one of the two tests that figures mark could be made."""
        return math.isfinite(self.p_slice) or math.isfinite(self.p_holm)

    @property
    def slice_wise(self) -> bool:
        """Significant as the article tests."""
        return self.p_slice < ALPHA

    @property
    def subject_wise(self) -> bool:
        """Significant over subjects after Holm's correction."""
        return self.p_holm < ALPHA


class ComparisonTests:
    """The tests between networks on the article's scale, by pair and metric.

    Parameters
    ----------
    tests : DataFrame
        ``group_ttests.tsv``; an empty one has no results.
    """

    def __init__(self, tests: pd.DataFrame) -> None:
        self._rows: dict[tuple[str, str, str, str, str], Mapping[str, Any]] = {}
        if tests.empty:
            return
        between_networks = (tests["method_a"] == NETWORK) & (tests["method_b"] == NETWORK)
        for row in tests[between_networks & (tests["scale"] == PAPER_SCALE)].to_dict("records"):
            names = ("comparison", "configuration_a", "configuration_b", "metric", "test")
            kind, first, second, metric, test = (str(row[name]) for name in names)
            self._rows[kind, first, second, metric, test] = {str(key): value for key, value in row.items()}

    def __call__(self, kind: Kind, first: Configuration, second: Configuration, metric: str) -> PairResult:
        """The results of a pair in this order, whichever way round it was tested."""
        for a, b, sign in ((first, second, 1), (second, first, -1)):
            rows = {
                test: self._rows.get((kind, a.name, b.name, metric, test), {})
                for test in (_SLICE_TEST, _SUBJECT_TEST, _EQUIVALENCE_TEST)
            }
            if any(rows.values()):
                return _result(rows[_SLICE_TEST], rows[_SUBJECT_TEST], rows[_EQUIVALENCE_TEST], sign)
        return PairResult()


def _result(
    by_slice: Mapping[str, Any], by_subject: Mapping[str, Any], equivalence: Mapping[str, Any], sign: int
) -> PairResult:
    means = [_number(by_subject, name) for name in ("mean_a", "mean_b")][::sign]
    return PairResult(
        n_subjects=_number(by_subject or by_slice, "n_subjects"),
        n_slices=_number(by_slice or by_subject, "n_slices"),
        mean_a=means[0],
        mean_b=means[1],
        mean_difference=sign * _number(by_subject, "mean_difference"),
        p_slice=_number(by_slice, "p"),
        p_subject=_number(by_subject, "p"),
        p_holm=_number(by_subject, "p_holm"),
        p_equivalence=_number(equivalence, "p"),
        p_equivalence_holm=_number(equivalence, "p_holm"),
    )


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else math.nan


def paper_comparisons(found: Sequence[Configuration], tests: pd.DataFrame) -> pd.DataFrame:
    """The article's comparisons between configurations: for its twelve models 18 + 18 + 36, and as many in the brain.

    Parameters
    ----------
    found : sequence of Configuration
        See :func:`bids_spectsynth.evaluation.group.configurations.configurations`.
    tests : DataFrame
        ``group_ttests.tsv``.

    Returns
    -------
    DataFrame
        Columns of :func:`bids_spectsynth.evaluation.paper.columns.comparisons_dictionary`; whole slices first. A pair
        that was not tested has a row without numbers.
    """
    results = ComparisonTests(tests)
    rows = [row for metrics in (metrics_in("whole"), metrics_in("brain")) for row in _rows(found, results, metrics)]
    return pd.DataFrame(rows, columns=list(comparisons_dictionary()))


def _rows(
    found: Sequence[Configuration], results: ComparisonTests, metrics: Sequence[Metric]
) -> Iterator[dict[str, str | int | float]]:
    for kind, figure in FIGURE_NUMBERS.items():
        for a, b in (pair for group in comparison_groups(found, kind) for pair in pairs(group, kind)):
            for metric in metrics:
                result = results(kind, a, b, metric.name)
                yield {
                    "figure": figure,
                    "comparison": kind,
                    "region": metric.region,
                    "metric": metric.measure,
                    "metric_unit": metric.unit,
                    **_side(a, "a"),
                    **_side(b, "b"),
                    "recipe": a.recipe,
                    "scaling": a.scaling,
                    "n_subjects": result.n_subjects,
                    "n_slices": result.n_slices,
                    "mean_a": result.mean_a,
                    "mean_b": result.mean_b,
                    "mean_difference": result.mean_difference,
                    "p_slice": result.p_slice,
                    "p_subject": result.p_subject,
                    "p_subject_holm": result.p_holm,
                    "p_equivalence": result.p_equivalence,
                    "p_equivalence_holm": result.p_equivalence_holm,
                    "better": _better(metric, result.mean_difference),
                }


def _side(one: Configuration, side: str) -> dict[str, str]:
    return {
        f"inputs_{side}": one.inputs,
        f"space_{side}": one.space,
        f"losses_{side}": one.losses,
        f"configuration_{side}": one.name,
    }


def _better(metric: Metric, difference: float) -> str:
    if math.isnan(difference):
        return "n/a"
    if difference == 0:
        return "equal"
    return "a" if (difference < 0) == metric.lower_is_better else "b"
