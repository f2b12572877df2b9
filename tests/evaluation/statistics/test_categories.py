import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from bids_spectsynth.evaluation.statistics.categories import cohen_kappa, exact_mcnemar, exact_share


@pytest.mark.parametrize(("k", "n"), [(0, 7), (3, 7), (7, 7), (41, 60), (1, 1)])
def test_exact_share__equals_statsmodels(k: int, n: int) -> None:
    low, high = proportion_confint(k, n, method="beta")
    own = exact_share(k, n)
    assert own.share == k / n
    np.testing.assert_allclose([own.low, own.high], [low, high], rtol=0, atol=1e-10)


def test_exact_share__of_nothing_is_unknown() -> None:
    assert math.isnan(exact_share(0, 0).share)


@given(st.integers(0, 40), st.integers(0, 40))
def test_exact_mcnemar__equals_statsmodels(only_first: int, only_second: int) -> None:
    table = [[5, only_first], [only_second, 3]]
    expected = mcnemar(table, exact=True).pvalue if only_first + only_second else 1.0
    assert exact_mcnemar(only_first, only_second) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_cohen_kappa__equals_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 4, 60)
    second = np.where(rng.random(60) < 0.6, first, rng.integers(0, 4, 60))
    table = np.zeros((4, 4))
    np.add.at(table, (first, second), 1)
    reference = cohens_kappa(table)
    own = cohen_kappa(first.tolist(), second.tolist())
    expected = [reference.kappa, reference.kappa_low, min(reference.kappa_upp, 1)]
    np.testing.assert_allclose([own.kappa, own.low, own.high], expected, rtol=0, atol=1e-10)


def test_cohen_kappa__one_category_alone_has_none() -> None:
    own = cohen_kappa(["L", "L"], ["L", "L"])
    assert own.n == 2
    assert math.isnan(own.kappa)


def test_cohen_kappa__other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        cohen_kappa(["L"], [])


@pytest.mark.parametrize("confidence", [0.8, 0.99])
def test_exact_share__another_confidence(confidence: float) -> None:
    low, high = proportion_confint(5, 12, alpha=1 - confidence, method="beta")
    own = exact_share(5, 12, confidence)
    assert (own.k, own.n) == (5, 12)
    assert (own.low, own.high) == pytest.approx((low, high), abs=1e-10)


def test_exact_share__of_nothing_has_its_counts_and_no_ends() -> None:
    own = exact_share(0, 0)
    assert (own.k, own.n) == (0, 0)
    assert math.isnan(own.low)
    assert math.isnan(own.high)


def test_cohen_kappa__interval_of_another_confidence_is_as_much_wider_as_the_normal_quantile() -> None:
    first, second = "LLLLRRRRBBLR" * 8, "LLRLRRLRBRLB" * 8
    usual, wide = cohen_kappa(first, second), cohen_kappa(first, second, confidence=0.99)
    assert usual.n == 96
    assert (wide.high - wide.kappa) / (usual.high - usual.kappa) == pytest.approx(2.5758293 / 1.9599640, rel=1e-6)
    assert wide.kappa - wide.low == pytest.approx(wide.high - wide.kappa)


def test_cohen_kappa__ends_stay_within_minus_one_and_one() -> None:
    agree, differ = cohen_kappa("LLLRRR", "LLRRRR"), cohen_kappa("LRLRLR", "RLRLRL")
    assert agree.high == 1
    assert (differ.kappa, differ.low) == (-1, -1)
    mostly = cohen_kappa("LRLRLR", "RLRLRR")
    assert mostly.low == -1 < mostly.kappa < 0
