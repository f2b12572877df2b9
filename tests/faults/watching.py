"""What a process of the app changes on disk and reaches for: noted, or the moment at which it gets a signal."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def signal_at_event(number: int, signal_number: int) -> Callable[[], None]:
    """For :func:`start`: the process gets a signal at the n-th time that it is about to change something on disk.

    What a killed process leaves there depends on these moments alone.
    """

    def prepare() -> None:
        count = 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if changed_by(event, arguments):
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal_number)

        sys.addaudithook(hook)

    return prepare


#: Events of Python's that change something on disk: which of their arguments are paths.
_CHANGES = {
    "os.rename": (0, 1), "os.remove": (0,), "os.mkdir": (0,), "os.rmdir": (0,), "os.link": (1,), "os.symlink": (1,),
    "os.chmod": (0,), "os.chown": (0,), "os.truncate": (0,), "os.utime": (0,), "shutil.rmtree": (0,),
    "shutil.move": (0, 1), "sqlite3.connect": (0,), "tempfile.mkstemp": (0,), "tempfile.mkdtemp": (0,),
}  # fmt: skip


def changed_by(event: str, arguments: tuple[Any, ...]) -> list[str]:
    """The paths that an event of an audit hook is about to change."""
    if event == "open":
        flags = arguments[2] if len(arguments) > 2 else 0
        places: tuple[int, ...] = (0,) if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) else ()
    else:
        places = _CHANGES.get(event, ())
    paths = (arguments[place] for place in places)
    return [os.fsdecode(path) for path in paths if isinstance(path, str | bytes | os.PathLike) and path != ":memory:"]


#: Events by which a program reaches for something else than its files.
REACHING = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
            "urllib.Request", "subprocess.Popen", "os.exec", "os.posix_spawn")  # fmt: skip


def watch(notes: Path) -> Callable[[], None]:
    """For :func:`start`: what the process changes and reaches for is noted, a line of JSON each: event, then what."""

    def prepare() -> None:
        file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            found = changed_by(event, arguments)
            if event in REACHING:
                found = [repr(arguments)]
            for one in found:
                # A path is as seen from where the process is by then; a step of the preparation goes elsewhere.
                where = one if event in REACHING else str(Path.cwd() / one)
                os.write(file, json.dumps([event, where]).encode() + b"\n")

        sys.addaudithook(hook)

    return prepare


def noted(notes: Path) -> list[tuple[str, str]]:
    """What :func:`watch` has noted: events and what they were about."""
    return [(event, what) for event, what in map(json.loads, notes.read_text().splitlines())]
