"""The order of slices in an epoch."""

import torch
from torch import Tensor


def shuffled_batches(
    n: int, batch_size: int, generator: torch.Generator, *, rank: int = 0, processes: int = 1
) -> list[Tensor]:
    """Indices of one epoch's batches: every slice once, in random order.

    Parameters
    ----------
    n : int
        Number of slices.
    batch_size : int
        Of one process; the last batch may be smaller.
    generator : torch.Generator
        On the CPU, in the same state in every process.
    rank, processes : int
        Each process takes every ``processes``-th slice of the same order. The order is repeated from its start until
        it divides evenly, so that all processes make the same number of steps.

    Returns
    -------
    list of tensor, int64
    """
    order = torch.randperm(n, generator=generator)
    missing = -n % processes
    order = torch.cat([order, order.repeat(-(-missing // n))[:missing]]) if missing else order
    return list(torch.split(order[rank::processes], batch_size))
