"""Tables of the group report, from the group's TSV files and the registrations' sidecars."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bids_spectsynth.bids.sidecars import as_number, strings
from bids_spectsynth.bids.transforms import Transform
from bids_spectsynth.evaluation.case.metrics import REGION_TITLES, Metric, Region, by_measure
from bids_spectsynth.evaluation.columns import METHODS, NETWORK
from bids_spectsynth.reports.group.leads import RMSE, Lead
from bids_spectsynth.reports.html import Cell, Column, Table, number
from bids_spectsynth.reports.wording import description, method_name, method_order

#: Of each measure the one that background does not flatter first.
_REGIONS: tuple[Region, ...] = ("brain", "whole")
_RUN = ["model", "inputs", "space", "scale", "split", "data_range"]
Dictionary = Mapping[str, Any]


def registration_table(transforms: Sequence[Transform], links: Mapping[str, str]) -> Table:
    """Registrations of all participants, the worst first: flagged ones, then by overlap.

    Parameters
    ----------
    transforms : sequence of Transform
    links : mapping of case name to the subject's report
    """
    ordered = sorted(transforms, key=lambda t: (not t.poor, -1.0 if math.isnan(t.overlap) else t.overlap, t.case_name))
    rows = [
        [
            Cell(transform.case_name, href=links.get(transform.case_name, "")),
            Cell(transform.title),
            Cell("POOR" if transform.poor else "accepted", "bad" if transform.poor else "good"),
            Cell(number(transform.overlap, 3), "bad" if transform.poor else ""),
            Cell(number(transform.score, 3)),
            Cell(transform.metric),
            Cell(" ".join(transform.notes)),
        ]
        for transform in ordered
    ]
    columns = [
        Column("Case"),
        Column("Registration"),
        Column("Judgement", "POOR: the software does not trust this result; look at the subject's report"),
        Column("Overlap", "Dice coefficient of the two brains, 0 to 1", numeric=True),
        Column("Score", "Final value of the metric, higher is better; compare within one kind only", numeric=True),
        Column("Metric"),
        Column("Notes"),
    ]
    return Table(columns, rows, "Registrations. Worst first.")


def lead_table(summary: pd.DataFrame, lead: Lead = RMSE) -> Table:
    """What each model leads by beside its baselines, on its own scale: mean and standard deviation over subjects.

    Parameters
    ----------
    summary : DataFrame
        ``group_summary.tsv``.
    lead : Lead
    """
    chosen = lead.of(summary)
    methods = method_order(chosen["method"])
    rows = []
    for run, group in chosen.groupby(_RUN, sort=False, dropna=False):
        found = {str(row["method"]): row for row in group.to_dict("records")}
        # Means over different subjects have no order.
        same = group["subjects"].nunique() == 1
        lowest = min((float(row["subject_mean"]) for row in found.values()), default=math.nan) if same else math.nan
        cells = [Cell(str(value)) for value in run[:5]]
        cells += [_mean_and_spread(found.get(method), lowest, lead.digits, counted=not same) for method in methods]
        rows.append([*cells, Cell(count_range(group["n_subjects"])), Cell(count_range(group["n_slices"]))])
    columns = [Column(name) for name in ("Model", "Inputs", "Space", "Scale", "Split")]
    columns += [Column(method_name(method), METHODS.get(method, ""), numeric=True) for method in methods]
    columns += [Column("Subjects", numeric=True), Column("Slices", numeric=True)]
    caption = (
        f"{lead.title}: mean ± standard deviation over subjects; lower is better, the lowest in bold where all "
        "methods of a model were rated on the same subjects."
    )
    return Table(columns, rows, caption, _different_subjects(chosen))


def _different_subjects(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """A warning that names the models of each split that were not all rated on the same subjects; none if they were."""
    notes = []
    for split, group in rows.groupby("split", sort=False):
        if group["subjects"].nunique() > 1:
            own = group.groupby("model", sort=False)["n_subjects"]
            named = ", ".join(f"{model} ({count_range(counts)})" for model, counts in own)
            notes.append(("Different subjects", f"{split}: {named}. Rows are not to be compared as they stand."))
    return notes


def _mean_and_spread(row: Mapping[Any, Any] | None, lowest: float, digits: int, *, counted: bool) -> Cell:
    if row is None:
        return Cell("–", "muted")
    mean = float(row["subject_mean"])
    text = f"{number(mean, digits)}\n± {number(float(row['subject_sd']), digits)}"
    text += f"\nn = {_count(float(row['n_subjects']))}" if counted else ""
    return Cell(text, "best" if mean == lowest else "")


def summary_tables(summary: pd.DataFrame, dictionary: Dictionary) -> list[Table]:
    """One table for each of RMSE, SSIM, ..., in brain and whole slice side by side, over slices as in the article.

    Parameters
    ----------
    summary : DataFrame
        ``group_summary.tsv``.
    dictionary : mapping
        ``group_summary.json``; its descriptions become tooltips.
    """
    return [_measure_table(summary, metrics, dictionary) for metrics in by_measure().values()]


def _measure_table(summary: pd.DataFrame, metrics: Mapping[Region, Metric], dictionary: Dictionary) -> Table:
    shown = [metrics[region] for region in _REGIONS if region in metrics]
    rows = []
    chosen = summary[summary["metric"].isin([metric.name for metric in shown])]
    for run, group in chosen.groupby(_RUN, sort=False, dropna=False):
        for position, method in enumerate(method_order(group["method"])):
            own = {str(row["metric"]): row for row in group[group["method"] == method].to_dict("records")}
            cells = [Cell(str(run[place]), "muted" if position else "") for place in (0, 3, 4)]
            cells.append(Cell(method_name(method), "best" if method == NETWORK else ""))
            for metric in shown:
                cells += _statistics(own.get(metric.name), metric.digits)
            counted = next((own[metric.name] for metric in shown if metric.name in own), {})
            cells += [Cell(_count(float(counted.get(name, math.nan)))) for name in ("n_subjects", "n_slices")]
            rows.append([*cells, Cell(str(run[5]))])
    columns = [
        Column(name.capitalize(), description(dictionary, name)) for name in ("model", "scale", "split", "method")
    ]
    for metric in shown:
        columns += [
            Column(f"Mean, {REGION_TITLES[metric.region]}", description(dictionary, "mean"), numeric=True),
            Column("SD", description(dictionary, "sd"), numeric=True),
            Column("CoV %", description(dictionary, "cv_percent"), numeric=True),
        ]
    columns += [
        Column("Subjects", description(dictionary, "n_subjects"), numeric=True),
        Column("Slices", description(dictionary, "n_slices"), numeric=True),
        Column("Data range", description(dictionary, "data_range"), numeric=True),
    ]
    one = shown[0]
    return Table(columns, rows, f"{one.heading or one.full_title} ({one.title}) over slices.")


def _statistics(row: Mapping[Any, Any] | None, digits: int) -> list[Cell]:
    if row is None:
        return [Cell("–", "muted")] * 3
    mean, spread, variation = (float(row[name]) for name in ("mean", "sd", "cv_percent"))
    return [Cell(number(mean, digits)), Cell(number(spread, digits)), Cell(number(variation, 1))]


def models_table(cards: Mapping[str, Mapping[str, Any]]) -> Table:
    """What the model cards say of how each model was trained.

    Parameters
    ----------
    cards : mapping of model label to the content of ``model.json``
    """
    rows = []
    for label, card in cards.items():
        parts = {name: card.get(name) for name in ("training", "losses", "validation", "architecture")}
        training, losses, validation, architecture = (v if isinstance(v, dict) else {} for v in parts.values())
        weights = ", ".join(f"{name} {value:g}" for name, value in losses.items() if isinstance(value, int | float))
        texts = [
            label,
            " + ".join(strings(card.get("inputs"))),
            card.get("space", "n/a"),
            card.get("scaling", "n/a"),
            card.get("voxel_size", "n/a"),
            architecture.get("base_filters", "n/a"),
            weights or "n/a",
            training.get("participants", "n/a"),
            training.get("epochs", "n/a"),
            training.get("best_epoch", "n/a"),
        ]
        best = [Cell(number(as_number(validation.get(name)))) for name in ("rmse", "ssim")]
        rows.append([*(Cell(str(text)) for text in texts), *best])
    named = ["Model", "Inputs", "Space", "Scaling"]
    counted = ["Voxel (mm)", "Filters", "Loss weights", "Training participants", "Epochs", "Best epoch"]
    columns = [Column(name) for name in named] + [Column(name, numeric=name != "Loss weights") for name in counted]
    columns += [Column(f"{name} in brain, validation", "Of the best epoch", numeric=True) for name in ("RMSE", "SSIM")]
    return Table(columns, rows)


def count_range(values: pd.Series) -> str:
    """The counts in a column, as one number where they are equal."""
    low, high = float(values.min()), float(values.max())
    return _count(low) if low == high else f"{_count(low)}–{_count(high)}"


def _count(value: float) -> str:
    return str(round(value)) if math.isfinite(value) else "n/a"
