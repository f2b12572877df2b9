import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.synthesis.network import networks
from bids_spectsynth.synthesis.network.networks import (
    PatchDiscriminator,
    UNetGenerator,
    init_weights,
    parameter_count,
    unet_levels,
)


def test_parameter_count_is_that_of_the_publication():
    with torch.device("meta"):
        published = UNetGenerator(3, 1, 64, 8)
        ours = UNetGenerator(2, 1, 64, 8)
        discriminator = PatchDiscriminator(6, 64, 3)
    # The published one makes colours: two output channels (and biases) more in the last layer.
    assert parameter_count(published) + 2 * (128 * 16 + 1) == pytest.approx(54.41e6, abs=0.01e6)
    # One input channel less in the first convolution.
    assert parameter_count(published) - parameter_count(ours) == 64 * 16
    assert parameter_count(discriminator) == pytest.approx(2.77e6, abs=0.005e6)


def test_layers_follow_the_publication():
    with torch.device("meta"):
        network = UNetGenerator(2, 1, 64, 8)
    modules = list(network.modules())
    assert sum(isinstance(m, torch.nn.Dropout) for m in modules) == 3
    assert [any(isinstance(m, torch.nn.Dropout) for m in up) for up in network.ups] == [True] * 3 + [False] * 4
    assert [any(isinstance(m, torch.nn.BatchNorm2d) for m in down) for down in network.downs] == (
        [False] + [True] * 6 + [False]
    )
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in modules) == 6 + 7


@pytest.mark.parametrize(("size", "levels"), [((256, 256), 8), ((128, 128), 7), ((64, 128), 6), ((512, 512), 8)])
def test_levels(size, levels):
    assert unet_levels(*size) == levels


@pytest.mark.parametrize("size", [(100, 128), (1, 1), (0, 8), (96, 64)])
def test_levels_refuse_what_cannot_be_halved(size):
    with pytest.raises(ValueError, match="halved"):
        unet_levels(*size)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([8, 16, 32]), st.sampled_from([8, 16, 32, 64]), st.integers(1, 3), st.integers(1, 3))
def test_generator_keeps_the_size_and_range(height, width, channels, batch):
    network = UNetGenerator(channels, 1, 2, unet_levels(height, width) if max(height, width) % 8 == 0 else 3)
    output = network(torch.randn(batch, channels, height, width))
    assert output.shape == (batch, 1, height, width)
    assert output.abs().max() <= 1


def test_receptive_field_of_the_discriminator_is_70():
    network = PatchDiscriminator(2, 2, 3).eval()
    image = torch.zeros(1, 1, 128, 128, requires_grad=True)
    logits = network(image + 1, torch.ones(1, 1, 128, 128))
    assert logits.shape == (1, 1, 14, 14)
    logits[0, 0, 7, 7].backward()
    rows, columns = torch.nonzero(image.grad[0, 0], as_tuple=True)
    assert rows.max() - rows.min() + 1 == 70
    assert columns.max() - columns.min() + 1 == 70


def test_skip_connections_carry_the_finest_detail():
    network = UNetGenerator(1, 1, 4, 5).eval()
    init_weights(network, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for up in network.ups:
            up[1].weight.zero_()
        first, second = torch.randn(1, 1, 32, 32), torch.randn(1, 1, 32, 32)
        assert not torch.equal(network(first), network(second))


def test_initial_weights_have_the_published_spread():
    network = UNetGenerator(2, 1, 16, 5)
    init_weights(network, torch.Generator().manual_seed(3))
    weight = network.downs[3][1].weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert abs(weight.mean().item()) < 0.001
    assert network.ups[1][2].weight.mean().item() == pytest.approx(1, abs=0.01)
    assert network.last[1].bias.abs().max() == 0


def test_discriminator_gives_logits():
    network = PatchDiscriminator(3, 4)
    init_weights(network, torch.Generator().manual_seed(0))
    logits = network(100 * torch.randn(2, 2, 64, 64), torch.randn(2, 1, 64, 64))
    assert logits.shape == (2, 1, 6, 6)
    assert logits.min() < 0 < logits.max()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_come_to_batch_norm_without_gaps(layout):
    network = UNetGenerator(2, 1, 4, 4).to(memory_format=layout)
    seen = []
    for up in network.ups:
        norm = next(module for module in up if isinstance(module, torch.nn.BatchNorm2d))
        norm.register_full_backward_hook(
            lambda module, before, after: seen.append(after[0].is_contiguous(memory_format=layout))
        )
    image = torch.rand(2, 2, 32, 32, generator=torch.Generator().manual_seed(0)).to(memory_format=layout)
    network(image).square().sum().backward()
    assert seen == [True] * len(network.ups)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dense_gradients_have_the_values_of_gappy_ones(layout, monkeypatch):
    network = UNetGenerator(2, 1, 4, 4).to(dtype=torch.float64, memory_format=layout)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 2, 32, 32, generator=generator, dtype=torch.float64).to(memory_format=layout)
    network(image).square().sum().backward()
    dense = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    monkeypatch.setattr(networks, "_with_dense_gradient", lambda made: made)
    network(image).square().sum().backward()
    for parameter, value in zip(network.parameters(), dense, strict=True):
        torch.testing.assert_close(parameter.grad, value, rtol=1e-9, atol=1e-12)


def test_scale_head__changes_neither_image_nor_gradients():
    plain, with_scale = UNetGenerator(2, 1, 4, 5), UNetGenerator(2, 2, 4, 5)
    for network in (plain, with_scale):
        init_weights(network, torch.Generator().manual_seed(3))
    assert parameter_count(with_scale) > parameter_count(plain)
    inputs = torch.rand(2, 2, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(7)
    image = plain(inputs)
    torch.manual_seed(7)
    both = with_scale(inputs)
    assert both.shape == (2, 2, 32, 32)
    assert torch.equal(both[:, :1], image)
    image.square().sum().backward()
    (both[:, :1].square().sum() + both[:, 1:].square().sum()).backward()
    own = dict(with_scale.named_parameters())
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter.grad, own[name].grad), name
    assert all(value.grad is not None for name, value in own.items() if name.startswith("scale"))
