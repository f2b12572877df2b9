import dataclasses
import math

import pytest
import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.training.steps import loss_names
from tests.synthesis.training.conftest import CONFIG, make_stepper


@pytest.mark.parametrize("limit", [1, 2])
def test_out_of_memory_halves_the_batch(monkeypatch, caplog, batch, limit):
    stepper = make_stepper()
    before = [buffer.clone() for buffer in stepper.generator.buffers()]
    forward = type(stepper.generator).forward
    sizes = []

    def small_memory(self, image):
        sizes.append(len(image))
        if len(image) > limit:
            raise torch.cuda.OutOfMemoryError("no memory")
        return forward(self, image)

    monkeypatch.setattr(type(stepper.generator), "forward", small_memory)
    losses = stepper.step(*batch, 1)
    assert losses.isfinite().all()
    # One pass for the discriminator, one for the generator; only the latter may count in batch norm's statistics.
    assert sizes[-8 // limit :] == [limit] * (8 // limit)
    counts = [b for b in stepper.generator.buffers() if b.dtype == torch.int64]
    assert all(count.item() == 4 // limit for count in counts)
    assert any(not torch.equal(a, b) for a, b in zip(before, stepper.generator.buffers(), strict=True))
    assert f"in {4 // limit} parts" in caplog.text
    assert stepper.n_parts == 4 // limit


def test_out_of_memory_with_a_single_slice(monkeypatch, batch):
    stepper = make_stepper()

    def no_memory(self, image):
        raise torch.cuda.OutOfMemoryError("no memory")

    monkeypatch.setattr(type(stepper.generator), "forward", no_memory)
    with pytest.raises(ModelError, match="--base-filters"):
        stepper.step(*batch, 1)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(batch):
    """Without batch norm in between, accumulated gradients are those of the whole batch."""
    grads = []
    for n_parts in (1, 4):
        stepper = make_stepper(dataclasses.replace(CONFIG, adversarial_weight=0))
        for module in stepper.generator.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.Dropout):
                module.eval()
        stepper.n_parts = n_parts
        losses = stepper.step(*batch, 1)
        grads.append((losses, [p.grad.clone() for p in stepper.generator.parameters()]))
    torch.testing.assert_close(grads[0][0], grads[1][0], equal_nan=True, rtol=1e-5, atol=1e-6)
    for first, second in zip(grads[0][1], grads[1][1], strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)


def test_a_step_changes_each_network_by_its_own_loss(batch):
    stepper = make_stepper()
    losses = dict(zip(loss_names(CONFIG), stepper.step(*batch, 1).tolist(), strict=True))
    wanted = losses["adversarial"] + 100 * losses["l1"] + 1 - losses["ssim"]
    assert losses["generator"] == pytest.approx(wanted, rel=1e-5)
    assert losses["discriminator"] == pytest.approx(math.log(2), rel=0.2)
    discriminator = make_stepper().discriminator
    # The generator's loss goes through the discriminator but must not move it: one update of size lr each.
    for fresh, moved in zip(discriminator.parameters(), stepper.discriminator.parameters(), strict=True):
        assert (fresh - moved).abs().max() <= 1.001 * CONFIG.learning_rate


@pytest.mark.parametrize("freeze", ["none", "encoder"])
def test_a_step_at_rate_0_changes_nothing_of_the_generator(batch, freeze):
    stepper = make_stepper(dataclasses.replace(CONFIG, learning_rate=0.0, freeze=freeze))
    before = {name: value.clone() for name, value in stepper.generator.state_dict().items()}
    stepper.step(*batch, 1)
    assert all(torch.equal(value, before[name]) for name, value in stepper.generator.state_dict().items())
