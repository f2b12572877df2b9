"""JSON objects on disk, the sidecars of images, tables and transforms above all: one reader for all of them.

:func:`load_object` says what is wrong with a file; with :func:`read_object` and :func:`sidecar`, one that is missing or
damaged holds nothing. They are written by :func:`bids_spectsynth.bids.writing.write_json`.
"""

import errno
import json
import stat
from pathlib import Path
from typing import Any

#: What reading a JSON file that is missing or damaged, and taking values from it that are of another type, may raise.
VALUE_ERRORS = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError)


def load_object(path: Path) -> dict[str, Any]:
    """A JSON object that must be there.

    Raises
    ------
    OSError
        The file cannot be read, or is no regular file: a pipe would be waited for without end.
    ValueError
        It is no JSON, or its text is not Unicode.
    TypeError
        It holds something else than an object.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return parse_object(path.read_text(encoding="utf-8-sig"))


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object of a text; raises ValueError and TypeError as :func:`load_object` does."""
    try:
        content = json.loads(text)
        if "\\ud" in text.lower():
            json.dumps(content, ensure_ascii=False).encode()  # half of a pair of surrogates could not be written again
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(content, dict):
        raise TypeError("not a JSON object")
    return content


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file is missing, damaged or holds something else."""
    try:
        return load_object(path)
    except (OSError, ValueError, TypeError):
        return {}


def sidecar_path(path: Path) -> Path:
    """The JSON file beside an image, table or matrix."""
    return path.with_name(path.name.partition(".")[0] + ".json")


def sidecar(path: Path) -> dict[str, Any]:
    """What the JSON file beside an image, a table or a transform holds; empty as of :func:`read_object`."""
    return read_object(sidecar_path(path))


def strings(value: object) -> list[str]:
    """A JSON value that should be a list of texts, whatever it is."""
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def as_number(value: object) -> float:
    """A JSON number as float; not a number for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
