"""Where the network is computed: on which device, and in how many processes."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import cast, get_args

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bids_spectsynth.errors import ModelError
from bids_spectsynth.logs import ONCE
from bids_spectsynth.options.settings import Device

logger = logging.getLogger(__name__)

#: How long a process waits for the others. The first one fits baselines and validates alone; a process that has ended
#: is noticed by ``torchrun``, not by this.
PATIENCE = timedelta(hours=2)


def resolve_device(choice: Device, local_rank: int = 0) -> torch.device:
    """Device for a choice of the user; which one it is is always logged.

    Parameters
    ----------
    choice : {'auto', 'cpu', 'cuda'}
        ``auto`` takes a GPU where there is one.
    local_rank : int
        Which GPU of the machine.

    Raises
    ------
    ModelError
        ``cuda`` is asked for but cannot be used.
    """
    available = torch.cuda.is_available()
    if choice == "cuda" and not available:
        built = "no GPU is visible" if torch.version.cuda else f"torch {torch.__version__} is built without CUDA"
        raise ModelError(f"--device cuda: {built}; use --device cpu, or install a CUDA build of torch and a driver")
    if choice == "cpu" or not available:
        logger.info("Network on the CPU", extra=ONCE)
        logger.debug("CPU (%d threads)", torch.get_num_threads())
        return torch.device("cpu")
    device = torch.device("cuda", local_rank % torch.cuda.device_count())
    logger.info("Network on GPU %s (%s)", device, torch.cuda.get_device_name(device), extra=ONCE)
    return device


def as_device(device: str | torch.device | None = None) -> torch.device:
    """Device of a call from Python: a GPU where there is one, unless something else is given.

    Parameters
    ----------
    device : str or torch.device, optional
        A choice of :func:`resolve_device`, or what torch knows, such as ``cuda:1``.

    Raises
    ------
    ModelError
        There is no such device.
    """
    if isinstance(device, torch.device):
        return device
    choice = device or "auto"
    if choice in get_args(Device):
        return resolve_device(cast(Device, choice))
    try:
        return torch.device(choice)
    except RuntimeError as error:
        raise ModelError(f"device {choice!r}: torch knows none of this name; use 'cpu', 'cuda' or 'cuda:1'") from error


@dataclass(frozen=True)
class Processes:
    """The processes that train one model together, as started by ``torchrun``; one process without it.

    Parameters
    ----------
    rank, count : int
        Number of this process, from 0, and of all of them.
    local_rank : int
        Number of this process on its machine: which GPU it uses.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share_norm(self, network: nn.Module, device: torch.device) -> None:
        """Give a network batch norm over the batches of all processes, in place, where they compute on GPUs.

        Names and values of the state are the same in both forms, but not the layers' class: the weights are to be drawn
        before. Synchronised batch norm has no CPU form: there each process normalises its own batch.
        """
        if self.count > 1 and device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]

    def with_shared_gradients(self, network: nn.Module) -> nn.Module:
        """The same network, called through which the gradients are averaged over the processes while they arise.

        Not to be called through it: a network that is frozen, or in evaluation. Buffers stay those of each process;
        they are equal where batch norm is shared, and the first process's are saved.
        """
        if self.count == 1:
            return network
        # Without device_ids: each process's network is on its one device already.
        parallel = DistributedDataParallel(network, gradient_as_bucket_view=True)
        # Set afterwards, because the argument's name differs between releases of torch. Buffers that are written over
        # between the discriminator's two passes would spoil the first one's gradient.
        parallel.broadcast_buffers = False
        return parallel

    def mean(self, values: Tensor) -> Tensor:
        """Mean of a tensor over the processes."""
        if self.count > 1:
            dist.all_reduce(values)
            values /= self.count
        return values

    def largest(self, number: int) -> int:
        """The largest of the processes' numbers: of a signal that has reached only some of them, say."""
        if self.count == 1:
            return number
        # On the CPU, so that nobody waits for the work that the GPU has been given.
        found = torch.tensor(number)
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return int(found.item())

    def agree(self, *numbers: int) -> bool:
        """Whether all processes have the same numbers: have read the same checkpoint, say."""
        return all(self.largest(number) == -self.largest(-number) for number in numbers)

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.largest(0)


def environment_rank() -> Processes:
    """Place of this process as ``torchrun`` has set it in the environment; does not connect anything."""
    try:
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return Processes()
        return Processes(int(os.environ.get("RANK", "0")), count, int(os.environ.get("LOCAL_RANK", "0")))
    except ValueError as error:
        raise ModelError(f"WORLD_SIZE, RANK, LOCAL_RANK: {error}; start with torchrun or unset them") from error


@contextlib.contextmanager
def connected_processes(device: torch.device) -> Iterator[Processes]:
    """The processes of this training, connected by NCCL (GPU) and Gloo (CPU) while the outermost block lasts.

    There is a barrier at entry: what the first process has written before, the others find. Blocks
    for one network after the other belong into one block around all: a second connection would find the addresses of
    the first one, because ``torchrun`` keeps them.
    """
    processes = environment_rank()
    outermost = processes.count > 1 and not dist.is_initialized()
    if outermost:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        logger.info("Process %d of %d", processes.rank + 1, processes.count)
    try:
        processes.wait()
        yield processes
    finally:
        if outermost:
            dist.destroy_process_group()


def smaller_batch(size: int) -> int:
    """Half of a batch that did not fit into a GPU's memory.

    Raises
    ------
    ModelError
        It was a single slice.
    """
    if size == 1:
        raise ModelError(
            "a single slice does not fit into the GPU's memory; end what else runs on it, or use --device cpu"
        )
    logger.warning("GPU out of memory: going on with %d slices at a time", size // 2)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return size // 2
