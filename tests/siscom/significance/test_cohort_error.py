from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.siscom.significance.cohort_error import (
    MIN_PARTICIPANTS,
    ErrorSums,
    Residual,
    carry_error,
    error_grid,
    peak_chance,
    predicted_deviation,
    shrunk_variance,
    sum_residuals,
)
from tests.synthesis.baselines.conftest import AFFINE, SHAPE, TEMPLATE, brain, make_case, shifted, world


def residuals(folder: Path, n: int, *, moved: bool = False) -> list[Residual]:
    """Residuals that follow the anatomy: half the size on the left, a constant error in front."""
    rng = np.random.default_rng(3)
    found = []
    for index in range(n):
        matrix = shifted(*rng.uniform(-5, 5, 3)) if moved else np.eye(4)
        case = make_case(folder, f"{index:02d}", matrix=matrix)
        points = (world() - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
        mask = brain(points)
        size = np.where(points[..., 0] < 0, 2.0, 4.0)
        values = rng.normal() * size + 3 * (points[..., 1] > -17)
        found.append(Residual(case, np.where(mask, values, 99).astype(np.float32), mask, AFFINE, 4.0 + index))
    return found


def summed(found: list[Residual], fwhm: float = 12.0) -> ErrorSums:
    return sum_residuals(found, TEMPLATE, fwhm, error_grid([one.case for one in found], TEMPLATE, fwhm))


def test_carry_error__mean_and_deviation_of_a_plain_computation(tmp_path: Path) -> None:
    found = residuals(tmp_path, 8)
    sums = summed(found)
    error = carry_error(sums, found[0].case, found[0].mask, AFFINE)
    assert error is not None
    assert error.n_participants == 8
    stack = np.stack([one.values for one in found])
    inside = found[0].mask
    np.testing.assert_allclose(error.mean[inside], stack.mean(axis=0)[inside], atol=1e-4)
    assert np.isnan(error.mean[~inside]).all()
    raw = stack.var(axis=0, ddof=1)[inside].astype(np.float64)
    wanted = predicted_deviation(raw, np.full(len(raw), 8.0))
    np.testing.assert_allclose(error.standard_deviation[inside], wanted, rtol=1e-3)


def test_carry_error__follows_the_affine_of_each_head(tmp_path: Path) -> None:
    found = residuals(tmp_path, 12, moved=True)
    head = found[4]
    error = carry_error(summed(found), head.case, head.mask, AFFINE)
    assert error is not None
    points = world() - np.loadtxt(head.case.template_xfm)[:3, 3]
    known = head.mask & np.isfinite(error.standard_deviation)
    assert known.sum() > 0.8 * head.mask.sum()
    left, right = (known & side for side in (points[..., 0] < -8, points[..., 0] > 8))
    # Drawn towards each other, as twelve scans are few.
    assert 1.35 < error.standard_deviation[right].mean() / error.standard_deviation[left].mean() < 2.1
    front, back = (known & side for side in (points[..., 1] > -9, points[..., 1] < -25))
    assert error.mean[front].mean() - error.mean[back].mean() == pytest.approx(3, abs=0.2)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 6), st.integers(0, 100))
def test_without__is_as_if_the_participant_had_never_been_in(
    tmp_path_factory: pytest.TempPathFactory, index: int, seed: int
) -> None:
    found = residuals(tmp_path_factory.mktemp("without"), 7, moved=True)
    found[index] = replace(found[index], values=found[index].values * np.float32(1 + seed))
    grid = error_grid([one.case for one in found], TEMPLATE, 12.0)
    left = sum_residuals(found, TEMPLATE, 12.0, grid).without(found[index])
    never = sum_residuals(found[:index] + found[index + 1 :], TEMPLATE, 12.0, grid)
    assert left.participants == never.participants
    np.testing.assert_array_equal(left.count, never.count)
    np.testing.assert_allclose(left.total, never.total, atol=1e-9)
    np.testing.assert_allclose(left.squares, never.squares, atol=1e-6)
    with pytest.raises(ValueError, match="not among"):
        left.without(found[index])


def test_carry_error__few_participants_give_none_or_nan(tmp_path: Path) -> None:
    found = residuals(tmp_path, MIN_PARTICIPANTS)
    sums = summed(found)
    few = sums.without(found[0])
    assert carry_error(few, found[0].case, found[0].mask, AFFINE) is None
    cut = found[0].mask.copy()
    cut[12:] = False
    grid = error_grid([one.case for one in found], TEMPLATE, 12.0)
    sums = sum_residuals([replace(found[0], mask=cut), *found[1:]], TEMPLATE, 12.0, grid)
    error = carry_error(sums, found[0].case, found[0].mask, AFFINE)
    assert error is not None
    assert np.isnan(error.standard_deviation[14:][found[0].mask[14:]]).all()
    assert np.isfinite(error.standard_deviation[:11][found[0].mask[:11]]).all()


def test_carry_error__no_way_to_the_template_is_none(tmp_path: Path) -> None:
    found = residuals(tmp_path, MIN_PARTICIPANTS)
    lost = replace(found[0].case, template_xfm=None, template=None)
    assert carry_error(summed(found), lost, found[0].mask, AFFINE) is None


def test_sum_residuals__one_scan_of_each_participant_and_only_through_the_template(tmp_path: Path) -> None:
    found = residuals(tmp_path, 5)
    grid = error_grid([one.case for one in found], TEMPLATE, 12.0)
    again = replace(found[0], values=found[0].values * 2)
    other = make_case(tmp_path, "99")
    lost = replace(found[0], case=replace(other, template_xfm=None, template=None))
    sums = sum_residuals([*found, again, lost], TEMPLATE, 12.0, grid)
    assert sums.participants == ("00", "01", "02", "03", "04")
    assert sums.count.max() == 5


def test_error_grid__as_coarse_as_the_smoothing_allows_and_holds_the_brain(tmp_path: Path) -> None:
    case: PreparedCase = make_case(tmp_path, "00")
    fine, coarse = (error_grid([case], TEMPLATE, fwhm) for fwhm in (6.0, 24.0))
    np.testing.assert_allclose(fine.voxel_sizes, 4)
    np.testing.assert_allclose(coarse.voxel_sizes, 8)
    for grid in (fine, coarse):
        points = world()[brain(world())]
        index = (points - grid.affine[:3, 3]) / grid.voxel_sizes
        assert index.min() >= 0
        assert (index <= np.array(grid.shape) - 1).all()
    assert len(SHAPE) == 3


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


def test_without__takes_the_participants_own_peak_out(tmp_path: Path) -> None:
    found = residuals(tmp_path, 7)
    sums = summed(found)
    assert sums.peaks == (4, 5, 6, 7, 8, 9, 10)
    left = sums.without(found[2])
    assert left.peaks == (4, 5, 7, 8, 9, 10)
    error = carry_error(left, found[2].case, found[2].mask, AFFINE)
    assert error is not None
    assert error.peaks == left.peaks


def test_peak_chance__is_right_for_peaks_of_one_distribution() -> None:
    rng = np.random.default_rng(0)
    draws = np.exp(rng.normal(1.5, 0.2, (4000, 9)))
    chances = np.array([peak_chance(tuple(one[:8]), one[8]) for one in draws])
    for level in (0.05, 0.2, 0.5):
        assert np.mean(chances < level) == pytest.approx(level, abs=0.02)


def test_peak_chance__of_too_few_is_unknown_and_equal_peaks_are_no_error() -> None:
    assert np.isnan(peak_chance((4.0,) * 4, 9))
    assert peak_chance((4.0,) * 6, 9) < 1e-6
    assert peak_chance((4.0, 5, 6, 7, 8), 0) == pytest.approx(1)
