"""Averaged weights: an exponential moving average of a network over the steps of its training."""

from collections.abc import Sequence
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

N = TypeVar("N", bound=nn.Module)


class AveragedWeights(Generic[N]):
    """Exponential moving average of a network's weights and buffers.

    Parameters
    ----------
    network : nn.Module
        Whose values the average starts from.
    decay : float
        Weight of the average against the new values, per step. In the beginning it is lower, ``(1 + n) / (10 + n)``
        at step n, so that the random initial weights are forgotten soon (as TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, network: N, decay: float) -> None:
        self.decay = decay
        self.n_steps = 0
        self._average = AveragedModel(network, multi_avg_fn=self._take_in, use_buffers=True)
        # torch's first update copies the network; here the average starts from its values before the first step.
        self._average.update_parameters(network)

    def _take_in(self, average: Sequence[Tensor], present: Sequence[Tensor], _: object) -> None:
        if average[0].is_floating_point():
            decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
            get_ema_multi_avg_fn(decay)(average, present, _)  # type: ignore[no-untyped-call]
        else:
            for value, new in zip(average, present, strict=True):
                value.copy_(new)

    def update(self, network: N) -> None:
        """Take the network's present values into the average; whole numbers (batch norm's counter) are copied."""
        self.n_steps += 1
        self._average.update_parameters(network)

    @property
    def network(self) -> N:
        """The network with the averaged values."""
        return cast(N, self._average.module)

    @property
    def values(self) -> dict[str, Tensor]:
        """The averaged values by name, not copied."""
        return self.network.state_dict()

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {f"{prefix}.{name}": value for name, value in self.values.items()} | {
            f"{prefix}#steps": torch.tensor(self.n_steps)
        }

    def restore(self, prefix: str, tensors: dict[str, Tensor]) -> None:
        """Take over the :meth:`tensors` of a checkpoint, in place; KeyError where they are of another network."""
        self.n_steps = int(tensors[f"{prefix}#steps"])
        for name, value in self.values.items():
            value.copy_(tensors[f"{prefix}.{name}"])
