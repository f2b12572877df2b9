"""The maps of a SISCOM from two scans on one grid: percent difference and its z maps."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_spectsynth.siscom.records import CohortError, Float32, Maps, Mask


def percent_difference(
    ictal: Float32, baseline: Float32, level: float, mask: Mask, reference: Mask | None = None
) -> Float32:
    """Ictal minus baseline at one level, percent of the baseline's mean in the mask.

    Parameters
    ----------
    ictal, baseline : array, shape (I, J, K)
        Aligned, equally sharp, smoothed.
    level : float
        Ratio of ictal to baseline where nothing has changed, above 0.
    mask : array of bool, shape (I, J, K)
        Evaluation mask.
    reference : array of bool, shape (I, J, K), optional
        Whose mean is 100 percent, where it is not that of the whole mask: without a lesion.

    Returns
    -------
    array, shape (I, J, K), float32
        Positive where the ictal scan is higher; 0 outside the mask.
    """
    x, y = ictal[mask].astype(np.float64), baseline[mask].astype(np.float64)
    mean = y.mean() if reference is None else baseline[reference].astype(np.float64).mean()
    return in_mask(100 * (x / level - y) / mean, mask)


def own_z(difference: Float32, mask: Mask, reference: Mask | None = None) -> tuple[Float32, float]:
    """A difference map over its own standard deviation in the mask; its mean is not subtracted.

    Parameters
    ----------
    difference : array, shape (I, J, K)
    mask : array of bool, shape (I, J, K)
    reference : array of bool, shape (I, J, K), optional
        Whose standard deviation it is, where it is not that of the whole mask: without a lesion.

    Returns
    -------
    z : array, shape (I, J, K), float32
        0 outside the mask, and everywhere where the difference is constant.
    standard_deviation : float
        In the unit of the difference.
    """
    inside = difference[mask].astype(np.float64)
    deviation = float((inside if reference is None else difference[reference].astype(np.float64)).std())
    return in_mask(inside / deviation if deviation > 0 else np.zeros_like(inside), mask), deviation


def voxelwise_z(difference: Float32, deviation: Float32, mask: Mask, mean: Float32 | None = None) -> Float32:
    """A difference map, less an expected one, over a map of standard deviations.

    Parameters
    ----------
    difference, deviation : array, shape (I, J, K)
        In one unit.
    mask : array of bool, shape (I, J, K)
    mean : array, shape (I, J, K), optional
        What is expected without a seizure; 0 by default.

    Returns
    -------
    array, shape (I, J, K), float32
        0 outside the mask and where the deviation is unknown (NaN) or not above 0.
    """
    x, sd = difference[mask].astype(np.float64), deviation[mask].astype(np.float64)
    if mean is not None:
        x = x - mean[mask]
    usable = np.isfinite(x) & (sd > 0)
    return in_mask(np.divide(x, sd, out=np.zeros_like(x), where=usable), mask)


def cohort_z(difference: Float32, error: CohortError | None, mask: Mask) -> Float32 | None:
    """The z map against a cohort, or None without one; see :func:`voxelwise_z`.

    Parameters
    ----------
    difference : array, shape (I, J, K)
    error : CohortError or None
    mask : array of bool, shape (I, J, K)
    """
    if error is None:
        return None
    return voxelwise_z(difference, error.standard_deviation, mask, error.mean)


def in_mask(values: np.ndarray, mask: Mask) -> Float32:
    """A volume (I, J, K), float32, of the values in the mask, shape (n,); 0 outside."""
    out = np.zeros(mask.shape, dtype=np.float32)
    out[mask] = values
    return out


def on_whole_grid(maps: Maps, shape: tuple[int, ...], box: tuple[slice, ...]) -> Maps:
    """Maps of a box on the whole grid, 0 outside.

    Parameters
    ----------
    maps : Maps
    shape : tuple of int
        (I, J, K).
    box : tuple of slice
    """

    def spread(part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        out = np.zeros(shape, dtype=part.dtype)
        out[box] = part
        return out

    return replace(
        maps,
        mask=spread(maps.mask),
        lesion=None if maps.lesion is None else spread(maps.lesion),
        difference=spread(maps.difference),
        trend=None if maps.trend is None else spread(maps.trend),
        z=spread(maps.z),
        znull=spread(maps.znull),
        zcohort=None if maps.zcohort is None else spread(maps.zcohort),
    )
