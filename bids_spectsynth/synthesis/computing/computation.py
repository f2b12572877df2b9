"""How exactly a network is computed: number format, memory layout, compiled or not, by what the hardware can do."""

import functools
import importlib.util
import logging
import shutil
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import Compile, MemoryFormat, Precision

logger = logging.getLogger(__name__)

#: A training of fewer steps would not earn back the time that compiling takes.
MIN_STEPS_TO_COMPILE = 1000


@dataclass(frozen=True)
class Computation:
    """How a network is computed on a device.

    Parameters
    ----------
    device : torch.device
    precision : {'float32', 'bfloat16'}
        Of convolutions; with bfloat16 (autocast) weights, norms, losses and optimisers stay in float32.
    layout : {'contiguous', 'channels_last'}
        Of images and of the weights of convolutions in memory.
    compiled : bool
        Whether training runs through ``torch.compile``.
    trial : tuple of (str, float)
        Seconds per step of the ways that were tried before this one was taken.
    """

    device: torch.device
    precision: Precision = "float32"
    layout: MemoryFormat = "contiguous"
    compiled: bool = False
    trial: tuple[tuple[str, float], ...] = field(default=(), compare=False)

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout as torch names it."""
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format

    def autocast(self) -> torch.autocast:
        """Context in which a network runs in this precision."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16")

    def prepared(self, network: nn.Module) -> Any:
        """The network as a callable: itself, or compiled.

        One compiled form is made for each size of batch and for each set of weights that are trained; a network that
        follows the size at run time is slower.
        """
        return torch.compile(network, dynamic=False) if self.compiled else network

    def facts(self) -> dict[str, object]:
        """What a model card and a checkpoint say of it."""
        return {
            "precision": self.precision,
            "device": self.device.type,
            "memory_format": self.layout,
            "compiled": self.compiled,
        }

    def trial_facts(self) -> dict[str, object]:
        """What they say of the trial: nothing where there was none."""
        return {"computation_trial": {name: round(seconds, 4) for name, seconds in self.trial}} if self.trial else {}


def training_computation(
    device: torch.device,
    precision: Precision = "auto",
    layout: MemoryFormat = "auto",
    compiling: Compile = "auto",
    *,
    n_steps: int | None = None,
    n_processes: int = 1,
) -> Computation:
    """How a network is trained on a device.

    Parameters
    ----------
    device : torch.device
    precision : {'auto', 'float32', 'bfloat16'}
        ``auto`` takes bfloat16 where the hardware multiplies it: GPUs from Ampere on, CPUs with AVX512-BF16 or AMX.
        Elsewhere it is emulated and many times slower. This is the rule; a long training tries what it leaves open
        (:mod:`bids_spectsynth.synthesis.training.trial`).
    layout : {'auto', 'contiguous', 'channels_last'}
        ``auto`` takes channels last, which was measured to be as fast or faster on CPUs with both number formats, and
        is what GPUs compute bfloat16 convolutions in.
    compiling : {'auto', 'on', 'off'}
        ``auto`` compiles on GPUs, where a compiler is there and the training is long enough; on CPUs it was measured
        to be no faster.
    n_steps : int, optional
        Steps of the whole training; without it ``auto`` does not compile.
    n_processes : int
        Processes that train together; several are not compiled, which was not tried.

    Raises
    ------
    ModelError
        ``compiling`` is ``on`` and there is no compiler for the device, or there are several processes.
    """
    chosen = resolve_precision(precision, device)
    if compiling == "on" and not can_compile(device):
        raise ModelError(f"--compile on: {_missing_compiler(device)}; install it, or use --compile off")
    if compiling == "on" and n_processes > 1:
        raise ModelError("--compile on: not with several processes; use --compile off")
    worth = (
        compiling == "auto"
        and device.type == "cuda"
        and n_processes == 1
        and (n_steps or 0) >= MIN_STEPS_TO_COMPILE
        and can_compile(device)
    )
    return Computation(device, chosen, _resolve_layout(layout), compiled=compiling == "on" or worth)


def prediction_computation(
    device: torch.device, precision: Precision = "auto", layout: MemoryFormat = "auto"
) -> Computation:
    """How a trained network is applied on a device: never compiled, because a volume takes less time than compiling.

    Parameters
    ----------
    device : torch.device
    precision : {'auto', 'float32', 'bfloat16'}
        See :func:`training_computation`.
    layout : {'auto', 'contiguous', 'channels_last'}
        ``auto`` takes channels last.
    """
    return Computation(device, resolve_precision(precision, device), _resolve_layout(layout))


def _resolve_layout(choice: MemoryFormat) -> MemoryFormat:
    return "channels_last" if choice == "auto" else choice


def resolve_precision(choice: Precision, device: torch.device) -> Precision:
    """Number format of convolutions for a choice of the user; see :func:`training_computation`."""
    if choice != "auto":
        if choice == "bfloat16" and not has_bfloat16(device):
            logger.warning("--precision bfloat16: this %s only emulates it; float32 is faster here", device.type)
        return choice
    return "bfloat16" if has_bfloat16(device) else "float32"


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return major >= 8
    return _cpu_has_bfloat16()


def _cpu_has_bfloat16() -> bool:
    # The queries are not public in every torch release; without them the safe answer is no.
    queries = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(bool(query()) for query in queries if callable(query))


@functools.cache
def can_compile(device: torch.device) -> bool:
    """Whether ``torch.compile`` works here, found out by compiling a small function, backwards too.

    It needs Triton for a GPU, and a C++ compiler with Python's headers and a folder to run what it has made.
    """
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return False
    if device.type == "cpu" and not any(shutil.which(name) for name in ("g++", "clang++")):
        return False
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            value = torch.ones(8, device=device, requires_grad=True)
            torch.compile(lambda x: (x * 2).tanh().sum())(value).backward()
    except Exception as error:
        logger.warning("torch.compile does not work here (%s); going on without it", type(error).__name__)
        return False
    return True


def _missing_compiler(device: torch.device) -> str:
    return "no working Triton" if device.type == "cuda" else "no working C++ compiler (g++) on PATH"
