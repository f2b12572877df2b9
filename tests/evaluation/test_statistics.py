import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from bids_spectsynth.evaluation.statistics import compare, holm, paired_t_test


def table(values: dict[str, list[float]], session: str = "n/a") -> pd.DataFrame:
    rows = [(sub, session, k, 2.0 * k, v) for sub, numbers in values.items() for k, v in enumerate(numbers)]
    return pd.DataFrame(rows, columns=["participant_id", "session_id", "slice", "z_mm", "rmse"])


def test_equals_a_test_computed_by_hand() -> None:
    second = np.array([0.5, -1.0, 3.0, 2.0, 0.0])
    result = paired_t_test(second + np.arange(1, 6), second)
    # Differences 1..5: mean 3, variance 2.5, so t = 3 / sqrt(2.5 / 5) = sqrt(18); four degrees of freedom have a
    # closed form, and sin of the angle with tan = t / 2 is sqrt(18 / 22).
    sine = math.sqrt(18 / 22)
    assert result.t == pytest.approx(math.sqrt(18))
    assert result.df == 4
    assert result.p == pytest.approx(1 - sine * (1 + (1 - sine**2) / 2))
    assert result.p == pytest.approx(0.0132356, abs=1e-6)
    assert result.cohens_dz == pytest.approx(3 / math.sqrt(2.5))
    assert (result.n, result.mean_difference, result.reason) == (5, pytest.approx(3), "")


@given(st.integers(0, 10_000), st.integers(2, 40))
def test_equals_scipy(seed: int, n: int) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, n))
    result, expected = paired_t_test(first, second), stats.ttest_rel(first, second)
    assert result.t == pytest.approx(expected.statistic)
    assert result.p == pytest.approx(expected.pvalue)
    assert result.df == n - 1


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
def test_degenerate_data_gives_a_reason(first: list[float], second: list[float], reason: str) -> None:
    result = paired_t_test(first, second)
    assert result.reason == reason
    assert all(math.isnan(v) for v in (result.t, result.df, result.p, result.cohens_dz))


def test_infinite_pairs_are_left_out() -> None:
    with_infinite = paired_t_test([1.0, math.inf, 2.5, 4.0], [0.0, 1.0, 2.0, 2.0])
    assert with_infinite == paired_t_test([1.0, 2.5, 4.0], [0.0, 2.0, 2.0])
    assert with_infinite.n == 3


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_t_test([1.0, 2.0], [1.0])


def test_only_common_subjects_and_slices_are_compared() -> None:
    first = table({"sub-1": [1, 2, 3], "sub-2": [4, 6, 9], "sub-3": [9, 9, 9]})
    second = table({"sub-4": [0, 0, 0], "sub-2": [1, 2, 99], "sub-1": [0, 2, 1]})
    second = second[~((second["participant_id"] == "sub-2") & (second["slice"] == 2))]
    by_slice, by_subject = compare(first, second, ["rmse"])
    assert (by_slice.unit, by_slice.n_subjects, by_slice.n_slices) == ("slice", 2, 5)
    expected = stats.ttest_rel([1, 2, 3, 4, 6], [0, 2, 1, 1, 2])
    assert by_slice.test.p == pytest.approx(expected.pvalue)
    assert (by_subject.unit, by_subject.n_subjects, by_subject.n_slices) == ("subject", 2, 5)
    assert by_subject.test.p == pytest.approx(stats.ttest_rel([2, 5], [1, 1.5]).pvalue)
    assert by_subject.test.mean_difference == pytest.approx(2.25)


def test_sessions_of_a_subject_are_one_subject_and_never_mixed() -> None:
    first = pd.concat([table({"sub-1": [1, 2], "sub-2": [3, 4]}, "ses-a"), table({"sub-1": [8, 9]}, "ses-b")])
    second = pd.concat([table({"sub-1": [1, 1], "sub-2": [3, 3]}, "ses-a"), table({"sub-1": [8, 7]}, "ses-c")])
    by_slice, by_subject = compare(first, second, ["rmse"])
    assert by_slice.n_slices == 4
    assert by_subject.n_subjects == by_subject.test.n == 2


def test_slices_at_other_positions_are_not_paired() -> None:
    first = table({"sub-1": [1, 2, 3], "sub-2": [2, 4, 7]})
    by_slice, _ = compare(first, first.assign(z_mm=first["z_mm"] / 2), ["rmse"])
    assert by_slice.n_slices == 2  # only slice 0 of both subjects lies at the same place


def test_other_anatomy_is_compared_by_subject_only() -> None:
    first = table({"sub-1": [1, 2], "sub-2": [3, 4], "sub-3": [5, 9]})
    second = table({"sub-1": [2, 2, 5], "sub-2": [0, 1, 2], "sub-3": [0, 1, 2]})
    by_slice, by_subject = compare(first, second, ["rmse"], same_slices=False)
    assert "different anatomy" in by_slice.test.reason
    assert math.isnan(by_slice.test.p)
    assert by_subject.test.p == pytest.approx(stats.ttest_rel([1.5, 3.5, 7], [3, 1, 1]).pvalue)


def test_correlated_slices_make_the_slice_wise_test_too_sure() -> None:
    rng = np.random.default_rng(3)
    shift = [1.2, -0.7, 0.4, -0.5, 0.9, -0.3]  # one offset per subject, the same in all its slices
    first = table({f"sub-{i}": list(shift[i] + rng.normal(0, 0.2, 50)) for i in range(6)})
    second = table({f"sub-{i}": [0.0] * 50 for i in range(6)})
    by_slice, by_subject = compare(first, second, ["rmse"])
    assert by_slice.test.mean_difference == pytest.approx(by_subject.test.mean_difference)
    assert by_slice.test.p < 0.001
    assert by_subject.test.p > 0.5


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1, 1])
    np.testing.assert_allclose(holm([math.nan, 0.02, 0.04]), [math.nan, 0.04, 0.04])
    assert holm([]).size == 0


@given(arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1)))
def test_holm_keeps_order_and_bounds(p: np.ndarray) -> None:
    adjusted = holm(p)
    assert np.all(adjusted >= p)
    assert np.all(adjusted <= np.minimum(1, p * len(p)) + 1e-12)
    assert np.all(np.diff(adjusted[np.argsort(p)]) >= 0)
