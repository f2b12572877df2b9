import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.metrics import normalized_mutual_information

from bids_spectsynth.evaluation.case.volume import (
    relative_uptake,
    sharpness_ratio,
    through_slice_ratio,
    volume_correlation,
    volume_nmi,
    volume_rmse,
)

SHAPE = (6, 7, 8)


def rated() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:5, 1:6, 2:7] = True
    return mask


def volume(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 3, SHAPE).astype(np.float32)


@given(st.integers(0, 1000), st.floats(0.01, 1000))
def test_units_do_not_matter(seed: int, gain: float) -> None:
    first, second = relative_uptake(volume(seed), rated()), relative_uptake(np.float32(gain) * volume(seed), rated())
    assert first is not None
    assert second is not None
    assert first[rated()].mean() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(first, second, rtol=1e-4)


@pytest.mark.parametrize("gain", [0, -1])
def test_a_volume_without_signal_has_no_relative_uptake(gain: float) -> None:
    assert relative_uptake(gain * volume(0), rated()) is None
    assert relative_uptake(volume(0), np.zeros(SHAPE, dtype=bool)) is None


def test_error_and_correlation_in_the_evaluation_mask_alone() -> None:
    real, synthetic = volume(1), volume(2)
    other = np.where(rated(), synthetic, 99).astype(np.float32)
    assert volume_rmse(real, synthetic, rated()) == volume_rmse(real, other, rated())
    x, y = (image[rated()].astype(float) for image in (real, synthetic))
    assert volume_rmse(real, synthetic, rated()) == pytest.approx(np.sqrt(np.mean((x - y) ** 2)))
    assert volume_correlation(real, synthetic, rated()) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert np.isnan(volume_correlation(real, np.full(SHAPE, 0.3, dtype=np.float32), rated()))


def test_through_slice_ratio_by_hand() -> None:
    real, synthetic = np.zeros(SHAPE, dtype=np.float32), np.zeros(SHAPE, dtype=np.float32)
    real += np.arange(SHAPE[2], dtype=np.float32)
    # Steps of 3 up and down, in whole slices; what lies outside the evaluation mask does not count.
    synthetic += 3 * (np.arange(SHAPE[2]) % 2).astype(np.float32)
    synthetic[~rated()] = 50
    assert through_slice_ratio(real, synthetic, rated()) == pytest.approx(3)
    assert through_slice_ratio(real, real, rated()) == 1
    assert through_slice_ratio(real, 0 * real, rated()) == 0


def test_pairs_of_slices_are_compared_where_both_are_rated() -> None:
    mask = rated()
    mask[:3, :, 4] = False
    real, synthetic = volume(3), volume(4)
    synthetic[:3, :, 4] = 1e6
    assert through_slice_ratio(real, synthetic, mask) < 10


def test_no_neighbours_no_ratio() -> None:
    mask = rated()
    mask[..., ::2] = False
    assert np.isnan(through_slice_ratio(volume(1), volume(2), mask))
    assert np.isnan(through_slice_ratio(np.ones(SHAPE, dtype=np.float32), volume(2), rated()))


def test_mutual_information_is_that_of_scikit_image() -> None:
    real, synthetic = volume(1), volume(1) ** 2 + 0.3 * volume(2)
    expected = normalized_mutual_information(real[rated()], synthetic[rated()], bins=64)
    other = np.where(rated(), synthetic, 99).astype(np.float32)
    assert volume_nmi(real, other, rated()) == pytest.approx(expected, rel=1e-6)
    assert volume_nmi(real, 2 * real, rated()) == pytest.approx(2)
    assert np.isnan(volume_nmi(0 * real, 0 * real, rated()))


def test_sharpness_of_waves_by_hand() -> None:
    mask = np.ones((20, 20, 20), dtype=bool)
    wave = np.sin(np.arange(20, dtype=np.float32))[:, None, None] + np.zeros(mask.shape, dtype=np.float32)
    assert sharpness_ratio(wave, 7 + wave / 2, mask, (2, 2, 2)) == pytest.approx(0.5, rel=1e-4)
    # Twice the distance between voxels is a quarter of the curvature.
    assert sharpness_ratio(wave, np.swapaxes(wave, 0, 1), mask, (2, 4, 2)) == pytest.approx(0.25, rel=1e-4)


@given(st.floats(0.5, 1.5))
def test_blur_is_seen(sigma: float) -> None:
    real = np.random.default_rng(3).normal(1, 0.1, (20, 20, 20)).astype(np.float32)
    mask = np.ones(real.shape, dtype=bool)
    blurred = ndimage.gaussian_filter(real, sigma)
    assert sharpness_ratio(real, blurred, mask, (4, 4, 4)) < 0.7
    assert sharpness_ratio(blurred, real, mask, (4, 4, 4)) > 1.4


def test_no_sharpness_without_neighbours_or_detail() -> None:
    mask = rated()
    mask[..., ::2] = False
    assert np.isnan(sharpness_ratio(volume(1), volume(2), mask, (1, 1, 1)))
    assert np.isnan(sharpness_ratio(np.ones(SHAPE, dtype=np.float32), volume(2), rated(), (1, 1, 1)))


def test_measures_by_hand() -> None:
    mask = np.ones((1, 1, 4), dtype=bool)
    real, synthetic = (np.array([[values]], np.float32) for values in ([1, 2, 4, 5], [2, 2, 3, 9]))
    assert volume_rmse(real, synthetic, mask) == pytest.approx(np.sqrt((1 + 0 + 1 + 16) / 4))
    assert volume_correlation(real, synthetic, mask) == pytest.approx(np.corrcoef([1, 2, 4, 5], [2, 2, 3, 9])[0, 1])
    assert through_slice_ratio(real, synthetic, mask) == pytest.approx((0 + 1 + 6) / (1 + 2 + 1))
    np.testing.assert_allclose(relative_uptake(real, mask), real / 3)
    assert relative_uptake(0.01 * real, mask) is not None
    part = np.array([[[True, True, False, True]]])
    assert through_slice_ratio(real, synthetic, part) == 0
    assert volume_rmse(real, synthetic, part) == pytest.approx(np.sqrt(17 / 3))


@pytest.mark.parametrize(("spread", "known"), [(1e-3, True), (1e-9, False)])
def test_correlation__a_spread_of_rounding_is_none(spread: float, known: bool) -> None:
    mask = np.ones((1, 1, 6), dtype=bool)
    wave = np.array([[[0, 1, 2, 3, 4, 6]]])
    found = volume_correlation(1 + spread * wave, 1 - spread * wave, mask)
    assert found == pytest.approx(-1) if known else np.isnan(found)
