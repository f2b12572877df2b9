"""Small pictures of a brain for lists of participants: a pure function from arrays on one grid to a file."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Colormap
from PIL import Image, ImageDraw

from bids_spectsynth.evaluation.figures.palette import ALARM, GREY_SCALE, POSITION, SIDE, UPTAKE
from bids_spectsynth.reports.pictures.paint import STAMP, as_webp, draw_text, lay, painted
from bids_spectsynth.reports.pictures.statmaps import LIMIT, hot_and_cold
from bids_spectsynth.reports.pictures.views import Array, Mask, View, frame_of, percentile_in, slice_of, views_across

#: Width and height in pixels, twice as many as they are shown at: all thumbnails have one size.
SIZE = (420, 272)
#: Heights of the line above the slices and of the one below them, and their letters.
_LINE, _FOOT = 38, 26
_TEXT, _STAMP = 25, 17
Point = tuple[int, int, int]
_Layer = tuple[Array, float, float, str | Colormap]


@dataclass(frozen=True)
class Label:
    """The line above the slices; ``synthetic`` adds the word SYNTHETIC in the colour of alarm."""

    text: str
    synthetic: bool


def uptake_thumbnail(image: Array, mask: Mask, affine: npt.NDArray[np.float64], label: Label) -> bytes:
    """An axial and a coronal slice through the middle of a nuclear image.

    Parameters
    ----------
    image : array, shape (i, j, k)
        RAS+ voxel order, affine without rotation.
    mask : array of bool, shape (i, j, k)
        Brain mask.
    affine : array, shape (4, 4)
    label : Label

    Returns
    -------
    bytes
        WebP.
    """
    at = _middle(mask)
    return _drawn([(image, 0.0, _bright(image, mask, 99.8), UPTAKE)], mask, affine, at, label)


def map_thumbnail(
    t1w: Array,
    values: Array,
    mask: Mask,
    affine: npt.NDArray[np.float64],
    *,
    threshold: float,
    at: Point | None,
    label: Label,
) -> bytes:
    """A statistical map beyond its threshold on the T1w: an axial and a coronal slice through a voxel.

    Parameters
    ----------
    t1w, values : array, shape (i, j, k)
        RAS+ voxel order, affine without rotation.
    mask : array of bool, shape (i, j, k)
        Brain mask.
    affine : array, shape (4, 4)
    threshold : float
        Above 0.
    at : tuple of int or None
        Voxel that both slices go through; None for the middle of the brain.
    label : Label

    Returns
    -------
    bytes
        WebP.
    """
    shown = np.where(np.abs(values) >= threshold, values, np.nan).astype(np.float32)
    layers: list[_Layer] = [
        (t1w, 0.0, _bright(t1w, mask, 99.5), GREY_SCALE),
        (shown, -LIMIT, LIMIT, hot_and_cold(threshold)),
    ]
    return _drawn(layers, mask, affine, at or _middle(mask), label)


def _drawn(layers: list[_Layer], mask: Mask, affine: npt.NDArray[np.float64], at: Point, label: Label) -> bytes:
    frame = frame_of(mask, affine)
    views = [View("axial", at[2]), View("coronal", at[1])]
    sizes = [frame.size_mm(view.plane) for view in views]
    width, height = SIZE[0] // 2, SIZE[1] - _LINE - _FOOT
    # Pixels of a millimetre: both slices on one scale, each in its half.
    scale = min(height / max(up for _, up in sizes), width / max(across for across, _ in sizes))
    pixels = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)
    for number, (view, (across, up)) in enumerate(zip(views, sizes, strict=True)):
        own = max(round(across * scale), 1), max(round(up * scale), 1)
        left, top = number * width + (width - own[0]) // 2, _LINE + (height - own[1]) // 2
        tile = pixels[top : top + own[1], left : left + own[0]]
        for place, (data, low, high, colours) in enumerate(layers):
            lay(tile, *painted(slice_of(data, view, frame), own, (low, high), colours, smooth=place == 0))
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for x, side, anchor in ((6, "L", "lt"), (SIZE[0] - 6, "R", "rt")):
        draw_text(draw, (x, _LINE + 4), side, SIDE, size=_TEXT, anchor=anchor, bold=True)
    words = " ".join(filter(None, ("SYNTHETIC" if label.synthetic else "", label.text)))
    colour = ALARM if label.synthetic else "white"
    draw_text(draw, (6, _LINE / 2), words, colour, size=_TEXT, anchor="lm", bold=True)
    draw_text(draw, (6, SIZE[1] - _FOOT / 2), STAMP, POSITION, size=_STAMP, anchor="lm")
    return as_webp(image)


def _middle(mask: Mask) -> Point:
    axial, coronal = (views_across(mask, plane, 1)[0].at for plane in ("axial", "coronal"))
    return 0, coronal, axial


def _bright(data: Array, mask: Mask, percentile: float) -> float:
    high = percentile_in(data, mask, percentile)
    return high if high > 0 else 1.0
