import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bids_spectsynth.evaluation.statistics.bland_altman import (
    concordance,
    grouped_correlation,
    limits_of_agreement,
    mean_correlation,
    sign_agreement,
)


def repeated(seed: int, n: int, m: int, between: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Differences of n subjects, m each, and whose they are."""
    rng = np.random.default_rng(seed)
    values = between * rng.normal(size=(n, 1)) + rng.normal(size=(n, m))
    return values.ravel(), np.repeat(np.arange(n), m)


def test_one_value_of_each_subject_gives_the_plain_limits() -> None:
    d = np.array([1.0, 2.0, 4.0, 5.0, 8.0])
    limits = limits_of_agreement(d, range(5))
    assert limits.bias.value == pytest.approx(4)
    # Variance (9 + 4 + 0 + 1 + 16) / 4.
    assert limits.sd_total == limits.sd_between == pytest.approx(math.sqrt(7.5))
    assert math.isnan(limits.sd_within)
    assert limits.lower.value == pytest.approx(4 - 1.959964 * math.sqrt(7.5))
    assert limits.upper.value == pytest.approx(4 + 1.959964 * math.sqrt(7.5))
    expected = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert (limits.bias.low, limits.bias.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 6))
def test_numbers_of_subjects_say_the_same_as_their_names(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, n, n * m)
    x, y = rng.normal(size=(2, n * m))
    # Some numbers may be missing, which makes them no labels yet.
    for other in (np.array([f"sub-{number:02d}" for number in numbers]), 1000 * numbers, numbers - 3):
        for rate in (grouped_correlation, mean_correlation, concordance):
            np.testing.assert_array_equal(rate(x, y, numbers), rate(x, y, other))
        assert repr(limits_of_agreement(x - y, numbers)) == repr(limits_of_agreement(x - y, other))


@pytest.mark.parametrize("n", [6, 12, 30])
def test_their_intervals_are_close_to_the_exact_ones(n: int) -> None:
    # Carkeet 2015 (Optom Vis Sci 92:e71): a limit is a quantile of a normal distribution, its exact interval is that of
    # a non-central t.
    d = np.random.default_rng(n).normal(size=n)
    limits = limits_of_agreement(d, range(n))
    z = stats.norm.ppf(0.975)
    exact = [
        d.mean() + d.std(ddof=1) / math.sqrt(n) * stats.nct.ppf(p, n - 1, z * math.sqrt(n)) for p in (0.025, 0.975)
    ]
    width = exact[1] - exact[0]
    assert limits.upper.low == pytest.approx(exact[0], abs=0.1 * width)
    assert limits.upper.high == pytest.approx(exact[1], abs=0.1 * width)


@given(st.integers(0, 10_000), st.integers(3, 10), st.integers(2, 10))
def test_components_are_those_of_the_analysis_of_variance(seed: int, n: int, m: int) -> None:
    d, subjects = repeated(seed, n, m)
    limits = limits_of_agreement(d, subjects)
    within = np.mean([d[subjects == one].var(ddof=1) for one in range(n)])
    ratio = float(stats.f_oneway(*(d[subjects == one] for one in range(n))).statistic)
    assert limits.sd_within**2 == pytest.approx(within)
    assert limits.sd_between**2 == pytest.approx(max(within * (ratio - 1) / m, 0), abs=1e-9)
    if ratio > 1:
        assert limits.sd_total**2 == pytest.approx(limits.sd_between**2 + limits.sd_within**2)


def test_unequal_subjects_have_the_component_of_bland_and_altman() -> None:
    # Subjects of 1, 2 and 3 values: means 0, 3, 6; within squares 0, 2 and 2 on 3 degrees of freedom; between mean
    # square (1*16 + 2*1 + 3*4) / 2 about the grand mean 4; divisor (36 - 14) / (2 * 6).
    d, subjects = [0, 2, 4, 5, 6, 7], [0, 1, 1, 2, 2, 2]
    limits = limits_of_agreement(d, subjects)
    assert limits.bias.value == pytest.approx(3)
    assert limits.sd_within**2 == pytest.approx(4 / 3)
    assert limits.sd_between**2 == pytest.approx((15 - 4 / 3) / (22 / 12))
    # Variance of the means 9, mean over subjects of the mean square around them (0 + 1 + 2/3) / 3.
    assert limits.sd_total**2 == pytest.approx(9 + 5 / 9)


@given(st.integers(0, 10_000), st.floats(-5, 5), st.floats(0.1, 10))
def test_limits_move_and_stretch_with_the_differences(seed: int, shift: float, gain: float) -> None:
    d, subjects = repeated(seed, 5, 4)
    order = np.random.default_rng(seed).permutation(len(d))
    before, after = limits_of_agreement(d, subjects), limits_of_agreement((gain * d + shift)[order], subjects[order])
    for name in ("bias", "lower", "upper"):
        one, other = getattr(before, name), getattr(after, name)
        for end in ("value", "low", "high"):
            assert getattr(other, end) == pytest.approx(gain * getattr(one, end) + shift, abs=1e-8)
        assert one.low < one.value < one.high


@pytest.mark.parametrize("between", [0.0, 0.3, 1.0])
def test_intervals_cover_the_true_limit_though_values_depend_on_each_other(between: float) -> None:
    n, m, rounds = 8, 30, 300
    rng = np.random.default_rng(5)
    # Neighbouring regions resemble each other, as those of a smooth error do.
    root = np.linalg.cholesky(0.7 ** (np.abs(np.subtract.outer(range(m), range(m))) / 2))
    truth = stats.norm.ppf(0.975) * math.sqrt(between**2 + 1)
    hits = 0
    for _ in range(rounds):
        d = between * rng.normal(size=(n, 1)) + rng.normal(size=(n, m)) @ root.T
        upper = limits_of_agreement(d.ravel(), np.repeat(np.arange(n), m)).upper
        hits += upper.low <= truth <= upper.high
    assert 0.92 <= hits / rounds <= 1


def test_one_subject_has_a_bias_and_nothing_more() -> None:
    limits = limits_of_agreement([1, 2, 3], ["a", "a", "a"])
    assert (limits.bias.value, limits.sd_within) == (2, 1)
    assert all(map(math.isnan, (limits.bias.low, limits.sd_total, limits.upper.value, limits.upper.low)))
    assert math.isnan(limits_of_agreement([], []).bias.value)


def test_equal_differences_have_no_spread() -> None:
    limits = limits_of_agreement([2.0] * 6, [0, 0, 1, 1, 2, 2])
    assert (limits.lower.low, limits.upper.high, limits.sd_total) == (2, 2, 0)


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_grouped_correlation_is_that_of_a_model_with_one_level_per_group(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n), 4)
    x, y = rng.normal(size=(2, 4 * n)) + 10 * rng.normal(size=(2, n))[:, groups]
    # Bakdash and Marusich 2017: r from the sums of squares of an analysis of covariance.
    levels = np.eye(n)[groups]
    rest = [
        float(np.square(y - design @ np.linalg.lstsq(design, y, rcond=None)[0]).sum())
        for design in (levels, np.column_stack([levels, x]))
    ]
    r = grouped_correlation(x, y, groups)
    assert r**2 == pytest.approx((rest[0] - rest[1]) / rest[0])
    slope = np.linalg.lstsq(np.column_stack([levels, x]), y, rcond=None)[0][-1]
    assert np.sign(r) == np.sign(slope)


def test_no_spread_no_correlation() -> None:
    groups = [0, 0, 1, 1]
    assert math.isnan(grouped_correlation([0.1, 0.1, 0.7, 0.7], [1, 2, 3, 4], groups))
    assert math.isnan(grouped_correlation([], [], []))
    assert grouped_correlation([1, 2, 11, 12], [1, 2, -11, -10], groups) == pytest.approx(1)


def test_mean_correlation_leaves_out_who_has_too_few_pairs() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 27))
    subjects = np.array([0] * 8 + [1] * 8 + [2] * 8 + [3] * 3)
    each = [np.corrcoef(x[subjects == one], y[subjects == one])[0, 1] for one in range(3)]
    found = mean_correlation(x, y, subjects)
    interval = stats.ttest_1samp(np.arctanh(each), 0).confidence_interval(0.95)
    assert found.value == pytest.approx(np.tanh(np.arctanh(each).mean()))
    assert np.arctanh([found.low, found.high]) == pytest.approx([interval.low, interval.high])
    assert math.isnan(mean_correlation(x[-3:], y[-3:], subjects[-3:]).value)


def test_concordance_by_hand() -> None:
    # Population variances 2/3 and 2/3, covariance 2/3, means 1 apart.
    assert concordance([1, 2, 3], [2, 3, 4], range(3)).value == pytest.approx((4 / 3) / (4 / 3 + 1))
    assert concordance([1, 2, 3], [1, 2, 3], range(3)).value == pytest.approx(1)
    assert concordance([1, 2, 3], [3, 2, 1], range(3)).value == pytest.approx(-1)
    assert math.isnan(concordance([1, 1, 1], [1, 1, 1], range(3)).value)
    assert math.isnan(concordance([], [], []).value)


def test_its_interval_leaves_out_one_subject_at_a_time() -> None:
    rng = np.random.default_rng(3)
    x = 50 + rng.normal(size=40)
    y = x + 0.5 * rng.normal(size=40)
    subjects = np.repeat(["a", "b", "c", "d", "e"], 8)
    whole = np.arctanh(concordance(x, y, subjects).value)
    left = [concordance(x[subjects != s], y[subjects != s], subjects[subjects != s]).value for s in "abcde"]
    pseudo = 5 * whole - 4 * np.arctanh(left)
    half = stats.t.ppf(0.975, 4) * stats.sem(pseudo)
    found = concordance(x, y, subjects)
    assert (found.low, found.high) == (pytest.approx(np.tanh(whole - half)), pytest.approx(np.tanh(whole + half)))
    assert math.isnan(concordance(x[:16], y[:16], subjects[:16]).low)


def test_sign_agreement_of_marked_values() -> None:
    assert sign_agreement([6, -7, 4, 8, -5], [1, -0.1, -9, -8, 3]) == (3, pytest.approx(2 / 3))
    assert sign_agreement([6.0], [0.0]) == (1, 0)
    n, share = sign_agreement([1, -2], [1, -2])
    assert n == 0
    assert math.isnan(share)


@pytest.mark.parametrize("seed", range(8))
def test_limits_of_agreement__intervals_of_repeated_values_by_their_formula(seed: int) -> None:
    n, m = 5, 3
    d, subjects = repeated(seed, n, m, between=0.1 if seed == 7 else 1.0)
    table = d.reshape(n, m)
    around = table.var(axis=1)
    parts = np.array([table.mean(axis=1).var(ddof=1), around.mean()])
    # Degrees of freedom of the second part from how it varies between subjects, at most those of its values.
    freedom = np.array([n - 1, np.clip(2 * parts[1] ** 2 * n / around.var(ddof=1), 1, n * (m - 1))])
    below = parts * (1 - freedom / stats.chi2.ppf(0.975, freedom))
    above = parts * (freedom / stats.chi2.ppf(0.025, freedom) - 1)
    variance = parts.sum()
    ends = np.sqrt([max(variance - np.sqrt(np.square(below).sum()), 0), variance + np.sqrt(np.square(above).sum())])
    z, half = stats.norm.ppf(0.975), stats.t.ppf(0.975, n - 1) * math.sqrt(parts[0] / n)
    narrow, wide = np.hypot(half, z * (math.sqrt(variance) - ends))
    found, limit = limits_of_agreement(d, subjects), d.mean() + z * math.sqrt(variance)
    assert (found.bias.low, found.bias.high) == pytest.approx((d.mean() - half, d.mean() + half))
    assert (found.upper.low, found.upper.value, found.upper.high) == pytest.approx(
        (limit - narrow, limit, limit + wide)
    )
    mirrored = limits_of_agreement(-d, subjects).lower
    assert (-mirrored.high, -mirrored.value, -mirrored.low) == pytest.approx((limit - narrow, limit, limit + wide))


def test_limits_of_agreement__subjects_without_any_spread_within_add_none() -> None:
    d, subjects = np.repeat([1.0, 2.0, 4.0], 2), np.repeat([0, 1, 2], 2)
    found, plain = limits_of_agreement(d, subjects), limits_of_agreement([1.0, 2.0, 4.0], [0, 1, 2])
    assert found.sd_within == 0
    assert (found.upper.low, found.upper.high) == pytest.approx((plain.upper.low, plain.upper.high))
    assert found.sd_between == pytest.approx(plain.sd_between)


def test_mean_correlation__of_lines_is_one_and_four_pairs_suffice() -> None:
    x = np.array([1.0, 2, 3, 4])
    one = mean_correlation(x, -2 * x, [0] * 4)
    assert one.value == pytest.approx(-1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert math.isnan(mean_correlation(x[:3], x[:3], [0] * 3).value)
    two = mean_correlation(np.r_[x, x], np.r_[x, 3 * x], np.repeat([0, 1], 4))
    assert (two.value, two.low, two.high) == pytest.approx((1, 1, 1))


def test_concordance__three_subjects_have_an_interval_and_two_have_none() -> None:
    rng = np.random.default_rng(1)
    x, subjects = rng.normal(size=12), np.repeat([0, 1, 2], 4)
    y = x + rng.normal(size=12) / 4
    three = concordance(x, y, subjects)
    assert three.low < three.value < three.high
    two = concordance(x[:8], y[:8], subjects[:8])
    assert two.value > 0
    assert math.isnan(two.high)
    # Far from zero and apart: no digits are lost.
    assert concordance(x + 1e6, y + 1e6, subjects).value == pytest.approx(three.value, rel=1e-8)
    shift = concordance(x, x + 3, subjects)
    assert shift.value == pytest.approx(2 * x.var() / (2 * x.var() + 9))


def test_sign_agreement__other_least() -> None:
    assert sign_agreement([2.0, -1.5, 1.6], [1.0, -1.0, -1.0], least=1.5) == (2, 0.5)
    assert sign_agreement([], [])[0] == 0
