import pytest
import torch
from torch import nn

from bids_spectsynth.synthesis.network.averaging import AveragedWeights
from bids_spectsynth.synthesis.network.networks import UNetGenerator


def network(value):
    made = nn.BatchNorm1d(1)
    with torch.no_grad():
        made.weight.fill_(value)
    made.running_mean.fill_(value)
    return made


def test_the_average_by_hand():
    average = AveragedWeights(network(0.0), decay=0.5)
    average.update(network(1.0))  # decay 2/11 at the first step
    first = 9 / 11
    assert average.values["weight"].item() == pytest.approx(first)
    average.update(network(1.0))  # 3/12
    assert average.values["weight"].item() == pytest.approx(0.25 * first + 0.75)
    assert average.values["running_mean"].item() == pytest.approx(0.25 * first + 0.75)


def test_the_decay_is_reached_after_many_steps():
    average = AveragedWeights(network(0.0), decay=0.9)
    for _ in range(200):
        average.update(network(0.0))
    average.update(network(1.0))
    assert average.values["weight"].item() == pytest.approx(0.1)


def test_whole_numbers_are_copied():
    average = AveragedWeights(network(0.0), decay=0.9)
    counted = network(1.0)
    counted.num_batches_tracked.fill_(7)
    average.update(counted)
    assert average.values["num_batches_tracked"].item() == 7


def test_a_restored_average_goes_on_alike():
    first = AveragedWeights(network(0.0), decay=0.9)
    for value in (1.0, 2.0):
        first.update(network(value))
    second = AveragedWeights(network(5.0), decay=0.9)
    second.restore("average", {name: value.clone() for name, value in first.tensors("average").items()})
    for one in (first, second):
        one.update(network(3.0))
    assert first.n_steps == second.n_steps == 3
    assert all(torch.equal(value, second.values[name]) for name, value in first.values.items())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_update__equals_one_interpolation_a_tensor_bit_for_bit(layout):
    """What the average was before it was torch's: ``lerp_`` of every floating point tensor, whole numbers copied."""
    random = torch.Generator().manual_seed(0)
    trained = UNetGenerator(2, 1, 4, 5).to(memory_format=layout)
    average = AveragedWeights(trained, decay=0.9)
    wanted = {name: value.clone() for name, value in trained.state_dict().items()}
    for step in range(1, 120):
        with torch.no_grad():
            for value in trained.state_dict().values():
                value.add_(torch.randn(value.shape, generator=random) if value.is_floating_point() else step)
        average.update(trained)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in trained.state_dict().items():
            if value.is_floating_point():
                wanted[name].lerp_(value, 1 - decay)
            else:
                wanted[name].copy_(value)
        assert average.values.keys() == wanted.keys()
        assert all(torch.equal(value, average.values[name]) for name, value in wanted.items()), step
    assert {name.partition(".")[0] for name in average.tensors("average")} == {"average", "average#steps"}
