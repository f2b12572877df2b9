import math

import numpy as np
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from bids_spectsynth.evaluation.statistics.paired_tests import equivalence_test, paired_t_test, signed_rank_test

EXACT = 1e-10

seeds = st.integers(0, 10_000)


def pairs(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first = rng.normal(0.2, 0.03, n)
    return first, first + rng.normal(0.002, 0.01, n)


def test_t_equals_a_test_computed_by_hand() -> None:
    second = np.array([0.5, -1.0, 3.0, 2.0, 0.0])
    result = paired_t_test(second + np.arange(1, 6), second)
    # Differences 1..5: mean 3, variance 2.5, so t = 3 / sqrt(2.5 / 5) = sqrt(18); four degrees of freedom have a
    # closed form, and sin of the angle with tan = t / 2 is sqrt(18 / 22).
    sine = math.sqrt(18 / 22)
    assert result.statistic == pytest.approx(math.sqrt(18), abs=EXACT)
    assert result.df == 4
    assert result.p == pytest.approx(1 - sine * (1 + (1 - sine**2) / 2), abs=EXACT)
    assert result.note == ""


@settings(deadline=None, max_examples=50)
@given(seeds, st.integers(2, 60))
def test_t_equals_scipy_and_pingouin(seed: int, n: int) -> None:
    first, second = pairs(seed, n)
    result, expected = paired_t_test(first, second), stats.ttest_rel(first, second)
    assert result.statistic == pytest.approx(expected.statistic, rel=EXACT, abs=EXACT)
    assert result.p == pytest.approx(expected.pvalue, rel=EXACT)
    assert result.df == n - 1
    other = pingouin.ttest(first, second, paired=True)
    assert result.p == pytest.approx(float(other.filter(regex="p[-_]val").iloc[0, 0]), rel=EXACT)


@settings(deadline=None, max_examples=50)
@given(seeds, st.integers(3, 80))
def test_signed_ranks_equal_scipy_exact_and_approximate(seed: int, n: int) -> None:
    first, second = pairs(seed, n)
    result = signed_rank_test(first, second)
    # scipy is exact up to 50 pairs.
    expected = stats.wilcoxon(first, second, method="exact" if n <= 50 else "approx")
    assert result.statistic == pytest.approx(expected.statistic, abs=EXACT)
    assert result.p == pytest.approx(expected.pvalue, rel=EXACT)
    assert math.isnan(result.df)


def test_signed_ranks_by_hand() -> None:
    # Ranks of 1, -2, 3, 4, 5 by size are 1..5; only the second is negative. Of the 32 sets of signs 3 have a sum of
    # at most 2 (none, the first, the second), doubled for two tails.
    result = signed_rank_test([1.0, 0.0, 3.0, 4.0, 5.0], [0.0, 2.0, 0.0, 0.0, 0.0])
    assert (result.statistic, result.p) == (2, pytest.approx(6 / 32, abs=EXACT))


@pytest.mark.parametrize(("n", "too_few"), [(3, True), (7, True), (8, False)])
def test_signed_ranks_say_where_pairs_are_too_few(n: int, too_few: bool) -> None:
    result = signed_rank_test(np.arange(1.0, n + 1), np.zeros(n))
    assert result.p == pytest.approx(2.0 ** (1 - n))
    assert (result.p >= 0.01) == too_few
    assert ("cannot give a p below" in result.note) == too_few


@settings(deadline=None, max_examples=50)
@given(seeds, st.integers(2, 60), st.floats(0.001, 0.02))
def test_equivalence_equals_statsmodels_and_pingouin(seed: int, n: int, margin: float) -> None:
    first, second = pairs(seed, n)
    result = equivalence_test(first, second, margin)
    p, *sides = ttost_paired(first, second, -margin, margin)
    assert result.p == pytest.approx(p, rel=EXACT, abs=1e-14)
    worst = max(sides, key=lambda side: side[1])
    assert result.statistic == pytest.approx(worst[0], rel=EXACT)
    assert result.df == n - 1
    other = pingouin.tost(first, second, bound=margin, paired=True)
    assert result.p == pytest.approx(float(other.filter(regex="p[-_]?val").iloc[0, 0]), rel=EXACT, abs=1e-14)


def test_equivalence_is_not_the_absence_of_a_difference() -> None:
    noisy = np.array([-1.0, 1.0, -2.0, 2.0, 0.5, -0.5])
    assert paired_t_test(noisy, np.zeros(6)).p == pytest.approx(1)
    assert equivalence_test(noisy, np.zeros(6), 0.1).p > 0.4
    small = 0.01 + np.linspace(-0.001, 0.001, 6)
    assert paired_t_test(small, np.zeros(6)).p < 1e-5
    assert equivalence_test(small, np.zeros(6), 0.1).p < 1e-5


TESTS = [paired_t_test, signed_rank_test, lambda a, b: equivalence_test(a, b, 0.1)]


@pytest.mark.parametrize("test", TESTS, ids=["t", "wilcoxon", "equivalence"])
@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([], [], "no pairs"),
        ([1.0], [2.0], "fewer than two pairs"),
        ([math.inf, 1.0], [2.0, 3.0], "fewer than two pairs"),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], "all differences are equal"),
        ([0.1, 0.2, 0.3], [0.2, 0.3, 0.4], "all differences are equal"),
    ],
)
def test_degenerate_data_gives_a_reason(test, first: list[float], second: list[float], reason: str) -> None:
    result = test(first, second)
    assert result.note == reason
    assert all(math.isnan(value) for value in (result.statistic, result.df, result.p))


@pytest.mark.parametrize("test", TESTS, ids=["t", "wilcoxon", "equivalence"])
def test_infinite_pairs_are_left_out(test) -> None:
    assert test([1.0, math.inf, 2.5, 4.0], [0.0, 1.0, 2.0, 2.0]) == test([1.0, 2.5, 4.0], [0.0, 2.0, 2.0])


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_t_test([1.0, 2.0], [1.0])


def test_signed_rank__note_where_the_least_p_is_not_below_the_level() -> None:
    first = np.array([1.0, 2.1, 3.3, 4.6, 5.8, 7.1, 8.5])
    # The least p of n pairs is 2 ** (1 - n); pairs that are equal do not count.
    assert signed_rank_test(first, 0 * first, alpha=2.0**-6).note == "so few pairs cannot give a p below 0.0156"
    assert signed_rank_test(first, 0 * first, alpha=2.0**-5).note == ""
    assert signed_rank_test(np.r_[first, 0.0], np.zeros(8), alpha=2.0**-6).note != ""
    assert signed_rank_test(first[:6], np.zeros(6)).note == "so few pairs cannot give a p below 0.0312"
    assert math.isnan(signed_rank_test(first, 0 * first).df)


def test_paired_tests__pairs_of_which_one_value_is_not_finite_are_left_out() -> None:
    first, second = [1.0, 2.0, np.nan, 4.5, 6.0], [0.5, np.inf, 1.0, 3.0, 4.0]
    assert paired_t_test(first, second) == paired_t_test([1.0, 4.5, 6.0], [0.5, 3.0, 4.0])


def test_paired_tests__a_spread_of_rounding_is_none_and_a_small_one_is_one() -> None:
    second = np.array([1e3, 2e3, 3e3])
    assert paired_t_test(second + 0.1, second).note == "all differences are equal"
    assert paired_t_test(second + np.array([0.1, 0.1001, 0.1002]), second).note == ""
    assert paired_t_test([1.0, 2.0], [0.5, 0.9]).df == 1
