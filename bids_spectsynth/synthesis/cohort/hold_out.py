"""Participants that no model may be trained on, named by a column of ``participants.tsv``."""

from collections.abc import Sequence
from pathlib import Path

from bids_spectsynth.bids.output_files import participants_file
from bids_spectsynth.bids.participants import read_rows
from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.settings import Settings

#: Values that an error message names at most.
_SHOWN = 10

Rows = list[dict[str, str]]


def held_out(settings: Settings) -> frozenset[str]:
    """Labels of the participants that fulfil one of the conditions of ``hold_out``.

    The dataset's ``participants.tsv`` decides. Where training runs without the dataset (``--mode train``), that of the
    output folder does, if it has the column.

    Parameters
    ----------
    settings : Settings
        ``hold_out`` holds conditions ``COLUMN=VALUE``.

    Returns
    -------
    frozenset of str
        Labels without ``sub-``; also of participants that are not part of the run. Empty without a condition.

    Raises
    ------
    UsageError
        There is no such table or column, or nobody has the value; says which there are.
    """
    return fulfilling(settings, settings.hold_out, "--hold-out")


def fulfilling(settings: Settings, conditions: Sequence[str], option: str) -> frozenset[str]:
    """Labels of the participants that fulfil one of some conditions, as :func:`held_out` has them.

    Parameters
    ----------
    settings : Settings
    conditions : sequence of str
        ``COLUMN=VALUE``.
    option : str
        That they were given with, for messages.

    Raises
    ------
    UsageError
        See :func:`held_out`.
    """
    if not conditions:
        return frozenset()
    columns = [condition.partition("=")[0].strip() for condition in conditions]
    path, rows = read_table(settings, columns, option)
    labels: set[str] = set()
    for condition in conditions:
        column, _, value = (part.strip() for part in condition.partition("="))
        if column not in rows[0]:
            raise UsageError(f"{option} {condition}: {path} has no column {column}; it has {', '.join(rows[0])}")
        found = {row["participant_id"].removeprefix("sub-") for row in rows if row[column] == value}
        if not found:
            values = sorted({row[column] for row in rows})
            shown = ", ".join(values[:_SHOWN]) + (", ..." if len(values) > _SHOWN else "")
            raise UsageError(f"{option} {condition}: nobody has this value in {path}; there are {shown}")
        labels |= found
    return frozenset(labels)


def read_table(settings: Settings, columns: Sequence[str], option: str) -> tuple[Path, Rows]:
    """The dataset's ``participants.tsv``; where a training runs without the dataset, that of the output folder.

    Parameters
    ----------
    settings : Settings
    columns : sequence of str
        That the table of the output folder must have to stand for the dataset's.
    option : str
        That needs them, for messages.

    Returns
    -------
    path : Path
    rows : list of dict
        Texts by column.

    Raises
    ------
    UsageError
        There is no such table.
    """
    path = participants_file(settings.bids_dir)
    if path.is_file() or settings.mode != "train":
        return path, _read(path, option)
    own = participants_file(settings.output_dir)
    rows = _read(own, option) if own.is_file() else []
    if not rows or not set(columns) <= set(rows[0]):
        raise UsageError(
            f"{option}: {path} does not exist, and {own} has no column {' and '.join(sorted(set(columns)))}; "
            "give the folder of the dataset, or say with --split-file who is in which part"
        )
    return own, rows


def _read(path: Path, option: str) -> Rows:
    """Rows of a table with the column ``participant_id``, at least one; all values as text without blanks around."""
    try:
        _, rows = read_rows(path)
    except OSError as error:
        raise UsageError(f"{option}: {path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UsageError(f"{option}: {path} is not a tab-separated text table ({error})") from error
    if not rows or "participant_id" not in rows[0]:
        raise UsageError(f"{option}: {path} has no participants; participant_id and further columns needed")
    return [{column: value.strip() for column, value in row.items() if column} for row in rows]
