"""Values of prepared images brought to the range of the networks, and the block of slices that they learn from."""

from typing import Any

import numpy as np
import numpy.typing as npt

from bids_spectsynth.images.grid import FloatArray
from bids_spectsynth.options.settings import Scaling

#: In-brain percentile that volume scaling maps to 1.
VOLUME_PERCENTILE = 99.8


def scaling_coefficients(
    volume: npt.NDArray[Any], mask: npt.NDArray[np.bool_], scaling: Scaling
) -> tuple[FloatArray, FloatArray]:
    """Slope and intercept per axial slice that bring a prepared image to (-1, 1).

    Parameters
    ----------
    volume : array, shape (i, j, k)
        Prepared image, 0 outside the brain.
    mask : array, shape (i, j, k), bool
        Brain.
    scaling : {'slice', 'volume'}
        ``slice``: minimum and maximum of each slice become -1 and 1 (Fard 2024, section 2.3); a slice of one value
        gets slope 0 and intercept -1. ``volume``: 0 becomes -1 and the 99.8th percentile in the brain 1, the same for
        all slices, so that slices stay comparable.

    Returns
    -------
    slope, intercept : array, shape (k,), float64
        ``scaled = clip(slope * volume + intercept, -1, 1)``; see :func:`apply_scaling`.
    """
    n = volume.shape[2]
    slope, intercept = np.zeros(n), np.full(n, -1.0)
    if scaling == "volume":
        values = volume[mask]
        top = float(np.percentile(values, VOLUME_PERCENTILE)) if values.size else 0.0
        if top > 0:
            slope[:] = 2 / top
        return slope, intercept
    low = volume.min(axis=(0, 1)).astype(np.float64)
    high = volume.max(axis=(0, 1)).astype(np.float64)
    varies = high > low
    slope[varies] = 2 / (high[varies] - low[varies])
    intercept[varies] = -1 - slope[varies] * low[varies]
    return slope, intercept


def apply_scaling(volume: npt.NDArray[Any], slope: FloatArray, intercept: FloatArray) -> npt.NDArray[np.float32]:
    """``clip(slope * volume + intercept, -1, 1)``, one coefficient pair per axial slice.

    Parameters
    ----------
    volume : array, shape (i, j, k)
    slope, intercept : array, shape (k,), float64
        Of :func:`scaling_coefficients`.

    Returns
    -------
    array, shape (i, j, k), float32
        In (-1, 1).
    """
    scaled = volume * np.asarray(slope)[None, None, :] + np.asarray(intercept)[None, None, :]
    return np.clip(scaled, -1, 1).astype(np.float32)


def slice_block(mask: npt.NDArray[Any], n: int) -> slice:
    """Contiguous block of ``n`` axial slices with the most brain voxels (all slices where there are fewer).

    Of equally good blocks the middle one is taken, so that a small brain lies in the middle of its block.
    """
    counts = np.count_nonzero(mask, axis=(0, 1))
    n = min(n, len(counts))
    sums = np.convolve(counts, np.ones(n, dtype=np.int64), mode="valid")
    best = np.flatnonzero(sums == sums.max())
    start = int(best[(len(best) - 1) // 2])
    return slice(start, start + n)
