"""What stands in the way of reading a folder or file: permissions, content not fetched, names that are not text."""

import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path, PurePath

ASK_OWNER = "permission denied; ask its owner for access"
#: Pointers of git-annex and Git LFS take 100 to 200 bytes; what is as long as a NIfTI header is none.
_POINTER_BYTES = 347
_ANNEX, _LFS = "annex/objects/", "version https://git-lfs.github.com/spec/"


def is_text(path: PurePath | str) -> bool:
    """Whether a name or path is text: one with bytes that are no UTF-8 fits into no table, JSON file or log.

    Examples
    --------
    >>> is_text("sub-01"), is_text(os.fsdecode(b"caf\\xe9"))
    (True, False)
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(path: PurePath | str) -> str:
    r"""A name or path as a message can have it: bytes that are no text as ``\udce9``."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def folder_problem(folder: Path) -> str | None:
    """Why a folder cannot be listed or its files not be looked at; None where it can."""
    try:
        os.scandir(folder).close()
        # Listing needs one permission, looking at what is listed another.
        os.stat(f"{folder}/.")  # noqa: PTH116  (Path drops the dot)
    except PermissionError:
        return ASK_OWNER
    except OSError as error:
        return f"cannot be listed ({error.strerror})"
    return None


def subfolders(folder: Path, prefix: str) -> list[Path]:
    """Folders, and links to folders, in a folder, by name; nothing where it cannot be listed."""
    try:
        found = sorted(Path(entry) for entry in os.scandir(folder) if entry.name.startswith(prefix))
    except OSError:
        return []
    return [path for path in found if os.path.isdir(path)]  # noqa: PTH112  (Path.is_dir raises without permission)


def read_problem(path: Path) -> str | None:
    """Why a file cannot be read, and what to do, as far as its place and not its content says; None if nothing does.

    Reads the file itself only where it is small enough for a pointer of git-annex or Git LFS.
    """
    fetch = f"its content was not fetched; run 'datalad get {shlex.quote(shown(path))}'"
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file; replace or remove it"
        start = path.read_bytes() if 0 < status.st_size <= _POINTER_BYTES else b""
        if not os.access(path, os.R_OK):
            return ASK_OWNER
    except FileNotFoundError:
        if not path.is_symlink():
            return "no such file"
        target = shown(path.readlink())
        return fetch if _ANNEX in target else f"a link to {target}, which does not exist; correct or remove it"
    except PermissionError:
        return ASK_OWNER
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    text = start.decode("utf-8", "replace").strip().replace("\\", "/")
    # Unlocked files begin with the key; where a disk knows no links, a file holds the target of one.
    if re.match(rf"(?:(?:\.\./)*\.git)?/{_ANNEX}", text):
        return fetch
    if text.startswith(_LFS):
        return f"its content was not fetched; run 'git lfs pull --include {shlex.quote(shown(path.name))}'"
    return None


def is_special(path: Path) -> bool:
    """Whether a path leads to a pipe, a socket or a device, on which a reader may wait without end."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def odd_entries(folder: Path) -> Iterator[Path]:
    """What programs that walk a folder may stumble over: names that are not text, closed folders, special files.

    Folders that are links are not entered.
    """
    if folder_problem(folder) is not None:
        yield folder
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry)
            if not is_text(entry.name) or (not entry.is_file(follow_symlinks=False) and is_special(path)):
                yield path
            elif entry.is_dir(follow_symlinks=False):
                yield from odd_entries(path)
