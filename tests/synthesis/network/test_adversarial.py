import math

import pytest
import torch

from bids_spectsynth.synthesis.network.adversarial import adversarial_loss, discriminator_loss


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
