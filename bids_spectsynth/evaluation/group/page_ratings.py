"""What people say of the pages: the files that the rating form of a page saves, read, checked and put together.

A file is JSON or a tab-separated table. The JSON object holds :data:`FORMAT_VERSION`, the software and its version,
``participant_id``, ``session_id`` (empty without one), ``rater`` and ``ratings``, a list of objects with ``section``,
``verdict`` (:data:`VERDICTS`) and ``comment``. The table has the columns :data:`COLUMNS`.
"""

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bids_spectsynth.bids.access import is_text, read_problem
from bids_spectsynth.bids.output_files import group_table_path
from bids_spectsynth.bids.participants import read_participants, read_rows
from bids_spectsynth.bids.sidecars import load_object
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.errors import DatasetError, UsageError
from bids_spectsynth.evaluation.columns import Dictionary

logger = logging.getLogger(__name__)

SOFTWARE, FORMAT_VERSION = "bids_spectsynth", 1
#: From the best to the worst.
VERDICTS = {"pass": "Nothing to object to.", "doubtful": "To be used with care.", "fail": "Not to be used."}
COLUMNS = ("participant_id", "session_id", "rater", "section", "verdict", "comment", "version")
#: Limits of what a file may hold; the form keeps to them.
MOST_BYTES, MOST_FILES, MOST_RATINGS = 1 << 20, 10_000, 1000
MOST_COMMENT, MOST_RATER, MOST_VERSION = 2000, 100, 64
SECTION_NAME = r"[a-z][a-z0-9-]{0,39}"
_KEYS = {"format_version", "software", "version", "participant_id", "session_id", "rater", "ratings"}
_NONE = ("", "n/a")

RATINGS_DICTIONARY: Dictionary = {
    "participant_id": {"Description": "Participant whose page was rated."},
    "session_id": {"Description": "Session that was rated; n/a where the page is of all."},
    "rater": {"Description": "Who rated it, as they have called themselves."},
    "section": {"Description": "Section of the page, by its anchor."},
    "verdict": {"Description": "What the rater says of it.", "Levels": VERDICTS},
    "comment": {"Description": "The rater's comment in one line; n/a without one."},
    "version": {"Description": "Version of bids_spectsynth that wrote the page."},
    "file": {"Description": "The file that the rating was read from."},
}


@dataclass(frozen=True)
class PageRating:
    """A verdict on a section of a page by one rater."""

    participant_id: str
    session_id: str
    rater: str
    section: str
    verdict: str
    comment: str
    version: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What one rater says once."""
        return self.participant_id, self.session_id, self.rater.casefold(), self.section


@dataclass(frozen=True, eq=False)
class PageRatings:
    """All ratings of a folder.

    Parameters
    ----------
    table : DataFrame
        Columns of :data:`RATINGS_DICTIONARY`.
    left_out, replaced : sequence of str
        A line for each file that could not be taken, and for each whose ratings a newer one replaces.
    """

    table: pd.DataFrame
    left_out: Sequence[str] = field(default=())
    replaced: Sequence[str] = field(default=())


def read_page_ratings(folder: Path, output_dir: Path) -> PageRatings:
    """The ratings in a folder (not in folders of it); of the same rater and section the newest file counts.

    Parameters
    ----------
    folder : Path
        With ``.json`` and ``.tsv`` files; others are not looked at.
    output_dir : Path
        Whose participants may be rated.

    Raises
    ------
    UsageError
        The folder cannot be read, or holds too many files.
    """
    known = _participants(output_dir)
    accepted: dict[tuple[str, str, str, str], tuple[PageRating, str]] = {}
    left_out: list[str] = []
    replaced: dict[tuple[str, str], list[str]] = {}
    for path in _files(folder):
        try:
            ratings = _read(path, known)
        except (OSError, ValueError, TypeError) as error:
            left_out.append(f"{path.name}: {' '.join(str(error).split())}; left out")
            continue
        for rating in ratings:
            before = accepted.get(rating.key)
            if before is not None and astuple(before[0]) != astuple(rating):
                replaced.setdefault((before[1], path.name), []).append(rating.section)
            accepted[rating.key] = (rating, path.name)
    lines = [f"{old}: {new} is newer and counts for {', '.join(names)}" for (old, new), names in replaced.items()]
    rows = [{**vars(rating), "file": name} for rating, name in accepted.values()]
    table = pd.DataFrame(rows, columns=list(RATINGS_DICTIONARY), dtype=str)
    order = ["participant_id", "session_id", "section", "rater"]
    return PageRatings(table.sort_values(order, kind="stable").replace("", "n/a"), left_out, lines)


def write_page_ratings(folder: Path, output_dir: Path) -> Path:
    """Write ``group_ratings.tsv`` from a folder of ratings; files that cannot be taken are named in the log.

    Raises
    ------
    UsageError
        As :func:`read_page_ratings`.
    """
    ratings = read_page_ratings(folder, output_dir)
    for line in ratings.left_out:
        logger.warning("--ratings: %s", line)
    for line in ratings.replaced:
        logger.info("--ratings: %s", line)
    path = group_table_path(output_dir, "ratings")
    facts = {"LeftOut": list(ratings.left_out), "Replaced": list(ratings.replaced)}
    write_table(path, ratings.table, RATINGS_DICTIONARY, facts)
    people = ratings.table["participant_id"].nunique()
    logger.info("Ratings: %d of %d participants", len(ratings.table), people)
    return path


def _participants(output_dir: Path) -> set[str]:
    try:
        listed = set(read_participants(output_dir)["participant_id"])
    except DatasetError:
        listed = set()
    return listed | {path.name for path in output_dir.glob("sub-*") if path.is_dir()}


def _files(folder: Path) -> list[Path]:
    """Files of ratings, the oldest first; those of one time by name."""
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in (".json", ".tsv") and is_text(path.name)]
        # Hidden ones are halves of what a browser or a synchronising disk is still at.
        found = [path for path in found if not path.name.startswith(".")]
    except OSError as error:
        raise UsageError(f"--ratings: {folder} cannot be listed ({error.strerror})") from error
    if len(found) > MOST_FILES:
        raise UsageError(f"--ratings: {folder} holds {len(found)} files; {MOST_FILES} at most can be read")
    return sorted(found, key=lambda path: (_time(path), path.name))


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _read(path: Path, known: Collection[str]) -> list[PageRating]:
    if problem := read_problem(path):
        raise ValueError(problem)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES >> 20} MiB, which no form writes")
    rows = list(_json_rows(path) if path.suffix.lower() == ".json" else _table_rows(path))
    if not rows:
        raise ValueError("holds no rating")
    if len(rows) > MOST_RATINGS:
        raise ValueError(f"holds {len(rows)} ratings; {MOST_RATINGS} at most are read")
    ratings = [_rating(row, known) for row in rows]
    seen = set()
    for rating in ratings:
        if rating.key in seen:
            raise ValueError(f"rates {rating.section} of {rating.participant_id} twice")
        seen.add(rating.key)
    return ratings


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    content = load_object(path)
    if content.get("software") != SOFTWARE:
        raise ValueError(f"not written by a page of {SOFTWARE}")
    version = content.get("format_version")
    if isinstance(version, bool) or version != FORMAT_VERSION:
        raise ValueError(f"format version {version!r} is not known here; {FORMAT_VERSION} is")
    if unknown := sorted(set(content) - _KEYS):
        raise ValueError(f"unknown key {unknown[0][:40]!r}")
    ratings = content.get("ratings")
    if not isinstance(ratings, list):
        raise TypeError("ratings is not a list")
    shared = {key: content.get(key) for key in ("participant_id", "session_id", "rater", "version")}
    for one in ratings:
        if not isinstance(one, dict) or set(one) - {"section", "verdict", "comment"}:
            raise ValueError("a rating has other keys than section, verdict, comment")
        yield {"comment": "", **one, **shared}


def _table_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    columns, rows = read_rows(path, quoted=True)
    if sorted(columns) != sorted(COLUMNS):
        raise ValueError(f"the columns are not {', '.join(COLUMNS)}")
    for row in rows:
        if "" in row:
            raise ValueError("a row is longer than the first")
        yield {**row, **{name: "" for name in ("session_id", "comment") if row[name] in _NONE}}


def _rating(row: Mapping[str, Any], known: Collection[str]) -> PageRating:
    wrong = [name for name in COLUMNS if not isinstance(row.get(name), str)]
    if wrong:
        raise TypeError(f"{wrong[0]} is missing or no text")
    participant, session = row["participant_id"], row["session_id"]
    if participant not in known:
        raise ValueError(f"no participant {participant[:40]!r} in the output folder")
    if session not in _NONE and not re.fullmatch(r"ses-[0-9A-Za-z+]+", session):
        raise ValueError(f"{session[:40]!r} is no session")
    if not re.fullmatch(SECTION_NAME, row["section"]):
        raise ValueError(f"{row['section'][:40]!r} is no section")
    if row["verdict"] not in VERDICTS:
        raise ValueError(f"{row['verdict'][:40]!r} is no verdict; {', '.join(VERDICTS)} are")
    for name, most in (("comment", MOST_COMMENT), ("rater", MOST_RATER), ("version", MOST_VERSION)):
        if len(row[name]) > most:
            raise ValueError(f"{name} is longer than {most} characters")
    rater = _one_line(row["rater"])
    if not rater:
        raise ValueError("the rater has no name")
    session = "" if session in _NONE else session
    comment, version = _one_line(row["comment"]), _one_line(row["version"])
    return PageRating(participant, session, rater, row["section"], row["verdict"], comment, version)


def _one_line(text: str) -> str:
    # Tables of BIDS have no quoting, and no control characters.
    return " ".join("".join(c if c.isprintable() else " " for c in text.replace('"', "'")).split())


def worst(verdicts: Collection[str]) -> str:
    """The worst of some verdicts; empty without any."""
    return max(verdicts, key=list(VERDICTS).index, default="")
