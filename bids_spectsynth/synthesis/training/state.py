"""Tensor files that are written whole or not at all, the state of a training, and stopping on a signal.

Nothing here is a pickle: a checkpoint is a safetensors file whose header holds the numbers that are not tensors.
"""

import json
import logging
import os
import secrets
import signal
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import safetensors
from safetensors.torch import save_file
from torch import Tensor

from bids_spectsynth.errors import ModelError
from bids_spectsynth.exit_codes import signal_code
from bids_spectsynth.termination import END_SIGNALS

logger = logging.getLogger(__name__)

FILE_NAME = "state.safetensors"
_HEADER = "bids_spectsynth"


class Interrupted(KeyboardInterrupt):
    """Training was stopped by a signal, after a checkpoint; ``exit_code`` is what the process should end with."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; the next run goes on from the checkpoint")
        self.exit_code = signal_code(number)


class StopSignals(AbstractContextManager["StopSignals"]):
    """While the block lasts, SIGTERM, SIGUSR1 and SIGINT only set ``number``, the first of them.

    Outside the main thread they are left alone.
    """

    def __init__(self) -> None:
        self.number = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (*END_SIGNALS, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        # A scheduler that has announced its time limit sends SIGTERM when it is reached: the job is to go on later.
        self.number = self.number or number


@dataclass
class TrainingState:
    """How far a training has come, besides networks and optimisers.

    ``epoch`` counts finished epochs, ``step`` finished steps of the epoch under way, ``sums`` its summed losses.
    Random numbers need no state: each epoch's order and each step's dropout are seeded from seed, epoch and step.
    """

    sums: Tensor
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def numbers(self) -> dict[str, Any]:
        """What goes into the file's header."""
        names = ("epoch", "step", "seconds", "best_epoch", "best", "history")
        return {name: getattr(self, name) for name in names}


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors of any layout and device, and a JSON header, to a safetensors file, atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    temporary.touch(0o666, exist_ok=False)
    mode = temporary.stat().st_mode
    try:
        # Straight from the tensors' memory to the file: a copy as bytes would take as much memory again.
        save_file(plain, temporary, {_HEADER: json.dumps(header)})
        # The library lets only the owner read it; the user's umask is to decide.
        temporary.chmod(mode)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of :func:`save_tensors` into memory.

    Raises
    ------
    ModelError
        The file is missing, damaged, or no file of this software.
    """
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
            # Cloned, because the file is mapped into memory and may be replaced while the tensors are in use.
            return {name: file.get_tensor(name).clone() for name in file.keys()}, header  # noqa: SIM118
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file; the model folder is not complete") from error
    except (OSError, safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{path}: damaged or not of this software ({error}); copy it again or train anew") from error
