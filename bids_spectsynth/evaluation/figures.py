"""Violin plots of the metrics as SVG: the same data gives the same bytes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_spectsynth.bids.derivatives import write_text
from bids_spectsynth.evaluation.columns import METHODS, METRIC_TITLES, NETWORK
from bids_spectsynth.evaluation.metrics import METRICS
from bids_spectsynth.evaluation.tables import GroupTables, compared_rows

# Two colours of Okabe and Ito's palette, told apart with every kind of colour vision and in grey print.
_NETWORK_COLOUR = "#0072B2"
_BASELINE_COLOUR = "#E69F00"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "bids_spectsynth",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
}


@dataclass(frozen=True, eq=False)
class _Row:
    """One violin: whose it is, its finite values, and each subject's mean."""

    model: str
    method: str
    values: npt.NDArray[np.float64]
    subject_means: npt.NDArray[np.float64]


def violin(metrics: pd.DataFrame, metric: str) -> str:
    """Violin plot of one metric over the slices in the block (``in_block``) of the held-out subjects, as SVG.

    One violin per model and per baseline, a line at its mean, a dot at each subject's mean. A baseline that several
    models share, with the same numbers, is drawn once. Networks are blue, baselines orange.

    Parameters
    ----------
    metrics : DataFrame
        Rows of :func:`bids_spectsynth.evaluation.tables.gather_metrics`.
    metric : str
        One of :data:`bids_spectsynth.evaluation.metrics.METRICS`.

    Returns
    -------
    str
        SVG document; without held-out rows one that says so.
    """
    held_out = compared_rows(metrics)
    rows = _rows(held_out, metric)
    # For this block alone, and whatever the user's matplotlibrc says; no pyplot figure is opened.
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(7.5, 1.3 + 0.42 * max(len(rows), 1)), layout="constrained")
        axes = figure.subplots()
        axes.set_title(_title(held_out), fontsize=9)
        axes.set_xlabel(METRIC_TITLES[metric])
        if rows:
            _draw(axes, rows)
        else:
            axes.text(0.5, 0.5, "no held-out slices were rated", ha="center", va="center", transform=axes.transAxes)
            axes.set_yticks([])
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Title": METRIC_TITLES[metric]})
    return stream.getvalue()


def write_figures(tables: GroupTables, output_dir: Path) -> dict[str, Path]:
    """Write ``figures/group_<metric>.svg`` for every metric; returns the paths by metric."""
    paths = {metric: output_dir / "figures" / f"group_{metric}.svg" for metric in METRICS}
    for metric, path in paths.items():
        write_text(path, violin(tables.metrics, metric))
    return paths


def _title(held_out: pd.DataFrame) -> str:
    n_subjects = held_out["participant_id"].nunique()
    n_slices = len(held_out[["space", "participant_id", "session_id", "slice"]].drop_duplicates())
    spaces = held_out["space"].nunique()
    splits = " and ".join(sorted(set(held_out["split"]))) or "none"
    across = f" (over {spaces} spaces)" if spaces > 1 else ""
    counted = f"Held-out subjects ({splits}): {n_subjects} subjects, {n_slices} slices in the block{across}"
    return f"{counted}\nblue: networks, orange: baselines; line: mean of all slices, dots: means of subjects"


def _rows(held_out: pd.DataFrame, metric: str) -> list[_Row]:
    finite = held_out[np.isfinite(held_out[metric].to_numpy(dtype=np.float64))]
    rows: list[_Row] = []
    seen: set[tuple[str, str, bytes]] = set()
    for (model, method), group in finite.groupby(["model", "method"], sort=False):
        ordered = group.sort_values(["participant_id", "session_id", "slice"])
        values = ordered[metric].to_numpy(dtype=np.float64)
        slices = ordered[["space", "participant_id", "session_id", "slice"]].to_csv(index=False)
        # Rounded, because values went through text and may have been computed on several machines.
        same = (str(method), slices, values.round(6).tobytes())
        if method != NETWORK and same in seen:
            continue
        seen.add(same)
        means = ordered.groupby("participant_id")[metric].mean().to_numpy(dtype=np.float64)
        rows.append(_Row(str(model), str(method), values, means))
    order = list(METHODS)
    return sorted(rows, key=lambda row: order.index(row.method) if row.method in order else len(order))


def _labels(rows: Sequence[_Row]) -> list[str]:
    methods = [row.method for row in rows]
    counts = {(len(row.values), len(row.subject_means)) for row in rows}
    labels = []
    for row in rows:
        label = row.model if row.method == NETWORK else row.method
        if row.method != NETWORK and methods.count(row.method) > 1:
            label += f" of {row.model}"
        if len(counts) > 1:
            label += f"\n{len(row.subject_means)} subjects, {len(row.values)} slices"
        labels.append(label)
    return labels


def _draw(axes: Axes, rows: Sequence[_Row]) -> None:
    positions = np.arange(len(rows), 0, -1)
    parts = axes.violinplot(
        [row.values for row in rows], list(positions), orientation="horizontal", showmeans=True, showextrema=False,
        widths=0.85,
    )  # fmt: skip
    bodies: Any = parts["bodies"]
    for body, row in zip(bodies, rows, strict=True):
        body.set_facecolor(_NETWORK_COLOUR if row.method == NETWORK else _BASELINE_COLOUR)
        body.set_edgecolor("black")
        body.set_linewidth(0.6)
        body.set_alpha(0.55)
    means: Any = parts["cmeans"]
    means.set_color("black")
    for position, row in zip(positions, rows, strict=True):
        # Subjects with like means would hide each other on one line.
        offsets = position + 0.12 * (np.arange(len(row.subject_means)) % 3 - 1)
        axes.plot(row.subject_means, offsets, "o", color="white", markeredgecolor="black", markersize=4)
    axes.set_yticks(positions, _labels(rows))
    axes.set_ylim(0.4, len(rows) + 0.6)
    axes.grid(axis="x", color="0.85", linewidth=0.6)
    axes.set_axisbelow(True)
