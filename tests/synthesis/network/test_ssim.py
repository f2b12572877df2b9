import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from bids_spectsynth.synthesis.network.ssim import ssim, ssim_map


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(5)
    first = torch.tanh(torch.randn(3, 1, 32, 40, generator=generator))
    return first, (first + 0.3 * torch.randn(3, 1, 32, 40, generator=generator)).clamp(-1, 1)


def test_ssim_equals_scikit_image(pair):
    wanted = [
        structural_similarity(
            a.double().numpy(), b.double().numpy(), data_range=2, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )
        for a, b in zip(pair[0][:, 0], pair[1][:, 0], strict=True)
    ]  # fmt: skip
    assert ssim(*pair).item() == pytest.approx(np.mean(wanted), abs=1e-6)


def test_ssim_of_equal_slices_is_one(pair):
    torch.testing.assert_close(ssim_map(pair[0], pair[0]), torch.ones(3, 1, 22, 30))


def test_ssim_can_be_maximised(pair):
    target, start = pair
    guess = start.clone().requires_grad_(True)
    before = ssim(guess, target)
    (gradient,) = torch.autograd.grad(before, guess)
    assert ssim(start + 0.01 * gradient / gradient.abs().max(), target) > before
