"""Rows and checksum of a table, kept in the JSON file beside it, so that one that was cut is not taken for whole."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.sidecars import sidecar

ROWS, CHECKSUM = "Rows", "TableSHA256"


def table_record(text: str) -> Mapping[str, Any]:
    """What the JSON file of a table says of its text, whose first line names the columns."""
    return {ROWS: text.count("\n") - 1, CHECKSUM: hashlib.sha256(text.encode()).hexdigest()}


def table_fault(path: Path) -> str:
    """What is wrong with a table, by its record; empty where nothing is, or where an earlier version recorded nothing.

    Parameters
    ----------
    path : Path
        Of the table.

    Raises
    ------
    OSError
        The table cannot be read.
    """
    content, record = path.read_bytes(), sidecar(path)
    if not content.strip():
        return "is empty"
    rows, checksum = record.get(ROWS), record.get(CHECKSUM)
    if checksum is None or hashlib.sha256(content).hexdigest() == checksum:
        return ""
    n_rows = content.count(b"\n") - 1
    return f"has {n_rows} rows of {rows}" if n_rows != rows else "is not what was written (another checksum)"
