"""An end by SIGTERM that is like one by Ctrl-C: the record is written, and no worker process stays behind."""

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bids_spectsynth.exit_codes import ExitCode


class Terminated(KeyboardInterrupt):
    """SIGTERM came; ``exit_code`` is what the process should end with."""

    exit_code = ExitCode.TERMINATED

    def __init__(self) -> None:
        super().__init__("stopped by SIGTERM; start again to go on from here")


@contextmanager
def clean_end() -> Iterator[None]:
    """While the block lasts, SIGTERM raises :class:`Terminated`; an interrupted block ends its worker processes.

    Without this the workers of a process pool would wait for their dead parent for ever. Outside the main thread
    signals are left alone.
    """
    in_main = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, _raise) if in_main else None
    try:
        yield
    except KeyboardInterrupt:
        for worker in multiprocessing.active_children():
            # Not by SIGTERM: a forked worker has inherited the handler. Files are written whole or not at all.
            worker.kill()
        raise
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Terminated
