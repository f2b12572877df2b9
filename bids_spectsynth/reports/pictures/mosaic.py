"""Mosaics of slices through volumes: which slices, how they are laid out, and their picture.

Volumes are in RAS+ voxel order on one grid without rotation, so that columns grow to the patient's right, front or top.
The left side of an axial or coronal slice is the patient's left (neurological convention), and labels on it say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from contourpy import LineType, contour_generator
from matplotlib.colors import Colormap, to_rgb
from PIL import Image, ImageDraw
from scipy import ndimage

from bids_spectsynth.evaluation.figures.palette import ALARM, CROSS, EDGE, GREY_SCALE, POSITION, SIDE
from bids_spectsynth.reports.pictures.paint import (
    STAMP,
    Box,
    as_webp,
    draw_lines,
    draw_text,
    fitted,
    lay,
    painted,
    table,
)
from bids_spectsynth.reports.pictures.views import AXIS, Array, Frame, Plane, View, slice_of

_SIDES: dict[Plane, tuple[str, str]] = {"axial": ("L", "R"), "coronal": ("L", "R"), "sagittal": ("P", "A")}
#: Pixels: the whole width, what is left of the slices and right of them, between two slices, and between two planes.
WIDTH, _LEFT, _RIGHT, _GAP, _PLANE_GAP = 1480, 128, 104, 6, 18
#: Heights of a line of the title, of the positions below slices, and of the last line.
_LINE, _BELOW, _FOOT = 34, 26, 24
#: Letters: of the title, of rows, of sides, of positions and colour bars, of the last line.
_TITLE, _NAME, _SIDE, _SMALL, _STAMP = 21, 18, 21, 17, 15
#: Half of the gap of cross lines, mm.
_OPEN_MM = 7.0


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
    """A line where ``data`` (i, j, k) crosses ``level``; ``width`` in pixels.

    Slices are smoothed by a Gaussian of ``smoothing_mm`` (one standard deviation) before, so that noise has no lines.
    """

    data: Array
    level: float
    color: str
    width: float = 1.6
    smoothing_mm: float = 0.0


@dataclass(frozen=True, eq=False)
class Row:
    """Slices side by side that show the same layer, with its name at the left."""

    label: str
    views: Sequence[View]
    layer: Layer
    contours: Sequence[Contour] = field(default=())
    positions: bool = False
    """Whether millimetre positions are written below the slices."""
    overlay: Layer | None = None
    """What lies on the layer; not-a-number lets it through. The colour bar is the overlay's."""
    cross: tuple[int, int, int] | None = None
    """The voxel that lines lead to in every slice of the row."""
    alarm: bool = False
    """Whether its name is written in the colour that warns."""


@dataclass(frozen=True)
class Title:
    """Lines above a mosaic, part of the picture: what it is, and what to be wary of (may be empty)."""

    text: str
    warning: str = ""


def mosaic(rows: Sequence[Row], frame: Frame, title: Title, width: int = WIDTH) -> bytes:
    """Paint rows of slices on black.

    Parameters
    ----------
    rows : sequence of Row
        Their volumes share the frame's grid.
    frame : Frame
    title : Title
    width : int
        Of the picture, pixels; the slices fill what the names and the bars leave.

    Returns
    -------
    bytes
        WebP; equal input gives equal bytes.
    """
    return as_webp(painted_mosaic(rows, frame, title, width))


def painted_mosaic(rows: Sequence[Row], frame: Frame, title: Title, width: int = WIDTH) -> Image.Image:
    """As :func:`mosaic`, before it is a file.

    Parameters
    ----------
    rows : sequence of Row
    frame : Frame
    title : Title
    width : int
    """
    lines = [(text, colour) for text, colour in ((title.text, "white"), (title.warning, ALARM)) if text]
    boxes = [_boxes(row, frame, width) for row in rows]
    heights = [
        max(box[3] for box in row) + (_BELOW if one.positions else _GAP) for row, one in zip(boxes, rows, strict=True)
    ]
    image = Image.new("RGB", (width, _LINE * len(lines) + sum(heights) + _FOOT))
    draw, top = ImageDraw.Draw(image), 0
    for text, colour in lines:
        draw_text(draw, (8, top + _LINE / 2), text, colour, size=_TITLE, anchor="lm", bold=True)
        top += _LINE
    for row, own, height in zip(rows, boxes, heights, strict=True):
        image.paste(_row(row, own, frame, (width, height)), (0, top))
        top += height
    draw_text(draw, (width - 8, top + _FOOT / 2), STAMP, POSITION, size=_STAMP, anchor="rm")
    return image


def _boxes(row: Row, frame: Frame, width: int) -> list[Box]:
    """Left, top, right and bottom of each slice of a row, pixels."""
    sizes = [frame.size_mm(view.plane) for view in row.views]
    gaps = [_gap(row.views, number) for number in range(len(row.views))]
    scale = (width - _LEFT - _RIGHT - sum(gaps)) / sum(across for across, _ in sizes)
    tallest = max(up for _, up in sizes) * scale
    boxes, left = [], float(_LEFT)
    for (across, up), gap in zip(sizes, gaps, strict=True):
        left += gap
        top = (tallest - up * scale) / 2
        boxes.append((round(left), round(top), round(left + across * scale), round(top + up * scale)))
        left += across * scale
    return boxes


def _gap(views: Sequence[View], number: int) -> int:
    """Pixels before a slice: more where the plane changes."""
    if number == 0:
        return 0
    return _GAP if views[number].plane == views[number - 1].plane else _PLANE_GAP


def _row(row: Row, boxes: Sequence[Box], frame: Frame, size: tuple[int, int]) -> Image.Image:
    pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    for view, (left, top, right, bottom) in zip(row.views, boxes, strict=True):
        tile = pixels[top:bottom, left:right]
        for layer, smooth in ((row.layer, True), *(() if row.overlay is None else ((row.overlay, False),))):
            # Each voxel of an overlay as it is: mixing it with neighbours that have no value would eat the edges.
            cells = slice_of(layer.data, view, frame)
            size_of_tile, ends = (right - left, bottom - top), (layer.low, layer.high)
            lay(tile, *painted(cells, size_of_tile, ends, layer.cmap, smooth=smooth))
    image = Image.fromarray(pixels)
    for contour in row.contours:
        # One mask for the whole row is drawn much faster than one for each slice.
        found = [line for view, box in zip(row.views, boxes, strict=True) for line in _lines(contour, view, frame, box)]
        draw_lines(image, found, contour.color, contour.width)
    _write(image, row, boxes, frame)
    return image


def _write(image: Image.Image, row: Row, boxes: Sequence[Box], frame: Frame) -> None:
    """Names, sides, positions, lines that lead to a voxel, and the colour bar."""
    draw = ImageDraw.Draw(image)
    for view, (left, top, right, bottom) in zip(row.views, boxes, strict=True):
        if row.cross is not None:
            for line in _cross_lines(row.cross, view, frame, (left, top, right, bottom)):
                draw.line(line, fill=CROSS, width=2)
        first, second = _SIDES[view.plane]
        draw_text(draw, (left + 4, top + 3), first, SIDE, size=_SIDE, anchor="lt", bold=True)
        draw_text(draw, (right - 4, top + 3), second, SIDE, size=_SIDE, anchor="rt", bold=True)
        if row.positions:
            text = f"{'xyz'[AXIS[view.plane]]} {frame.position(view):.0f} mm".replace("-", "−")
            place = ((left + right) / 2, max(box[3] for box in boxes) + _BELOW / 2)
            draw_text(draw, place, text, POSITION, size=_SMALL, anchor="mm")
    middle = (min(box[1] for box in boxes) + max(box[3] for box in boxes)) / 2
    colour = ALARM if row.alarm else "white"
    name = fitted(row.label, _LEFT - 8, size=_NAME, bold=row.alarm)
    draw_text(draw, (8, middle), name, colour, size=_NAME, anchor="lm", bold=row.alarm)
    layer = row.overlay or row.layer
    if layer.bar:
        _draw_bar(image, layer, max(box[3] for box in boxes))


def _lines(contour: Contour, view: View, frame: Frame, box: Box) -> list[npt.NDArray[np.float64]]:
    """Where a contour crosses a slice, as lines of points in pixels."""
    cells = slice_of(contour.data, view, frame)
    if contour.smoothing_mm:
        across, up = (axis for axis in range(3) if axis != AXIS[view.plane])
        sigma = contour.smoothing_mm / frame.zooms[up], contour.smoothing_mm / frame.zooms[across]
        cells = ndimage.gaussian_filter(cells, sigma)
    if min(cells.shape) < 2 or not cells.min() < contour.level < cells.max():
        return []
    left, top, right, bottom = box
    half_x, half_y = (right - left) / cells.shape[1] / 2, (bottom - top) / cells.shape[0] / 2
    xs = np.linspace(left + half_x, right - half_x, cells.shape[1])
    ys = np.linspace(bottom - half_y, top + half_y, cells.shape[0])
    lines = contour_generator(xs, ys, cells, line_type=LineType.Separate).lines(contour.level)
    return [np.asarray(line, dtype=np.float64) for line in lines]


def _cross_lines(
    cross: tuple[int, int, int], view: View, frame: Frame, box: Box
) -> list[tuple[float, float, float, float]]:
    """Lines across a slice that meet at a voxel, open where they meet so that it can be seen."""
    across, up = (axis for axis in range(3) if axis != AXIS[view.plane])
    left, top, right, bottom = box
    scale = (right - left) / frame.size_mm(view.plane)[0]
    x = left + (cross[across] - frame.box[across].start + 0.5) * frame.zooms[across] * scale
    y = bottom - (cross[up] - frame.box[up].start + 0.5) * frame.zooms[up] * scale
    gap = _OPEN_MM * scale
    lines = [(left, y, x - gap, y), (x + gap, y, right, y), (x, top, x, y - gap), (x, y + gap, x, bottom)]
    return [line for line in lines if line[2] > line[0] or line[3] > line[1]]


def _draw_bar(image: Image.Image, layer: Layer, height: int) -> None:
    """A colour bar right of the slices; its label stands above it."""
    draw = ImageDraw.Draw(image)
    lines = layer.bar.split("\n")
    left, top, bottom = image.width - _RIGHT + 12, 12 + 20 * len(lines), height - 14
    draw_text(draw, (left, 4), layer.bar + ("" if len(lines) > 1 else "\n"), "white", size=_STAMP, anchor="la")
    colours = np.repeat(table(layer.cmap)[::-1, None], 16, axis=1)
    bar = Image.fromarray(colours).resize((16, max(bottom - top, 1)))
    image.paste(bar, (left, top))
    red, green, blue = (round(255 * part) for part in to_rgb(EDGE))
    draw.rectangle((left - 1, top - 1, left + 16, bottom), outline=(red, green, blue))
    for tick in layer.ticks or [layer.low, (layer.low + layer.high) / 2, layer.high]:
        share = (tick - layer.low) / max(layer.high - layer.low, 1e-12)
        text = (f"{tick:g}" if layer.ticks else f"{tick:.2f}").replace("-", "−")
        draw_text(draw, (left + 24, bottom - share * (bottom - top)), text, "white", size=_STAMP, anchor="lm")
