"""Section of the group report: whether the predicted standard deviation tells where a synthetic SPECT is wrong."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bids_spectsynth.bids.output_files import group_table_path, read_table
from bids_spectsynth.evaluation.case.calibration import ALL
from bids_spectsynth.evaluation.figures.palette import IDENTITY, LINES
from bids_spectsynth.reports.html import Block, Cell, Column, Picture, Section, Table, Text, number
from bids_spectsynth.reports.pictures.mosaic import drawing_style, to_svg

_LINE = ["configuration", "space", "sampled_by", "samples"]


def calibration_section(output_dir: Path) -> Section | None:
    """Table and figure of ``group_calibration.tsv``; None where no uncertainty was rated."""
    path = group_table_path(output_dir, "calibration")
    if not path.exists():
        return None
    table = read_table(path)
    blocks: list[Block] = [
        Text(
            "A predicted standard deviation says how much networks disagree. Here it is compared with the error that "
            "was found on held-out subjects: on the dashed line both are equal, above it the image is less certain "
            "than it claims. Noise of the real SPECT is part of the error and of no prediction."
        ),
        Picture(
            _figure(table), "Error against predicted standard deviation", "Tenths of the voxels, mean over subjects."
        ),
        _table(table),
    ]
    return Section("uncertainty", "Uncertainty of synthetic images", blocks)


def _figure(table: pd.DataFrame) -> str:
    bins = table[table["bin"] != ALL]
    with drawing_style():
        figure = Figure(figsize=(7.0, 4.6), facecolor="white", layout="constrained")
        axes = figure.subplots()
        top = 1.05 * float(bins[["rmse", "predicted_sd"]].max().max())
        axes.plot([0, top], [0, top], color=IDENTITY, linestyle="--", linewidth=1, label="error as predicted")
        # Each line is of one model and one way of sampling: a line through two of them would be of neither.
        for position, (name, rows) in enumerate(bins.groupby(_LINE, sort=False)):
            configuration, space, sampled_by, samples = name
            label = f"{configuration}, {space} ({samples} by {sampled_by})"
            axes.errorbar(
                rows["predicted_sd"],
                rows["rmse"],
                yerr=rows["rmse_sd"].fillna(0),
                color=LINES[position % len(LINES)],
                marker="o",
                markersize=4,
                linewidth=1.2,
                capsize=2,
                label=label,
            )
        axes.set_xlabel("predicted standard deviation (fraction of the in-brain mean)")
        axes.set_ylabel("error found, root mean square (fraction of the in-brain mean)")
        axes.set_xlim(0, None)
        axes.set_ylim(0, None)
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        return to_svg(figure)


def _table(table: pd.DataFrame) -> Table:
    rows = [
        [
            Cell(str(row["configuration"])),
            Cell(str(row["space"])),
            Cell(str(row["sampled_by"])),
            Cell(str(row["samples"])),
            Cell(number(float(row["predicted_sd"]))),
            Cell(f"{number(float(row['rmse']))} ± {number(float(row['rmse_sd']))}"),
            Cell(number(float(row["ratio"]), 2)),
            Cell(number(float(row["rank_correlation"]), 2)),
            Cell(str(row["n_subjects"])),
            Cell(f"{row['n_voxels']:.0f}"),
        ]
        for row in table[table["bin"] == ALL].to_dict("records")
    ]
    columns = [
        Column("Model"),
        Column("Space"),
        Column("Sampled by"),
        Column("Samples", numeric=True),
        Column("Predicted SD", "Fraction of the in-brain mean", numeric=True),
        Column("Error found", "Root mean square; mean ± SD over subjects", numeric=True),
        Column("Ratio", "Error over predicted SD; 1 where the prediction is right", numeric=True),
        Column("Rank correlation", "Of predicted SD and absolute error over voxels", numeric=True),
        Column("Subjects", numeric=True),
        Column("Voxels", "Of all subjects; of several sessions or seeds of a subject their mean", numeric=True),
    ]
    return Table(columns, rows, "All voxels of brain where the SPECT was measured, held-out subjects.")
