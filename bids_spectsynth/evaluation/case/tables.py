"""Reading the tables of all cases: many as one text, because a reader takes its time anew for each file."""

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bids_spectsynth.errors import DatasetError
from bids_spectsynth.evaluation.columns import METHODS

#: Tables that are read as one: enough to save time, few enough to keep their text small.
_AT_ONCE = 64

#: Reads a table from its path or its bytes; ValueError or KeyError where it is none.
Parser = Callable[[Path | io.BytesIO], pd.DataFrame]


def read_case_tables(paths: Sequence[Path], parse: Parser, what: str) -> list[pd.DataFrame]:
    """The rows of tab-separated tables, in order, in fewer frames than there are files.

    Parameters
    ----------
    paths : sequence of Path
    parse : callable
        Takes each row for itself, so that it makes no difference whether it sees one table or several in a row.
    what : str
        What the tables should be, for the error.

    Raises
    ------
    DatasetError
        One of them cannot be read; it is named.
    """
    batches = [paths[start : start + _AT_ONCE] for start in range(0, len(paths), _AT_ONCE)]
    return [frame for batch in batches for frame in _read_batch(batch, parse, what)]


def _read_batch(paths: Sequence[Path], parse: Parser, what: str) -> list[pd.DataFrame]:
    # Whatever does not fit together is read one by one, which also finds out whose fault it is.
    with suppress(OSError, ValueError, KeyError):
        text = _as_one(paths)
        if text is not None:
            return [parse(io.BytesIO(text))]
    return [_read_one(path, parse, what) for path in paths]


def _as_one(paths: Sequence[Path]) -> bytes | None:
    """All rows below one header; None where headers differ, or where a row could run on or be of another length."""
    common: bytes | None = None
    bodies = []
    for path in paths:
        header, _, body = path.read_bytes().partition(b"\n")
        body = body if body.endswith(b"\n") or not body else body + b"\n"
        n_tabs = header.count(b"\t")
        whole_rows = all(row.count(b"\t") == n_tabs for row in body.split(b"\n")[:-1])
        if not header or header != (header if common is None else common) or not whole_rows or b'"' in body:
            return None
        common = header
        bodies.append(body)
    return b"".join([common or b"", b"\n", *bodies])


def _read_one(path: Path, parse: Parser, what: str) -> pd.DataFrame:
    try:
        return parse(path)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path}: not a {what} ({reason}); delete it and evaluate again") from error


def parse_table(source: Path | io.BytesIO, columns: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """A tab-separated table with some columns as numbers, all others as text.

    Parameters
    ----------
    source : Path or file
    columns : sequence of str
        The columns wanted, in this order.
    numbers : sequence of str
        Those of them that are numbers, NaN for ``n/a``. Only numbers may be missing: ``n/a`` in a column of names is a
        value that rows are grouped by.

    Raises
    ------
    OSError, ValueError, KeyError
        It cannot be read, a number is none, or a column is missing.
    """
    frame = pd.read_csv(source, sep="\t", dtype=str, keep_default_na=False)[list(columns)]
    return frame.assign(**{name: _numbers(frame[name].mask(frame[name] == "n/a")) for name in numbers})


def _numbers(texts: "pd.Series[Any]") -> "pd.Series[Any]":
    found = pd.to_numeric(texts)
    # Whole numbers beyond 64 bits are left as objects.
    return found.astype(np.float64) if found.dtype == object else found


def in_order(rows: pd.DataFrame, further: Sequence[str]) -> pd.DataFrame:
    """Rows by space, model and method (the network first, then the baselines as listed), then by further columns.

    Parameters
    ----------
    rows : DataFrame
        With ``space``, ``model`` and ``method``.
    further : sequence of str
    """
    rank = rows["method"].map({name: n for n, name in enumerate(METHODS)}).fillna(len(METHODS))
    order = ["space", "model", "rank", "method", *further]
    return rows.assign(rank=rank).sort_values(order, kind="stable", ignore_index=True).drop(columns="rank")
