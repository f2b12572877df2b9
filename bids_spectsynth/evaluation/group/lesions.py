"""Agreement of cases with a lesion mask, and of those without one, apart: resected heads are the hard cases."""

import logging
from collections.abc import Collection, Iterator
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
        "session; where none of a participant is left, by lesion_ml of participants.tsv.",
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


def with_lesion(output_dir: Path, cases: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Which cases have a lesion mask.

    Parameters
    ----------
    output_dir : Path
        Holds the prepared masks and ``participants.tsv``.
    cases : collection of (str, str)
        Participant, with ``sub-``, and session, with ``ses-`` or ``n/a``.

    Returns
    -------
    frozenset of (str, str)
        Those with a prepared mask; of participants of whom no mask is left, but whose volume is known, all.

    Raises
    ------
    DatasetError
        ``participants.tsv`` is no table.
    """
    masks = {_case_of(output_dir, path) for path in find_lesions(output_dir)}
    table = read_participants(output_dir)
    known = set(table.loc[pd.to_numeric(table[LESION_VOLUME], errors="coerce").notna(), "participant_id"])
    known -= {participant for participant, _ in masks}
    return frozenset(case for case in cases if case in masks or case[0] in known)


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
    cases = with_lesion(output_dir, set(held_out[_CASE].itertuples(index=False, name=None)))
    if not cases:
        return pd.DataFrame(columns=list(LESIONS_DICTIONARY))
    lesioned, others = ([_rows_of(one, cases, having) for one in (held_out, whole)] for having in (True, False))
    own = summarise(*lesioned)
    said = dict(_left_out(output_dir, lesioned[0]))
    verdicts = [said.get(key, "n/a") for key in own[_RATED].itertuples(index=False, name=None)]
    parts = [own.assign(lesion=WITH, lesion_left_out=verdicts)]
    parts.append(summarise(*others).assign(lesion=WITHOUT, lesion_left_out="n/a"))
    return pd.concat([one for one in parts if len(one)], ignore_index=True)[list(LESIONS_DICTIONARY)]


def _rows_of(table: pd.DataFrame, cases: Collection[tuple[str, str]], having: bool) -> pd.DataFrame:
    if table.empty:
        return table
    inside = np.asarray(pd.MultiIndex.from_frame(table[_CASE]).isin(list(cases)))
    rows: pd.DataFrame = table.loc[inside == having]
    return rows


def _left_out(output_dir: Path, rows: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Of each model, space and part of the cohort, whether the lesion was left out of the tables behind the rows."""
    known = {}
    for path in find_ratings(output_dir, "metrics"):
        entities, _, _ = parse_name(path.name)
        known[*_case_of(output_dir, path), entities.get("desc"), entities.get("space")] = path
    for key, group in rows[[*_CASE, *_RATED]].drop_duplicates().groupby(_RATED):
        model, space, split = map(str, key)
        paths = [known.get((*case, model, space)) for case in group[_CASE].itertuples(index=False, name=None)]
        said = {path is not None and sidecar(path).get(LESION_KEY) is True for path in paths}
        yield (model, space, split), "mixed" if len(said) > 1 else "yes" if True in said else "no"


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
