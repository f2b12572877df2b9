"""Tables of the group report, from the group's TSV files and the registrations' sidecars."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from bids_spectsynth.evaluation.columns import METHODS, NETWORK
from bids_spectsynth.reports.html import Cell, Column, Table, number, p_value
from bids_spectsynth.reports.outputs import Transform, as_number, strings
from bids_spectsynth.reports.subject_metrics import METRICS, description, method_name, method_order

#: Level of significance of the paper.
ALPHA = 0.01
_FAMILIES = {"rmse": "Root mean squared error", "ssim": "Structural similarity", "psnr": "Peak signal-to-noise ratio"}
_RUN = ["model", "inputs", "space", "scaling", "split", "data_range"]
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
    return Table(columns, rows, "Worst first.")


def lead_table(summary: pd.DataFrame) -> Table:
    """In-brain RMSE of each model beside its baselines: mean and standard deviation over subjects.

    Parameters
    ----------
    summary : DataFrame
        ``group_summary.tsv``.
    """
    chosen = summary[summary["metric"] == "mask_rmse"]
    methods = method_order(chosen["method"])
    rows = []
    for run, group in chosen.groupby(_RUN, sort=False, dropna=False):
        found = {str(row["method"]): row for row in group.to_dict("records")}
        lowest = min((float(row["subject_mean"]) for row in found.values()), default=math.nan)
        cells = [Cell(str(value)) for value in (*run[:3], run[4])]
        cells += [_mean_and_spread(found.get(method), lowest) for method in methods]
        rows.append([*cells, Cell(_range(group["n_subjects"])), Cell(_range(group["n_slices"]))])
    columns = [Column("Model"), Column("Inputs"), Column("Space"), Column("Split")]
    columns += [Column(method_name(method), METHODS.get(method, ""), numeric=True) for method in methods]
    columns += [Column("Subjects", numeric=True), Column("Slices", numeric=True)]
    caption = "RMSE in the brain: mean ± standard deviation over subjects; lower is better, the lowest in bold."
    return Table(columns, rows, caption)


def _mean_and_spread(row: Mapping[Any, Any] | None, lowest: float) -> Cell:
    if row is None:
        return Cell("–", "muted")
    mean = float(row["subject_mean"])
    return Cell(f"{number(mean)}\n± {number(float(row['subject_sd']))}", "best" if mean == lowest else "")


def summary_tables(summary: pd.DataFrame, dictionary: Dictionary) -> list[Table]:
    """One table for each of RMSE, SSIM and PSNR, in brain and whole slice side by side, over slices as in the paper.

    Parameters
    ----------
    summary : DataFrame
        ``group_summary.tsv``.
    dictionary : mapping
        ``group_summary.json``; its descriptions become tooltips.
    """
    return [_family_table(summary, family, title, dictionary) for family, title in _FAMILIES.items()]


def _family_table(summary: pd.DataFrame, family: str, title: str, dictionary: Dictionary) -> Table:
    digits = {column: places for column, _, places, _ in METRICS}[family]
    rows = []
    chosen = summary[summary["metric"].isin([family, f"mask_{family}"])]
    for run, group in chosen.groupby(_RUN, sort=False, dropna=False):
        for position, method in enumerate(method_order(group["method"])):
            own = {str(row["metric"]): row for row in group[group["method"] == method].to_dict("records")}
            cells = [Cell(str(run[0]), "muted" if position else ""), Cell(str(run[4]), "muted" if position else "")]
            cells.append(Cell(method_name(method), "best" if method == NETWORK else ""))
            for metric in (f"mask_{family}", family):
                cells += _statistics(own.get(metric), digits)
            counted = own.get(f"mask_{family}") or own.get(family) or {}
            cells += [Cell(_count(float(counted.get(name, math.nan)))) for name in ("n_subjects", "n_slices")]
            rows.append([*cells, Cell(str(run[5]))])
    columns = [Column(name.capitalize(), description(dictionary, name)) for name in ("model", "split", "method")]
    for where in ("in brain", "whole slice"):
        columns += [
            Column(f"Mean, {where}", description(dictionary, "mean"), numeric=True),
            Column("SD", description(dictionary, "sd"), numeric=True),
            Column("CoV %", description(dictionary, "cv_percent"), numeric=True),
        ]
    columns += [
        Column("Subjects", description(dictionary, "n_subjects"), numeric=True),
        Column("Slices", description(dictionary, "n_slices"), numeric=True),
        Column("Data range", description(dictionary, "data_range"), numeric=True),
    ]
    return Table(columns, rows, f"{title} ({family.upper()}) over slices.")


def _statistics(row: Mapping[Any, Any] | None, digits: int) -> list[Cell]:
    if row is None:
        return [Cell("–", "muted")] * 3
    mean, spread, variation = (float(row[name]) for name in ("mean", "sd", "cv_percent"))
    return [Cell(number(mean, digits)), Cell(number(spread, digits)), Cell(number(variation, 1))]


def ttest_table(ttests: pd.DataFrame, comparison: str, unit: str, dictionary: Dictionary) -> Table:
    """Paired t-tests: one row for each pair, one column for each metric.

    Parameters
    ----------
    ttests : DataFrame
        ``group_ttests.tsv``.
    comparison : {'models', 'baseline'}
    unit : {'subject', 'slice'}
    dictionary : mapping
        ``group_ttests.json``; its descriptions become footnotes.
    """
    chosen = ttests[(ttests["comparison"] == comparison) & (ttests["unit"] == unit)]
    rows = []
    for pair, group in chosen.groupby(["model_a", "method_a", "model_b", "method_b"], sort=False):
        found = {str(row["metric"]): row for row in group.to_dict("records")}
        second = str(pair[2]) if comparison == "models" else method_name(str(pair[3]))
        cells = [Cell(str(pair[0])), Cell(second)]
        cells += [_test_cell(found.get(column), digits) for column, _, digits, _ in METRICS]
        cells += [Cell(_range(group["n_subjects"])), Cell(_range(group["n_slices"]))]
        rows.append([*cells, Cell(_notes(group["note"]))])
    # A column of notes only where there is one to show.
    noted = any(row[-1].text for row in rows)
    rows = rows if noted else [row[:-1] for row in rows]
    columns = [Column("First"), Column("Second")]
    columns += [Column(label, "First minus second; p of the paired t-test", numeric=True) for _, label, _, _ in METRICS]
    columns += [Column("Subjects", numeric=True), Column("Slices", numeric=True)]
    columns += [Column("Note")] if noted else []
    terms = [(name, description(dictionary, name)) for name in ("mean_difference", "p", "p_holm")]
    return Table(columns, rows, footnotes=[(term, text) for term, text in terms if text] if rows else [])


def _test_cell(row: Mapping[Any, Any] | None, digits: int) -> Cell:
    if row is None:
        return Cell("–", "muted")
    difference, p, corrected = (float(row[name]) for name in ("mean_difference", "p", "p_holm"))
    mark = " †" if corrected < ALPHA else ""
    # One decimal more than a value has: differences are smaller.
    return Cell(f"{number(difference, digits + 1)}\np {p_value(p)}{mark}", "best" if p < ALPHA else "")


def _notes(notes: Iterable[object]) -> str:
    return "; ".join(dict.fromkeys(str(note) for note in notes if isinstance(note, str) and note != "n/a"))


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


def _range(values: pd.Series) -> str:
    low, high = float(values.min()), float(values.max())
    return _count(low) if low == high else f"{_count(low)}–{_count(high)}"


def _count(value: float) -> str:
    return str(round(value)) if math.isfinite(value) else "n/a"
