"""Fused Adam over views in the order of memory against torch's plain one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bids_spectsynth.synthesis.training.optimiser import Adam, memory_order

LAYOUTS = (torch.contiguous_format, torch.channels_last)
BETAS = (0.5, 0.999)


def network(layout: torch.memory_format) -> nn.Module:
    """Convolutions of all shapes that occur: many and single channels on either side, a bias, batch norm's vectors."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 4), nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 1, 4, bias=False), nn.Conv2d(1, 5, 4)
    )
    return layers.to(memory_format=layout)


def give_gradients(layers: nn.Module, number: int) -> None:
    """Gradients of a step, the same for every layout, in the layout of the weights."""
    generator = torch.Generator().manual_seed(number)
    for parameter in layers.parameters():
        parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_updates_are_those_of_plain_adam(layout):
    own, plain = network(layout), network(torch.contiguous_format)
    optimizer = Adam(own.parameters(), 1e-2, BETAS)
    reference = torch.optim.Adam(plain.parameters(), lr=1e-2, betas=BETAS, foreach=False, fused=False)
    for number in range(4):
        if number == 2:
            optimizer.set_rate(1e-3)
            reference.param_groups[0]["lr"] = 1e-3
        for layers, adam in ((own, optimizer), (plain, reference)):
            give_gradients(layers, number)
            adam.step()
            adam.zero_grad()
            assert all(parameter.grad is None for parameter in layers.parameters())
    for one, other in zip(own.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "spoiled",
    [
        lambda gradient: gradient.contiguous(),
        lambda gradient: gradient.contiguous(memory_format=torch.channels_last),
        lambda gradient: torch.cat([gradient, gradient], dim=1)[:, : gradient.shape[1]],
        lambda gradient: gradient[:, :, :1, :1].expand_as(gradient),
    ],
    ids=["contiguous", "channels last", "with gaps", "expanded"],
)
def test_gradients_may_lie_otherwise_than_their_weights(layout, spoiled):
    own, plain = (nn.Conv2d(3, 8, 4, bias=False) for _ in range(2))
    plain.load_state_dict(own.state_dict())
    own.to(memory_format=layout)
    optimizer = Adam(own.parameters(), 1e-2, BETAS)
    reference = torch.optim.Adam(plain.parameters(), lr=1e-2, betas=BETAS, foreach=False, fused=False)
    for number in range(3):
        gradient = spoiled(torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(number)))
        own.weight.grad, plain.weight.grad = gradient, gradient.clone()
        optimizer.step()
        reference.step()
    torch.testing.assert_close(own.weight, plain.weight, rtol=1e-6, atol=1e-7)


def test_weights_that_were_moved_are_refused():
    layers = network(torch.contiguous_format)
    optimizer = Adam(layers.parameters(), 1e-2, BETAS)
    layers.to(memory_format=torch.channels_last)
    give_gradients(layers, 0)
    with pytest.raises(RuntimeError, match="moved or converted"):
        optimizer.step()


def test_weights_stay_in_their_layout_and_are_optimised_without_copies(monkeypatch):
    layers = network(torch.channels_last)
    strides = [parameter.stride() for parameter in layers.parameters()]
    optimizer = Adam(layers.parameters(), 1e-2, BETAS)
    given = []
    kernel = torch._fused_adam_

    def watched(parameters, gradients, means, squares, *rest, **options):
        given.extend([*parameters, *gradients, *means, *squares])
        return kernel(parameters, gradients, means, squares, *rest, **options)

    monkeypatch.setattr(torch, "_fused_adam_", watched)
    give_gradients(layers, 0)
    optimizer.step()
    assert len(given) == 4 * len(strides)
    assert all(tensor.is_contiguous() for tensor in given)
    assert [parameter.stride() for parameter in layers.parameters()] == strides


def test_a_weight_without_gradient_stays():
    layers = network(torch.contiguous_format)
    before = [parameter.detach().clone() for parameter in layers.parameters()]
    optimizer = Adam(layers.parameters(), 1e-2, BETAS)
    give_gradients(layers, 0)
    first = next(layers.parameters())
    first.grad = None
    optimizer.step()
    changed = [not torch.equal(now, was) for now, was in zip(layers.parameters(), before, strict=True)]
    assert changed == [False] + [True] * (len(before) - 1)


@pytest.mark.parametrize("saved", LAYOUTS)
@pytest.mark.parametrize("resumed", LAYOUTS)
def test_state_goes_on_in_another_layout(saved, resumed):
    through, first = network(saved), network(saved)
    uninterrupted, optimizer = Adam(through.parameters(), 1e-2, BETAS), Adam(first.parameters(), 1e-2, BETAS)
    for number in range(3):
        give_gradients(through, number)
        uninterrupted.step()
    for number in range(2):
        give_gradients(first, number)
        optimizer.step()
    tensors = {name: value.clone() for name, value in optimizer.tensors("optimizer.x").items()}
    for name, value in tensors.items():
        if not name.endswith(".step"):
            assert value.shape == list(first.parameters())[int(name.split(".")[2])].shape
    second = network(resumed)
    second.load_state_dict(first.state_dict())
    optimizer = Adam(second.parameters(), 1e-2, BETAS)
    kept = {name: value.clone() for name, value in tensors.items()}
    optimizer.restore("optimizer.x", tensors)
    give_gradients(second, 2)
    optimizer.step()
    assert all(torch.equal(value, kept[name]) for name, value in tensors.items())
    for one, other in zip(through.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_any_dense_tensor_is_contiguous_in_the_order_of_memory(shape, random):
    axes = list(range(len(shape)))
    random.shuffle(axes)
    tensor = torch.zeros(shape).permute(axes)
    assert tensor.permute(memory_order(tensor)).is_contiguous()
