"""Section of the group report: whether the predicted standard deviation tells where a synthetic SPECT is wrong."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bids_spectsynth.bids.output_files import group_table_path, read_table
from bids_spectsynth.evaluation.figures.palette import IDENTITY, LINES
from bids_spectsynth.evaluation.uncertainty.factors import LEVELS
from bids_spectsynth.evaluation.uncertainty.rating import ALL, N_BINS, VOXELS, coverage_column
from bids_spectsynth.evaluation.uncertainty.residuals import ASYMMETRY, UPTAKE
from bids_spectsynth.reports.html import Block, Cell, Column, Picture, Section, Table, Text, number
from bids_spectsynth.reports.pictures.charts import drawing_style, to_svg

_LINE = ["configuration", "space", "sampled_by", "samples"]
_TENTHS = [str(number) for number in range(1, N_BINS + 1)]
_WHAT = {VOXELS: "voxels", UPTAKE: "uptake of regions", ASYMMETRY: "asymmetry of regions"}


def calibration_section(output_dir: Path) -> Section | None:
    """Table and figure of ``group_calibration.tsv``; None where no uncertainty was rated."""
    path = group_table_path(output_dir, "calibration")
    if not path.exists():
        return None
    table = read_table(path)
    blocks: list[Block] = [
        Text(
            "Predicted standard deviations and intervals against the errors found on held-out subjects. Those by "
            "ensemble and dropout say how much networks disagree, and noise of the real SPECT is no part of them; "
            "those by calibration rest on the errors of other held-out subjects, noise included. On the dashed line "
            "prediction and error are equal, above it the image is less certain than it claims."
        ),
        Picture(
            _figure(table), "Error against predicted standard deviation", "Tenths of the voxels, mean over subjects."
        ),
        _table(table),
        Picture(
            _coverage_figure(table),
            "Coverage of intervals",
            "Voxels, mean over subjects; the bars end at the subject with the smallest coverage of the 90 % interval.",
            narrow=True,
        ),
        _coverage_table(table),
    ]
    return Section("uncertainty", "Uncertainty of synthetic images", blocks)


def _figure(table: pd.DataFrame) -> str:
    bins = table[table["bin"].isin(_TENTHS)]
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
        for row in table[(table["bin"] == ALL) & (table["measure"] == VOXELS)].to_dict("records")
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


def _coverage_figure(table: pd.DataFrame) -> str:
    voxels = table[(table["bin"] == ALL) & (table["measure"] == VOXELS)]
    nominal = [100 * level for level in LEVELS]
    with drawing_style():
        figure = Figure(figsize=(4.6, 4.2), facecolor="white", layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 100], [0, 100], color=IDENTITY, linestyle="--", linewidth=1, label="as claimed")
        for position, row in enumerate(voxels.to_dict("records")):
            found = [row[coverage_column(level)] for level in LEVELS]
            colour = LINES[position % len(LINES)]
            label = f"{row['configuration']}, {row['space']} ({row['samples']} by {row['sampled_by']})"
            axes.plot(nominal, found, color=colour, marker="o", markersize=4, linewidth=1.2, label=label)
            axes.vlines(90, row["coverage_90_least"], row["coverage_90"], color=colour, linewidth=1)
        axes.set_xlabel("nominal coverage (%)")
        axes.set_ylabel("real values within the interval (%)")
        axes.set_xlim(40, 100)
        axes.set_ylim(0, 100)
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        return to_svg(figure)


def _coverage_table(table: pd.DataFrame) -> Table:
    shown = table[~table["bin"].isin(_TENTHS)]
    rows = [
        [
            Cell(str(row["configuration"])),
            Cell(str(row["space"])),
            Cell(str(row["sampled_by"])),
            Cell(_WHAT[str(row["measure"])] + ("" if row["bin"] == ALL else f", {row['bin']} matter")),
            *(Cell(number(float(row[coverage_column(level)]), 1)) for level in LEVELS),
            Cell(number(float(row["coverage_90_sd"]), 1)),
            Cell(number(float(row["coverage_90_least"]), 1)),
            Cell(number(float(row["width_90"]), 2 if row["measure_unit"] == "percent" else 3)),
            Cell(str(row["n_subjects"])),
        ]
        for row in shown.to_dict("records")
    ]
    columns = [
        Column("Model"),
        Column("Space"),
        Column("By"),
        Column("Of"),
        *(Column(f"{100 * level:g} %", "Real values within the interval, %", numeric=True) for level in LEVELS),
        Column("SD at 90 %", "Over subjects, percentage points", numeric=True),
        Column("Least at 90 %", "Of the subject with the smallest coverage", numeric=True),
        Column("Width at 90 %", "Fraction of the in-brain mean; of asymmetry percent", numeric=True),
        Column("Subjects", numeric=True),
    ]
    return Table(columns, rows, "Coverage of intervals on held-out subjects, by what is nominal.")
