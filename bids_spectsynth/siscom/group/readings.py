"""What the readers of a study wrote into its form, joined with the key."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bids_spectsynth.bids.participants import read_rows
from bids_spectsynth.errors import UsageError
from bids_spectsynth.siscom.group.results import number
from bids_spectsynth.siscom.group.study import key_folder
from bids_spectsynth.siscom.group.study_columns import FORM_DICTIONARY, KEY_DICTIONARY, LOBES, MOST_FOCI
from bids_spectsynth.siscom.group.truth import Against, Truth, lobe_of, side_of

logger = logging.getLogger(__name__)

Point = tuple[float, float, float]
_ANSWERS = {"yes": True, "y": True, "1": True, "true": True, "no": False, "n": False, "0": False, "false": False}
_MIDLINE = ("m", "midline", "middle")
_EMPTY = ("", "n/a", "na", "-")
_ANSWER_COLUMNS = ("found", "side", "lobe", "x_mm", "y_mm", "z_mm", "confidence")
_AGAINST: dict[str, Against] = {"focus": "focus", "none": "focus", "resected": "resected"}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One focus that a reader has marked.

    Parameters
    ----------
    focus : int
        Its number in the form.
    side, lobe : str
        ``n/a`` for a lobe that was left empty.
    point_mm : tuple of float or None
        World of the T1w, RAS+.
    confidence : int
        1 to 5.
    """

    focus: int
    side: str
    lobe: str
    point_mm: Point | None
    confidence: int


@dataclass(frozen=True, kw_only=True)
class Keyed:
    """A case with what the key says of it; ``truth`` is None where nothing is known."""

    case: str
    participant: str
    ictal: str
    baseline: str
    truth: Truth | None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one reader found in one case; without marks: nothing."""

    reader: str
    case: Keyed
    marks: tuple[Mark, ...] = field(default=())

    @property
    def top(self) -> Mark | None:
        """The mark of highest confidence, of equal ones the first."""
        return min(self.marks, key=lambda mark: (-mark.confidence, mark.focus), default=None)


def read_readings(form: Path, study: Path | None) -> list[Reading]:
    """Readings of a filled form; a row that is wrong is named in the log and left out, an empty one is not read.

    Parameters
    ----------
    form : Path
        Tab-separated, of one or several readers.
    study : Path or None
        Folder of the study; by default the one that the form lies in. The key lies beside it.

    Raises
    ------
    UsageError
        The form or the key cannot be read, or lacks a column.
    """
    rows = _rows(form, [name for name in FORM_DICTIONARY if name != "reading"])
    path = key_folder(study or form.parent) / "key.tsv"
    if not path.is_file():
        raise UsageError(
            f"--reader-results: no key of the study at {path}; name the study's folder with --reader-study"
        )
    key = {row["case"]: _keyed(row) for row in _rows(path, list(KEY_DICTIONARY))}
    marks: dict[tuple[str, str], dict[int, Mark | None]] = {}
    for line, row in enumerate(rows, start=2):
        if all(row[name].lower() in _EMPTY for name in _ANSWER_COLUMNS):
            continue
        try:
            if row["case"] not in key:
                raise ValueError(f"the study has no case {row['case'] or 'without a name'}")
            if row["reader"].lower() in _EMPTY:
                raise ValueError("the reader is missing")
            focus, mark = _mark(row)
            own = marks.setdefault((row["reader"], row["case"]), {})
            if focus in own:
                raise ValueError(f"{row['reader']} has answered focus {focus} of {row['case']} already")
            own[focus] = mark
        except ValueError as error:
            logger.warning("%s, line %d: %s; the row is left out", form, line, error)
    return [
        Reading(reader=reader, case=key[case], marks=tuple(mark for _, mark in sorted(own.items()) if mark is not None))
        for (reader, case), own in sorted(marks.items())
        if own
    ]


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        names, rows = read_rows(path, quoted=True)
    except OSError as error:
        raise UsageError(f"--reader-results: {path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UsageError(f"--reader-results: {path} is not a tab-separated text table ({error})") from error
    if missing := [name for name in columns if name not in names]:
        raise UsageError(f"--reader-results: {path} has no column {', '.join(missing)}; save the form tab-separated")
    return [{name: (row[name] or "").strip() for name in columns} for row in rows]


def _mark(row: Mapping[str, str]) -> tuple[int, Mark | None]:
    """Number of the focus, and the mark; None where nothing was found.

    Raises
    ------
    ValueError
        Says what is wrong with the row.
    """
    if not re.fullmatch("[0-9]+", row["focus"]) or not 1 <= int(row["focus"]) <= MOST_FOCI:
        raise ValueError(f"focus is {row['focus'] or 'empty'}, not 1 to {MOST_FOCI}")
    focus, found = int(row["focus"]), _ANSWERS.get(row["found"].lower())
    if found is None:
        raise ValueError(f"found is {row['found'] or 'empty'}, not yes or no")
    if not found:
        if any(row[name].lower() not in _EMPTY for name in ("side", "lobe", "x_mm", "y_mm", "z_mm")):
            raise ValueError("found is no, but a place is given")
        return focus, None
    side = "M" if row["side"].lower() in _MIDLINE else side_of(row["side"])
    if side is None:
        raise ValueError(f"side is {row['side'] or 'empty'}, not L, R or M")
    lobe = "n/a" if row["lobe"].lower() in _EMPTY else lobe_of(row["lobe"]) or row["lobe"].lower()
    if lobe != "n/a" and lobe not in LOBES:
        raise ValueError(f"lobe is {row['lobe']}, not one of {', '.join(LOBES)}")
    if row["confidence"] not in ("1", "2", "3", "4", "5"):
        raise ValueError(f"confidence is {row['confidence'] or 'empty'}, not 1 to 5")
    return focus, Mark(focus=focus, side=side, lobe=lobe, point_mm=_point(row), confidence=int(row["confidence"]))


def _point(row: Mapping[str, str]) -> Point | None:
    texts = [row[name] for name in ("x_mm", "y_mm", "z_mm")]
    if all(text.lower() in _EMPTY for text in texts):
        return None
    # Spreadsheets of some countries write a comma.
    x, y, z = (number(text.replace(",", ".")) for text in texts)
    if not np.isfinite([x, y, z]).all():
        raise ValueError(f"x_mm, y_mm, z_mm are {' '.join(text or 'empty' for text in texts)}: three numbers, or none")
    return x, y, z


def _keyed(row: Mapping[str, str]) -> Keyed:
    against = _AGAINST.get(row["truth"])
    x, y, z = (number(row[name]) for name in ("x_mm", "y_mm", "z_mm"))
    truth = None
    if against is not None:
        truth = Truth(
            against=against,
            source="key",
            side=side_of(row["side"]),
            lobe=lobe_of(row["lobe"]),
            point_mm=(x, y, z) if np.isfinite([x, y, z]).all() else None,
            none=row["truth"] == "none",
        )
    return Keyed(
        case=row["case"],
        participant=row["participant_id"],
        ictal=row["ictal"],
        baseline=row["baseline"],
        truth=truth,
    )
