"""Mosaics of slices through volumes: which slices, how they are laid out, and their drawing as SVG.

Volumes are in RAS+ voxel order on one grid without rotation, so that columns grow to the patient's right, front or top.
The left side of an axial or coronal slice is the patient's left (neurological convention), and labels on it say so.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from contourpy import LineType, contour_generator
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from bids_spectsynth.evaluation.figures.palette import ALARM, CROSS, EDGE, GREY_SCALE, POSITION, SIDE
from bids_spectsynth.reports.pictures.views import AXIS, Array, Frame, Plane, View, slice_of

Extent = tuple[float, float, float, float]

_SIDES: dict[Plane, tuple[str, str]] = {"axial": ("L", "R"), "coronal": ("L", "R"), "sagittal": ("P", "A")}
_WIDTH = 12.0
_LEFT = 0.95
_RIGHT = 0.75
_GAP_MM = 4.0
_LABEL_MM = 8.0
_DPI = 100
#: Height of a line of the title, inches; half of the gap of cross lines, mm.
_LINE, _OPEN_MM = 0.27, 7.0
_SALT = "bids_spectsynth"


@dataclass(frozen=True, eq=False)
class Layer:
    """An image to be shown in colours between ``low`` and ``high``; not-a-number stays black.

    ``data`` has shape (i, j, k). ``cmap`` is a colour map or its name. ``bar`` is the colour bar's label; without one
    no bar is drawn. ``ticks`` are the values that the bar names; both ends and the middle where there are none.
    """

    data: Array
    low: float
    high: float
    cmap: str | Colormap = GREY_SCALE
    bar: str = ""
    ticks: Sequence[float] = ()


@dataclass(frozen=True, eq=False)
class Contour:
    """A line where ``data`` (i, j, k) crosses ``level``."""

    data: Array
    level: float
    color: str
    width: float = 1.0


@dataclass(frozen=True, eq=False)
class Row:
    """Slices side by side that show the same layer, with its name at the left."""

    label: str
    views: Sequence[View]
    layer: Layer
    contours: Sequence[Contour] = field(default=())
    positions: bool = False
    """Whether millimetre positions are written into the slices."""
    overlay: Layer | None = None
    """What lies on the layer; not-a-number lets it through. The colour bar is the overlay's."""
    cross: tuple[int, int, int] | None = None
    """The voxel that lines lead to in every slice of the row."""


@dataclass(frozen=True)
class Title:
    """Lines above a mosaic, part of the picture: what it is, and what to be wary of (may be empty)."""

    text: str
    warning: str = ""


def mosaic(rows: Sequence[Row], frame: Frame, title: Title | None = None) -> str:
    """Draw rows of slices on black.

    Parameters
    ----------
    rows : sequence of Row
        Their volumes share the frame's grid.
    frame : Frame
    title : Title, optional

    Returns
    -------
    str
        SVG text; equal input gives equal text.
    """
    with drawing_style():
        return to_svg(_figure(rows, frame, title))


def mosaic_pixels(rows: Sequence[Row], frame: Frame, title: Title | None = None) -> npt.NDArray[np.uint8]:
    """As :func:`mosaic`, in pixels, shape (rows, columns, 3), RGB.

    Parameters
    ----------
    rows : sequence of Row
    frame : Frame
    title : Title, optional
    """
    with drawing_style():
        canvas = FigureCanvasAgg(_figure(rows, frame, title))
        canvas.draw()  # type: ignore[no-untyped-call]
        return np.array(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]


@contextmanager
def drawing_style() -> Iterator[None]:
    """Settings of the pictures, whatever the user's matplotlibrc says."""
    with style.context(["default", {"svg.hashsalt": _SALT, "svg.fonttype": "path"}]):
        yield


def _figure(rows: Sequence[Row], frame: Frame, title: Title | None) -> Figure:
    extents = [_row_size(row, frame) for row in rows]
    heights = [(_WIDTH - _LEFT - _RIGHT) * height / width for width, height in extents]
    lines = [] if title is None else [(title.text, "white"), (title.warning, ALARM)]
    lines = [(text, color) for text, color in lines if text]
    panel, total = _WIDTH - _LEFT - _RIGHT, sum(heights) + _LINE * len(lines)
    figure = Figure(figsize=(_WIDTH, total), dpi=_DPI, facecolor="black")
    top = total
    for text, color in lines:
        top -= _LINE
        place = 0.08 / _WIDTH, (top + 0.4 * _LINE) / total
        figure.text(*place, text, color=color, fontsize=11, fontweight="bold", va="center", parse_math=False)
    for row, (width, height), inches in zip(rows, extents, heights, strict=True):
        top -= inches
        axes = figure.add_axes((_LEFT / _WIDTH, top / total, panel / _WIDTH, inches / total))
        _draw_row(axes, row, frame, width, height)
        middle = (top + inches / 2) / total
        figure.text(0.08 / _WIDTH, middle, row.label, color="white", fontsize=10, va="center", linespacing=1.35)
        layer = row.overlay or row.layer
        if layer.bar:
            _draw_bar(figure, layer, (top + 0.16 * inches) / total, 0.68 * inches / total)
    return figure


def _row_size(row: Row, frame: Frame) -> tuple[float, float]:
    sizes = [frame.size_mm(view.plane) for view in row.views]
    gaps = sum(_gap(row.views, number) for number in range(len(row.views)))
    below = _LABEL_MM if row.positions else _GAP_MM
    return sum(width for width, _ in sizes) + gaps, max(height for _, height in sizes) + below


def _draw_row(axes: Axes, row: Row, frame: Frame, width: float, height: float) -> None:
    axes.set_axis_off()
    extents = _extents(row, frame, height)
    for number, (view, extent) in enumerate(zip(row.views, extents, strict=True)):
        axes.imshow(
            slice_of(row.layer.data, view, frame),
            origin="lower",
            extent=extent,
            cmap=mpl.colormaps.get_cmap(row.layer.cmap).with_extremes(bad="black"),
            vmin=row.layer.low,
            vmax=row.layer.high,
            interpolation="antialiased",
        )
        if row.overlay is not None:
            # Each voxel as it is: mixing it with neighbours that have no value would eat the edges.
            axes.imshow(
                slice_of(row.overlay.data, view, frame),
                origin="lower",
                extent=extent,
                cmap=mpl.colormaps.get_cmap(row.overlay.cmap).with_extremes(bad=(0, 0, 0, 0)),
                vmin=row.overlay.low,
                vmax=row.overlay.high,
                interpolation="nearest",
            )
        if row.cross is not None:
            cross = LineCollection(_cross_lines(row.cross, view, frame, extent), colors=CROSS, linewidths=0.8)
            axes.add_collection(cross, autolim=False)
        if number == 0 or view.plane != row.views[number - 1].plane:
            _draw_sides(axes, view.plane, extent)
        if row.positions:
            label = f"{'xyz'[AXIS[view.plane]]} = {frame.position(view):.0f} mm"
            axes.text((extent[0] + extent[1]) / 2, 0.5, label, color=POSITION, fontsize=7, ha="center", va="bottom")
    for contour in row.contours:
        # One collection for the whole row is drawn much faster than a contour set for each slice.
        lines = [line for v, e in zip(row.views, extents, strict=True) for line in _lines(contour, v, frame, e)]
        axes.add_collection(LineCollection(lines, colors=contour.color, linewidths=contour.width), autolim=False)
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_aspect("auto")


def _extents(row: Row, frame: Frame, height: float) -> list[Extent]:
    extents, left = [], 0.0
    for number, view in enumerate(row.views):
        left += _gap(row.views, number)
        cell_width, cell_height = frame.size_mm(view.plane)
        bottom = _LABEL_MM - _GAP_MM / 2 if row.positions else (height - cell_height) / 2
        extents.append((left, left + cell_width, bottom, bottom + cell_height))
        left += cell_width
    return extents


def _gap(views: Sequence[View], number: int) -> float:
    """Millimetres before a slice: more where the plane changes."""
    if number == 0:
        return 0.0
    return _GAP_MM if views[number].plane == views[number - 1].plane else 3 * _GAP_MM


def _lines(contour: Contour, view: View, frame: Frame, extent: Extent) -> list[npt.NDArray[np.float64]]:
    """Where a contour crosses a slice, as lines of points in the row's millimetres."""
    cells = slice_of(contour.data, view, frame)
    if min(cells.shape) < 2 or not cells.min() < contour.level < cells.max():
        return []
    half_x, half_y = (extent[1] - extent[0]) / cells.shape[1] / 2, (extent[3] - extent[2]) / cells.shape[0] / 2
    xs = np.linspace(extent[0] + half_x, extent[1] - half_x, cells.shape[1])
    ys = np.linspace(extent[2] + half_y, extent[3] - half_y, cells.shape[0])
    lines = contour_generator(xs, ys, cells, line_type=LineType.Separate).lines(contour.level)
    return [np.asarray(line, dtype=np.float64) for line in lines]


def _cross_lines(
    cross: tuple[int, int, int], view: View, frame: Frame, extent: Extent
) -> list[list[tuple[float, float]]]:
    """Lines across a slice that meet at a voxel, open where they meet so that it can be seen."""
    across, up = (axis for axis in range(3) if axis != AXIS[view.plane])
    x = extent[0] + (cross[across] - frame.box[across].start + 0.5) * frame.zooms[across]
    y = extent[2] + (cross[up] - frame.box[up].start + 0.5) * frame.zooms[up]
    return [
        [(extent[0], y), (x - _OPEN_MM, y)],
        [(x + _OPEN_MM, y), (extent[1], y)],
        [(x, extent[2]), (x, y - _OPEN_MM)],
        [(x, y + _OPEN_MM), (x, extent[3])],
    ]


def _draw_sides(axes: Axes, plane: Plane, extent: Extent) -> None:
    first, second = _SIDES[plane]
    for x, name, side in ((extent[0] + 1, first, "left"), (extent[1] - 1, second, "right")):
        axes.text(x, extent[3] - 1, name, color=SIDE, fontsize=8, ha=side, va="top", fontweight="bold")


def _draw_bar(figure: Figure, layer: Layer, bottom: float, height: float) -> None:
    axes = figure.add_axes((1 - (_RIGHT - 0.1) / _WIDTH, bottom, 0.11 / _WIDTH, height))
    bar = figure.colorbar(ScalarMappable(Normalize(layer.low, layer.high), layer.cmap), cax=axes)
    ticks = layer.ticks or [layer.low, (layer.low + layer.high) / 2, layer.high]
    bar.set_ticks(list(ticks), labels=[f"{tick:g}" if layer.ticks else f"{tick:.2f}" for tick in ticks])
    bar.ax.tick_params(colors="white", labelsize=7, length=2)
    bar.set_label(layer.bar, color="white", fontsize=7, labelpad=2)
    bar.outline.set_edgecolor(EDGE)


def to_svg(figure: Figure) -> str:
    """SVG text of a figure, without a date and with ids that do not change from run to run."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", facecolor=figure.get_facecolor(), metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
