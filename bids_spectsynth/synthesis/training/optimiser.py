"""Adam over the weights of a network as they lie in memory."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class Adam:
    """Fused Adam (Kingma and Ba 2015) of a network's weights in any layout.

    On a CPU torch's fused kernel copies each gradient that is not contiguous, which takes about as long as the update.
    A convolution's weights in channels last are contiguous once their axes are put in the order of memory; such views,
    which share the weights' values, are what is optimised here. The updates are the same.

    Parameters
    ----------
    parameters : iterable of nn.Parameter
        Dense, on their device and in their layout; both must stay.
    learning_rate : float
    betas : tuple of float
        Decay of the running means of gradients and of their squares.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float, betas: tuple[float, float]) -> None:
        self._parameters = list(parameters)
        self._orders = [memory_order(parameter) for parameter in self._parameters]
        self._views = [
            parameter.detach().permute(order).requires_grad_()
            for parameter, order in zip(self._parameters, self._orders, strict=True)
        ]
        # One pass over the weights instead of ten; a third of the time on a CPU, one launch on a GPU.
        self._adam = torch.optim.Adam(self._views, lr=learning_rate, betas=betas, fused=True)
        for view in self._views:
            # torch makes the state in the first step, and leaves it half made where a GPU's memory ends in the middle.
            means = {name: torch.zeros_like(view) for name in ("exp_avg", "exp_avg_sq")}
            self._adam.state[view] = {"step": torch.zeros((), device=view.device), **means}

    def set_rate(self, rate: float) -> None:
        """Set the learning rate."""
        for group in self._adam.param_groups:
            group["lr"] = rate

    def zero_grad(self) -> None:
        """Forget the gradients of the weights."""
        for tensor in (*self._parameters, *self._views):
            tensor.grad = None

    def step(self) -> None:
        """Update the weights, in place, by their gradients; a weight without a gradient stays as it is.

        Raises
        ------
        RuntimeError
            A weight has been moved to another place since: it would not be trained.
        """
        for parameter, view, order in zip(self._parameters, self._views, self._orders, strict=True):
            if view.data_ptr() != parameter.data_ptr():
                raise RuntimeError("the network was moved or converted after its optimiser was made")
            # The kernel walks through memory, whatever a gradient's strides are. They are those of the weight, as far
            # as autograd and its parallel form make them: then nothing is copied.
            view.grad = None if parameter.grad is None else parameter.grad.permute(order).contiguous()
        self._adam.step()
        for view in self._views:
            view.grad = None

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """The state as named tensors, ``<prefix>.<parameter number>.<name>``, shaped as the parameters are."""
        tensors: dict[str, Tensor] = {}
        for number, (view, order) in enumerate(zip(self._views, self._orders, strict=True)):
            back = [order.index(axis) for axis in range(len(order))]
            for name, value in self._adam.state[view].items():
                tensors[f"{prefix}.{number}.{name}"] = value.permute(back) if value.ndim == len(back) else value
        return tensors

    def restore(self, prefix: str, tensors: Mapping[str, Tensor]) -> None:
        """Take over a copy of the :meth:`tensors` of a checkpoint, whatever layout its weights had."""
        for number, (view, order) in enumerate(zip(self._views, self._orders, strict=True)):
            start = f"{prefix}.{number}."
            state: dict[str, Tensor] = {}
            for name, value in tensors.items():
                if name.startswith(start):
                    # The kernel walks through memory: a state must lie in it as its weights do.
                    if value.ndim == len(order):
                        state[name.removeprefix(start)] = torch.empty_like(view).copy_(value.permute(order))
                    else:
                        state[name.removeprefix(start)] = value.to(view.device, copy=True)
            if state:
                self._adam.state[view] = state


def memory_order(tensor: Tensor) -> tuple[int, ...]:
    """Axes of a dense tensor from the one of the longest stride to that of the shortest."""
    strides = tensor.stride()
    return tuple(sorted(range(tensor.ndim), key=lambda axis: -strides[axis]))
