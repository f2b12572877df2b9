"""Small pictures of a brain for lists of participants: a pure function from arrays on one grid to a PNG."""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from bids_spectsynth.evaluation.figures.palette import ALARM, GREY_SCALE, SIDE, UPTAKE
from bids_spectsynth.reports.pictures.mosaic import drawing_style
from bids_spectsynth.reports.pictures.statmaps import LIMIT, hot_and_cold
from bids_spectsynth.reports.pictures.views import Array, Mask, View, frame_of, slice_of, views_across

#: Inches: width of a picture, height of the slices and of the line of text above them; dots per inch.
_WIDTH, _SLICES, _LINE, _DPI = 2.1, 1.1, 0.2, 100
#: Width and height in dots: all thumbnails have one size.
SIZE = (round(_WIDTH * _DPI), round((_SLICES + _LINE) * _DPI))
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
        PNG.
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
        PNG.
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
    # Inches of a millimetre: both slices on one scale, each in its half.
    scale = min(_SLICES / max(up for _, up in sizes), _WIDTH / 2 / max(across for across, _ in sizes))
    total = _SLICES + _LINE
    with drawing_style():
        figure = Figure(figsize=(_WIDTH, total), dpi=_DPI, facecolor="black")
        for number, (view, (across, up)) in enumerate(zip(views, sizes, strict=True)):
            left, bottom = (number + 0.5) / 2 - across * scale / _WIDTH / 2, (_SLICES - up * scale) / 2 / total
            axes = figure.add_axes((left, bottom, across * scale / _WIDTH, up * scale / total))
            axes.set_axis_off()
            for data, low, high, colours in layers:
                cells = slice_of(data, view, frame)
                axes.imshow(cells, origin="lower", aspect="auto", cmap=colours, vmin=low, vmax=high)
        for x, side, place in ((0.015, "L", "left"), (0.985, "R", "right")):
            figure.text(x, (_SLICES - 0.02) / total, side, color=SIDE, fontsize=9, ha=place, va="top")
        words = " ".join(filter(None, ("SYNTHETIC" if label.synthetic else "", label.text)))
        colour = ALARM if label.synthetic else "white"
        middle = (_SLICES + _LINE / 2) / total
        figure.text(0.015, middle, words, color=colour, fontsize=9.5, fontweight="bold", va="center", parse_math=False)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=_DPI, facecolor="black", metadata={"Software": None})
    return stream.getvalue()


def _middle(mask: Mask) -> Point:
    axial, coronal = (views_across(mask, plane, 1)[0].at for plane in ("axial", "coronal"))
    return 0, coronal, axial


def _bright(data: Array, mask: Mask, percentile: float) -> float:
    values = data[mask] if mask.any() else data.ravel()
    high = float(np.percentile(values, percentile))
    return high if high > 0 else 1.0
