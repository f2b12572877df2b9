"""The article's Figures 5, 6 and 7: violins of configurations that differ in one respect, and marks of significance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bids_spectsynth.evaluation.case.metrics import METRICS, Region
from bids_spectsynth.evaluation.figures.comparison_bands import GAP, HEADING, MAX_LEVELS, Band, bands_of
from bids_spectsynth.evaluation.figures.palette import BAND, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from bids_spectsynth.evaluation.figures.style import FONT_SIZE, MM, WIDTH_MM, Drawing, fix_layout, print_style
from bids_spectsynth.evaluation.figures.violins import draw_violin
from bids_spectsynth.evaluation.group.configurations import (
    FIGURE_NUMBERS,
    Kind,
    comparison_groups,
    configurations,
    level_name,
    paper_rows,
    seed_means,
)
from bids_spectsynth.evaluation.group.subject_counts import split_counts, split_text, subjects_fingerprint
from bids_spectsynth.evaluation.paper.columns import ON_PAPER_SCALE
from bids_spectsynth.evaluation.paper.comparisons import ComparisonTests, PairResult
from bids_spectsynth.options.settings import T1W_SPACE

FloatArray = npt.NDArray[np.float64]

_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
#: Height of a row, and what lies above and below all rows: counts, axis labels, legend.
_ROW_MM, _MARGINS_MM = 6.0, 34.0
#: Shares of an axis's width: a bracket with its mark, and the bracket's hooks; all brackets keep to half of the width.
_LEVEL, _HOOK = 0.5 / MAX_LEVELS, 0.015
_QUESTIONS: dict[Kind, str] = {
    "space": "native against template space",
    "loss": "terms of the loss",
    "inputs": "images that the model takes",
}
_REGIONS: dict[Region, str] = {"whole": "whole slice", "brain": "in the brain"}
_MARKS = (
    "* slice-wise paired t-test, p < .01: the article's; slices of one head are not independent",
    "† subject-wise paired t-test, p < .01 after Holm: the one to rely on",
    "ns: neither; –: not tested",
)


@dataclass(frozen=True, eq=False)
class _Violin:
    """Finite values over slices, and each subject's mean."""

    values: FloatArray
    subject_means: FloatArray


def comparison_figure(
    metrics: pd.DataFrame, tests: pd.DataFrame, kind: Kind, columns: Sequence[str], *, phantom: bool
) -> Drawing | None:
    """Violins over held-out slices, one axis per metric, one band per group of comparable configurations.

    Parameters
    ----------
    metrics : DataFrame
        Rows of :func:`bids_spectsynth.evaluation.group.tables.gather_metrics`.
    tests : DataFrame
        ``group_ttests.tsv``; pairs that it does not hold are marked as not tested.
    kind : {'space', 'loss', 'inputs'}
        What differs within a band: Figures 5, 6 and 7.
    columns : sequence of str
        The metrics of one region, e.g. ``rmse``, ``ssim``, ``psnr``.
    phantom : bool
        Whether the images were simulated; the figure and its caption say so.

    Returns
    -------
    Drawing or None
        None where no two configurations differ in this respect alone.
    """
    region = METRICS[columns[0]].region
    rows = paper_rows(metrics)
    groups = comparison_groups(configurations(rows), kind)
    if not groups:
        return None
    bands = bands_of(groups, kind)
    means = {str(name): own for name, own in seed_means(rows).groupby("configuration")}
    results = ComparisonTests(tests)
    colours = _colours(bands, kind)
    with print_style():
        height = _MARGINS_MM + _ROW_MM * sum(len(band.group) + HEADING + GAP for band in bands)
        figure = Figure(figsize=(WIDTH_MM * MM, height * MM), layout="constrained")
        for place, axes in enumerate(figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]):
            column = columns[place]
            violins = {name: _violin(own, column) for name, own in means.items()}
            right = _set_limits(axes, bands, violins)
            for band in bands:
                _draw_band(axes, band, kind, violins, colours)
                _draw_brackets(axes, band, kind, column, results, right)
            axes.set_xlabel(METRICS[column].axis_title.replace(" (", "\n("))
        counts = _counts([means[one.name] for band in bands for one in band.group])
        _name_rows(figure.axes[0], bands, means if "different subjects" in counts else {})
        figure.suptitle(("PHANTOM DATA. " if phantom else "") + counts.replace("; ", "\n"), fontsize=FONT_SIZE)
        _legend(figure, colours)
        fix_layout(figure)
    title = f"Figure {FIGURE_NUMBERS[kind]}, {_REGIONS[region]}: {_QUESTIONS[kind]}"
    templates = sorted({one.space for band in bands for one in band.group} - {T1W_SPACE})
    crowded = any(band.crowded for band in bands)
    return Drawing(figure, title, _caption(kind, region, counts, templates, phantom=phantom, crowded=crowded))


def _violin(rows: pd.DataFrame, column: str) -> _Violin:
    finite = rows[np.isfinite(rows[column])]
    means = finite.groupby("participant_id")[column].mean().to_numpy(dtype=np.float64)
    return _Violin(finite[column].to_numpy(dtype=np.float64), means)


def _colours(bands: Sequence[Band], kind: Kind) -> dict[str, str]:
    names = list(dict.fromkeys(level_name(one, kind) for band in bands for one in band.group))
    return {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(names)}


def _set_limits(axes: Axes, bands: Sequence[Band], violins: Mapping[str, _Violin]) -> float:
    """Room for the data at the left and for brackets at the right; returns where these begin, as a share."""
    n_levels = 1 + max((bracket.level for band in bands for bracket in band.brackets), default=-1)
    right = 1 - _LEVEL * n_levels
    found = [violins[one.name].values for band in bands for one in band.group]
    values = np.concatenate(found)
    if values.size:
        low, high = float(values.min()), float(values.max())
        margin = 0.03 * max(high - low, 1e-6)
        axes.set_xlim(low - margin, low - margin + (high - low + 2 * margin) / right)
    axes.set_ylim(bands[-1].bottom - GAP / 2, bands[0].top + 0.5)
    axes.grid(axis="x", color="0.85", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.patch.set_alpha(0)
    return right


def _draw_band(axes: Axes, band: Band, kind: Kind, violins: Mapping[str, _Violin], colours: Mapping[str, str]) -> None:
    axes.axhspan(band.bottom, band.top + 0.5, color=BAND, linewidth=0, zorder=-2)
    for one, height in zip(band.group, band.heights, strict=True):
        violin = violins[one.name]
        if violin.values.size:
            colour = colours[level_name(one, kind)]
            draw_violin(axes, height, violin.values, violin.subject_means, colour, dot_size=2.2)


def _draw_brackets(axes: Axes, band: Band, kind: Kind, column: str, results: ComparisonTests, right: float) -> None:
    across = axes.get_yaxis_transform()
    for bracket in band.brackets:
        first, second = band.group[bracket.first], band.group[bracket.second]
        result = results(kind, first, second, column)
        x = right + 0.01 + bracket.level * _LEVEL
        upper, lower = band.heights[bracket.first] - 0.12, band.heights[bracket.second] + 0.12
        significant = result.slice_wise or result.subject_wise
        colour = ("black" if result.subject_wise else GREY) if significant else "0.75"
        ends = ([x, x + _HOOK, x + _HOOK, x], [upper, upper, lower, lower])
        axes.plot(*ends, color=colour, linewidth=0.7, transform=across, clip_on=False)
        for text, tone, shift in _marks(result):
            where = (x + _HOOK + 0.012 + shift, (upper + lower) / 2)
            axes.text(*where, text, color=tone, transform=across, ha="left", va="center")


def _marks(result: PairResult) -> list[tuple[str, str, float]]:
    """Text, colour and shift (share of the axis's width) of the marks beside a bracket."""
    if not result.tested:
        return [("–", GREY, 0.0)]
    stars = [("*", GREY, 0.0)] if result.slice_wise else []
    daggers = [("†", "black", 0.035 * len(stars))] if result.subject_wise else []
    return [*stars, *daggers] or [("ns", GREY, 0.0)]


def _name_rows(axes: Axes, bands: Sequence[Band], counted: Mapping[str, pd.DataFrame]) -> None:
    """Name the rows, with the number of subjects of those whose rows are given."""
    # Headings are longer than one axis may be wide; nothing stands in their way beside it.
    axes.set_zorder(1)
    for other in axes.figure.axes[1:]:
        other.spines["left"].set_visible(False)
    heights = [height for band in bands for height in band.heights]
    axes.set_yticks(heights, [label for band in bands for label in _row_labels(band, counted)])
    for band in bands:
        axes.text(0.01, band.top, band.heading, transform=axes.get_yaxis_transform(), va="center", fontweight="bold",
                  clip_on=False, in_layout=False)  # fmt: skip


def _row_labels(band: Band, counted: Mapping[str, pd.DataFrame]) -> list[str]:
    labels = []
    for one, label in zip(band.group, band.labels, strict=True):
        n = f" (n = {counted[one.name]['participant_id'].nunique()})" if one.name in counted else ""
        labels.append(label + n)
    return labels


def _legend(figure: Figure, colours: Mapping[str, str]) -> None:
    patches = [Patch(facecolor=colour, alpha=0.55, edgecolor="black", label=name) for name, colour in colours.items()]
    title = "\n".join(("violin: slices; line: mean of all slices; dots: means of subjects", *_MARKS))
    figure.legend(
        handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, title=title, title_fontsize=7.0
    )


def _counts(found: Sequence[pd.DataFrame]) -> str:
    """How many subjects and slices stand behind each violin; a range where they differ, and that they do."""
    subjects = [own["participant_id"].nunique() for own in found]
    splits = sorted({split_text(*split_counts(own)) for own in found})
    slices = [len(own) for own in found]
    counts = f"Each violin: {_span(subjects)} held-out subjects ({' or '.join(splits)}), {_span(slices)} slices"
    same = len({subjects_fingerprint(own["participant_id"]) for own in found}) == 1
    return counts if same else f"{counts}; models were rated on different subjects"


def _span(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _caption(kind: Kind, region: Region, counts: str, templates: Sequence[str], *, phantom: bool, crowded: bool) -> str:
    varied = {
        "space": "The two sides of a bracket differ in the space of the images alone. They show different anatomy: "
        "slices are paired by their position within the block.",
        "loss": "The sides of a bracket differ in the terms of the loss alone. L1: 1-norm; CE: cross-entropy of the "
        "adversary.",
        "inputs": "The sides of a bracket differ in the images that the model takes alone. MRI: T1w. L1: 1-norm; CE: "
        "cross-entropy of the adversary.",
    }[kind]
    where = (
        "Metrics in the brain where the SPECT was measured"
        if region == "brain"
        else "Metrics over the whole slice, as in the article (background raises SSIM and PSNR and lowers RMSE)"
    )
    left_out = (
        " Brackets are left out where there are too many pairs: their tests stand in group_comparisons.tsv."
        if crowded
        else ""
    )
    named = f" Template: {', '.join(templates)}." if templates else ""
    simulated = " The images were simulated (phantoms): these are no clinical numbers." if phantom else ""
    return (
        f"{varied} {where}, between synthetic and real SPECT, each axial slice of the real one scaled by its own "
        f"minimum and maximum. {ON_PAPER_SCALE} The block of slices with the most brain is counted. "
        f"{counts}.{left_out} "
        "Grey star: slice-wise paired t-test, two-tailed, p < .01, not corrected, as in the article; slices of one "
        "head are not independent, so that it is far too often positive. "
        "Black dagger: paired t-test over the subjects' means, p < .01 after Holm's correction over all pairs and "
        f"metrics of the figure. ns: neither. Dash: not tested.{named}{simulated}"
    )
