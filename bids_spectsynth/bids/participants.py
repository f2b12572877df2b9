"""``participants.tsv`` of the output folder, shared by processes that run at the same time."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bids_spectsynth.bids.names import bare_label
from bids_spectsynth.bids.writing import folder_lock, write_table
from bids_spectsynth.errors import DatasetError

COLUMNS = ("participant_id", "split", "status", "reason")
DICTIONARY: dict[str, dict[str, Any]] = {
    "participant_id": {"Description": "Participant, as named in the input dataset."},
    "split": {
        "Description": "Part that the participant has in the training of the models in this folder.",
        "Levels": {
            "train": "The networks and baselines were fitted to it.",
            "validation": "It chose the best epoch.",
            "test": "Held out; the evaluation of the models rests on it.",
            "excluded": "Left out of training and evaluation by the split file.",
        },
    },
    "status": {
        "Description": "Worst outcome over the sessions and stages of the last run.",
        "Levels": {
            "ok": "Everything asked for was done.",
            "skipped": "An image that is needed does not exist.",
            "failed": "A stage stopped with an error.",
        },
    },
    "reason": {"Description": "Why the participant was skipped or failed, in one line."},
}
_MISSING = "n/a"


def read_participants(output_dir: Path) -> pd.DataFrame:
    """``participants.tsv`` of the output folder, all columns as text, ``n/a`` where nothing is known.

    Returns
    -------
    DataFrame
        Columns ``participant_id`` (with ``sub-``), ``split``, ``status``, ``reason``; no rows where there is no file.

    Raises
    ------
    DatasetError
        The file exists and is not such a table.
    """
    path = output_dir / "participants.tsv"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return pd.DataFrame({column: pd.Series(dtype=str) for column in COLUMNS})
    try:
        frame = pd.read_csv(io.StringIO(text), sep="\t", dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DatasetError(f"{path}: not a table ({error}); remove the file and run again") from error
    if "participant_id" not in frame.columns:
        raise DatasetError(f"{path}: the column participant_id is missing; remove the file and run again")
    return frame.reindex(columns=list(COLUMNS), fill_value=_MISSING).replace("", _MISSING)


def update_participants(output_dir: Path, rows: Mapping[str, Mapping[str, str]]) -> None:
    """Merge rows into ``participants.tsv``: values given replace those that stand, everything else is kept.

    Safe against other processes that do the same: the read and the write happen under one lock, and readers see
    either the old or the new table. Where the file system knows no locks, the write is still atomic and a warning is
    logged.

    Parameters
    ----------
    output_dir : Path
    rows : mapping of participant label to mapping of column to value
        Labels with or without ``sub-``; columns ``split``, ``status``, ``reason``. An empty value counts as ``n/a``.

    Raises
    ------
    ValueError
        A column is unknown.
    DatasetError
        The file that exists is not a table.
    """
    unknown = {column for row in rows.values() for column in row} - set(COLUMNS[1:])
    if unknown:
        raise ValueError(f"participants.tsv has no column {min(unknown)}")
    output_dir.mkdir(parents=True, exist_ok=True)
    with folder_lock(output_dir):
        old = read_participants(output_dir).to_dict("records")
        table = {str(row["participant_id"]): {str(key): str(value) for key, value in row.items()} for row in old}
        for label, row in rows.items():
            name = f"sub-{bare_label(label, 'sub')}"
            empty = {"participant_id": name} | dict.fromkeys(COLUMNS[1:], _MISSING)
            table[name] = {**table.get(name, empty), **{key: _one_line(value) for key, value in row.items()}}
        frame = pd.DataFrame([table[name] for name in sorted(table)], columns=list(COLUMNS))
        write_table(output_dir / "participants.tsv", frame, DICTIONARY)


def _one_line(value: str) -> str:
    # No tabs, line ends or double quotes: BIDS tables have no quoting.
    return " ".join(value.replace('"', "'").split()) or _MISSING
