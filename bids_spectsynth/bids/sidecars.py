"""JSON files beside images, tables and transforms: read without trust in what they hold.

A file that is missing or damaged gives an empty object; what must be there is asked for by the reader.
"""

import json
from pathlib import Path
from typing import Any


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file is missing, damaged or holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def sidecar(path: Path) -> dict[str, Any]:
    """The JSON file beside an image, a table or a transform."""
    return read_object(path.with_name(path.name.partition(".")[0] + ".json"))


def strings(value: object) -> list[str]:
    """A JSON value that should be a list of texts, whatever it is."""
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def as_number(value: object) -> float:
    """A JSON number as float; not a number for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
