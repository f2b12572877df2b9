import math
from typing import Any

import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from bids_spectsynth.siscom.group.readers import JAFROC_DICTIONARY, is_of, jafroc_table, readers_table
from bids_spectsynth.siscom.group.readings import Keyed, Mark, Reading
from bids_spectsynth.siscom.group.truth import Truth

_TRUTH = Truth(against="focus", source="key", side="L", lobe="temporal", point_mm=(-40, 0, 0))
_NONE = Truth(against="focus", source="key", none=True)


def _mark(side: str = "L", lobe: str = "temporal", *, focus: int = 1, confidence: int = 3, at: Any = None) -> Mark:
    return Mark(focus=focus, side=side, lobe=lobe, point_mm=at, confidence=confidence)


def _reading(
    reader: str, person: int, baseline: str, *marks: Mark, truth: Truth | None = _TRUTH, run: int = 1
) -> Reading:
    ictal = f"sub-{person}_task-ictal_run-{run}"
    case = Keyed(case=f"case-{person}", participant=f"sub-{person}", ictal=ictal, baseline=baseline, truth=truth)
    return Reading(reader=reader, case=case, marks=marks)


def _row(table: Any, **values: str) -> Any:
    for name, value in values.items():
        table = table[table[name] == value]
    [row] = table.to_dict("records")
    return row


def test_readers_table__kappa_between_readers_equals_statsmodels_with_nothing_as_a_category() -> None:
    said = [("L", "L"), ("L", "L"), ("R", "R"), ("R", "L"), ("", ""), ("", "R"), ("R", "R"), ("L", "L")]
    readings = []
    for person, sides in enumerate(said):
        for reader, side in zip("ab", sides, strict=True):
            readings.append(_reading(reader, person, "Real", *([_mark(side)] if side else [])))
    row = _row(readers_table(readings), measure="kappa_side", reader="a", other_reader="b")
    reference = cohens_kappa([[3, 0, 0], [1, 2, 0], [0, 1, 1]])
    assert [row["value"], row["low"]] == pytest.approx([reference.kappa, reference.kappa_low], abs=1e-10)
    assert (row["n_participants"], row["baseline"], row["other"]) == (8, "Real", "n/a")


def test_readers_table__rates_and_tests_within_a_reader_equal_statsmodels() -> None:
    readings = []
    for person in range(8):
        readings.append(_reading("a", person, "Pet", _mark("R", confidence=5), _mark("L", focus=2, confidence=2)))
        readings.append(_reading("a", person, "Real", _mark("L" if person else "R")))
    table = readers_table(readings)
    single = _row(table, measure="hit_side", baseline="Real", other="n/a")
    low, high = proportion_confint(7, 8, method="beta")
    assert [single["value"], single["low"], single["high"]] == pytest.approx([7 / 8, low, high], abs=1e-10)
    pair = _row(table, measure="hit_side", baseline="Pet", other="Real")
    assert (pair["n_only_baseline"], pair["n_only_other"], pair["value"]) == (0, 7, 0)
    assert pair["p_mcnemar"] == pytest.approx(mcnemar([[0, 0], [7, 1]], exact=True).pvalue, abs=1e-10)
    assert not (table["measure"] == "hit_within_15_mm").any(), "no coordinates were given"
    assert _row(table, measure="kappa_lobe", baseline="Pet", other="Real")["n_participants"] == 8


def test_readers_table__first_scan_of_a_participant_counts_and_no_seizure_has_a_rate_of_its_own() -> None:
    readings = [
        _reading("a", 1, "Real", _mark("L"), run=1),
        _reading("a", 1, "Real", _mark("R"), run=2),
        _reading("a", 1, "Real", _mark("R"), run=3, truth=_NONE),
        _reading("a", 2, "Real", truth=_NONE),
    ]
    table = readers_table(readings)
    assert _row(table, measure="hit_side")["value"] == 1
    assert _row(table, measure="hit_side")["n_participants"] == 1
    assert _row(table, measure="mark_without_seizure")["value"] == 0.5


def test_readers_table__different_readers_with_different_baselines_are_not_compared() -> None:
    table = readers_table([_reading("a", 1, "Real", _mark()), _reading("b", 1, "Pet", _mark())])
    assert not table["measure"].str.startswith("kappa").any()


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        (_mark("R", "frontal", at=(-40, 0, 15)), (True, "within_15_mm")),
        (_mark("L", "temporal", at=(-40, 0, 15.5)), (False, "within_15_mm")),
        (_mark("L", "temporal"), (True, "lobe")),
        (_mark("R", "temporal"), (False, "lobe")),
        (_mark("L", "n/a"), (True, "side")),
    ],
)
def test_is_of__takes_the_finest_criterion_that_both_tell(mark: Mark, expected: tuple[bool, str]) -> None:
    assert is_of(mark, _TRUTH) == expected


def test_jafroc_table__one_row_for_each_mark_and_one_for_a_reading_without() -> None:
    marks = [_mark("L", confidence=2), _mark("R", focus=2, confidence=4), _mark("L", focus=3, confidence=5)]
    table = jafroc_table(
        [
            _reading("b", 1, "Real", *marks),
            _reading("a", 1, "Real"),
            _reading("a", 2, "Real", _mark(), truth=_NONE),
            _reading("a", 3, "Real", _mark(), truth=None),
        ]
    )
    assert list(table.columns) == list(JAFROC_DICTIONARY)
    own = [tuple(row) for row in table[["reader", "truth", "mark", "lesion", "rating"]].to_numpy()]
    assert own[1:] == [("a", 0, "NL", 0, 3), ("b", 1, "LL", 1, 5), ("b", 1, "NL", 0, 4)]
    assert own[0][:4] == ("a", 1, "none", 0)
    assert math.isnan(own[0][4])
    assert set(table["case"]) == {"sub-1_task-ictal_run-1", "sub-2_task-ictal_run-1"}


def test_readers_table__nothing_read_has_columns_alone() -> None:
    assert readers_table([]).empty
    assert jafroc_table([]).empty
