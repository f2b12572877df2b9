"""The panels of the example figures: where they stand on the page, and their drawing."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from bids_spectsynth.evaluation.figures.palette import DIFFERENCE
from bids_spectsynth.evaluation.figures.style import FONT_SIZE, WIDTH_MM
from bids_spectsynth.evaluation.paper.example_images import ExampleImages, Plane

#: Page layout, mm: labels of the rows; between panels; between groups of panels; text under a row; titles of the
#: columns; foot; a line of text; a character.
_LABELS, _GAP, _GROUP_GAP, _UNDER, _TITLES, _FOOT, _LINE, _CHARACTER = 9.0, 0.6, 2.0, 8.0, 9.5, 16.0, 3.3, 1.45
#: Widest and narrowest panel; with the widest, six rows fit on a page.
_PANEL, _NARROWEST = 18.0, 14.0
_BAR = 38.0
#: Millimetres around the brain, and, as shares of its height, room for a label below and for the sides' names above.
_MARGIN_MM, _BELOW, _ABOVE = 3.0, 0.13, 0.05


@dataclass(frozen=True)
class Window:
    """What is shown of a slice, mm: half of its width, and what lies below and above the brain's middle."""

    half_width: float
    below: float
    above: float


def window_of(images: Sequence[ExampleImages]) -> Window:
    """One window for all examples, so that all panels have one scale."""
    halves = [_extent(one)[1] for one in images]
    half_width, half_height = (max(half[axis] for half in halves) + _MARGIN_MM for axis in (0, 1))
    return Window(half_width, half_height * (1 + 2 * _BELOW), half_height * (1 + 2 * _ABOVE))


def _extent(one: ExampleImages) -> tuple[tuple[float, float], tuple[float, float]]:
    """Middle of the brain in the slice, and half of its width and height, mm from the first voxel's edge."""
    brain = one.brain if one.brain.any() else np.ones_like(one.brain)
    middles, halves = [], []
    for axis in (0, 1):
        found = np.flatnonzero(brain.any(axis=1 - axis))
        low, high = float(found[0]) * one.zooms[axis], float(found[-1] + 1) * one.zooms[axis]
        middles.append((low + high) / 2)
        halves.append((high - low) / 2)
    return (middles[0], middles[1]), (halves[0], halves[1])


@dataclass(frozen=True)
class Page:
    """Sizes in mm of a figure of ``n_rows`` examples and ``n_models`` models, and where its panels stand.

    ``heading`` is the text at its top, broken into as many lines as it needs; ``n_inputs`` images and the real SPECT
    stand before the synthetic ones.
    """

    n_rows: int
    n_models: int
    window: Window
    heading: str = ""
    n_inputs: int = 2

    @property
    def n_fixed(self) -> int:
        """Columns before those of the models."""
        return self.n_inputs + 1

    @property
    def n_columns(self) -> int:
        """All columns; a model has two, its image and the difference."""
        return self.n_fixed + 2 * self.n_models

    @property
    def panel(self) -> tuple[float, float]:
        """Width and height of a panel."""
        gaps = self.n_columns * _GAP + self.n_models * _GROUP_GAP
        width = (WIDTH_MM - _LABELS - gaps) / self.n_columns
        width = min(max(width, _NARROWEST), _PANEL)
        return width, width * (self.window.below + self.window.above) / (2 * self.window.half_width)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the figure."""
        return self.width, self.top(self.n_rows) + _FOOT

    @property
    def width(self) -> float:
        """Width of the figure."""
        return self.left(self.n_columns - 1) + self.panel[0] + _GAP

    @property
    def lines(self) -> list[str]:
        """The heading's lines."""
        return textwrap.wrap(self.heading, int(self.width / _CHARACTER))

    def left(self, column: int) -> float:
        """Left edge of a column; synthetic image and difference of a model stand close together."""
        groups = max(0, (column - self.n_fixed) // 2 + 1)
        return _LABELS + column * (self.panel[0] + _GAP) + groups * _GROUP_GAP

    def top(self, row: int) -> float:
        """Upper edge of a row, from the top of the figure."""
        return 1 + _LINE * len(self.lines) + _TITLES + row * (self.panel[1] + _UNDER)

    def axes(self, figure: Figure, row: int, column: int) -> Axes:
        """New axes of a panel.

        Parameters
        ----------
        figure : Figure
            Of :attr:`size`.
        row, column : int
            From 0, at the top left.
        """
        (width, height), (across, up) = self.panel, self.size
        bottom = up - self.top(row) - height
        return figure.add_axes((self.left(column) / across, bottom / up, width / across, height / up))

    def text(self, figure: Figure, x: float, from_top: float, text: str, *, bold: bool = False) -> None:
        """Centred text.

        Parameters
        ----------
        figure : Figure
        x, from_top : float
            The text's middle, mm from the left and from the top.
        text : str
        bold : bool
        """
        across, up = self.size
        weight = "bold" if bold else "normal"
        figure.text(
            x / across, 1 - from_top / up, text, ha="center", va="center", fontsize=FONT_SIZE, fontweight=weight,
            linespacing=1.15,
        )  # fmt: skip

    def head(self, figure: Figure) -> None:
        """The heading, above everything else."""
        for number, line in enumerate(self.lines):
            self.text(figure, self.width / 2, 1 + _LINE * (number + 0.5), line)

    def row_label(self, figure: Figure, row: int, name: str, place: str) -> None:
        """A participant's name and the place of the slice, upright along the row.

        Parameters
        ----------
        figure : Figure
        row : int
        name, place : str
        """
        across, up = self.size
        y = 1 - (self.top(row) + self.panel[1] / 2) / up
        for x, text, weight in ((2.2, name, "bold"), (5.8, place, "normal")):
            figure.text(x / across, y, text, ha="center", va="center", rotation=90, fontsize=FONT_SIZE,
                        fontweight=weight)  # fmt: skip

    def colour_bar(self, figure: Figure, middle: float, limits: tuple[float, float], cmap: str, label: str) -> None:
        """A horizontal colour bar at the foot.

        Parameters
        ----------
        figure : Figure
        middle : float
            Its middle as a share of the width.
        limits : tuple of float
            Values at its ends.
        cmap, label : str
        """
        across, up = self.size
        left = middle * across - _BAR / 2
        axes = figure.add_axes((left / across, 11.5 / up, _BAR / across, 2.2 / up))
        bar = figure.colorbar(ScalarMappable(Normalize(*limits), cmap), cax=axes, orientation="horizontal")
        ticks = np.linspace(*limits, 5)
        bar.set_ticks([float(tick) for tick in ticks], labels=[f"{tick:.2g}".replace("-", "−") for tick in ticks])
        bar.ax.tick_params(labelsize=FONT_SIZE, length=2, pad=1.5)
        bar.set_label(label, fontsize=FONT_SIZE, labelpad=1.5)


def draw_panel(
    axes: Axes,
    plane: Plane,
    one: ExampleImages,
    window: Window,
    colours: tuple[str, float, float],
    label: str = "",
) -> None:
    """One slice with its sides marked: the left of the image is the patient's left (neurological convention).

    Parameters
    ----------
    axes : Axes
    plane : array, shape (I, J)
    one : ExampleImages
        Whose brain is centred.
    window : Window
    colours : tuple
        Colour map and the values of its ends.
    label : str
        Written into the slice, below the brain.
    """
    cmap, low, high = colours
    dark = cmap != DIFFERENCE
    # Beyond the grid the colour of air: the lowest value, or no difference.
    axes.set_facecolor(mpl.colormaps[cmap](0.0 if dark else 0.5))
    (middle_x, middle_y), _ = _extent(one)
    part, extent = _cut(plane, one.zooms, (middle_x, middle_y), window)
    axes.imshow(
        part.T, origin="lower", extent=extent, cmap=cmap, vmin=low, vmax=high, interpolation="none", aspect="auto"
    )
    axes.set_xlim(middle_x - window.half_width, middle_x + window.half_width)
    axes.set_ylim(middle_y - window.below, middle_y + window.above)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    ink, ground = ("white", "black") if dark else ("black", "white")
    # Whatever lies in the corner, a strong difference for one, the sides can be read.
    box = {"boxstyle": "square,pad=0.12", "facecolor": ground, "alpha": 0.7, "edgecolor": "none"}
    for x, side, where in ((0.03, "L", "left"), (0.97, "R", "right")):
        axes.text(x, 0.975, side, color=ink, ha=where, va="top", transform=axes.transAxes, fontsize=FONT_SIZE, bbox=box)
    if label:
        axes.text(0.5, 0.02, label, color=ink, ha="center", va="bottom", transform=axes.transAxes, fontsize=FONT_SIZE)


def draw_outline(axes: Axes, one: ExampleImages) -> None:
    """The brain's edge, where an image of differences would else not show it."""
    x, y = ((np.arange(n) + 0.5) * zoom for n, zoom in zip(one.brain.shape, one.zooms, strict=True))
    if one.brain.any() and not one.brain.all():
        axes.contour(x, y, one.brain.T.astype(np.float32), levels=[0.5], colors="0.55", linewidths=0.5)


def _cut(
    plane: npt.NDArray[np.float32], zooms: tuple[float, float], middle: tuple[float, float], window: Window
) -> tuple[Plane, tuple[float, float, float, float]]:
    """The voxels that the window touches, and their edges in mm: a file of an image need not hold the air around it."""
    reach = ((window.half_width, window.half_width), (window.below, window.above))
    ends = []
    for axis in (0, 1):
        first = max(int(np.floor((middle[axis] - reach[axis][0]) / zooms[axis])), 0)
        last = min(int(np.ceil((middle[axis] + reach[axis][1]) / zooms[axis])), plane.shape[axis])
        ends.append((first, last))
    (left, right), (bottom, top) = ends
    extent = (left * zooms[0], right * zooms[0], bottom * zooms[1], top * zooms[1])
    return plane[left:right, bottom:top], extent
