"""The article's Figures 3 and 4: example slices, real and synthetic, their difference, and their metrics."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.errors import SpectSynthError
from bids_spectsynth.evaluation.case.metrics import metrics_in
from bids_spectsynth.evaluation.figures.palette import DIFFERENCE, GREY_SCALE, UPTAKE
from bids_spectsynth.evaluation.figures.panels import Page, draw_outline, draw_panel, window_of
from bids_spectsynth.evaluation.figures.style import MM, Drawing, print_style
from bids_spectsynth.evaluation.group.configurations import (
    PAPER_SCALE,
    Configuration,
    input_name,
    loss_name,
    paper_rows,
    space_name,
)
from bids_spectsynth.evaluation.group.subject_counts import split_counts, split_text
from bids_spectsynth.evaluation.paper.columns import ON_PAPER_SCALE
from bids_spectsynth.evaluation.paper.example_images import SHOWN_INPUTS, ExampleImages, read_example
from bids_spectsynth.evaluation.paper.examples import Example, choose_examples, shown_models
from bids_spectsynth.evaluation.paper.tables import example_table
from bids_spectsynth.options.declarations.model import input_order
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.threads import Threads

logger = logging.getLogger(__name__)

#: Columns of one figure: two inputs, the real SPECT, and two for each of four models.
_WIDEST = 11
#: Examples read at once; each may hold a few whole volumes.
_MAX_THREADS = 2
#: In names of files: terms of a loss, and their weights.
_FILE_NAME = str.maketrans({"+": "_", "(": "-", ")": None})
_UPTAKE_COLOURS = (UPTAKE, -1.0, 1.0)
#: Where the two lines of column titles stand, mm above the first row.
_TITLES = (6.3, 2.6)


@dataclass(frozen=True)
class _Variant:
    """Models of one space, loss and recipe, which share a figure.

    ``stem`` is the name of its file, ``inputs`` are the roles of the images shown beside the SPECT.
    """

    stem: str
    models: tuple[tuple[Configuration, str], ...]
    inputs: tuple[str, ...]

    @property
    def one(self) -> Configuration:
        """Any of the configurations, for what they share."""
        return self.models[0][0]


def example_figures(metrics: pd.DataFrame, output_dir: Path, *, phantom: bool) -> Iterator[tuple[str, Drawing]]:
    """Example slices in native (Figure 3) and template space (Figure 4), a figure for each loss and recipe.

    Parameters
    ----------
    metrics : DataFrame
        Rows of :func:`bids_spectsynth.evaluation.group.tables.gather_metrics`.
    output_dir : Path
        Holds the prepared and the synthetic images. Examples whose images are missing or damaged are left out, with
        a warning.
    phantom : bool
        Whether the images were simulated; figures and captions say so.

    Yields
    ------
    stem : str
        File name without extension: ``paper_figure3`` for the article's loss without SSIM, longer ones for others.
    drawing : Drawing
    """
    rows = paper_rows(metrics)
    templates = sorted(set(rows["space"].unique()) - {T1W_SPACE})
    for space in [T1W_SPACE, *templates]:
        shown = shown_models(rows, space)
        images = _read(rows, space, shown, output_dir)
        if not images:
            continue
        numbers = example_table(rows, [space])
        stem = "paper_figure3" if space == T1W_SPACE else "paper_figure4"
        stem += f"_{space}" if space in templates[1:] else ""
        for variant in _variants(shown, stem):
            yield variant.stem, _draw(variant, images, numbers, phantom)


def _shown_inputs(models: Sequence[tuple[Configuration, str]]) -> tuple[str, ...]:
    """T1w, PET, and whatever else a model was given, in the order of a model's inputs."""
    of_models = (role for one, _ in models for role in one.inputs.split("+"))
    return tuple(input_order(dict.fromkeys((*SHOWN_INPUTS, *of_models))))


def _read(
    rows: pd.DataFrame, space: str, shown: Sequence[tuple[Configuration, str]], output_dir: Path
) -> list[ExampleImages]:
    scalings, inputs = {model: one.scaling for one, model in shown}, _shown_inputs(shown)

    def read(example: Example) -> ExampleImages | None:
        # One participant's damaged image must not cost the whole cohort its figures.
        try:
            return read_example(output_dir, example, scalings, inputs)
        except SpectSynthError as error:
            logger.warning("no example figure of %s: %s", example.participant_id, error)
            return None

    # Unpacking, which takes nearly all of the time, leaves the interpreter to others.
    with Threads(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        return [images for images in pool.map(read, choose_examples(rows, space)) if images is not None]


def _variants(shown: Sequence[tuple[Configuration, str]], stem: str) -> Iterator[_Variant]:
    groups: dict[tuple[str, str, str], list[tuple[Configuration, str]]] = {}
    for one, model in shown:
        groups.setdefault((one.losses, one.recipe, one.scaling), []).append((one, model))
    for place, ((losses, recipe, scaling), models) in enumerate(groups.items()):
        parts = [losses.translate(_FILE_NAME), *([recipe] if recipe != "fard2024" else [])]
        parts += [scaling] if scaling != PAPER_SCALE else []
        name = "_".join([stem, *(parts if place else [])]).replace("/", "")
        inputs = _shown_inputs(models)
        widest = max(1, (_WIDEST - len(inputs) - 1) // 2)
        for start in range(0, len(models), widest):
            part = tuple(models[start : start + widest])
            yield _Variant(f"{name}_{start // widest + 1}" if start else name, part, inputs)


def _draw(variant: _Variant, images: Sequence[ExampleImages], numbers: pd.DataFrame, phantom: bool) -> Drawing:
    heading = _heading(variant, len(images), phantom)
    page = Page(len(images), len(variant.models), window_of(images), heading, len(variant.inputs))
    limit = _difference_limit(variant, images)
    with print_style():
        figure = Figure(figsize=(page.size[0] * MM, page.size[1] * MM), facecolor="white")
        page.head(figure)
        _name_columns(figure, page, variant)
        for row, one in enumerate(images):
            _draw_row(figure, page, row, one, variant, numbers, limit)
        page.colour_bar(figure, 0.25, (-1, 1), UPTAKE, "SPECT, real and synthetic\n(scaled intensity)")
        page.colour_bar(figure, 0.75, (-limit, limit), DIFFERENCE, "synthetic − real\n(scaled intensity)")
    number = 3 if variant.one.space == T1W_SPACE else 4
    title = f"Figure {number}: example slices, {space_name(variant.one.space)} space, {loss_name(variant.one.losses)}"
    return Drawing(figure, title, _caption(variant, images, phantom))


def _difference_limit(variant: _Variant, images: Sequence[ExampleImages]) -> float:
    """End of the differences' colour scale: nearly all of them in the brain, up to the next tenth."""
    found = [
        np.abs(one.synthetic[model] - one.real)[one.brain]
        for one in images
        for _, model in variant.models
        if model in one.synthetic
    ]
    values = np.concatenate([np.zeros(1), *found])
    return max(0.2, float(np.ceil(10 * np.percentile(values, 99)) / 10))


def _heading(variant: _Variant, n: int, phantom: bool) -> str:
    shared = ", ".join(filter(None, (loss_name(variant.one.losses), variant.one.recipe_name)))
    subjects = f"{n} held-out subject{'s' if n > 1 else ''}, one slice each"
    text = f"{space_name(variant.one.space)} space; {shared}; {subjects}"
    return ("PHANTOM DATA; " if phantom else "") + text


def _name_columns(figure: Figure, page: Page, variant: _Variant) -> None:
    upper, lower = (page.top(0) - above for above in _TITLES)
    half = page.panel[0] / 2
    for column, title in enumerate((*(role_of(role).title for role in variant.inputs), "real SPECT")):
        page.text(figure, page.left(column) + half, lower, title, bold=True)
    for place, title in enumerate(_model_titles(variant)):
        first, second = page.n_fixed + 2 * place, page.n_fixed + 2 * place + 1
        middle = (page.left(first) + page.left(second) + page.panel[0]) / 2
        page.text(figure, middle, upper, title, bold=True)
        page.text(figure, page.left(first) + half, lower, "synthetic")
        page.text(figure, page.left(second) + half, lower, "difference")


def _model_titles(variant: _Variant) -> list[str]:
    names = [input_name(one.inputs) for one, _ in variant.models]
    return [
        f"from {name}" if names.count(name) == 1 else one.name
        for name, (one, _) in zip(names, variant.models, strict=True)
    ]


def _draw_row(
    figure: Figure, page: Page, row: int, one: ExampleImages, variant: _Variant, numbers: pd.DataFrame, limit: float
) -> None:
    example, window = one.example, page.window
    position = f"z = {example.z_mm:.0f} mm".replace("-", "−")
    other = ", other cohort" if example.split == "external" else ""
    page.row_label(figure, row, example.participant_id, f"slice {example.slice}{other}")
    for column, role in enumerate(variant.inputs):
        if role in one.inputs:
            label = position if column == 0 else ""
            draw_panel(page.axes(figure, row, column), one.inputs[role], one, window, (GREY_SCALE, 0.0, 1.0), label)
        else:
            _absent(page, figure, row, column)
    draw_panel(page.axes(figure, row, page.n_inputs), one.real, one, window, _UPTAKE_COLOURS, "real")
    for place, (_, model) in enumerate(variant.models):
        first = page.n_fixed + 2 * place
        if model not in one.synthetic:
            _absent(page, figure, row, first)
            continue
        synthetic = one.synthetic[model]
        draw_panel(page.axes(figure, row, first), synthetic, one, window, _UPTAKE_COLOURS, "synthetic")
        axes = page.axes(figure, row, first + 1)
        draw_panel(axes, synthetic - one.real, one, window, (DIFFERENCE, -limit, limit))
        draw_outline(axes, one)
        middle = (page.left(first) + page.left(first + 1) + page.panel[0]) / 2
        page.text(figure, middle, page.top(row) + page.panel[1] + 3.4, _metrics(numbers, example.number, model))


def _absent(page: Page, figure: Figure, row: int, column: int) -> None:
    page.text(figure, page.left(column) + page.panel[0] / 2, page.top(row) + page.panel[1] / 2, "no image")


def _metrics(numbers: pd.DataFrame, example: int, model: str) -> str:
    found = numbers[(numbers["example"] == example) & (numbers["model"] == model)]
    if found.empty:
        return "not rated"
    shown = [f"{m.title} {float(found[m.name].iloc[0]):.2f} {m.short_unit}".rstrip() for m in metrics_in("whole")]
    # There is room for two beside each other.
    return "\n".join("  ".join(shown[start : start + 2]) for start in range(0, len(shown), 2))


def _caption(variant: _Variant, images: Sequence[ExampleImages], phantom: bool) -> str:
    one, number = variant.one, 2 if variant.one.space == T1W_SPACE else 3
    external = {shown.example.split == "external" for shown in images}
    others = {(True,): ", all of another cohort", (False, True): ", the last one of another cohort"}
    cohort = others.get(tuple(sorted(external)), "")
    counts = split_text(*split_counts(pd.DataFrame([vars(shown.example) for shown in images])))
    *most, last = (role_of(role).title for role in variant.inputs)
    grey = f"{', '.join(most)} and {last}"
    recipe = f" ({one.recipe_name})" if one.recipe_name else ""
    # The numbers are of other voxels than the images then, and on another scale.
    people = ", ".join(shown.example.participant_id for shown in images if shown.lesion_left_out)
    lesions = f" A lesion was left out of the numbers of {people}; the images show it and are scaled with it."
    simulated = " The images were simulated (phantoms): these are no clinical numbers." if phantom else ""
    return (
        f"Models in {space_name(one.space)} space, loss {loss_name(one.losses)}{recipe}. Rows: {len(images)} held-out "
        f"subjects ({counts}), the first by label{cohort}; of each the middle slice of its block, chosen without a "
        "look at the metrics. Each slice of the real SPECT is scaled by its own minimum and maximum to −1 to 1 as in "
        f"the article. {ON_PAPER_SCALE} {grey} are shown in grey from 0 to the slice's maximum. Difference: "
        "synthetic minus real; red where the synthetic image is higher, blue where it is lower; grey line: the T1w's "
        "brain mask. RMSE, SSIM and PSNR of the shown slice, whole slice (one slice of one subject: no basis for "
        f"conclusions), as in Table {number}. Of models that differ by their seed alone the one with the lowest seed "
        "is shown. Synthetic images are estimates of a network, not measurements. The left of each image is the "
        f"patient's left.{lesions if people else ''}{simulated}"
    )
