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
