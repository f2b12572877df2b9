"""``--derivatives NAME=FOLDER``: folders with what other programs, or a hand, have made of the participants."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_spectsynth.options.toml import plain_path, short_path

# What may stand for a dataset in a BIDS URI.
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]*")
#: The name of the dataset itself in URIs.
_INPUT = "raw"


@dataclass(frozen=True)
class NamedFolder:
    """A folder of derivatives and the name by which sidecars call it (``bids:NAME:...``)."""

    name: str
    path: Path


def read_derivatives(value: Any) -> tuple[NamedFolder, ...]:
    """Folders as the settings have them, each once, in the order given.

    Parameters
    ----------
    value : str, Path or list
        ``NAME=FOLDER``, or a folder that is called by its own name; one or several.

    Raises
    ------
    ValueError
        A name that no URI can have, or two folders of one name.
    """
    entries = [value] if isinstance(value, str | Path | NamedFolder) else list(value)
    folders: dict[str, Path] = {}
    for one in dict.fromkeys(entry if isinstance(entry, NamedFolder) else _read(entry) for entry in entries):
        if one.name == _INPUT:
            raise ValueError(f"{_INPUT} is the name of the dataset itself; write another NAME=FOLDER")
        if folders.setdefault(one.name, one.path) != one.path:
            raise ValueError(f"two folders are called {one.name}; write NAME=FOLDER for one of them")
    return tuple(NamedFolder(name, path) for name, path in folders.items())


def write_derivatives(folders: tuple[NamedFolder, ...]) -> list[str]:
    """Folders as ``NAME=FOLDER``, which :func:`read_derivatives` takes; without the user's name in the home folder."""
    return [f"{one.name}={short_path(one.path)}" for one in folders]


def _read(entry: Any) -> NamedFolder:
    if not isinstance(entry, str | Path):
        raise TypeError(entry)
    name, equals, folder = str(entry).partition("=")
    # A slash before "=" is of a path that has one in it.
    if isinstance(entry, Path) or not equals or "/" in name:
        path = plain_path(entry)
        return NamedFolder(re.sub(r"[^0-9A-Za-z._+-]", "_", path.name.lstrip("._+-")) or "derivatives", path)
    if not _NAME.fullmatch(name) or not folder:
        raise ValueError("NAME=FOLDER needed, of letters, digits and . _ + -, e.g. fmriprep=/data/derivatives/fmriprep")
    return NamedFolder(name, plain_path(folder))
