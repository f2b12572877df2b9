"""Where the slices of a cohort lie: 16-bit numbers in memory, or in files that are mapped into it."""

import dataclasses
import hashlib
import json
import math
import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.memory import total_memory
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.synthesis.computing.computation import Computation

#: -1 and 1 are stored as this number; a step is 3e-5 of the range, ten times finer than float16's next to 1.
SCALE = 32767
#: Share of the free memory that ``auto`` fills with slices.
MEMORY_SHARE = 0.5
INDEX_FILE = "slices.json"


def encode(values: Tensor) -> Tensor:
    """Values in [-1, 1] (any shape, float32) as int16, rounded to steps of 1/32767; -1, 0 and 1 stay exact.

    Raises
    ------
    ModelError
        A value is outside that range or not finite.
    """
    if values.numel() and not (values.min() >= -1 and values.max() <= 1):
        raise ModelError("a prepared image has values outside -1 to 1 after scaling; prepare the participants again")
    return torch.round(values * SCALE).to(torch.int16)


def decode(stored: Tensor) -> Tensor:
    """Values in [-1, 1], float32, of :func:`encode`'s result, on the same device."""
    return stored.to(torch.float32).div_(SCALE)


def decoded_on(stored: Tensor, computation: Computation) -> Tensor:
    """Stored slices (N, C, H, W) as float32 on the device and in the layout of a computation.

    The copy to a GPU goes through pinned memory and is not waited for: it runs while the GPU is busy with the batch
    before. Half the bytes are copied, because decoding is done there.
    """
    device = computation.device
    if device.type == "cuda" and stored.device.type == "cpu":
        stored = stored.pin_memory()
    moved = stored.to(device, non_blocking=True)
    return decode(moved).contiguous(memory_format=computation.memory_format)


@dataclass(frozen=True)
class Storage:
    """Where slices are put.

    Parameters
    ----------
    folder : Path or None
        For files that are mapped into memory; processes on one machine that map one file hold it once. None: there
        is no such place, and slices lie in this process's memory.
    limit : float
        Slices of up to so many bytes lie in memory, even where there is a folder.
    """

    folder: Path | None = None
    limit: float = math.inf

    def allocate(self, specs: Mapping[str, tuple[tuple[int, ...], torch.dtype]]) -> dict[str, Tensor]:
        """Tensors of these shapes and types, not filled.

        Raises
        ------
        ModelError
            The disk has no room for them, or the folder cannot be written to.
        """
        total = sum(math.prod(shape) * dtype.itemsize for shape, dtype in specs.values())
        if self.folder is None or total <= self.limit:
            return {name: torch.empty(shape, dtype=dtype) for name, (shape, dtype) in specs.items()}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, (shape, dtype) in specs.items():
                _reserve(self.folder / name, max(1, math.prod(shape)) * dtype.itemsize)
        except OSError as error:
            raise ModelError(
                f"{self.folder}: cannot store {total / 1e9:.1f} GB of training slices ({error.strerror}); make room, "
                "give another --work-dir, or use --slice-storage memory"
            ) from error
        return mapped(self.folder, specs)

    def part(self, name: str) -> "Storage":
        """Storage of the same kind for one of two parts of the data."""
        return Storage(None if self.folder is None else self.folder / name, self.limit / 2)

    def remove(self) -> None:
        """Remove the files."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _reserve(path: Path, n_bytes: int) -> None:
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            # Writing to a mapped file on a full disk would kill the process: the room is taken beforehand.
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        else:
            file.truncate(n_bytes)


def mapped(folder: Path, specs: Mapping[str, tuple[tuple[int, ...], torch.dtype]]) -> dict[str, Tensor]:
    """Tensors that are the files of a folder, shared with all processes that map them."""
    found = {}
    for name, (shape, dtype) in specs.items():
        flat = torch.from_file(str(folder / name), shared=True, size=max(1, math.prod(shape)), dtype=dtype)
        found[name] = flat[: math.prod(shape)].view(shape)
    return found


def write_index(folder: Path, **records: Any) -> None:
    """Write what another process needs to map the files of a folder: dataclasses by name, as JSON."""
    write_json(folder / INDEX_FILE, {name: dataclasses.asdict(record) for name, record in records.items()})


def read_index(folder: Path) -> dict[str, dict[str, Any]]:
    """The records of :func:`write_index` by name.

    Raises
    ------
    ModelError
        The process that should have written them did not, or not where this one looks.
    """
    try:
        content: dict[str, dict[str, Any]] = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: the first process of this machine left no slices here ({error})") from error
    return content


def storage_for(settings: Settings, model: Path, n_processes: int) -> Storage:
    """Where a training keeps its slices.

    Parameters
    ----------
    settings : Settings
        For ``slice_storage``, ``work_dir`` and ``mem_mb``.
    model : Path
        Folder of the network that is trained; one work folder may serve several output folders.
    n_processes : int
        Processes that train it together; those of one machine share the files.
    """
    if settings.slice_storage == "memory":
        return Storage()
    # A work folder on a network may serve several machines, each with its own files.
    name = hashlib.sha256(str(model.resolve()).encode()).hexdigest()[:16]
    folder = settings.work_folder / "slices" / f"{name}-{socket.gethostname()}"
    if settings.slice_storage == "disk" or n_processes > 1:
        return Storage(folder, 0)
    free = (
        min(psutil.virtual_memory().available, total_memory()) if settings.mem_mb is None else settings.mem_mb * 2**20
    )
    return Storage(folder, MEMORY_SHARE * free)
