from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.siscom.significance.cohort_error import (
    MIN_PARTICIPANTS,
    ErrorSums,
    Residual,
    carry_error,
    error_grid,
    peak_chance,
    sum_residuals,
)
from bids_spectsynth.siscom.significance.shrinkage import predicted_deviation
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


def test_carry_error__draws_towards_the_shape_that_is_expected_of_the_head(tmp_path: Path) -> None:
    found = residuals(tmp_path, 8)
    head, sums = found[0], summed(found)
    left = head.mask & (world()[..., 0] < -7)
    right = head.mask & (world()[..., 0] > 7)
    size = np.where(world()[..., 0] < 0, 2.0, 4.0).astype(np.float32)

    def ratio(expected: np.ndarray | None) -> float:
        error = carry_error(sums, head.case, head.mask, AFFINE, expected)
        assert error is not None
        assert error.calibrated is (expected is not None)
        return float(np.median(error.standard_deviation[right]) / np.median(error.standard_deviation[left]))

    # The residuals differ by 2 between the sides; from eight heads alone that is not believed in full.
    assert 1 < ratio(None) < 1.9
    assert ratio(size) == pytest.approx(2, rel=1e-3)
    # What the cohort contradicts has little weight.
    assert 1.2 < ratio(1 / size) < 2


def test_carry_error__only_the_shape_of_what_is_expected_counts(tmp_path: Path) -> None:
    found = residuals(tmp_path, 8, moved=True)
    head, sums = found[0], summed(found)
    shape = np.random.default_rng(0).uniform(1, 1.3, head.mask.shape).astype(np.float32)

    def deviation(expected: np.ndarray | None) -> np.ndarray:
        error = carry_error(sums, head.case, head.mask, AFFINE, expected)
        assert error is not None
        assert error.calibrated is (expected is not None and bool(np.isfinite(expected).any()))
        return error.standard_deviation[np.isfinite(error.standard_deviation)]

    np.testing.assert_allclose(deviation(shape), deviation(1000 * shape), rtol=1e-4)
    np.testing.assert_allclose(deviation(np.full_like(shape, 7)), deviation(None), rtol=1e-4)
    # What is known nowhere says nothing.
    np.testing.assert_allclose(deviation(np.full_like(shape, np.nan)), deviation(None), rtol=1e-6)
    # Known on one side and the same all over it: as if nothing were known, in whatever unit.
    half = np.where(world()[..., 0] < 0, np.float32(1000), np.float32(np.nan))
    np.testing.assert_allclose(deviation(half), deviation(None), rtol=1e-4)
