"""The pictures of a subject's report: pure functions from arrays on one grid to files.

All volumes of a call share one grid in RAS+ voxel order (shape (i, j, k), affine without rotation).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.evaluation.figures.palette import DIFFERENCE, FIXED, MOVING, TEMPLATE, UPTAKE
from bids_spectsynth.reports.pictures.mosaic import Contour, Layer, Row, Title, mosaic
from bids_spectsynth.reports.pictures.views import (
    Array,
    Mask,
    Plane,
    View,
    frame_of,
    percentile_in,
    shown_part,
    values_in,
    views_across,
)

Affine = npt.NDArray[np.float64]
#: How much of a head is shown around the brain mask.
HEAD_MARGIN_MM = 16.0
#: Slices in one row of all planes: of so many at equal distances, those that hold much of the brain.
_STRIP: Mapping[Plane, tuple[int, tuple[int, ...]]] = {
    "axial": (7, (1, 3, 5)),
    "coronal": (5, (1, 3)),
    "sagittal": (5, (1, 3)),
}
#: Pixels of the width of a picture that stands beside text.
GLANCE_WIDTH = 1040


def mask_outline(image: Array, mask: Mask, affine: Affine, title: Title, lesion: Mask | None = None) -> bytes:
    """Outline of a brain mask on the image that it was made from: seven axial slices, then coronal and sagittal ones.

    With a lesion mask its outline as well, in slices through its middle too.

    Parameters
    ----------
    image : array, shape (i, j, k)
        T1w, with the head where there is one.
    mask : array of bool, shape (i, j, k)
    affine : array, shape (4, 4)
    title : Title
    lesion : array of bool, shape (i, j, k), optional

    Returns
    -------
    bytes
        WebP.
    """
    layer = Layer(image, 0.0, _bright(image, mask, 99.5) * 1.15)
    contours = [Contour(mask.astype(np.float32), 0.5, FIXED)]
    has_lesion = lesion is not None and bool(lesion.any())
    if lesion is not None and has_lesion:
        contours.append(Contour(lesion.astype(np.float32), 0.5, MOVING))
    others = [*views_across(mask, "coronal", 4), *views_across(mask, "sagittal", 3)]
    rows = [
        Row("Brain mask\non T1w", views_across(mask, "axial", 7), layer, contours, positions=True),
        Row("", others, layer, contours, positions=True),
    ]
    if lesion is not None and has_lesion:
        rows.append(Row("Lesion mask\non T1w", _lesion_views(lesion), layer, contours, positions=True))
    return mosaic(rows, frame_of(mask, affine, HEAD_MARGIN_MM), title)


def _lesion_views(lesion: Mask) -> list[View]:
    """Seven slices that show a lesion."""
    counts: tuple[tuple[Plane, int], ...] = (("axial", 3), ("coronal", 2), ("sagittal", 2))
    return [view for plane, count in counts for view in views_across(lesion, plane, count)]


def registration(fixed: Array, moving: Array, mask: Mask, affine: Affine, names: tuple[str, Title]) -> bytes:
    """A strip of seven slices: lines of a registered image on the T1w, and of the T1w on the registered image.

    Parameters
    ----------
    fixed, moving : array, shape (i, j, k)
        T1w and the image that was registered to it, both on the T1w grid.
    mask : array of bool, shape (i, j, k)
        Brain mask of the T1w.
    affine : array, shape (4, 4)
    names : tuple of str and Title
        What is moving, for the rows' labels, and the lines above.

    Returns
    -------
    bytes
        WebP.
    """
    name, title = names
    frame, mask, (fixed, moving) = shown_part(mask, affine, [fixed, moving])
    bright = _bright(moving, mask, 99.8)
    mean = float(values_in(moving, mask).mean()) if mask.any() else 0.0
    below = Layer(fixed, 0.0, _bright(fixed, mask, 99.5))
    # In percent, as the viewer has it: counts of a scanner say nothing.
    relative = moving * np.float32(100 / mean if mean > 0 else 1)
    top = float(np.ceil(bright * (100 / mean if mean > 0 else 1) / 10) * 10)
    above = Layer(relative, 0.0, top, UPTAKE, "% of mean", (0.0, top / 2, top))
    of_moving = [_level(moving, mask, p, MOVING) for p in (30.0, 65.0)]
    of_fixed = [
        Contour(mask.astype(np.float32), 0.5, FIXED),
        _level(fixed, mask, 55.0, FIXED, 1.0),
    ]
    views = strip_views(mask)
    rows = [
        Row(f"{name} lines\non T1w", views, below, of_moving, positions=True),
        Row(f"T1w lines\non {name}", views, above, of_fixed),
    ]
    return mosaic(rows, frame, title)


def template_outline(image: Array, mask: Mask, template: Array, affine: Affine, title: Title) -> bytes:
    """Outline of a template's brain and of the subject's on the T1w, a strip of seven slices.

    Parameters
    ----------
    image : array, shape (i, j, k)
        T1w.
    mask : array of bool, shape (i, j, k)
        Brain mask of the T1w.
    template : array, shape (i, j, k)
        Brain of the template, 0 to 1.
    affine : array, shape (4, 4)
    title : Title

    Returns
    -------
    bytes
        WebP.
    """
    layer = Layer(image, 0.0, _bright(image, mask, 99.5))
    contours = [Contour(mask.astype(np.float32), 0.5, FIXED, 1.3), Contour(template, 0.5, TEMPLATE, 2.0)]
    frame = frame_of(mask | (template > 0.5), affine)
    return mosaic([Row("Outlines\non T1w", strip_views(mask), layer, contours, positions=True)], frame, title)


def strip_views(mask: Mask) -> list[View]:
    """The slices that a strip shows of a brain: the middle ones of each plane."""
    return [views_across(mask, plane, count)[at] for plane, (count, places) in _STRIP.items() for at in places]


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
    inputs: Mapping[str, Array], real: Array | None, synthetic: Array, mask: Mask, affine: Affine, title: Title
) -> tuple[bytes, Comparison]:
    """Inputs, real and synthetic image, and their difference in the same slices.

    The real and the synthetic image are each divided by their own mean inside the mask, so that one colour scale serves
    both; the difference is synthetic minus real after that.

    Parameters
    ----------
    inputs : mapping of role to array, shape (i, j, k)
        What the network saw, as far as it is to be shown.
    real : array, shape (i, j, k), or None
        The measured SPECT, where there is one.
    synthetic : array, shape (i, j, k)
    mask : array of bool, shape (i, j, k)
    affine : array, shape (4, 4)
    title : Title

    Returns
    -------
    bytes
        WebP.
    Comparison
        The scales that were used.
    """
    frame, mask, shown = shown_part(mask, affine, [synthetic, *inputs.values(), *([] if real is None else [real])])
    inputs = dict(zip(inputs, shown[1:], strict=False))
    views = _synthesis_views(mask)
    estimated, measured = _relative(shown[0], mask), None if real is None else _relative(shown[-1], mask)
    rows, scale = _synthesis_rows(inputs, measured, estimated, mask, views)
    limit, mean_absolute = 0.0, float("nan")
    if measured is not None:
        difference = np.where(mask, estimated - measured, np.nan).astype(np.float32)
        absolute = np.abs(values_in(difference, mask)) if mask.any() else np.zeros(0)
        mean_absolute = float(absolute.mean()) if absolute.size else float("nan")
        # One significant step of 0.1 keeps the scale readable and equal for similar subjects.
        limit = max(0.1, float(np.ceil(np.percentile(absolute, 99) * 10) / 10)) if absolute.size else 0.1
        layer = Layer(difference, -limit, limit, DIFFERENCE, "× mean")
        rows.append(Row("SYNTHETIC\n− real", views, layer, alarm=True))
    rows[-1] = replace(rows[-1], positions=True)
    return mosaic(rows, frame, title), Comparison(scale, limit, mean_absolute)


def synthesis_at_a_glance(
    inputs: Mapping[str, Array], real: Array | None, synthetic: Array, mask: Mask, affine: Affine, title: Title
) -> bytes:
    """Inputs, real and synthetic image in one slice of each plane, to stand beside text.

    Parameters
    ----------
    inputs, real, synthetic, mask, affine, title
        As :func:`synthesis` takes them.
    """
    frame, mask, shown = shown_part(mask, affine, [synthetic, *inputs.values(), *([] if real is None else [real])])
    inputs = dict(zip(inputs, shown[1:], strict=False))
    views = [*views_across(mask, "axial", 5)[1:4:2], *_synthesis_views(mask)[-2:]]
    measured = None if real is None else _relative(shown[-1], mask)
    rows, _ = _synthesis_rows(inputs, measured, _relative(shown[0], mask), mask, views)
    rows[-1] = replace(rows[-1], positions=True)
    return mosaic(rows, frame, title, GLANCE_WIDTH)


def _synthesis_rows(
    inputs: Mapping[str, Array], measured: Array | None, estimated: Array, mask: Mask, views: Sequence[View]
) -> tuple[list[Row], float]:
    scale = _bright(estimated if measured is None else measured, mask, 99.8)
    rows = [
        Row(f"{role_of(role).title}\n(input)", views, _input_layer(role, data, mask)) for role, data in inputs.items()
    ]
    if measured is not None:
        rows.append(Row("Real\nSPECT", views, Layer(measured, 0.0, scale, UPTAKE, "× mean")))
    rows.append(Row("SYNTHETIC\nSPECT", views, Layer(estimated, 0.0, scale, UPTAKE, "× mean"), alarm=True))
    return rows, scale


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
    mean = float(values_in(data, mask).mean()) if mask.any() else 0.0
    return np.asarray(data / mean if mean > 0 else data, dtype=np.float32)


def _bright(data: Array, mask: Mask, percentile: float) -> float:
    high = percentile_in(data, mask, percentile)
    return high if high > 0 else max(float(data.max(initial=0.0)), 1.0)


def _level(data: Array, mask: Mask, percentile: float, color: str, width: float = 1.4) -> Contour:
    return Contour(data, percentile_in(data, mask, percentile), color, width, smoothing_mm=1.5)
