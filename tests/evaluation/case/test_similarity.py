import numpy as np
import pytest
import torch

from bids_spectsynth.evaluation.case.similarity import MARGIN, ssim_maps
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
