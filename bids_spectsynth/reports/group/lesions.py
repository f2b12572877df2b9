"""The group report on participants with a lesion mask, beside those without one."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bids_spectsynth.bids.output_files import group_table_path, read_table
from bids_spectsynth.evaluation.case.metrics import LEADING, METRICS
from bids_spectsynth.reports.html import Block, Cell, Column, Note, Section, Table, Text

#: Columns of the table, and those that it has where they differ between rows that are alike in the first.
_KEYS = ["model", "method", "split", "lesion"]
_FURTHER = ["inputs", "space", "losses", "recipe", "training", "data_range"]
_INTRO = (
    "Sessions of held-out participants with a lesion mask (a resection, say) and those without one. Most are other "
    "people, and few: a difference is of these heads, and may have other causes than the lesion. group_lesions.tsv has "
    "all metrics."
)
_LEFT_OUT = {
    "yes": "The lesion was left out of the numbers (--lesion-mask all). Metrics of the whole slice, in the table, take "
    "it for agreement: the larger the lesion, the better they look.",
    "no": "The lesion counts in the numbers (--lesion-mask all leaves it out).",
    "mixed": "The lesion counts in the numbers of some and not of others: evaluate all with one --lesion-mask.",
}


def lesions_section(output_dir: Path) -> Section | None:
    """In-brain error of every model with and without lesions; None where nobody who was held out has one.

    Parameters
    ----------
    output_dir : Path
        May hold ``group_lesions.tsv``.

    Raises
    ------
    OSError, ValueError, KeyError
        The table cannot be read.
    """
    path = group_table_path(output_dir, "lesions")
    if not path.is_file():
        return None
    table = read_table(path)
    metric = METRICS[LEADING]
    rows = table[(table["metric"] == LEADING) & (table["scale"] == table["scaling"])]
    blocks: list[Block] = [Text(" ".join([_INTRO, *_verdicts(table)]))]
    names = _keys(rows)
    keys = [Column(name.replace("_", " ").capitalize()) for name in names]
    numbers = [Column(name, numeric=True) for name in (f"{metric.label}, mean", "95 % interval", "Participants")]
    cells = [_row(row, names, metric.digits) for row in rows.sort_values(names).to_dict("records")]
    blocks.append(Table([*keys, *numbers], cells, "In-brain error of held-out participants.", tall=True))
    return Section("lesions", "With and without a lesion", blocks)


def left_out_notes(table: pd.DataFrame | None) -> list[Block]:
    """A note for numbers of everybody, where a lesion was left out of those of some.

    Parameters
    ----------
    table : DataFrame or None
        ``group_lesions.tsv``, if there is one.
    """
    if table is None or not {"yes", "mixed"} & set(table["lesion_left_out"].dropna()):
        return []
    text = (
        "Of participants who have a lesion mask, of all or of some, the lesion was left out of these numbers "
        "(--lesion-mask all): see the section on lesions. Metrics of the whole slice take it for agreement."
    )
    return [Note(text, "info", "Lesion masks:")]


def _verdicts(table: pd.DataFrame) -> list[str]:
    """Whether the lesion counts, once for all models or for each group of them."""
    found = {key: sorted(set(table.loc[table["lesion_left_out"] == key, "model"])) for key in _LEFT_OUT}
    found = {key: models for key, models in found.items() if models}
    return [_LEFT_OUT[key] if len(found) == 1 else f"{', '.join(models)}: {_LEFT_OUT[key]}"
            for key, models in found.items()]  # fmt: skip


def _keys(rows: pd.DataFrame) -> list[str]:
    """What tells rows apart: model, method, part of the cohort and lesion, and what else differs between them."""
    several = rows.groupby(_KEYS, dropna=False)[_FURTHER].nunique(dropna=False).max() > 1
    verdicts = rows["lesion_left_out"].dropna().nunique() > 1
    return [*_KEYS, *(name for name in _FURTHER if several[name]), *(["lesion_left_out"] if verdicts else [])]


def _row(row: Mapping[Hashable, Any], names: Sequence[str], digits: int) -> list[Cell]:
    low, mean, high = (float(row[name]) for name in ("subject_low", "subject_mean", "subject_high"))
    interval = f"{low:.{digits}f} to {high:.{digits}f}" if low == low else "n/a"
    named = [Cell(_text(row[name])) for name in names]
    return [*named, Cell(f"{mean:.{digits}f}"), Cell(interval), Cell(str(int(row["n_subjects"])))]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "n/a" if pd.isna(value) else f"{value:g}"
