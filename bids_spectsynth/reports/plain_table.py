"""Any table with its JSON data dictionary, shown as it is."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.reports.html import Cell, Column, Table
from bids_spectsynth.reports.wording import description

#: Rows beyond which a table is folded.
LONG_TABLE = 24
#: Significant digits of numbers that are longer.
_DIGITS = 4
_MISSING = ("", "n/a")


def read_plain(path: Path) -> pd.DataFrame:
    """A tab-separated table as text.

    Raises
    ------
    DatasetError
        It is missing or damaged.
    """
    try:
        return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        message = " ".join(str(error).split())
        raise DatasetError(f"{path}: cannot read the table ({message}); run the program again") from error


def plain_table(path: Path, caption: str) -> Table:
    """A table file as it is: headings explained by its dictionary, numbers with four significant digits.

    Parameters
    ----------
    path : Path
        ``.tsv``; the dictionary lies beside it and may be missing.
    caption : str

    Raises
    ------
    DatasetError
        The table is missing or damaged.
    """
    frame, dictionary = read_plain(path), sidecar(path)
    numeric = {str(name): all(_is_number(text) for text in frame[name]) for name in frame}
    columns = [Column(_label(dictionary, name), description(dictionary, name), numeric[name]) for name in numeric]
    rows = [
        [Cell(readable(str(text)), "muted" if text in _MISSING else "") for text in row]
        for row in frame.itertuples(index=False, name=None)
    ]
    footnotes = [(column.label, column.help) for column in columns if column.help]
    return Table(columns, rows, caption, footnotes, folded=len(rows) > LONG_TABLE)


def readable(text: str, digits: int = _DIGITS) -> str:
    """A number of a table with a true minus sign and no more digits than are read; other text as it is.

    Examples
    --------
    >>> readable("-12.3456789"), readable("sub-01"), readable("400"), readable("nan"), readable("")
    ('−12.35', 'sub-01', '400', 'nan', 'n/a')
    """
    if text in _MISSING:
        return "n/a"
    if not _is_number(text) or not math.isfinite(float(text)):
        return text
    shorter = text if len(text.lstrip("-").replace(".", "")) <= digits else f"{float(text):.{digits}g}"
    return shorter.replace("-", "−") if "e" not in shorter else shorter


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return text in _MISSING
    return True


def _label(dictionary: Mapping[str, Any], name: str) -> str:
    entry = dictionary.get(name)
    long = entry.get("LongName") if isinstance(entry, Mapping) else None
    return str(long or name.replace("_", " "))
