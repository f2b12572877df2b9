"""Averaged weights: an exponential moving average of a network over the steps of its training."""

import torch
from torch import Tensor, nn


class AveragedWeights:
    """Exponential moving average of a network's weights and buffers.

    Parameters
    ----------
    network : nn.Module
        Whose values the average starts from.
    decay : float
        Weight of the average against the new values, per step. In the beginning it is lower, ``(1 + n) / (10 + n)``
        at step n, so that the random initial weights are forgotten soon (as TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.n_steps = 0
        self.values = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take the network's present values into the average; whole numbers (batch norm's counter) are copied."""
        self.n_steps += 1
        decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)

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
