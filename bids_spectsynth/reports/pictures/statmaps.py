"""Pictures of a statistical map on the T1w: a pure function from arrays on one grid to SVG text or pixels."""

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.colors import ListedColormap

from bids_spectsynth.reports.pictures.mosaic import Layer, Row, Title, mosaic, mosaic_pixels
from bids_spectsynth.reports.pictures.views import Array, Mask, View, frame_of, views_across

#: Both ends of the colours, so that pictures of all participants can be compared.
LIMIT = 6.0
#: Axial slices below the three planes, and how many of them stand in a row.
_SLICES, _IN_A_ROW = 14, 7
_COLOURS = 512


def thresholded_map(
    t1w: Array,
    values: Array,
    mask: Mask,
    affine: npt.NDArray[np.float64],
    *,
    threshold: float,
    at: tuple[int, int, int],
    label: str,
    title: Title,
) -> str:
    """A map beyond its threshold on the T1w: three planes through a voxel with lines that lead to it, and axial slices.

    Values above the threshold go from red to white, those below its negative from blue to white, all others show the
    T1w. The colours end at -6 and 6 (:data:`LIMIT`); values beyond have the colour of the end.

    Parameters
    ----------
    t1w, values : array, shape (i, j, k)
        RAS+ voxel order, affine without rotation.
    mask : array of bool, shape (i, j, k)
        Brain mask.
    affine : array, shape (4, 4)
    threshold : float
        Above 0.
    at : tuple of int
        Voxel that the three planes go through.
    label : str
        Of the row of three planes.
    title : Title
        Drawn into the picture.

    Returns
    -------
    str
        SVG text.
    """
    return mosaic(_rows(t1w, values, mask, threshold, at, label), frame_of(mask, affine), title)


def thresholded_pixels(
    t1w: Array,
    values: Array,
    mask: Mask,
    affine: npt.NDArray[np.float64],
    *,
    threshold: float,
    at: tuple[int, int, int],
    label: str,
    title: Title,
) -> npt.NDArray[np.uint8]:
    """As :func:`thresholded_map`, in pixels, shape (rows, columns, 3), RGB.

    Parameters
    ----------
    t1w, values, mask, affine, threshold, at, label, title
        As :func:`thresholded_map` takes them.
    """
    return mosaic_pixels(_rows(t1w, values, mask, threshold, at, label), frame_of(mask, affine), title)


def _rows(t1w: Array, values: Array, mask: Mask, threshold: float, at: tuple[int, int, int], label: str) -> list[Row]:
    below = Layer(t1w, 0.0, _bright(t1w, mask))
    shown = np.where(np.abs(values) >= threshold, values, np.nan).astype(np.float32)
    colours = hot_and_cold(threshold)
    bar = f"z, shown beyond ±{threshold:g}, ends at ±{LIMIT:g}"
    ticks = (-LIMIT, -threshold, threshold, LIMIT) if threshold < LIMIT else (-LIMIT, LIMIT)
    with_bar = Layer(shown, -LIMIT, LIMIT, colours, bar, ticks)
    planes = [View("axial", at[2]), View("coronal", at[1]), View("sagittal", at[0])]
    rows = [Row(label, planes, below, positions=True, overlay=with_bar, cross=at)]
    overlay = Layer(shown, -LIMIT, LIMIT, colours)
    views = views_across(mask, "axial", _SLICES)
    for first in range(0, _SLICES, _IN_A_ROW):
        name = "" if first else "Axial"
        rows.append(Row(name, views[first : first + _IN_A_ROW], below, positions=True, overlay=overlay))
    return rows


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
    values = t1w[mask] if mask.any() else t1w.ravel()
    high = float(np.percentile(values, 99.5))
    return high if high > 0 else 1.0
