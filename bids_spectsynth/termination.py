"""Ends by SIGTERM and SIGUSR1 are like one by Ctrl-C: the record is written, no worker stays behind."""

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from bids_spectsynth.errors import signal_code
from bids_spectsynth.threads import PATIENCE, begin

Result = TypeVar("Result")

#: Signals that end a run: the system's, and the one by which a scheduler announces its time limit.
END_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))


class Terminated(KeyboardInterrupt):
    """One of :data:`END_SIGNALS` came; ``exit_code`` is what the process should end with."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; start again to go on from here")
        self.exit_code = signal_code(number)


@contextmanager
def clean_end() -> Iterator[None]:
    """While the block lasts, :data:`END_SIGNALS` raise :class:`Terminated`; an interrupted block ends its workers.

    Without this the workers of a process pool would wait for their dead parent for ever. Outside the main thread
    signals are left alone.
    """
    in_main = threading.current_thread() is threading.main_thread()
    previous = {number: signal.signal(number, _raise) for number in END_SIGNALS} if in_main else {}
    try:
        yield
    except KeyboardInterrupt:
        for worker in multiprocessing.active_children():
            # Not by SIGTERM: a forked worker has inherited the handler. Files are written whole or not at all.
            worker.kill()
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def interruptible(function: Callable[[], Result]) -> Result:
    """The result of a long call into a library, which a signal does not have to wait for.

    Python handles signals between its own steps, and a network that looks at a head is one step, of seconds. It works
    in a thread that is left to itself when a signal comes; what it raises is raised here.

    Parameters
    ----------
    function : callable
        Changes nothing that anybody needs after a signal.
    """
    done: Future[Result] = Future()
    claimed, ended = threading.Lock(), threading.Event()

    def work() -> None:
        if not claimed.acquire(blocking=False):
            return
        try:
            done.set_result(function())
        except BaseException as error:
            done.set_exception(error)
        finally:
            ended.set()

    begin(work)
    while not wait([done], PATIENCE).done:
        if claimed.acquire(blocking=False):
            return function()
        if ended.is_set() and not done.done():
            # Its last step found no memory.
            raise MemoryError
    return done.result()


def _raise(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)
