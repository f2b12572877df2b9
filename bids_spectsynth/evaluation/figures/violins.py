"""Violin plots of the metrics of all models beside their baselines, as SVG and PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_spectsynth.bids.output_files import group_figures
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.columns import METHODS, NETWORK
from bids_spectsynth.evaluation.figures.palette import BLUE, ORANGE
from bids_spectsynth.evaluation.figures.style import (
    MM,
    WIDTH_MM,
    Drawing,
    fix_layout,
    print_style,
    svg_text,
    write_drawing,
)
from bids_spectsynth.evaluation.group.configurations import seed_means
from bids_spectsynth.evaluation.group.subject_counts import split_counts, split_text, subjects_fingerprint
from bids_spectsynth.evaluation.group.tables import GroupTables, compared_rows

_SLICE = ["participant_id", "session_id", "slice"]


@dataclass(frozen=True, eq=False)
class _Row:
    """One violin: whose it is, its finite values, each subject's mean, and a fingerprint of the subjects."""

    configuration: str
    method: str
    values: npt.NDArray[np.float64]
    subject_means: npt.NDArray[np.float64]
    subjects: str


@dataclass(frozen=True, eq=False)
class _Group:
    """A method of a configuration: its rows in order, seeds averaged, and a number for each that names its slice."""

    configuration: str
    method: str
    scaling: str
    rows: pd.DataFrame
    slices: npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class _Shown:
    """What all figures share."""

    title: str
    groups: Sequence[_Group]


def violin(metrics: pd.DataFrame, metric: str) -> str:
    """Violin plot of one metric over the slices in the block (``in_block``) of the held-out subjects, as SVG.

    One violin per configuration (models that differ by their seed alone are averaged slice by slice) and per baseline,
    on the scale of the model's own training, a line at its mean, a dot at each subject's mean. A baseline that several
    models share, with the same numbers, is drawn once. Networks are blue, baselines orange.

    Parameters
    ----------
    metrics : DataFrame
        Rows of :func:`bids_spectsynth.evaluation.group.tables.gather_metrics`.
    metric : str
        One of :data:`bids_spectsynth.evaluation.case.metrics.METRICS`.

    Returns
    -------
    str
        SVG document; without held-out rows one that says so.
    """
    return svg_text(_drawing(_shown(metrics), metric))


def write_figures(tables: GroupTables, output_dir: Path) -> dict[str, Path]:
    """Write ``figures/group_<metric>.svg`` and ``.png`` for every metric; returns the paths of the SVG by metric."""
    paths = {metric: group_figures(output_dir) / f"group_{metric}.svg" for metric in METRICS}
    shown = _shown(tables.metrics)
    for metric, path in paths.items():
        write_drawing(_drawing(shown, metric), path)
    return paths


def _shown(metrics: pd.DataFrame) -> _Shown:
    """What is drawn of all rows."""
    compared = compared_rows(metrics)
    held_out = compared[compared["scale"] == compared["scaling"]]
    averaged = seed_means(held_out, ("configuration", "method", "space", "scaling"))
    groups = []
    for (configuration, method), group in averaged.groupby(["configuration", "method"], sort=False):
        ordered = group.sort_values(_SLICE)
        # Of four columns one number, so that the metrics need not compare their text.
        slices = np.asarray(pd.util.hash_pandas_object(ordered[["space", *_SLICE]], index=False), dtype=np.uint64)
        groups.append(_Group(str(configuration), str(method), str(group["scaling"].iloc[0]), ordered, slices))
    return _Shown(_title(held_out), groups)


def _drawing(shown: _Shown, metric: str) -> Drawing:
    rows = _rows(shown.groups, metric)
    with print_style():
        figure = Figure(figsize=(WIDTH_MM * MM, (18 + 9 * max(len(rows), 1)) * MM), layout="constrained")
        axes = figure.subplots()
        different = len({row.subjects for row in rows}) > 1
        axes.set_title(shown.title + ("\nnot all were rated on the same subjects" if different else ""))
        axes.set_xlabel(METRICS[metric].axis_title)
        if rows:
            _draw(axes, rows)
        else:
            axes.text(0.5, 0.5, "no held-out slices were rated", ha="center", va="center", transform=axes.transAxes)
            axes.set_yticks([])
        fix_layout(figure)
    return Drawing(figure, METRICS[metric].axis_title)


def _title(held_out: pd.DataFrame) -> str:
    n_slices = len(held_out[["space", "participant_id", "session_id", "slice"]].drop_duplicates())
    spaces = held_out["space"].nunique()
    across = f" (over {spaces} spaces)" if spaces > 1 else ""
    counted = f"Held-out subjects: {split_text(*split_counts(held_out))}; {n_slices} slices in the block{across}"
    scales = sorted(held_out["scaling"].unique())
    # Numbers of two scales stand on one axis only because a reader is told so.
    each = "; each model on the scale of its training, not to be compared across scales" if len(scales) > 1 else ""
    return f"{counted}{each}\nblue: networks, orange: baselines; line: mean of all slices, dots: means of subjects"


def _rows(groups: Sequence[_Group], metric: str) -> list[_Row]:
    rows: list[_Row] = []
    seen: set[tuple[str, str, bytes, bytes]] = set()
    for group in groups:
        finite = np.isfinite(group.rows[metric].to_numpy(dtype=np.float64))
        if not finite.any():
            continue
        own = group.rows[finite]
        values = own[metric].to_numpy(dtype=np.float64)
        # Rounded, because values went through text and may have been computed on several machines.
        same = (group.method, group.scaling, group.slices[finite].tobytes(), values.round(6).tobytes())
        if group.method != NETWORK and same in seen:
            continue
        seen.add(same)
        means = own.groupby("participant_id")[metric].mean().to_numpy(dtype=np.float64)
        subjects = subjects_fingerprint(own["participant_id"])
        rows.append(_Row(group.configuration, group.method, values, means, subjects))
    order = list(METHODS)
    return sorted(rows, key=lambda row: order.index(row.method) if row.method in order else len(order))


def _labels(rows: Sequence[_Row]) -> list[str]:
    methods = [row.method for row in rows]
    counts = {(len(row.values), row.subjects) for row in rows}
    labels = []
    for row in rows:
        label = row.configuration if row.method == NETWORK else row.method
        if row.method != NETWORK and methods.count(row.method) > 1:
            label += f" of {row.configuration}"
        if len(counts) > 1:
            label += f"\n{len(row.subject_means)} subjects, {len(row.values)} slices"
        labels.append(label)
    return labels


def _draw(axes: Axes, rows: Sequence[_Row]) -> None:
    positions = np.arange(len(rows), 0, -1)
    for position, row in zip(positions, rows, strict=True):
        colour = BLUE if row.method == NETWORK else ORANGE
        draw_violin(axes, float(position), row.values, row.subject_means, colour)
    axes.set_yticks(positions, _labels(rows))
    axes.set_ylim(0.4, len(rows) + 0.6)
    axes.grid(axis="x", color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)


def draw_violin(
    axes: Axes,
    position: float,
    values: npt.NDArray[np.float64],
    subject_means: npt.NDArray[np.float64],
    colour: str,
    dot_size: float = 3.5,
) -> None:
    """A horizontal violin of values over slices, a line at their mean, a white dot at each subject's mean.

    Parameters
    ----------
    axes : Axes
    position : float
        Height of its middle; it is 0.85 wide.
    values : array, shape (n,)
        Finite, one at least.
    subject_means : array, shape (subjects,)
    colour : str
    dot_size : float
        Points.
    """
    parts = axes.violinplot(
        [values], [position], orientation="horizontal", showmeans=True, showextrema=False, widths=0.85
    )
    bodies: Any = parts["bodies"]
    for body in bodies:
        body.set_facecolor(colour)
        body.set_edgecolor("black")
        body.set_linewidth(0.6)
        body.set_alpha(0.55)
    means: Any = parts["cmeans"]
    means.set_color("black")
    means.set_linewidth(1.0)
    # Subjects with like means would hide each other on one line.
    offsets = position + 0.12 * (np.arange(len(subject_means)) % 3 - 1)
    axes.plot(
        subject_means, offsets, "o", color="white", markeredgecolor="black", markeredgewidth=0.6, markersize=dot_size
    )
