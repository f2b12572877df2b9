"""Agreement of cases with a lesion mask, and of those without one, apart: resected heads are the hard cases."""

import logging
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.output_files import find_lesions, find_ratings, group_table_path
from bids_spectsynth.bids.participants import LESION_VOLUME, read_participants
from bids_spectsynth.bids.sidecars import sidecar, sidecar_path
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.columns import HELD_OUT, LESION_KEY, Dictionary
from bids_spectsynth.evaluation.group.columns import SUMMARY_DICTIONARY
from bids_spectsynth.evaluation.group.tables import compared_rows, summarise

logger = logging.getLogger(__name__)

WITH, WITHOUT = "with", "without"
LESIONS_DICTIONARY: Dictionary = {
    "lesion": {
        "Description": "Whose rows: group_summary.tsv has those of everybody. By the prepared lesion mask of the "
        "session; where none of a participant is left, by lesion_ml of participants.tsv and by whether a lesion was "
        "left out of the metrics of the session.",
        "Levels": {
            WITH: "Sessions of held-out participants that have a lesion mask.",
            WITHOUT: "Those without one, also of participants who have one in another session.",
        },
    },
    "lesion_left_out": {
        "Description": "Whether the lesion was left out of the metrics (--lesion-mask all); n/a where there is none. "
        "Metrics of the whole slice then take it for agreement: the larger it is, the better they look.",
        "Levels": {"yes": "Of all.", "no": "Of nobody.", "mixed": "Of some: evaluate with one --lesion-mask."},
    },
    **SUMMARY_DICTIONARY,
}

#: Participant (with ``sub-``) and session (with ``ses-``, or ``n/a``), as tables of ratings have them.
_CASE = ["participant_id", "session_id"]
#: What tables of ratings are written apart for, and the part of the cohort, in which a participant may be for one model
#: and not for another.
_RATED = ["model", "space", "split"]


def with_lesion(output_dir: Path, tables: pd.DataFrame) -> frozenset[tuple[str, str]]:
    """Which cases have a lesion mask.

    Parameters
    ----------
    output_dir : Path
        Holds the prepared masks and ``participants.tsv``.
    tables : DataFrame
        Of :func:`rated_tables`.

    Returns
    -------
    frozenset of (str, str)
        Participant, with ``sub-``, and session, with ``ses-`` or ``n/a``: those with a prepared mask. Of participants
        of whom none is left, but the volume is known: those with ratings that a lesion was left out of, or else all.

    Raises
    ------
    DatasetError
        ``participants.tsv`` is no table.
    """
    masks = {_case_of(output_dir, path) for path in find_lesions(output_dir)}
    participants = read_participants(output_dir)
    volumes = pd.to_numeric(participants[LESION_VOLUME], errors="coerce")
    known = set(participants.loc[volumes.notna(), "participant_id"]) - {participant for participant, _ in masks}
    told = set(tables.loc[tables["left_out"], _CASE].itertuples(index=False, name=None))
    unclear = known - {participant for participant, _ in told}
    cases = set(tables[_CASE].itertuples(index=False, name=None))
    return frozenset(
        case for case in cases if case in masks or case[0] in unclear or (case in told and case[0] in known)
    )


def rated_tables(output_dir: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """The tables of ratings behind rows, and whether a lesion was left out of each.

    Parameters
    ----------
    output_dir : Path
    rows : DataFrame
        Of :func:`~bids_spectsynth.evaluation.group.tables.compared_rows`.

    Returns
    -------
    DataFrame
        ``participant_id``, ``session_id``, ``model``, ``space``, ``split`` and ``left_out``.
    """
    files = {}
    for path in find_ratings(output_dir, "metrics"):
        entities, _, _ = parse_name(path.name)
        files[*_case_of(output_dir, path), entities.get("desc"), entities.get("space")] = path
    tables = rows[[*_CASE, *_RATED]].drop_duplicates()
    paths = [files.get(key) for key in tables[[*_CASE, "model", "space"]].itertuples(index=False, name=None)]
    left_out = [path is not None and sidecar(path).get(LESION_KEY) is True for path in paths]
    return tables.assign(left_out=np.array(left_out, dtype=bool))


def _case_of(output_dir: Path, path: Path) -> tuple[str, str]:
    participant, session = path.relative_to(output_dir).parts[:2]
    return participant, session if session.startswith("ses-") else "n/a"


def group_lesions(output_dir: Path, metrics: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame:
    """Summaries of held-out cases with and without a lesion mask.

    Parameters
    ----------
    output_dir : Path
        Holds the prepared masks, ``participants.tsv`` and the tables of ratings.
    metrics : DataFrame
        Of :func:`~bids_spectsynth.evaluation.group.tables.gather_metrics`.
    volumes : DataFrame
        Rows of ``group_volumes.tsv``.

    Returns
    -------
    DataFrame
        Columns of :data:`LESIONS_DICTIONARY`; no rows where no case that was held out has a lesion mask.
    """
    held_out, whole = compared_rows(metrics), volumes[volumes["split"].isin(HELD_OUT)]
    tables = rated_tables(output_dir, held_out)
    cases = with_lesion(output_dir, tables)
    if not cases:
        return pd.DataFrame(columns=list(LESIONS_DICTIONARY))
    lesioned, others = ([_rows_of(one, cases, having) for one in (held_out, whole)] for having in (True, False))
    own = summarise(*lesioned)
    said = {key: set(group["left_out"]) for key, group in _rows_of(tables, cases, True).groupby(_RATED)}
    verdicts = [_verdict(said.get(key, set())) for key in own[_RATED].itertuples(index=False, name=None)]
    parts = [own.assign(lesion=WITH, lesion_left_out=verdicts)]
    parts.append(summarise(*others).assign(lesion=WITHOUT, lesion_left_out="n/a"))
    return pd.concat([one for one in parts if len(one)], ignore_index=True)[list(LESIONS_DICTIONARY)]


def _rows_of(table: pd.DataFrame, cases: Collection[tuple[str, str]], having: bool) -> pd.DataFrame:
    if table.empty:
        return table
    inside = np.asarray(pd.MultiIndex.from_frame(table[_CASE]).isin(list(cases)))
    rows: pd.DataFrame = table.loc[inside == having]
    return rows


def _verdict(left_out: Collection[bool]) -> str:
    return "mixed" if len(left_out) > 1 else "yes" if True in left_out else "no"


def write_group_lesions(table: pd.DataFrame, output_dir: Path) -> Path | None:
    """Write ``group_lesions.tsv`` with its data dictionary; without rows there is none, and an earlier one goes."""
    path = group_table_path(output_dir, "lesions")
    if table.empty:
        for one in (path, sidecar_path(path)):
            one.unlink(missing_ok=True)
        return None
    mixed = sorted(set(table.loc[table["lesion_left_out"] == "mixed", "model"]))
    if mixed:
        logger.warning("%s: lesions were left out of the metrics of some participants alone: evaluate all of them with "
                       "one --lesion-mask", ", ".join(mixed))  # fmt: skip
    write_table(path, table, LESIONS_DICTIONARY)
    return path
