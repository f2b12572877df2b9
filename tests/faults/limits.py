"""What a single case may take: time and memory."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn


class TooSlowError(BaseException):
    """No ``except Exception`` of the program takes it."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """End the block with an error after some seconds of computing, or twelve times as long on a busy machine."""

    def late(*_: object) -> NoReturn:
        raise TooSlowError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    before_computing = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 12 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGPROF, before_computing)


@contextmanager
def memory(mb: int) -> Iterator[None]:
    """Let this process take no more than so much memory beyond what it has."""
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (has + mb * 2**20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
