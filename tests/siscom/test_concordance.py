import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.siscom.concordance import (
    CONCORDANCE_DICTIONARY,
    Findings,
    compare,
    concordance_table,
    correlation,
    dice,
    rank_in,
    top_focus,
    verdict,
)
from bids_spectsynth.siscom.records import Focus, Maps, Names, Sign

SHAPE = (6, 7, 8)
_SYMMETRIC = ("correlation", "dice", "distance_mm", "same_side", "same_lobe", "verdict")


def _focus(rank: int, at: tuple[float, float, float], side: str = "L", lobe: str = "temporal", **more: Any) -> Focus:
    sign: Sign = more.get("sign", "hyper")
    return Focus(
        rank=rank, sign=sign, peak_mm=at, centroid_mm=at, volume_ml=3, z_max=3, znull_max=3, zcohort_max=math.nan,
        percent_max=20, percent_mean=15, p_corrected=0.01, edge_mm=12, names=Names(side=side, lobe=lobe),
    )  # fmt: skip


def _maps(seed: int) -> Maps:
    rng = np.random.default_rng(seed)
    mask = rng.random(SHAPE) < 0.8
    difference = np.where(mask, rng.normal(size=SHAPE), 0).astype(np.float32)
    return Maps(mask=mask, difference=difference, z=difference, znull=difference, zcohort=None, sd_percent=1.0)


def test_correlation__is_numpys_over_the_mask_of_both_alone() -> None:
    a, b = _maps(1), _maps(2)
    common = a.mask & b.mask
    expected = np.corrcoef(a.difference[common], b.difference[common])[0, 1]
    outside = replace(b, difference=np.where(common, b.difference, 99).astype(np.float32))
    assert correlation(a, b) == pytest.approx(expected, abs=1e-6)
    assert correlation(a, outside) == correlation(a, b)


def test_correlation__constant_map_has_none() -> None:
    a = _maps(1)
    assert math.isnan(correlation(a, replace(a, difference=np.zeros_like(a.difference))))


def test_dice__counts_hyperperfusion_from_the_threshold_in_the_mask_of_both() -> None:
    full = np.ones(SHAPE, dtype=bool)
    z = np.zeros(SHAPE, dtype=np.float32)
    a, b, none = z.copy(), z.copy(), z - 5
    a[:2], b[1:3] = 2, 3
    maps = [Maps(mask=full, difference=x, z=x, znull=x, zcohort=None, sd_percent=1) for x in (a, b, none)]
    assert dice(maps[0], maps[1], 2.0) == pytest.approx(0.5)
    assert dice(maps[0], replace(maps[1], mask=np.arange(6)[:, None, None] * full == 1), 2.0) == 1
    assert math.isnan(dice(maps[2], maps[2], 2.0))


def test_top_focus__is_the_first_of_hyperperfusion() -> None:
    hypo, hyper = _focus(1, (0, 0, 0), sign="hypo"), _focus(2, (1, 1, 1))
    assert top_focus([_focus(3, (2, 2, 2)), hypo, hyper]) is hyper
    assert top_focus([hypo]) is None


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (_focus(1, (-40, 0, 15), "R", "frontal"), "same focus"),
        (_focus(1, (-40, 0, 15.1)), "same lobe"),
        (_focus(1, (-40, 40, 0), lobe="frontal"), "same side"),
        (_focus(1, (-40, 40, 0), lobe="n/a"), "same side"),
        (_focus(1, (40, 0, 0), "R"), "different"),
        (_focus(1, (40, 0, 0), "n/a"), "n/a"),
        (None, "nothing in one"),
    ],
)
def test_verdict__says_the_closest_that_two_foci_share(other: Focus | None, expected: str) -> None:
    one = _focus(1, (-40, 0, 0))
    assert verdict(one, other) == verdict(other, one) == expected


def test_verdict__without_foci() -> None:
    assert verdict(None, None) == "nothing in both"


def test_rank_in__is_of_the_nearest_of_the_same_sign() -> None:
    focus = _focus(1, (0, 0, 0))
    others = [_focus(1, (0, 0, 1), sign="hypo"), _focus(2, (0, 0, 14)), _focus(3, (0, 9, 0)), _focus(4, (0, 0, 16))]
    assert rank_in(focus, others) == 3
    assert rank_in(focus, [others[0], others[3]]) == "n/a"
    assert rank_in(None, others) == "n/a"


@given(st.integers(0, 1000))
def test_compare__other_order_swaps_the_columns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    results = []
    for label in "AB":
        foci = [
            _focus(rank, tuple(rng.uniform(-40, 40, 3)), rng.choice(["L", "R"]), rng.choice(["frontal", "temporal"]))
            for rank in range(1, int(rng.integers(1, 5)))
        ]
        results.append(Findings(label=label, maps=_maps(int(rng.integers(99))), foci=foci))
    row, swapped = compare(*results, 2.0), compare(*results[::-1], 2.0)
    pairs = [(name, f"{name[:-1]}b") for name in row if name.endswith("_a") and not name.startswith("rank")]
    for first, second in [*pairs, ("rank_of_a_in_b", "rank_of_b_in_a"), *((name, name) for name in _SYMMETRIC)]:
        np.testing.assert_equal([swapped[first], swapped[second]], [row[second], row[first]])


def test_concordance_table__has_every_pair_in_order_and_describes_its_columns() -> None:
    results = [Findings(label=label, maps=_maps(3), foci=[_focus(1, (0, 0, 0))]) for label in ("Real", "Best", "Pet")]
    table = concordance_table(results, 2.0)
    pairs = list(zip(table["baseline_a"], table["baseline_b"], strict=True))
    assert pairs == [("Real", "Best"), ("Real", "Pet"), ("Best", "Pet")]
    assert set(table["verdict"]) == {"same focus"}
    assert (table["correlation"] == 1).all()
    assert list(concordance_table(results[:1], 2.0).columns) == list(CONCORDANCE_DICTIONARY)
