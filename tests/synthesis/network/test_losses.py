import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from bids_spectsynth.synthesis.network.losses import (
    adversarial_loss,
    discriminator_loss,
    generator_loss,
    masked_ssim,
    ssim,
    ssim_map,
)


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


def test_masked_ssim_is_the_mean_of_the_map(pair):
    mask = torch.zeros(3, 1, 32, 40, dtype=torch.bool)
    mask[1, 0, 10, 12] = mask[2, 0, 20, 30] = mask[0, 0, 0, 0] = True
    values = ssim_map(*pair)
    torch.testing.assert_close(masked_ssim(*pair, mask), (values[1, 0, 5, 7] + values[2, 0, 15, 25]) / 2)


def test_ssim_can_be_maximised(pair):
    target, start = pair
    guess = start.clone().requires_grad_(True)
    before = ssim(guess, target)
    (gradient,) = torch.autograd.grad(before, guess)
    assert ssim(start + 0.01 * gradient / gradient.abs().max(), target) > before


def test_adversarial_loss_does_not_saturate():
    logits = torch.full((1, 1, 2, 2), -200.0, requires_grad=True)
    loss = adversarial_loss(logits, real=True)
    loss.backward()
    assert loss.item() == pytest.approx(200)
    assert logits.grad is not None
    assert logits.grad.sum().item() == pytest.approx(-1)


def test_discriminator_loss_is_half_the_sum():
    real, fake = torch.tensor([[2.0]]), torch.tensor([[-1.0]])
    wanted = 0.5 * (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)))
    assert discriminator_loss(real, fake).item() == pytest.approx(wanted)


def test_generator_loss_is_the_weighted_sum(pair):
    fake, target = pair
    logits = torch.zeros(3, 1, 2, 2)
    loss = generator_loss(fake, target, logits, adversarial_weight=2, l1_weight=100, ssim_weight=3)
    l1 = (fake - target).abs().mean().item()
    wanted = 2 * math.log(2) + 100 * l1 + 3 * (1 - ssim(fake, target).item())
    assert loss.total.item() == pytest.approx(wanted, rel=1e-6)


def test_terms_of_weight_zero_are_left_out(pair):
    loss = generator_loss(*pair, None, adversarial_weight=0, l1_weight=1, ssim_weight=0)
    assert loss.total.item() == loss.l1.item()
    assert math.isnan(loss.adversarial)
    assert math.isnan(loss.ssim)
    with pytest.raises(ValueError, match="logits"):
        generator_loss(*pair, None, adversarial_weight=1, l1_weight=1, ssim_weight=0)
