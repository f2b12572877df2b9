import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import binom_test, proportion_confint

from bids_spectsynth.siscom.group.agreement import GROUP_CONCORDANCE_DICTIONARY, group_concordance
from bids_spectsynth.siscom.group.results import read_concordance, read_results
from tests.siscom.group.conftest import concordance_row, focus

#: Side by the real and by the synthetic baseline, and the verdict, by participant.
_SIDES = [("L", "L"), ("L", "L"), ("L", "R"), ("R", "R"), ("R", "R"), ("R", "R"), ("L", "L"), ("L", "n/a")]
_VERDICTS = [
    "same focus", "same focus", "different", "same lobe", "same focus", "same side", "same focus", "nothing in one",
]  # fmt: skip


@pytest.fixture
def cohort(tmp_path: Path, add_result: Callable[..., Path], add_concordance: Callable[..., None]) -> Any:
    for index, ((a, b), verdict) in enumerate(zip(_SIDES, _VERDICTS, strict=True)):
        for run in (1, 2):
            add_result(f"{index}", "Real", [focus()], run=run, StandardDeviationPercent=5 + 0.1 * index)
            scan = add_result(f"{index}", "Best", [focus()], run=run, seen=False, StandardDeviationPercent=5.5)
            # The second scan of everybody would say something else.
            row = concordance_row("Real", "Best", verdict if run == 1 else "nothing in both", side_a=a, side_b=b)
            add_concordance(scan, row)
    add_result("seen", "Real", [focus()])
    add_concordance(add_result("seen", "Best", [focus()], seen=True), concordance_row("Real", "Best", "same focus"))
    return group_concordance(read_concordance(read_results(tmp_path / "out"))).iloc[0]


def test_group_concordance__counts_participants_that_no_model_has_seen(cohort: Any) -> None:
    assert (cohort["n_participants"], cohort["n_scans"], cohort["n_seen"]) == (8, 16, 1)
    assert cohort["n_same_focus"] == 4
    assert cohort["n_nothing_in_both"] == 0
    assert cohort["n_alike"] == 5
    low, high = proportion_confint(4, 8, method="beta")
    assert [cohort["share_same_focus_low"], cohort["share_same_focus_high"]] == pytest.approx([low, high], abs=1e-10)
    assert cohort["p_alike"] == pytest.approx(binom_test(5, 8, 0.8, "larger"), abs=1e-10)


def test_group_concordance__kappa_equals_statsmodels(cohort: Any) -> None:
    reference = cohens_kappa([[3, 1], [0, 3]])
    own = [cohort[f"kappa_side{end}"] for end in ("", "_low", "_high")]
    assert own == pytest.approx([reference.kappa, reference.kappa_low, min(reference.kappa_upp, 1)], abs=1e-10)
    assert cohort["n_kappa_side"] == 7
    assert math.isnan(cohort["kappa_lobe"]), "one lobe alone"


def test_group_concordance__standard_deviations_are_compared_by_participant(cohort: Any) -> None:
    assert cohort["sd_difference_percent"] == pytest.approx(-0.15)
    assert cohort["sd_p_equivalence"] < 0.05


def test_group_concordance__without_pairs_has_columns_alone() -> None:
    table = group_concordance([])
    assert table.empty
    assert list(table.columns) == list(GROUP_CONCORDANCE_DICTIONARY)
