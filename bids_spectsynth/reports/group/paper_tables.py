"""The article's tables for reading, from ``group_table2.tsv`` to ``group_table4.tsv`` and ``group_comparisons.tsv``."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from bids_spectsynth.evaluation.case.metrics import Metric, Region, metrics_in
from bids_spectsynth.evaluation.group.configurations import input_name, inputs_sort_key, loss_name, space_name
from bids_spectsynth.evaluation.group.subject_counts import split_text
from bids_spectsynth.evaluation.paper.columns import ON_PAPER_SCALE
from bids_spectsynth.evaluation.statistics.paired_tests import ALPHA
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.reports.html import Cell, Column, Table, number, p_value
from bids_spectsynth.reports.wording import description

Dictionary = Mapping[str, Any]
Row = Mapping[Any, Any]

_REGIONS: dict[Region, str] = {"whole": "whole slice", "brain": "in the brain"}
_MODEL = ["space", "losses", "recipe", "scaling"]
_DIFFERENT = (
    "Different subjects",
    "not all of these models were rated on the same subjects: n stands in each cell, and cells with the same "
    "fingerprint in the column subjects of group_table4.tsv rest on the same ones. Others are not to be compared as "
    "they stand.",
)


def table_4(summary: pd.DataFrame, region: Region, dictionary: Dictionary) -> Table:
    """The article's Table 4: rows space, loss and metric, columns inputs, cells mean and coefficient of variation.

    Parameters
    ----------
    summary : DataFrame
        ``group_table4.tsv``, all columns as text.
    region : {'whole', 'brain'}
    dictionary : mapping
        ``group_table4.json``; its descriptions become tooltips.
    """
    chosen = summary[summary["region"] == region]
    inputs = sorted(dict.fromkeys(chosen["inputs"]), key=inputs_sort_key)
    # Template space stands first in the article.
    groups = sorted(chosen.groupby(_MODEL, sort=False), key=lambda item: item[0][0] == T1W_SPACE)
    different = chosen["subjects"].nunique() > 1
    rows = []
    for model, group in groups:
        for place, metric in enumerate(metrics_in(region)):
            own = group[group["metric"] == metric.measure]
            cells = [Cell(_model_name(*map(str, model)), "muted" if place else ""), Cell(metric.column_title)]
            cells += [_mean_and_variation(own[own["inputs"] == name], counted=different) for name in inputs]
            rows.append([*cells, Cell(_span(own["n_subjects"])), Cell(_span(own["n_slices"]))])
    help_text = f"{description(dictionary, 'mean')} {description(dictionary, 'cv_percent')}".strip()
    columns = [Column("Space / loss"), Column("Metric")]
    columns += [Column(input_name(name), help_text, numeric=True) for name in inputs]
    columns += [Column("Subjects", numeric=True), Column("Slices", numeric=True)]
    caption = (
        f"Table 4, {_REGIONS[region]}: mean (coefficient of variation) over the slices in the block of all held-out "
        f"subjects ({_splits(chosen)}). MRI: T1w. {ON_PAPER_SCALE}"
    )
    return Table(columns, rows, caption, [_DIFFERENT] if different else [], folded=True)


def _splits(rows: pd.DataFrame) -> str:
    """How many test and external subjects there are; all that occur where they differ."""
    pairs = rows[["n_test", "n_external"]].drop_duplicates().to_dict("records")
    return " or ".join(dict.fromkeys(split_text(int(pair["n_test"]), int(pair["n_external"])) for pair in pairs))


def _model_name(space: str, losses: str, recipe: str, scaling: str) -> str:
    name = space_name(space)
    parts = [name[:1].upper() + name[1:], loss_name(losses)]
    parts += [f"recipe {recipe}"] if recipe != "fard2024" else []
    return ", ".join([*parts, *([f"{scaling} scaling"] if scaling != "slice" else [])])


def _mean_and_variation(found: pd.DataFrame, *, counted: bool) -> Cell:
    rows = found.to_dict("records")
    if not rows:
        return Cell("–", "muted")
    texts = []
    for row in rows:
        text = f"{number(_float(row['mean']), 2)} ({number(_float(row['cv_percent']), 2)}%)"
        text += f", {row['n_seeds']} seeds" if row["n_seeds"] != "1" else ""
        text += f", n = {row['n_subjects']}" if counted else ""
        # Two configurations that no column tells apart.
        texts.append(f"{row['configuration']}: {text}" if len(rows) > 1 else text)
    return Cell("\n".join(texts))


def _span(counts: "pd.Series[str]") -> str:
    found = sorted({int(count) for count in counts if count != "n/a"})
    if not found:
        return "n/a"
    return str(found[0]) if len(found) == 1 else f"{found[0]}–{found[-1]}"


def example_tables(examples: pd.DataFrame, table: int) -> list[Table]:
    """The article's Tables 2 and 3: rows examples, columns inputs and metrics, one table for each space and loss.

    Parameters
    ----------
    examples : DataFrame
        ``group_table2.tsv`` or ``group_table3.tsv``, all columns as text.
    table : int
        2 or 3.
    """
    return [_example_table(table, model, group) for model, group in examples.groupby(_MODEL, sort=False)]


def _example_table(table: int, model: tuple[Any, ...], group: pd.DataFrame) -> Table:
    metrics = metrics_in("whole")
    shown = group[["inputs", "model", "seed"]].drop_duplicates("model").to_dict("records")
    shown.sort(key=lambda row: (inputs_sort_key(str(row["inputs"])), str(row["model"])))
    names = [input_name(str(row["inputs"])) for row in shown]
    labels = [n if names.count(n) == 1 else str(row["model"]) for n, row in zip(names, shown, strict=True)]
    rows = []
    for _, own in group.groupby(["space", "example"], sort=False):
        first = own.iloc[0]
        session = f" {first['session_id']}" if first["session_id"] != "n/a" else ""
        other = " (other cohort)" if first["split"] == "external" else ""
        cells = [Cell(f"{first['participant_id']}{session}{other}"), Cell(str(first["slice"]))]
        cells.append(Cell(number(_float(first["z_mm"]), 1)))
        by_model = {str(row["model"]): row for row in own.to_dict("records")}
        for row in shown:
            found = by_model.get(str(row["model"]))
            cells += [Cell(number(_float(found[m.name]), 2)) if found else Cell("–", "muted") for m in metrics]
        rows.append(cells)
    columns = [Column("Subject"), Column("Slice", numeric=True), Column("z (mm)", numeric=True)]
    columns += [Column(f"{label}: {metric.column_title}", numeric=True) for label in labels for metric in metrics]
    caption = (
        f"Table {table}. {_model_name(*map(str, model))}: metrics over the whole slice, {len(rows)} held-out subjects, "
        "one slice each."
    )
    return Table(columns, rows, caption, folded=True)


def comparison_counts(rows: pd.DataFrame) -> str:
    """In how many comparisons each test finds a difference, whole slice and in the brain.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``group_comparisons.tsv`` of one figure, all columns as text.
    """
    sentences = []
    for region, title in _REGIONS.items():
        own = rows[rows["region"] == region]
        by_slice = sum(_float(p) < ALPHA for p in own["p_slice"])
        by_subject = sum(_float(p) < ALPHA for p in own["p_subject_holm"])
        equivalent = sum(_float(p) < ALPHA for p in own["p_equivalence_holm"])
        sentences.append(
            f"{title[:1].upper()}{title[1:]}: of {len(own)} comparisons the slice-wise test finds a difference in "
            f"{by_slice}, the subject-wise one after Holm's correction in {by_subject}; equivalence within the margins "
            f"is shown in {equivalent} (n = {_span(own['n_subjects'])} subjects, {_span(own['n_slices'])} slices)."
        )
    return " ".join(sentences)


def comparison_table(rows: pd.DataFrame, title: str, dictionary: Dictionary) -> Table:
    """The comparisons of one figure: one row for each pair, one column for each metric, folded.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``group_comparisons.tsv`` of one figure, all columns as text.
    title : str
    dictionary : mapping
        ``group_comparisons.json``; its descriptions become footnotes.
    """
    columns = [Column("First"), Column("Second")]
    metrics = [metric for region in _REGIONS for metric in metrics_in(region)]
    columns += [Column(f"{metric.column_title}, {_REGIONS[metric.region]}", numeric=True) for metric in metrics]
    columns += [Column("Subjects", numeric=True), Column("Slices", numeric=True)]
    cells = []
    for _, group in rows.groupby(["configuration_a", "configuration_b"], sort=False):
        found = {(str(row["region"]), str(row["metric"])): row for row in group.to_dict("records")}
        sides = [Cell(_side(group.iloc[0], side)) for side in ("a", "b")]
        counts = [Cell(_span(group[name])) for name in ("n_subjects", "n_slices")]
        cells.append([*sides, *(_comparison(found.get((m.region, m.measure)), m) for m in metrics), *counts])
    names = ("mean_difference", "better", "p_slice", "p_subject_holm", "p_equivalence_holm")
    terms = [(name, description(dictionary, name)) for name in names]
    caption = f"{title}: difference (first minus second), side with the better mean, and p of the tests"
    return Table(columns, cells, caption, [(term, text) for term, text in terms if text], folded=True)


def _side(row: "pd.Series[Any]", side: str) -> str:
    texts = (input_name(row[f"inputs_{side}"]), space_name(row[f"space_{side}"]), loss_name(row[f"losses_{side}"]))
    return "\n".join(texts)


def _comparison(row: Row | None, metric: Metric) -> Cell:
    if row is None:
        return Cell("–", "muted")
    by_slice, by_subject = _float(row["p_slice"]), _float(row["p_subject_holm"])
    marks = (" *" if by_slice < ALPHA else "") + (" †" if by_subject < ALPHA else "")
    better = {"a": "first better", "b": "second better"}.get(str(row["better"]), str(row["better"]))
    lines = [
        # One decimal more than a value has: differences are smaller.
        number(_float(row["mean_difference"]), metric.digits + 1) + marks,
        better,
        f"slices p {p_value(by_slice)}",
        f"subjects p {p_value(by_subject)}",
        f"equivalence p {p_value(_float(row['p_equivalence_holm']))}",
    ]
    return Cell("\n".join(lines), "best" if by_subject < ALPHA else "")


def _float(text: object) -> float:
    """A number of a table that was read as text; not a number for ``n/a``."""
    return math.nan if text in ("n/a", "") else float(str(text))
