import math

import numpy as np
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import gamma

from bids_spectsynth.evaluation.statistics.effect_size import (
    RepeatedDraws,
    bca_interval,
    cohens_dz,
    hedges_factor,
    hedges_g,
    studentised_interval,
)

EXACT = 1e-10


def mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=-1)


seeds = st.integers(0, 10_000)


def differences(seed: int, n: int) -> np.ndarray:
    # Skewed, so that bias and acceleration are not zero.
    return np.random.default_rng(seed).exponential(0.02, n) - 0.015


@settings(deadline=None, max_examples=50)
@given(seeds, st.integers(2, 60))
def test_dz_equals_pingouin_and_t(seed: int, n: int) -> None:
    values = differences(seed, n)
    assert float(cohens_dz(values)) == pytest.approx(pingouin.compute_effsize(values, 0, eftype="cohen"), rel=EXACT)
    t = stats.ttest_1samp(values, 0).statistic
    assert float(cohens_dz(values)) == pytest.approx(t / math.sqrt(n), rel=EXACT)


@given(st.integers(2, 300))
def test_hedges_factor_equals_the_formula(df: int) -> None:
    expected = gamma(df / 2) / (math.sqrt(df / 2) * gamma((df - 1) / 2))
    assert hedges_factor(df) == pytest.approx(expected, rel=EXACT)
    # Hedges's own approximation.
    assert hedges_factor(df) == pytest.approx(1 - 3 / (4 * df - 1), abs=0.02 / df)


def test_hedges_g_is_unbiased() -> None:
    samples = np.random.default_rng(1).normal(0.8, 1, (200_000, 8))
    assert hedges_g(samples).mean() == pytest.approx(0.8, abs=0.005)
    assert cohens_dz(samples).mean() > 0.88


def test_values_without_spread_have_an_infinite_effect() -> None:
    values = np.array([[0.1, 0.1, 0.1], [-0.3, -0.3, -0.3], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(cohens_dz(values), [np.inf, -np.inf, 0, 2])
    assert math.isnan(float(hedges_g(np.array([1.0, 2.0]))))


@pytest.mark.parametrize("statistic", [mean, hedges_g], ids=["mean", "g"])
@pytest.mark.parametrize("n", [7, 11, 48])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bca_equals_scipy(statistic, n: int, seed: int) -> None:
    values = differences(seed, n)
    found = bca_interval(values, statistic, 2000, np.random.default_rng(seed))
    expected = stats.bootstrap(
        (values,), lambda v, axis: statistic(v), n_resamples=2000, method="BCa", vectorized=True,
        random_state=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=EXACT)
    assert found.low < float(statistic(values)) < found.high


def test_a_percentile_interval_is_something_else() -> None:
    values = differences(3, 11)
    found = bca_interval(values, mean, 5000, np.random.default_rng(3))
    drawn = values[np.random.default_rng(3).integers(0, 11, (5000, 11))].mean(axis=1)
    assert found.high > np.percentile(drawn, 97.5)


@pytest.mark.parametrize("n", [7, 11, 48])
def test_a_studentised_interval_by_its_definition(n: int) -> None:
    values = differences(n, n)
    found = studentised_interval(values, 500, np.random.default_rng(5))
    t = [
        stats.ttest_1samp(values[drawn], values.mean()).statistic
        for drawn in np.random.default_rng(5).integers(0, n, (500, n))
    ]
    low, high = np.quantile(t, (0.025, 0.975))
    expected = (values.mean() - high * stats.sem(values), values.mean() - low * stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, rel=EXACT)


def test_a_studentised_interval_of_normal_values_is_that_of_t_and_wider_than_bca() -> None:
    values = stats.norm.ppf((np.arange(11) + 0.5) / 11)
    found = studentised_interval(values, 20_000, np.random.default_rng(0))
    bca = bca_interval(values, mean, 20_000, np.random.default_rng(0))
    t = stats.t.ppf(0.975, 10) * stats.sem(values)
    assert (found.low, found.high) == pytest.approx((-t, t), rel=0.1)
    assert bca.high - bca.low < 0.9 * (found.high - found.low)


@pytest.mark.parametrize("seed", [[0], [1234, 7]])
def test_intervals_that_share_their_draws_equal_those_with_generators_of_their_own(seed: list[int]) -> None:
    draws = RepeatedDraws(seed)
    for values in (differences(1, 11), differences(2, 11), differences(3, 7), differences(4, 11)):
        shared = studentised_interval(values, 300, draws), bca_interval(values, hedges_g, 300, draws)
        alone = (
            studentised_interval(values, 300, np.random.default_rng(seed)),
            bca_interval(values, hedges_g, 300, np.random.default_rng(seed)),
        )
        assert shared == alone


def test_other_seeds_and_sizes_have_other_draws() -> None:
    draws = RepeatedDraws([1])
    first = draws.integers(0, 9, (50, 9))
    assert (draws.integers(0, 9, (50, 9)) == first).all()
    assert (RepeatedDraws([2]).integers(0, 9, (50, 9)) != first).any()
    assert draws.integers(0, 4, (50, 4)).max() == 3
    assert draws.integers(0, 9, (60, 9)).shape == (60, 9)


INTERVALS = {
    "bca": lambda values, n: bca_interval(values, mean, n, np.random.default_rng(0)),
    "studentised": lambda values, n: studentised_interval(values, n, np.random.default_rng(0)),
}


@pytest.mark.parametrize("kind", list(INTERVALS))
@pytest.mark.parametrize(
    ("values", "n_resamples", "reason"),
    [
        ([1.0, 2.0], 100, "fewer than three subjects"),
        ([0.3, 0.3, 0.3, 0.3], 100, "all differences are equal"),
        ([], 100, "fewer than three subjects"),
        ([1.0, 2.0, 3.0], 0, ""),
    ],
)
def test_no_interval_says_why(kind: str, values: list[float], n_resamples: int, reason: str) -> None:
    found = INTERVALS[kind](values, n_resamples)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert reason in found.note
    assert bool(found.note) == bool(reason)


def test_an_effect_of_three_subjects_has_no_bounds() -> None:
    # One resample in nine draws one subject three times.
    values = [1.0, 1.2, 3.0]
    for found in (
        bca_interval(values, hedges_g, 2000, np.random.default_rng(0)),
        studentised_interval(values, 2000, np.random.default_rng(0)),
    ):
        assert math.isnan(found.low)
        assert "few subjects" in found.note


@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_intervals__another_confidence_is_that_of_scipy_and_of_the_definition(confidence: float) -> None:
    values = differences(4, 11)
    expected = stats.bootstrap(
        (values,), lambda v, axis: v.mean(axis=-1), n_resamples=500, method="BCa", vectorized=True,
        confidence_level=confidence, random_state=np.random.default_rng(4),
    ).confidence_interval  # fmt: skip
    found = bca_interval(values, mean, 500, np.random.default_rng(4), confidence)
    assert (found.low, found.high, found.note) == (pytest.approx(expected.low), pytest.approx(expected.high), "")
    t = np.sqrt(11) * cohens_dz(values[np.random.default_rng(4).integers(0, 11, (500, 11))] - values.mean())
    low, high = np.quantile(t, ((1 - confidence) / 2, (1 + confidence) / 2))
    found = studentised_interval(values, 500, np.random.default_rng(4), confidence)
    assert found.low == pytest.approx(values.mean() - high * stats.sem(values))
    assert found.high == pytest.approx(values.mean() - low * stats.sem(values))


def test_cohens_dz__of_one_value_is_unknown_in_the_shape_of_the_others() -> None:
    assert np.isnan(cohens_dz(np.ones((2, 3, 1)))).tolist() == [[True] * 3] * 2
    np.testing.assert_allclose(cohens_dz(np.array([[[1.0, 3.0]], [[2.0, 2.0]]])), [[2 / math.sqrt(2)], [np.inf]])


def test_hedges_factor__needs_more_than_one_degree_of_freedom() -> None:
    assert math.isnan(hedges_factor(1))
    assert 0 < hedges_factor(1.5) < hedges_factor(2) < 1


def test_intervals__three_values_have_one_unless_they_are_equal_but_for_rounding() -> None:
    found = bca_interval([1.0, 2.0, 4.0], mean, 200, np.random.default_rng(0))
    assert found.low < 7 / 3 < found.high
    equal = bca_interval([0.1 + 0.2, 0.3, 0.3], mean, 200, np.random.default_rng(0))
    assert equal.note == "no bootstrap interval: all differences are equal"
