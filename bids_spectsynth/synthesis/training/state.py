"""The state of a training, and stopping on a signal."""

import logging
import signal
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

from torch import Tensor

from bids_spectsynth.errors import signal_code
from bids_spectsynth.termination import END_SIGNALS

logger = logging.getLogger(__name__)


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
    ``start`` are the metrics of the model that the training started from, where there is one.
    Random numbers need no state: each epoch's order and each step's dropout are seeded from seed, epoch and step.
    """

    sums: Tensor
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    start: dict[str, float] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def numbers(self) -> dict[str, Any]:
        """What goes into the file's header."""
        names = ("epoch", "step", "seconds", "best_epoch", "best", "start", "history")
        return {name: getattr(self, name) for name in names}
