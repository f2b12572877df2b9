"""Figures of the group level: what two baselines have in common, and which baseline finds the focus."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_spectsynth.bids.output_files import group_figures
from bids_spectsynth.evaluation.figures.palette import BLUE, GREEN, GREY, LINES, ORANGE, PURPLE, SKY, VERMILION
from bids_spectsynth.evaluation.figures.style import MM, WIDTH_MM, Drawing, fix_layout, print_style, write_drawing
from bids_spectsynth.siscom.concordance import SAME_FOCUS_MM
from bids_spectsynth.siscom.group.agreement import VERDICT_NAMES
from bids_spectsynth.siscom.group.localisation import NO_SEIZURE

_COLOURS = (BLUE, SKY, GREEN, VERMILION, ORANGE, PURPLE, GREY)
_RATES = {"hit_rate": "hit", "missed_rate": "missed (omitted)", "false_rate": "false foci (fabricated)"}
_INTERVALS = "Bars: 95 % intervals by Clopper and Pearson. Nobody whom a model has learned from."


def concordance_drawing(table: pd.DataFrame) -> Drawing:
    """Shares of the verdicts, a bar for each pair of baselines.

    Parameters
    ----------
    table : DataFrame
        ``group_siscom_concordance.tsv``, at least one row.
    """
    with print_style():
        figure = Figure(figsize=(WIDTH_MM * MM, (25 + 7 * len(table)) * MM), layout="constrained")
        axes = figure.subplots()
        left = np.zeros(len(table))
        for (verdict, name), colour in zip(VERDICT_NAMES.items(), _COLOURS, strict=True):
            width = 100 * table[f"share_{name}"].fillna(0).to_numpy(dtype=np.float64)
            if width.any():
                axes.barh(np.arange(len(table)), width, left=left, color=colour, label=verdict, height=0.7)
            left += width
        pairs = zip(table["baseline_a"], table["baseline_b"], table["n_participants"], strict=True)
        axes.set_yticks(np.arange(len(table)), [f"{a}, {b} (n = {n})" for a, b, n in pairs])
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("Participants (%)")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper center", ncols=len(VERDICT_NAMES), frameon=False)
        fix_layout(figure)
    caption = (
        f"Top foci of two baselines; same focus: {SAME_FOCUS_MM:g} mm apart at most. Whom a model has seen is left out."
    )
    return Drawing(figure, "What the top foci of two baselines have in common", caption)


def localisation_drawing(table: pd.DataFrame) -> Drawing:
    """Rates of hits, missed and false foci with their intervals, a panel for each measure.

    Parameters
    ----------
    table : DataFrame
        ``group_siscom_localisation.tsv``, at least one row of one baseline.
    """
    single = table[table["other"] == "n/a"]
    panels = list(single.groupby(["against", "measure"], sort=False))
    most = max(len(rows) for _, rows in panels)
    n_rows = -(-len(panels) // 2)
    with print_style():
        figure = Figure(figsize=(WIDTH_MM * MM, (12 + n_rows * (18 + 8 * most)) * MM), layout="constrained")
        grid = figure.subplots(n_rows, 2, sharex=True, squeeze=False)
        for axes, ((against, measure), rows) in zip(grid.flat, panels, strict=False):
            axes.set_title(str(measure) if measure == NO_SEIZURE else f"{against}: {measure}".replace("_", " "))
            _draw_rates(axes, rows)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(_RATES), frameon=False)
        figure.supxlabel("Participants (%)", fontsize=7)
        fix_layout(figure)
    return Drawing(figure, "Which baseline finds the focus", _INTERVALS)


def _draw_rates(axes: Axes, rows: pd.DataFrame) -> None:
    places = np.arange(len(rows))
    for shift, (name, label), colour in zip((-0.22, 0, 0.22), _RATES.items(), LINES, strict=False):
        rate, low, high = (100 * rows[f"{name}{end}"].to_numpy(dtype=np.float64) for end in ("", "_low", "_high"))
        spread = np.clip([rate - low, high - rate], 0, None)
        axes.errorbar(rate, places + shift, xerr=spread, fmt="o", markersize=3, color=colour, linewidth=1, label=label)
    names = zip(rows["baseline"], rows["n_participants"], strict=True)
    axes.set_yticks(places, [f"{baseline} (n = {n})" for baseline, n in names])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-3, 103)
    axes.spines[["top", "right"]].set_visible(False)


def write_siscom_figures(concordance: pd.DataFrame, localisation: pd.DataFrame, output_dir: Path) -> list[Path]:
    """Write ``figures/group_siscom_concordance.svg`` and ``figures/group_siscom_localisation.svg``, each also as PNG.

    A figure without rows is not written, and an older one is removed.

    Parameters
    ----------
    concordance, localisation : DataFrame
        The tables of the group level.
    output_dir : Path

    Returns
    -------
    list of Path
        Of the SVG files.
    """
    written = []
    for name, table, draw in (
        ("concordance", concordance, concordance_drawing),
        ("localisation", localisation, localisation_drawing),
    ):
        path = group_figures(output_dir) / f"group_siscom_{name}.svg"
        if table.empty or not (table["n_participants"] > 0).any():
            for stale in (path, path.with_suffix(".png")):
                stale.unlink(missing_ok=True)
            continue
        write_drawing(draw(table), path)
        written.append(path)
    return written
