"""Figures of regional agreement: Bland-Altman plot of uptake, and synthetic against real asymmetry, for each model."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_spectsynth.bids.output_files import group_figures
from bids_spectsynth.evaluation.case.regions import HEMISPHERE
from bids_spectsynth.evaluation.columns import NETWORK
from bids_spectsynth.evaluation.figures.palette import BLUE, GREY, VERMILION
from bids_spectsynth.evaluation.figures.style import MM, WIDTH_MM, Drawing, fix_layout, print_style, write_drawing
from bids_spectsynth.evaluation.group.bland_altman import AgreementTables, held_out
from bids_spectsynth.evaluation.statistics.bland_altman import MARKED_PERCENT, Interval, limits_of_agreement

#: Names of the figures' files begin so.
PREFIX = "group_agreement_"
#: More points than this are drawn as pixels, so that the file stays small; lines and text stay vectors.
MAX_VECTOR_POINTS = 3000
_HEIGHT_MM = 82.0

Float64 = npt.NDArray[np.float64]


def agreement_drawing(rows: pd.DataFrame, model: str) -> Drawing:
    """Both plots of one model's network.

    Parameters
    ----------
    rows : DataFrame
        Held-out rows of the network in ``group_regions.tsv``, of blocks alone.
    model : str

    Returns
    -------
    Drawing
        Left: mean of real and synthetic uptake (in-brain mean = 1) against their difference, a point for each block of
        each subject, with bias, limits of agreement and their 95 % intervals. Right: asymmetry index (percent) of the
        real against that of the synthetic SPECT, a point for each pair of blocks, with the line of identity.
    """
    usable = rows[np.isfinite(rows[["real", "synthetic"]].to_numpy(dtype=np.float64)).all(axis=1)]
    splits = " and ".join(sorted(usable["split"].unique()))
    counted = f"{usable['participant_id'].nunique()} subjects ({splits})"
    title = f"Regional agreement of synthetic and real SPECT, {model}"
    with print_style():
        figure = Figure(figsize=(WIDTH_MM * MM, _HEIGHT_MM * MM), layout="constrained")
        left, right = figure.subplots(1, 2)
        figure.suptitle(f"{model}: {counted}, synthetic SPECT against real SPECT")
        _draw_bland_altman(left, usable)
        _draw_asymmetry(right, usable)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
        fix_layout(figure)
    caption = (
        f"{counted}. Left: Bland-Altman plot of the uptake of {len(usable)} blocks; right: asymmetry of "
        f"{int((usable['hemisphere'] == 'L').sum())} pairs of blocks. Blocks of one subject are not independent."
    )
    return Drawing(figure, title, caption)


def _draw_bland_altman(axes: Axes, rows: pd.DataFrame) -> None:
    real, synthetic = (rows[name].to_numpy(dtype=np.float64) for name in ("real", "synthetic"))
    limits = limits_of_agreement(synthetic - real, rows["participant_id"].to_numpy(dtype=str))
    _draw_points(axes, (real + synthetic) / 2, synthetic - real)
    axes.axhline(0, color=GREY, linewidth=0.5)
    for interval, name, colour, dash in (
        (limits.upper, "upper limit", VERMILION, "--"),
        (limits.bias, "bias", "black", "-"),
        (limits.lower, "lower limit", VERMILION, "--"),
    ):
        _draw_level(axes, interval, name, colour, dash)
    axes.set_title(f"{len(rows)} values of {_n_regions(rows)} blocks; bands: 95 % intervals over subjects")
    axes.set_xlabel("Mean of real and synthetic uptake (in-brain mean = 1)")
    axes.set_ylabel("Synthetic - real (in-brain mean = 1)")


def _draw_level(axes: Axes, interval: Interval, name: str, colour: str, dash: str) -> None:
    if not np.isfinite(interval.value):
        return
    if np.isfinite(interval.low) and np.isfinite(interval.high):
        axes.axhspan(interval.low, interval.high, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(interval.value, color=colour, linewidth=1.0, linestyle=dash)
    # At the right edge, above the line, whatever the data's range.
    axes.annotate(
        f"{name} {interval.value:+z.3f}", (1, interval.value), xycoords=("axes fraction", "data"), ha="right",
        va="bottom", xytext=(0, 1), textcoords="offset points", color=colour,
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.5},
    )  # fmt: skip


def _draw_asymmetry(axes: Axes, rows: pd.DataFrame) -> None:
    pairs = rows[rows["hemisphere"] == "L"]
    real, synthetic = (pairs[name].to_numpy(dtype=np.float64) for name in ("asymmetry_real", "asymmetry_synthetic"))
    usable = np.isfinite(real) & np.isfinite(synthetic)
    real, synthetic = real[usable], synthetic[usable]
    reach = 1.08 * max(float(np.abs(np.concatenate([real, synthetic])).max(initial=0.0)), MARKED_PERCENT)
    axes.axvspan(-MARKED_PERCENT, MARKED_PERCENT, color=GREY, alpha=0.12, linewidth=0)
    axes.plot([-reach, reach], [-reach, reach], color="black", linewidth=0.8, label="identity")
    axes.axhline(0, color=GREY, linewidth=0.5)
    axes.axvline(0, color=GREY, linewidth=0.5)
    _draw_points(axes, real, synthetic)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.set_title(f"{len(real)} pairs of blocks; line: identity; band: real within {MARKED_PERCENT:g} %")
    axes.set_xlabel("Asymmetry index of the real SPECT (%, left > right: +)")
    axes.set_ylabel("Asymmetry index of the synthetic SPECT (%)")


def _draw_points(axes: Axes, x: Float64, y: Float64) -> None:
    axes.scatter(x, y, s=5, color=BLUE, alpha=0.4, linewidths=0, rasterized=len(x) > MAX_VECTOR_POINTS)


def _n_regions(rows: pd.DataFrame) -> int:
    return len(rows[["region", "hemisphere"]].drop_duplicates())


def write_agreement_figures(tables: AgreementTables, output_dir: Path) -> list[Path]:
    """Write ``figures/group_agreement_<model>.svg`` and ``.png`` for every model with held-out blocks.

    Returns
    -------
    list of Path
        Of the SVG files. Those of models that are gone are removed.
    """
    rows = held_out(tables.regions)
    blocks = rows[(rows["method"] == NETWORK) & (rows["region"] != HEMISPHERE)]
    folder = group_figures(output_dir)
    paths = {str(model): folder / f"{PREFIX}{model}.svg" for model in blocks["model"].unique()}
    for model, path in paths.items():
        write_drawing(agreement_drawing(blocks[blocks["model"] == model], model), path)
    kept = {file for path in paths.values() for file in (path, path.with_suffix(".png"))}
    for stale in set(folder.glob(f"{PREFIX}*")) - kept:
        stale.unlink()
    return list(paths.values())
