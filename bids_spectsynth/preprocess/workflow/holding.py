"""One run at a time prepares a case: another one with the same work folder waits for it, and says for whom."""

import errno
import hashlib
import importlib
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

#: In the folder of the records; one byte of it stands for each name.
LOCK_FILE = "held.lock"
HOLDER_FILE = "held_by.txt"
_TAKEN = (errno.EACCES, errno.EAGAIN)


@contextmanager
def held(names: Iterable[str], folder: Path) -> Iterator[None]:
    """Hold cases and T1w images inside the block; waits for those that another run holds.

    Nipype has no such lock: two runs would write and remove each other's files. Where the file system knows no locks,
    a warning is logged. The end of a process, however it ends, lets go of what it holds.

    Parameters
    ----------
    names : iterable of str
        Of cases, and keys of T1w images.
    folder : Path
        Of the records in the work folder, with one folder for each name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl = importlib.import_module("fcntl")
            # In one order, so that no two runs wait for each other.
            for place, name in sorted((_place(name), name) for name in set(names)):
                _hold(fcntl, descriptor, place, folder / name)
        except (ImportError, OSError) as error:
            logger.warning(
                "%s: cannot be locked (%s); do not run jobs of one participant at the same time", folder, error
            )
        yield
    finally:
        os.close(descriptor)  # lets go of all


def _place(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])


def _hold(fcntl: Any, descriptor: int, place: int, folder: Path) -> None:
    holder = folder / HOLDER_FILE
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        who = holder.read_text(encoding="utf-8").strip() if holder.is_file() else "another run"
        logger.warning("%s: is being prepared by %s in the same work folder; waiting for it", folder.name, who)
        fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, place)
    # It is held, whether or not the disk has room for the words of others' messages.
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
