"""``participants.tsv`` of the output folder, shared by processes that run at the same time."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bids_spectsynth.bids.access import is_special
from bids_spectsynth.bids.manifests import FOLDER as MANIFESTS
from bids_spectsynth.bids.names import bare_label
from bids_spectsynth.bids.output_files import participants_file
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.bids.writing import folder_lock, write_table
from bids_spectsynth.errors import DatasetError

#: Names of columns that are looked up.
FAILED_IN, FLAGS, LESION_VOLUME = "failed_in", "quality_flags", "lesion_ml"
COLUMNS = ("participant_id", "split", "status", "reason", FAILED_IN, FLAGS, LESION_VOLUME)
DICTIONARY: dict[str, dict[str, Any]] = {
    "participant_id": {"Description": "Participant, as named in the input dataset."},
    "split": {
        "Description": "Part that the participant has in the training of the models in this folder.",
        "Levels": {
            "train": "The networks and baselines were fitted to it.",
            "validation": "It chose the best epoch.",
            "test": "Held out; the evaluation of the models rests on it.",
            "cross-validated": (
                "Each fold of a cross-validation has its own split. One fold held the participant out; its network "
                "makes the participant's image, and the evaluation rests on that."
            ),
            "excluded": (
                "Left out of training and evaluation by the split file or by quality flags, or left over by the counts "
                "of a split."
            ),
        },
    },
    "status": {
        "Description": "Worst outcome over the sessions and stages of the last run.",
        "Levels": {
            "ok": "Everything asked for was done.",
            "skipped": "An image that is needed does not exist.",
            "failed": "A stage stopped with an error.",
            "stopped": "The run ended before all was done; the same command goes on from there.",
        },
    },
    "reason": {"Description": "Why the participant was skipped or failed, in one line."},
    FAILED_IN: {
        "Description": "Stages of the last run in which the participant failed, separated by commas; of one who is "
        "stopped, the stage in which the run ended."
    },
    FLAGS: {
        "Description": "Names of what is doubtful about the prepared images, separated by commas; values, thresholds "
        "and sentences are in sub-*_qc.json, under QC."
    },
    LESION_VOLUME: {
        "Description": "Volume of the lesion mask that was given and used, as it was drawn; of all that lie in the "
        "output folder, whichever sessions the last run had, the largest; n/a without one.",
        "Units": "mL",
    },
}
_MISSING = "n/a"
#: In the hidden folder of manifests, by participant and model: a file for each case that flags keep from being rated.
_UNRATED = Path(MANIFESTS, "unrated")
#: How the reason begins why a participant with flags has no ratings; the names of the flags follow.
FLAGGED = "not rated, because its prepared images are doubtful: "


def read_rows(path: Path, *, quoted: bool = False) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a tab-separated table of participants, whoever wrote it; all values as text.

    Parameters
    ----------
    path : Path
    quoted : bool
        Whether quotation marks enclose values, as spreadsheets write them; BIDS knows no such marks.

    Returns
    -------
    columns : list of str
    rows : list of dict
        By column; an absent value is empty. What a row has beyond the columns stands under an empty name.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or is no text table, or a pipe, which would be waited for without end.
    """
    if is_special(path):
        raise ValueError("not a regular file")
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file, delimiter="\t", quoting=quoting, restkey="", restval="")
        try:
            rows = [{key: "".join(value) for key, value in row.items()} for row in table]
        except csv.Error as error:
            raise ValueError(str(error)) from error
        return list(table.fieldnames or []), rows


def read_participants(output_dir: Path) -> pd.DataFrame:
    """``participants.tsv`` of the output folder, all columns as text, ``n/a`` where nothing is known.

    Returns
    -------
    DataFrame
        :data:`COLUMNS` (``participant_id`` with ``sub-``), then what else the file has; no rows where there is no
        file.

    Raises
    ------
    DatasetError
        The file exists and is not such a table.
    """
    path = participants_file(output_dir)
    try:
        columns, rows = read_rows(path, quoted=True)
    except FileNotFoundError:
        columns, rows = list(COLUMNS), []
    except ValueError as error:
        raise DatasetError(f"{path}: not a table ({error}); remove the file and run again") from error
    if any("" in row for row in rows):
        raise DatasetError(f"{path}: not a table (a row is longer than the first); remove the file and run again")
    if "participant_id" not in columns:
        raise DatasetError(f"{path}: the column participant_id is missing; remove the file and run again")
    frame = pd.DataFrame(rows, columns=columns, dtype=str)
    wanted = dict.fromkeys((*COLUMNS, *columns))
    return frame.reindex(columns=list(wanted), fill_value=_MISSING).replace("", _MISSING)


def note_unrated(output_dir: Path, case: str, participant: str, model: str) -> None:
    """Note that an image lost its ratings to its flags or a lesion mask alone, before they go: see :func:`to_be_rated`.

    A file of its own, because what stands in the table is written over by the next run that ends.

    Parameters
    ----------
    output_dir : Path
    case : str
        Its name.
    participant : str
        Label.
    model : str
        Label.
    """
    path = output_dir / _UNRATED / participant / model / case
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def forget_unrated(output_dir: Path, case: str, participant: str, model: str) -> None:
    """Take the note of :func:`note_unrated` back: the image is rated, or is not to be for another reason.

    Parameters
    ----------
    output_dir : Path
    case : str
        Its name.
    participant : str
        Label.
    model : str
        Label.
    """
    (output_dir / _UNRATED / participant / model / case).unlink(missing_ok=True)


def to_be_rated(output_dir: Path) -> list[str]:
    """Labels of participants that lost ratings to flags that they do not have any more, or to a lesion mask.

    A job of an array judges everybody, but rates its own participants alone.

    Raises
    ------
    DatasetError
        The table exists and is not such a table.
    """
    table = read_participants(output_dir)
    labels = [bare_label(str(name), "sub") for name in table.loc[table[FLAGS] == _MISSING, "participant_id"]]
    return [label for label in labels if _is_unrated(output_dir, label)]


def _is_unrated(output_dir: Path, label: str) -> bool:
    # A model that was removed with its images has nothing that could be rated.
    models = [folder.name for folder in (output_dir / _UNRATED / label).glob("*") if any(folder.iterdir())]
    return any(any((output_dir / f"sub-{label}").rglob(f"*_desc-{model}_spect.nii.gz")) for model in models)


def rating_advice(labels: Sequence[str]) -> str:
    """What to do about participants of :func:`to_be_rated`, in one line."""
    return (
        "not rated yet, after quality flags that are gone, or another lesion mask, had taken ratings away: "
        f"{' '.join(f'sub-{label}' for label in labels)}; with --model and --derivatives as before, run: "
        f"bids_spectsynth BIDS_DIR OUTPUT_DIR participant --mode apply --participant-label {' '.join(labels)}"
    )


def update_participants(output_dir: Path, rows: Mapping[str, Mapping[str, str]]) -> set[str]:
    """Merge rows into ``participants.tsv``: values given replace those that stand, everything else is kept.

    Safe against other processes that do the same: the read and the write happen under one lock, and readers see
    either the old or the new table. Where the file system knows no locks, the write is still atomic and a warning is
    logged.

    Parameters
    ----------
    output_dir : Path
    rows : mapping of participant label to mapping of column to value
        Labels with or without ``sub-``; columns of :data:`COLUMNS`. An empty value counts as ``n/a``.

    Returns
    -------
    set of str
        Labels, as given, whose row is new or another than before.

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
        old = read_participants(output_dir)
        columns = [str(column) for column in old.columns]
        table = {str(row["participant_id"]): {str(k): str(v) for k, v in row.items()} for row in old.to_dict("records")}
        changed = set()
        for label, row in rows.items():
            name = f"sub-{bare_label(label, 'sub')}"
            before = table.get(name)
            empty = {"participant_id": name} | dict.fromkeys(columns[1:], _MISSING)
            table[name] = {**table.get(name, empty), **{key: _one_line(value) for key, value in row.items()}}
            if table[name] != before:
                changed.add(label)
        frame = pd.DataFrame([table[name] for name in sorted(table)], columns=columns)
        path = participants_file(output_dir)
        write_table(path, frame, {**_further_columns(path, columns), **DICTIONARY})
    return changed


def _further_columns(path: Path, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Descriptions of columns that somebody has added to the table, as far as its data dictionary has them."""
    known = sidecar(path)
    plain = {"Description": "Not written by bids_spectsynth; kept as it was found."}
    return {column: known[column] if isinstance(known.get(column), dict) else plain for column in columns}


def _one_line(value: str) -> str:
    # No tabs, line ends or double quotes: BIDS tables have no quoting.
    return " ".join(value.replace('"', "'").split()) or _MISSING
