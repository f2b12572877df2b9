"""Agreement of participants with a lesion mask, and of those without one, apart: resected heads are the hard cases."""

import logging
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.output_files import find_ratings, group_table_path
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
        "Description": "Whose rows: group_summary.tsv has those of everybody. By lesion_ml of participants.tsv.",
        "Levels": {WITH: "Held-out participants with a lesion mask.", WITHOUT: "Held-out participants without one."},
    },
    "lesion_left_out": {
        "Description": "Whether the lesion was left out of the metrics (--lesion-mask all); n/a where there is none. "
        "Metrics of the whole slice then take it for agreement: the larger it is, the better they look.",
        "Levels": {"yes": "Of all.", "no": "Of nobody.", "mixed": "Of some: evaluate with one --lesion-mask."},
    },
    **SUMMARY_DICTIONARY,
}


def with_lesion(output_dir: Path) -> frozenset[str]:
    """Participants with a lesion mask, with ``sub-``.

    Raises
    ------
    DatasetError
        ``participants.tsv`` is no table.
    """
    table = read_participants(output_dir)
    volumes = pd.to_numeric(table[LESION_VOLUME], errors="coerce")
    return frozenset(table.loc[volumes > 0, "participant_id"])


def group_lesions(output_dir: Path, metrics: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame:
    """Summaries of held-out participants with and without a lesion mask.

    Parameters
    ----------
    output_dir : Path
        Holds ``participants.tsv`` and the tables of ratings.
    metrics : DataFrame
        Of :func:`~bids_spectsynth.evaluation.group.tables.gather_metrics`.
    volumes : DataFrame
        Rows of ``group_volumes.tsv``.

    Returns
    -------
    DataFrame
        Columns of :data:`LESIONS_DICTIONARY`; no rows where nobody who was held out has a lesion mask.
    """
    people = with_lesion(output_dir)
    held_out, whole = compared_rows(metrics), volumes[volumes["split"].isin(HELD_OUT)]
    if not people & set(held_out["participant_id"]):
        return pd.DataFrame(columns=list(LESIONS_DICTIONARY))
    parts = []
    for lesion in (WITH, WITHOUT):
        slices, brains = (one[one["participant_id"].isin(people) == (lesion == WITH)] for one in (held_out, whole))
        left_out = _left_out(output_dir, set(slices["participant_id"])) if lesion == WITH else "n/a"
        parts.append(summarise(slices, brains).assign(lesion=lesion, lesion_left_out=left_out))
    return pd.concat([one for one in parts if len(one)], ignore_index=True)[list(LESIONS_DICTIONARY)]


def _left_out(output_dir: Path, people: Collection[str]) -> str:
    paths = [path for path in find_ratings(output_dir, "metrics") if path.relative_to(output_dir).parts[0] in people]
    said = {sidecar(path).get(LESION_KEY) is True for path in paths}
    return "mixed" if len(said) > 1 else "yes" if True in said else "no"


def write_group_lesions(table: pd.DataFrame, output_dir: Path) -> Path | None:
    """Write ``group_lesions.tsv`` with its data dictionary; without rows there is none, and an earlier one goes."""
    path = group_table_path(output_dir, "lesions")
    if table.empty:
        for one in (path, sidecar_path(path)):
            one.unlink(missing_ok=True)
        return None
    if "mixed" in set(table["lesion_left_out"]):
        logger.warning("lesions were left out of the metrics of some participants alone: evaluate all of them with one "
                       "--lesion-mask")  # fmt: skip
    write_table(path, table, LESIONS_DICTIONARY)
    return path
