"""Planes in space as a stack: their order, their distance, and what is wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bids_spectsynth.dicom.geometry import Float64, Placement
from bids_spectsynth.errors import ImageError

#: Planes that are fewer are no volume.
LEAST_PLANES = 4
#: Differences that rounding makes: of a direction's numbers, of positions (mm), of a distance (part of it).
_DIRECTION, _POSITION_MM, _DISTANCE = 1e-3, 0.1, 0.02


@dataclass(frozen=True, eq=False)
class Plane:
    """One image of a single-slice series, or one frame of an enhanced one.

    Parameters
    ----------
    position, row, column : array, shape (3,)
        As of :class:`~bids_spectsynth.dicom.geometry.Placement`.
    pixel_spacing : tuple of float
    size : tuple of int
        Rows and columns.
    """

    position: Float64
    row: Float64
    column: Float64
    pixel_spacing: tuple[float, float]
    size: tuple[int, int]


def stack(planes: Sequence[Plane]) -> tuple[list[int], Placement]:
    """The order of planes along their normal, and where the stack lies.

    Parameters
    ----------
    planes : sequence of Plane
        In any order.

    Returns
    -------
    order : list of int
    placement : Placement
        With a positive spacing.

    Raises
    ------
    ImageError
        They are too few, of several orientations, sizes or times, or one is missing.
    """
    if len(planes) < LEAST_PLANES:
        raise ImageError(f"{len(planes)} slices are no volume")
    first = planes[0]
    _check_alike(planes)
    normal = np.cross(first.row, first.column)
    heights = np.array([plane.position @ normal for plane in planes])
    order = [int(number) for number in np.argsort(heights, kind="stable")]
    spacing = _spacing(heights[order])
    lowest = planes[order[0]].position
    for step, number in enumerate(order):
        aside = planes[number].position - lowest - step * spacing * normal
        if np.abs(aside - (aside @ normal) * normal).max() > _POSITION_MM:
            raise ImageError("slices are shifted against each other (a tilted gantry); resample the series")
    return order, Placement(lowest, first.row, first.column, first.pixel_spacing, spacing)


def _check_alike(planes: Sequence[Plane]) -> None:
    first = planes[0]
    directions = np.array([[*plane.row, *plane.column] for plane in planes])
    apart = np.abs(directions - directions[0]).max(axis=1) > _DIRECTION
    if apart.any():
        raise ImageError(f"slices of mixed orientations ({apart.sum()} of {len(planes)} lie otherwise than the first)")
    if any(plane.size != first.size for plane in planes):
        raise ImageError("slices of different sizes")
    spacings = np.array([plane.pixel_spacing for plane in planes])
    if (np.abs(spacings / spacings[0] - 1) > _DISTANCE).any():
        raise ImageError("slices with pixels of different sizes")


def _spacing(heights: Float64) -> float:
    """Distance of slices; positions in rising order."""
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    if usual < _POSITION_MM or (gaps < usual / 2).any():
        twice = int((gaps < max(usual / 2, _POSITION_MM)).sum())
        raise ImageError(f"{twice + 1} or more images lie at one place: several echoes, times or repetitions")
    wide = np.flatnonzero(np.abs(gaps / usual - 1) > max(_DISTANCE, _POSITION_MM / usual))
    if len(wide):
        missing = round(float(gaps[wide[0]] / usual)) - 1
        what = f"{missing} missing" if missing > 0 else "at an uneven distance"
        raise ImageError(f"a slice is {what} after number {wide[0] + 1} of {len(heights)}; export the series again")
    return float((heights[-1] - heights[0]) / (len(heights) - 1))
