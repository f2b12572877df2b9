import numpy as np
import pytest
from scipy import stats

from bids_spectsynth.siscom.significance.shrinkage import predicted_deviation, shrunk_variance


def test_shrunk_variance__equal_where_nothing_but_chance_differs() -> None:
    rng = np.random.default_rng(1)
    variance = 4 * rng.chisquare(5, 5000) / 5
    shrunk, degrees = shrunk_variance(variance, np.full(5000, 5.0))
    assert shrunk.std() < 0.15 * variance.std()
    assert shrunk.mean() == pytest.approx(4, rel=0.05)
    assert degrees.min() > 50


def test_shrunk_variance__finds_the_distribution_that_it_assumes() -> None:
    rng = np.random.default_rng(2)
    prior, usual = 8.0, 2.0
    true = prior * usual / rng.chisquare(prior, 40000)
    variance = true * rng.chisquare(6, 40000) / 6
    shrunk, degrees = shrunk_variance(variance, np.full(40000, 6.0))
    np.testing.assert_allclose(degrees, prior + 6, rtol=0.08)
    np.testing.assert_allclose(shrunk, (prior * usual + 6 * variance) / (prior + 6), rtol=0.05)
    assert np.mean((np.log(shrunk / true)) ** 2) < 0.6 * np.mean((np.log(variance / true)) ** 2)


@pytest.mark.parametrize("n", [5, 20])
def test_predicted_deviation__two_of_them_are_as_rare_as_of_a_gaussian(n: int) -> None:
    rng = np.random.default_rng(n)
    true = np.sqrt(12 * 9 / rng.chisquare(12, 60000))
    values = rng.normal(size=(n + 1, 60000)) * true
    variance = values[1:].var(axis=0, ddof=1)
    z = (values[0] - values[1:].mean(axis=0)) / predicted_deviation(variance, np.full(60000, float(n)))
    assert np.mean(np.abs(z) > 2) == pytest.approx(2 * stats.norm.sf(2), rel=0.08)
