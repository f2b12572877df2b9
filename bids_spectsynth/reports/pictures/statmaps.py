"""Pictures of a statistical map on the T1w: pure functions from arrays on one grid to files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.colors import ListedColormap

from bids_spectsynth.reports.pictures.mosaic import WIDTH, Layer, Row, Title, mosaic, painted_mosaic
from bids_spectsynth.reports.pictures.views import (
    Array,
    Frame,
    Mask,
    View,
    frame_of,
    percentile_in,
    shown_part,
    views_across,
)

#: Both ends of the colours, so that pictures of all participants can be compared.
LIMIT = 6.0
#: Axial slices below the three planes, and how many of them stand in a row.
_SLICES, _IN_A_ROW = 14, 7
_COLOURS = 512


Voxel = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Map:
    """A statistical map as a row of a picture.

    Parameters
    ----------
    label : str
        Of the row.
    values : array, shape (i, j, k)
    threshold : float
        Above 0; what lies between it and its negative shows the T1w.
    synthetic : bool
        Computed from a network's image: its row says so.
    """

    label: str
    values: Array
    threshold: float
    synthetic: bool = False


def peak_planes(
    t1w: Array,
    maps: Sequence[Map],
    mask: Mask,
    affine: npt.NDArray[np.float64],
    *,
    at: Voxel,
    title: Title,
    width: int = WIDTH,
) -> bytes:
    """Maps beyond their thresholds on the T1w, each in three planes through one voxel with lines that lead to it.

    Values above the threshold go from red to white, those below its negative from blue to white, all others show the
    T1w. The colours end at -6 and 6 (:data:`LIMIT`); values beyond have the colour of the end.

    Parameters
    ----------
    t1w : array, shape (i, j, k)
        RAS+ voxel order, affine without rotation.
    maps : sequence of Map
        On the same grid.
    mask : array of bool, shape (i, j, k)
        Brain mask.
    affine : array, shape (4, 4)
    at : tuple of int
        Voxel that the three planes go through.
    title : Title
        Drawn into the picture.
    width : int
        Of the picture, pixels.

    Returns
    -------
    bytes
        WebP.
    """
    frame, at, mask, (t1w, *shown) = _cut(mask, affine, [t1w, *(one.values for one in maps)], at)
    below = Layer(t1w, 0.0, _bright(t1w, mask))
    rows = [_planes(below, replace(one, values=values), at) for one, values in zip(maps, shown, strict=True)]
    return mosaic(rows, frame, title, width)


def thresholded_map(
    t1w: Array, shown: Map, mask: Mask, affine: npt.NDArray[np.float64], *, at: Voxel, title: Title
) -> bytes:
    """A map as :func:`peak_planes` shows it, and below it axial slices through the whole brain.

    Parameters
    ----------
    t1w : array, shape (i, j, k)
        RAS+ voxel order, affine without rotation.
    shown : Map
        On the same grid.
    mask : array of bool, shape (i, j, k)
        Brain mask.
    affine : array, shape (4, 4)
    at : tuple of int
        Voxel that the three planes go through.
    title : Title
        Drawn into the picture.

    Returns
    -------
    bytes
        WebP.
    """
    rows, frame = _through_the_brain(t1w, shown, mask, affine, at)
    return mosaic(rows, frame, title)


def thresholded_pixels(
    t1w: Array, shown: Map, mask: Mask, affine: npt.NDArray[np.float64], *, at: Voxel, title: Title
) -> npt.NDArray[np.uint8]:
    """As :func:`thresholded_map`, in pixels, shape (rows, columns, 3), RGB.

    Parameters
    ----------
    t1w, shown, mask, affine, at, title
        As :func:`thresholded_map` takes them.
    """
    rows, frame = _through_the_brain(t1w, shown, mask, affine, at)
    return np.array(painted_mosaic(rows, frame, title))


def _through_the_brain(
    t1w: Array, shown: Map, mask: Mask, affine: npt.NDArray[np.float64], at: Voxel
) -> tuple[list[Row], Frame]:
    frame, at, mask, (t1w, values) = _cut(mask, affine, [t1w, shown.values], at)
    below = Layer(t1w, 0.0, _bright(t1w, mask))
    first = _planes(below, replace(shown, values=values), at)
    rows, overlay = [first], first.overlay
    views = views_across(mask, "axial", _SLICES)
    for start in range(0, _SLICES, _IN_A_ROW):
        part = views[start : start + _IN_A_ROW]
        # The bar of the first row is that of all.
        rows.append(
            Row("" if start else "Axial", part, below, positions=True, overlay=overlay and replace(overlay, bar=""))
        )
    return rows, frame


def _cut(
    mask: Mask, affine: npt.NDArray[np.float64], images: Sequence[Array], at: Voxel
) -> tuple[Frame, Voxel, Mask, list[Array]]:
    """What is shown of the images, and the voxel in it."""
    box = frame_of(mask, affine).box
    frame, mask, images = shown_part(mask, affine, images)
    i, j, k = (voxel - part.start for voxel, part in zip(at, box, strict=True))
    return frame, (i, j, k), mask, images


def _planes(below: Layer, shown: Map, at: Voxel) -> Row:
    size = below.data.shape
    i, j, k = (min(max(voxel, 0), count - 1) for voxel, count in zip(at, size, strict=True))
    views = [View("axial", k), View("coronal", j), View("sagittal", i)]
    label = f"SYNTHETIC\n{shown.label}" if shown.synthetic else shown.label
    overlay = _overlay(shown)
    return Row(label, views, below, positions=True, overlay=overlay, cross=at, alarm=shown.synthetic)


def _overlay(shown: Map) -> Layer:
    threshold = shown.threshold
    values = np.where(np.abs(shown.values) >= threshold, shown.values, np.nan).astype(np.float32)
    ticks = (-LIMIT, -threshold, threshold, LIMIT) if threshold < LIMIT else (-LIMIT, LIMIT)
    bar = f"z beyond\n±{threshold:g}"
    return Layer(values, -LIMIT, LIMIT, hot_and_cold(threshold), bar, ticks)


def hot_and_cold(threshold: float) -> ListedColormap:
    """Red to white above the threshold, blue to white below its negative, grey between them."""
    levels = np.linspace(-LIMIT, LIMIT, _COLOURS)
    beyond = np.clip((np.abs(levels) - threshold) / max(LIMIT - threshold, 1e-6), 0, 1)
    # The dark beginning of the scale is left out: it would not stand out from the T1w.
    colours = mpl.colormaps["hot"](0.36 + 0.58 * beyond)
    colours[levels < 0] = colours[levels < 0][:, [2, 1, 0, 3]]
    colours[np.abs(levels) < threshold] = (0.25, 0.25, 0.25, 1.0)
    return ListedColormap(colours, "hot_and_cold")


def _bright(t1w: Array, mask: Mask) -> float:
    high = percentile_in(t1w, mask, 99.5)
    return high if high > 0 else 1.0
