"""The table of exported series, which says what lies in each folder."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bids_spectsynth.bids.writing import write_table

DICTIONARY: dict[str, dict[str, Any]] = {
    "folder": {"Description": "Folder beside this table."},
    "number": {"Description": "SeriesNumber."},
    "description": {"Description": "SeriesDescription."},
    "dicom_class": {"Description": "Name of the SOP class."},
    "files": {"Description": "Number of files."},
    "synthetic": {
        "Description": "Synthetic Data (0008,001C).",
        "Levels": {"YES": "Computed by a network, simulated, or derived from such an image.", "NO": "Measured."},
    },
    "source": {"Description": "The file of the output folder that it was made from."},
}


@dataclass(frozen=True)
class Row:
    """A series; see :data:`DICTIONARY`."""

    folder: str
    number: int
    description: str
    dicom_class: str
    files: int
    synthetic: str
    source: str


def table_path(folder: Path) -> Path:
    """The table in a folder of exported series."""
    return folder / "series.tsv"


def write_series_table(folder: Path, rows: Sequence[Row]) -> None:
    """Write the table and its dictionary."""
    write_table(table_path(folder), pd.DataFrame([asdict(row) for row in rows], columns=list(DICTIONARY)), DICTIONARY)
