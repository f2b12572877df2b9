import numpy as np
import pytest
import torch

from bids_spectsynth.evaluation.case.similarity import MARGIN, _gaussian_weights, check_pair, ssim_maps
from bids_spectsynth.synthesis.network.ssim import ssim_map


def test_ssim_maps__equal_the_map_that_the_loss_is_the_mean_of() -> None:
    rng = np.random.default_rng(1)
    real, synthetic = rng.uniform(-1, 1, (2, 3, 24, 31)).astype(np.float32)
    maps = ssim_maps(real, synthetic, 2.0)
    loss = ssim_map(torch.from_numpy(real)[:, None], torch.from_numpy(synthetic)[:, None])[:, 0].numpy()
    np.testing.assert_allclose(maps[:, MARGIN:-MARGIN, MARGIN:-MARGIN], loss, atol=2e-6)


def test_ssim_maps__unusable_slices_are_refused() -> None:
    with pytest.raises(ValueError, match="smaller than the window"):
        ssim_maps(np.zeros((3, 10, 20)), np.zeros((3, 10, 20)), 2.0)
    with pytest.raises(ValueError, match="one shape"):
        ssim_maps(np.zeros((3, 20, 20)), np.zeros((3, 20, 21)), 2.0)


def test_ssim_maps__slices_as_small_as_the_window_and_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    real, synthetic = np.random.default_rng(2).uniform(-1, 1, (2, 3, 11, 11))
    maps = ssim_maps(real, synthetic, 2.0)
    assert maps.shape == (3, 11, 11)
    assert maps.dtype == np.float32
    monkeypatch.setattr("os.cpu_count", lambda: None)
    np.testing.assert_array_equal(ssim_maps(real, synthetic, 2.0), maps)
    with pytest.raises(ValueError, match=r"^slices of 11 x 10 are smaller than the window of 11$"):
        ssim_maps(real[..., :10], synthetic[..., :10], 2.0)


def test_gaussian_weights__are_those_of_the_article() -> None:
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    weights = _gaussian_weights()
    np.testing.assert_allclose(weights, (window / window.sum())[5:], rtol=1e-6)
    assert weights.dtype == np.float32


def test_check_pair__says_what_cannot_be_compared() -> None:
    flat = np.zeros((20, 20))
    with pytest.raises(ValueError, match=r"^two volumes of one shape needed, not 20 x 20 and 20 x 20$"):
        check_pair(flat, flat, 2.0)
    with pytest.raises(ValueError, match=r"^two volumes of one shape needed, not 3 x 20 x 20 and 3 x 20 x 21$"):
        check_pair(np.zeros((3, 20, 20)), np.zeros((3, 20, 21)), 2.0)
    for data_range in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match=f"^data range {data_range} is not above zero$"):
            check_pair(np.zeros((3, 20, 20)), np.zeros((3, 20, 20)), data_range)
    check_pair(np.zeros((3, 20, 20)), np.zeros((3, 20, 20)), 0.5)
