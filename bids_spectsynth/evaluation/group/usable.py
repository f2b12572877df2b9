"""Which tables of the cases stand behind the group's statistics, and which are left out, with the reason."""

from collections.abc import Iterator
from pathlib import Path

from bids_spectsynth.bids.names import bare_label
from bids_spectsynth.bids.output_files import RATINGS, Rating, find_ratings
from bids_spectsynth.bids.participants import FAILED_IN, read_participants
from bids_spectsynth.bids.table_records import table_fault

#: A run that failed or ended in one of these stages leaves ratings of an earlier one behind; a failed report, say, does
#: not.
_BEFORE_RATINGS = frozenset({"find", "preprocess", "quality", "train", "synthesise", "evaluate", "n/a"})


def usable_ratings(output_dir: Path, rating: Rating) -> list[Path]:
    """The tables of one kind that are whole and of participants whose last run got as far, sorted by path.

    Parameters
    ----------
    output_dir : Path
    rating : {'metrics', 'regions', 'volume', 'calibration'}

    Raises
    ------
    DatasetError
        ``participants.tsv`` is no table.
    """
    stale = _stale(output_dir)
    paths = find_ratings(output_dir, rating)
    return [path for path in paths if _participant(output_dir, path) not in stale and not _fault(path)]


def left_out_of_statistics(output_dir: Path) -> list[str]:
    """A line for each participant and table that :func:`usable_ratings` leaves out.

    Raises
    ------
    DatasetError
        ``participants.tsv`` is no table.
    """
    stale = _stale(output_dir)
    paths = [path for rating in RATINGS for path in find_ratings(output_dir, rating)]
    rated = {_participant(output_dir, path) for path in paths}
    lines = [
        f"sub-{label}: left out of the statistics, its ratings are older than its last run, which {status} ({reason})"
        for label, (status, reason) in stale.items()
        if label in rated
    ]
    return [*lines, *_damaged(output_dir, [path for path in paths if _participant(output_dir, path) not in stale])]


def _damaged(output_dir: Path, paths: list[Path]) -> Iterator[str]:
    for path in paths:
        fault = _fault(path)
        if fault:
            name = path.relative_to(output_dir).as_posix()
            yield f"{name}: left out of the statistics, the table {fault}; delete it and evaluate again"


def _fault(path: Path) -> str:
    try:
        return table_fault(path)
    except OSError:
        return ""  # who reads it says what is wrong


def _participant(output_dir: Path, path: Path) -> str:
    return bare_label(path.relative_to(output_dir).parts[0], "sub")


def _stale(output_dir: Path) -> dict[str, tuple[str, str]]:
    """What became of participants whose last run failed or ended before it could rate them, and why, by label."""
    table = read_participants(output_dir)
    words = {"failed": "failed", "stopped": "was stopped"}
    failed = table[table["status"].isin(list(words))].to_dict("records")
    return {
        bare_label(str(row["participant_id"]), "sub"): (words[row["status"]], str(row["reason"]))
        for row in failed
        if _BEFORE_RATINGS & set(str(row[FAILED_IN]).split(", "))
    }
