import numpy as np
import pytest

from bids_spectsynth.evaluation.case.scales import beside_lesion, level_factor, on_one_scale, slice_on_paper_scale
from bids_spectsynth.options.settings import Scaling

SHAPE = (14, 17, 9)


def volumes(order: str) -> tuple[np.ndarray, ...]:
    """Real and synthetic volume, brain, and where the SPECT was measured, as C or as NIfTI files lay them out."""
    rng = np.random.default_rng(0)
    mask = rng.random(SHAPE) < 0.6
    real, synthetic = (np.where(mask, rng.uniform(5, 20, SHAPE), 0).astype(np.float32) for _ in range(2))
    arrays = (real, 3 * synthetic, mask, mask & (rng.random(SHAPE) < 0.8))
    return tuple(np.asarray(array, order=order) for array in arrays)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("k", [0, 4, 8])
def test_one_slice_is_that_of_the_whole_volume(order: str, k: int) -> None:
    real, synthetic, mask, rated = volumes(order)
    expected = on_one_scale(real, synthetic, mask, rated, "slice")[1][..., k]
    np.testing.assert_array_equal(slice_on_paper_scale(real, synthetic, mask, rated, k), expected)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_means_over_the_evaluation_mask_become_equal(order: str) -> None:
    real, synthetic, _, rated = volumes(order)
    factor = level_factor(real, synthetic, rated)
    plain = real[rated].mean(dtype=np.float64) / synthetic[rated].mean(dtype=np.float64)
    assert factor == pytest.approx(plain, rel=1e-7)
    assert (synthetic * factor)[rated].mean() == pytest.approx(real[rated].mean(), rel=1e-5)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_volume_without_signal_or_evaluation_mask_keeps_its_level(order: str) -> None:
    real, synthetic, mask, rated = volumes(order)
    small = level_factor(1e-3 * real, 1e-3 * synthetic, rated)
    assert small == pytest.approx(level_factor(real, synthetic, rated), rel=1e-5) != 1
    assert level_factor(real, np.zeros_like(synthetic), rated) == 1
    assert level_factor(real, synthetic, np.zeros_like(rated)) == 1
    assert slice_on_paper_scale(real, np.zeros_like(synthetic), mask, rated, 3).max() == -1


def test_a_slice_holds_no_volume_in_memory() -> None:
    real, synthetic, mask, rated = volumes("F")
    base = slice_on_paper_scale(real, synthetic, mask, rated, 3).base
    assert base is None or base.size == SHAPE[0] * SHAPE[1]


def test_on_one_scale__both_with_the_real_ones_ends() -> None:
    real = np.zeros((2, 2, 2), np.float32)
    real[..., 0], real[..., 1] = [[2, 4], [6, 10]], [[0, 5], [10, 20]]
    mask = np.ones(real.shape, dtype=bool)
    synthetic = 0.5 * real
    for scale, expected in (
        ("slice", [[[-1, -1], [-0.5, -0.5]], [[0, 0], [1, 1]]]),
        ("volume", 2 * np.minimum(real / np.percentile(real, 99.8), 1) - 1),
    ):
        for image in on_one_scale(real, synthetic, mask, mask, scale):
            np.testing.assert_allclose(image, expected, atol=1e-6)
            assert image.dtype == np.float32
    # The level is matched where the SPECT was measured alone, and what is too bright is cut.
    rated = mask.copy()
    rated[..., 1] = False
    bright = on_one_scale(real, 2 * real * rated + 30 * ~rated, mask, rated, "slice")[1]
    np.testing.assert_allclose(bright[..., 0], [[-1, -0.5], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(bright[..., 1], 2 * 15 / 20 - 1, atol=1e-6)


@pytest.mark.parametrize("scale", ["slice", "volume"])
@pytest.mark.parametrize("gain", [0.5, 1.6])
def test_beside_lesion__only_where_the_lesion_may_have_made_the_scale(scale: Scaling, gain: float) -> None:
    real, _, _, rated = volumes("C")
    target = (real / 11 - 1).astype(np.float32)
    output = (np.clip(gain * (target + 1), 0, 2) - 1).astype(np.float32)
    touched = np.zeros(SHAPE, dtype=bool)
    np.testing.assert_array_equal(beside_lesion(target, output, touched, rated, scale), output)
    touched[3:5, 3:5, 2:4] = True
    found = beside_lesion(target, output, touched, rated & ~touched, scale)
    within = np.zeros(SHAPE, dtype=bool)
    within[..., slice(2, 4) if scale == "slice" else slice(None)] = True
    np.testing.assert_array_equal(found[~within], output[~within])
    free = within & (target < 1) & (output < 1)
    np.testing.assert_allclose(found[free], target[free], atol=1e-5)
    assert found.dtype == np.float32
    assert np.abs(found).max() <= 1
    wild = np.where(touched, 0.3, output).astype(np.float32)
    np.testing.assert_array_equal(beside_lesion(target, wild, touched, rated & ~touched, scale)[~touched],
                                  found[~touched])  # fmt: skip
