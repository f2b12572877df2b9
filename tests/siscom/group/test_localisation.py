import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from bids_spectsynth.siscom.group.localisation import LOCALISATION_DICTIONARY, localisation_table
from bids_spectsynth.siscom.group.results import read_results
from bids_spectsynth.siscom.group.truth import Truth
from bids_spectsynth.siscom.records import Focus, Names
from tests.siscom.group.conftest import LEFT, RIGHT, focus

_LEFT_TEMPORAL = Truth(against="focus", source="phantom", side="L", lobe="temporal", point_mm=LEFT)
_NONE = Truth(against="focus", source="phantom", none=True)
_HIT, _MISS = [focus(1, LEFT)], [focus(1, RIGHT)]


def _table(folder: Path, by_run: dict[str, Truth] | None = None) -> Any:
    results = read_results(folder / "out")
    runs = by_run or {}
    known = [[runs.get(result.found.ictal.rpartition("_")[2], _LEFT_TEMPORAL)] for result in results]
    return localisation_table(results, known)


def _row(table: Any, measure: str, baseline: str, other: str = "n/a") -> Any:
    chosen = (table["measure"] == measure) & (table["baseline"] == baseline) & (table["other"] == other)
    [row] = table[chosen].to_dict("records")
    return row


def test_localisation_table__rates_and_mcnemar_equal_statsmodels(
    tmp_path: Path, add_result: Callable[..., Path]
) -> None:
    real, pet = [True] * 9 + [False], [True] * 4 + [False] * 6
    for index, (first, second) in enumerate(zip(real, pet, strict=True)):
        add_result(f"{index}", "Real", _HIT if first else _MISS)
        add_result(f"{index}", "Pet", _HIT if second else _MISS)
    table = _table(tmp_path)
    row = _row(table, "within_15_mm", "Real")
    low, high = proportion_confint(9, 10, method="beta")
    assert (row["n_participants"], row["n_hits"]) == (10, 9)
    assert [row["hit_rate"], row["hit_rate_low"], row["hit_rate_high"]] == pytest.approx([0.9, low, high], abs=1e-10)
    pair = _row(table, "side", "Real", "Pet")
    assert (pair["n_only_baseline"], pair["n_only_other"]) == (5, 0)
    assert pair["p_mcnemar"] == pytest.approx(mcnemar([[4, 0], [5, 1]], exact=True).pvalue, abs=1e-10)
    assert pair["p_holm"] == pair["p_mcnemar"]
    assert list(table.columns) == list(LOCALISATION_DICTIONARY)


@pytest.mark.parametrize(
    ("foci", "hit", "missed", "n_false"),
    [
        ([focus(1, LEFT), focus(2, RIGHT, p=0.2)], 1, 0, 0),
        ([focus(1, RIGHT), focus(2, LEFT)], 0, 0, 1),
        ([focus(1, LEFT, p=0.2), focus(2, RIGHT), focus(3, RIGHT, "frontal")], 1, 1, 2),
        ([focus(1, RIGHT, sign="hypo"), focus(2, LEFT)], 1, 0, 0),
        ([], 0, 1, 0),
    ],
)
def test_localisation_table__tells_false_from_missed(
    tmp_path: Path, add_result: Callable[..., Path], foci: Sequence[Focus], hit: int, missed: int, n_false: int
) -> None:
    add_result("01", "Real", foci)
    row = _row(_table(tmp_path), "lobe", "Real")
    assert (row["n_hits"], row["n_missed"], row["n_false_foci"]) == (hit, missed, n_false)
    assert row["n_false"] == (n_false > 0)


def test_localisation_table__seen_participants_do_not_count(tmp_path: Path, add_result: Callable[..., Path]) -> None:
    add_result("01", "Best", _HIT, seen=True)
    add_result("02", "Best", _MISS)
    for participant in ("01", "02"):
        add_result(participant, "Real", _HIT)
    table = _table(tmp_path)
    single, pair = _row(table, "side", "Best"), _row(table, "side", "Real", "Best")
    assert (single["n_participants"], single["n_seen"], single["n_hits"]) == (1, 1, 0)
    assert (pair["n_participants"], pair["n_seen"], pair["n_only_baseline"]) == (1, 1, 1)
    assert _row(table, "side", "Real")["n_participants"] == 2


def test_localisation_table__first_scan_of_each_participant(tmp_path: Path, add_result: Callable[..., Path]) -> None:
    add_result("01", "Real", _HIT, run=1)
    add_result("01", "Real", _MISS, run=2)
    row = _row(_table(tmp_path), "side", "Real")
    assert (row["n_participants"], row["n_scans"], row["n_hits"]) == (1, 2, 1)


def test_localisation_table__without_a_seizure_every_focus_is_false(
    tmp_path: Path, add_result: Callable[..., Path]
) -> None:
    add_result("01", "Real", _HIT, run=1)
    add_result("01", "Real", [focus(1, LEFT, p=0.3)], run=2)
    add_result("02", "Real", _HIT, run=1)
    add_result("02", "Real", [focus(1, LEFT, sign="hypo"), focus(2, LEFT)], run=2)
    table = _table(tmp_path, {"run-2": _NONE})
    row = _row(table, "no seizure", "Real")
    assert (row["n_participants"], row["n_false"], row["n_false_foci"], row["false_rate"]) == (2, 1, 2, 0.5)
    assert math.isnan(row["hit_rate"])
    assert _row(table, "side", "Real")["n_hits"] == 2


def test_localisation_table__nothing_known_gives_no_rows(tmp_path: Path, add_result: Callable[..., Path]) -> None:
    add_result("01", "Real", _HIT)
    results = read_results(tmp_path / "out")
    table = localisation_table(results, [[]])
    assert table.empty


def test_localisation_table__a_lobe_without_labels_is_not_asked_for(
    tmp_path: Path, add_result: Callable[..., Path]
) -> None:
    unnamed = replace(focus(1, LEFT), names=Names(side="L"))
    add_result("1", "Real", [unnamed])
    add_result("2", "Real", _MISS)
    table = _table(tmp_path)
    assert _row(table, "side", "Real")["n_participants"] == 2
    assert (_row(table, "lobe", "Real")["n_participants"], _row(table, "lobe", "Real")["n_hits"]) == (1, 0)
