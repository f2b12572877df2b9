"""The pictures of a subject's report: pure functions from arrays on one grid to SVG text.

All volumes of a call share one grid in RAS+ voxel order (shape (i, j, k), affine without rotation).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.evaluation.figures.palette import DIFFERENCE, FIXED, MOVING, TEMPLATE, UPTAKE
from bids_spectsynth.reports.pictures.mosaic import Contour, Layer, Row, mosaic
from bids_spectsynth.reports.pictures.views import Array, Frame, Mask, Plane, View, frame_of, views_across

Affine = npt.NDArray[np.float64]
_PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")


#: How much of a head is shown around the brain mask.
HEAD_MARGIN_MM = 16.0


def mask_outline(image: Array, mask: Mask, affine: Affine) -> str:
    """Outline of a brain mask on the image that it was made from, 7 slices in each of 3 planes.

    Parameters
    ----------
    image : array, shape (i, j, k)
        T1w, with the head where there is one.
    mask : array of bool, shape (i, j, k)
    affine : array, shape (4, 4)

    Returns
    -------
    str
        SVG text.
    """
    layer = Layer(image, 0.0, _bright(image, mask, 99.5) * 1.15)
    contour = Contour(mask.astype(np.float32), 0.5, FIXED)
    frame = frame_of(mask, affine, HEAD_MARGIN_MM)
    rows = [
        Row(plane.capitalize(), views_across(mask, plane, 7), layer, [contour], positions=True) for plane in _PLANES
    ]
    return mosaic(rows, frame)


def registration(fixed: Array, moving: Array, mask: Mask, affine: Affine, name: str) -> str:
    """Contours of a registered image on the T1w, and of the T1w on the registered image.

    Parameters
    ----------
    fixed, moving : array, shape (i, j, k)
        T1w and the image that was registered to it, both on the T1w grid.
    mask : array of bool, shape (i, j, k)
        Brain mask of the T1w.
    affine : array, shape (4, 4)
    name : str
        What is moving, for the rows' labels.

    Returns
    -------
    str
        SVG text.
    """
    frame, mask, (fixed, moving) = _shown_part(mask, affine, [fixed, moving])
    smooth_fixed, smooth_moving = (_smoothed(data, affine, 1.5) for data in (fixed, moving))
    below = Layer(fixed, 0.0, _bright(fixed, mask, 99.5))
    above = Layer(moving, 0.0, _bright(moving, mask, 99.8), UPTAKE)
    of_moving = [_level(smooth_moving, mask, p, MOVING) for p in (30.0, 65.0)]
    of_fixed = [
        Contour(mask.astype(np.float32), 0.5, FIXED),
        _level(smooth_fixed, mask, 55.0, FIXED, 0.5),
    ]
    rows = []
    for plane in _PLANES:
        views = views_across(mask, plane, 7)
        rows.append(Row(f"{name} lines\non T1w", views, below, of_moving, positions=True))
        rows.append(Row(f"T1w lines\non {name}", views, above, of_fixed))
    return mosaic(rows, frame)


def template_outline(image: Array, mask: Mask, template: Array, affine: Affine) -> str:
    """Outline of a template's brain and of the subject's on the T1w.

    Parameters
    ----------
    image : array, shape (i, j, k)
        T1w.
    mask : array of bool, shape (i, j, k)
        Brain mask of the T1w.
    template : array, shape (i, j, k)
        Brain of the template, 0 to 1.
    affine : array, shape (4, 4)

    Returns
    -------
    str
        SVG text.
    """
    layer = Layer(image, 0.0, _bright(image, mask, 99.5))
    contours = [Contour(mask.astype(np.float32), 0.5, FIXED, 0.7), Contour(template, 0.5, TEMPLATE, 1.2)]
    frame = frame_of(mask | (template > 0.5), affine)
    rows = [Row(plane.capitalize(), views_across(mask, plane, 7), layer, contours, positions=True) for plane in _PLANES]
    return mosaic(rows, frame)


@dataclass(frozen=True)
class Comparison:
    """Numbers that belong to a synthesis mosaic, in units of the in-brain mean.

    Parameters
    ----------
    scale : float
        Upper end of the colour scale of the real and the synthetic image.
    difference : float
        Ends of the symmetric colour scale of the difference; 0 without a real image.
    mean_absolute : float
        Mean absolute difference in the brain; not a number without a real image.
    """

    scale: float
    difference: float
    mean_absolute: float


def synthesis(
    inputs: Mapping[str, Array], real: Array | None, synthetic: Array, mask: Mask, affine: Affine
) -> tuple[str, Comparison]:
    """Inputs, real and synthetic image, and their difference in the same slices.

    The real and the synthetic image are each divided by their own mean inside the mask, so that one colour scale serves
    both; the difference is synthetic minus real after that.

    Parameters
    ----------
    inputs : mapping of role to array, shape (i, j, k)
        What the network saw.
    real : array, shape (i, j, k), or None
        The measured SPECT, where there is one.
    synthetic : array, shape (i, j, k)
    mask : array of bool, shape (i, j, k)
    affine : array, shape (4, 4)

    Returns
    -------
    str
        SVG text.
    Comparison
        The scales that were used.
    """
    frame, mask, shown = _shown_part(mask, affine, [synthetic, *inputs.values(), *([] if real is None else [real])])
    inputs = dict(zip(inputs, shown[1:], strict=False))
    views = _synthesis_views(mask)
    estimated = _relative(shown[0], mask)
    measured = None if real is None else _relative(shown[-1], mask)
    scale = _bright(estimated if measured is None else measured, mask, 99.8)
    rows = [
        Row(f"{role_of(role).title}\n(input)", views, _input_layer(role, data, mask)) for role, data in inputs.items()
    ]
    if measured is not None:
        rows.append(Row("Real\nSPECT", views, Layer(measured, 0.0, scale, UPTAKE, "× brain mean")))
    rows.append(Row("SYNTHETIC\nSPECT", views, Layer(estimated, 0.0, scale, UPTAKE, "× brain mean")))
    limit, mean_absolute = 0.0, float("nan")
    if measured is not None:
        difference = np.where(mask, estimated - measured, np.nan).astype(np.float32)
        absolute = np.abs(difference[mask])
        mean_absolute = float(absolute.mean()) if absolute.size else float("nan")
        # One significant step of 0.1 keeps the scale readable and equal for similar subjects.
        limit = max(0.1, float(np.ceil(np.percentile(absolute, 99) * 10) / 10)) if absolute.size else 0.1
        rows.append(Row("Synthetic\n− real", views, Layer(difference, -limit, limit, DIFFERENCE, "× brain mean")))
    rows[0] = Row(rows[0].label, views, rows[0].layer, positions=True)
    return mosaic(rows, frame), Comparison(scale, limit, mean_absolute)


def _shown_part(mask: Mask, affine: Affine, images: Sequence[Array]) -> tuple[Frame, Mask, list[Array]]:
    """A frame of the brain with its mask and images cut to it: the air around it would take most of the time."""
    box = frame_of(mask, affine).box
    mask, images = mask[box], [image[box] for image in images]
    affine = affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    i, j, k = (slice(0, n) for n in mask.shape)
    return Frame((i, j, k), affine), mask, images


def _synthesis_views(mask: Mask) -> list[View]:
    # The sagittal slice lies beside the midline, where grey matter shows steps between slices better than the falx.
    coronal = views_across(mask, "coronal", 1)
    sagittal = views_across(mask, "sagittal", 5)[1:2]
    return [*views_across(mask, "axial", 7), *coronal, *sagittal]


def _input_layer(role: str, data: Array, mask: Mask) -> Layer:
    if role_of(role).is_nuclear:
        return Layer(data, 0.0, _bright(data, mask, 99.8), UPTAKE)
    return Layer(data, 0.0, _bright(data, mask, 99.5))


def _relative(data: Array, mask: Mask) -> Array:
    values = data[mask]
    mean = float(values.mean()) if values.size else 0.0
    return np.asarray(data / mean if mean > 0 else data, dtype=np.float32)


def _bright(data: Array, mask: Mask, percentile: float) -> float:
    values = data[mask] if mask.any() else data.ravel()
    high = float(np.percentile(values, percentile))
    return high if high > 0 else max(float(values.max()), 1.0)


def _level(data: Array, mask: Mask, percentile: float, color: str, width: float = 0.8) -> Contour:
    values = data[mask] if mask.any() else data.ravel()
    return Contour(data, float(np.percentile(values, percentile)), color, width)


def _smoothed(data: Array, affine: Affine, sigma_mm: float) -> Array:
    zooms = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return ndimage.gaussian_filter(data.astype(np.float32), sigma=sigma_mm / zooms).astype(np.float32)
