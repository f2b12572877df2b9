import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bids_spectsynth.evaluation.statistics.robust import LEAST_VALUES, OUTLIER_Z, robust_scores


def test_robust_scores__of_normal_values_are_their_z_scores() -> None:
    values = np.random.default_rng(1).normal(50, 7, 20_000)
    scores = robust_scores(values)
    assert np.abs(scores.z - (values - 50) / 7).max() < 0.15
    assert scores.median == pytest.approx(50, abs=0.2)


def test_robust_scores__median_deviation_is_that_of_scipy() -> None:
    values = np.random.default_rng(2).gamma(2, size=31)
    expected = stats.median_abs_deviation(values)
    scores = robust_scores(values)
    assert scores.mad == pytest.approx(expected)
    np.testing.assert_allclose(scores.z, (values - np.median(values)) / (expected * 1.482602), rtol=1e-6)


def test_robust_scores__one_far_value_is_not_hidden_by_its_own_pull() -> None:
    values = [1.0, 1.1, 0.9, 1.05, 0.95, 30.0]
    assert np.abs(stats.zscore(values)).max() < OUTLIER_Z, "the mean is pulled along"
    z = robust_scores(values).z
    assert [abs(one) > OUTLIER_Z for one in z] == [False] * 5 + [True]


def test_robust_scores__mean_deviation_where_most_values_are_equal() -> None:
    scores = robust_scores([0.0] * 9 + [1.0])
    assert scores.mad == 0
    assert scores.z[0] == 0
    assert scores.z[-1] == pytest.approx(1 / (0.1 / 0.797885), rel=1e-5)


def test_robust_scores__equal_values_differ_in_nothing() -> None:
    assert robust_scores([0.1 + 0.2, 0.3, 0.3, 0.3, 0.3, 0.3]).z.tolist() == [0.0] * 6


def test_robust_scores__few_values_have_no_usual_one() -> None:
    scores = robust_scores([1.0] * (LEAST_VALUES - 2) + [50.0])
    assert np.isnan(scores.z).all()
    assert scores.n == LEAST_VALUES - 1
    assert np.isnan(robust_scores([]).median)


def test_robust_scores__what_is_not_finite_does_not_count() -> None:
    scores = robust_scores([1.0, 2, 3, 4, 5, np.nan, np.inf])
    assert scores.n == 5
    assert scores.z[:5].tolist() == robust_scores([1.0, 2, 3, 4, 5]).z.tolist()
    assert np.isnan(scores.z[5:]).all()


@given(st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=5, max_size=30), st.floats(0.01, 100))
def test_robust_scores__unit_and_zero_do_not_matter(values: list[float], factor: float) -> None:
    first = robust_scores(values).z
    second = robust_scores(-factor * np.array(values)).z
    np.testing.assert_allclose(second, -first, atol=1e-4, rtol=1e-4)


def test_robust_scores__few_values_still_have_median_and_spread() -> None:
    scores = robust_scores([1.0, 2.0, 4.0, np.nan])
    assert (scores.median, scores.mad, scores.n) == (2, 1, 3)
    assert scores.z.shape == (4,)
    empty = robust_scores([np.nan, np.inf])
    assert (empty.n, np.isnan(empty.mad), np.isnan(empty.z).all()) == (0, True, True)


def test_robust_scores__exactly_as_many_values_as_needed() -> None:
    z = robust_scores([1.0, 2, 3, 4, 100]).z
    np.testing.assert_allclose(z, (np.array([1.0, 2, 3, 4, 100]) - 3) * 0.6744898, rtol=1e-6)
