"""The level of one image against another: the ratio of the two where they do not differ."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Float64 = npt.NDArray[np.float64]

#: Voxels with less than this share of the second image's mean say nothing of the level (fluid).
_LEAST = 0.4
#: Bins of the ratio's histogram, per unit of its logarithm, before it is smoothed.
_BINS_PER_UNIT = 400


def voxel_ratios(first: Float64, second: Float64) -> Float64:
    """First over second at the voxels that tell: the second above 0.4 of its mean, the first above 0.

    Parameters
    ----------
    first, second : array, shape (n,)
        Values of a mask's voxels.

    Returns
    -------
    array, shape (m,)
        In the order of the voxels; empty where none tells.
    """
    usable = (second > _LEAST * second.mean()) & (first > 0) & (second > 0)
    return np.asarray(first[usable] / second[usable])


def mode_of_ratio(first: Float64, second: Float64) -> float:
    """The most frequent ratio: the maximum of a smoothed histogram of its logarithm.

    The histogram's kernel (a multiple of a robust width) is wide enough for one peak of unchanged voxels.

    Parameters
    ----------
    first, second : array, shape (n,)
        Smoothed values of the mask's voxels.

    Returns
    -------
    float
        First over second; NaN where no voxel tells.

    Examples
    --------
    >>> second = np.linspace(1, 2, 500)
    >>> round(mode_of_ratio(np.where(second > 1.8, 3.9, 3.0) * second, second), 2)
    3.0
    """
    logs = np.log(voxel_ratios(first, second))
    if logs.size < 2 or np.ptp(logs) == 0:
        return float(np.exp(logs[0])) if logs.size else float("nan")
    low, middle, high = np.percentile(logs, [16, 50, 84])
    width = max((high - low) / 2, 1e-3)
    edges = np.arange(middle - 4 * width, middle + 4 * width, 1 / _BINS_PER_UNIT)
    counts = np.histogram(logs, edges)[0].astype(np.float64)
    # Smoothed maps have far fewer independent values than voxels: a kernel of half the width.
    density = ndimage.gaussian_filter1d(counts, 0.5 * width * _BINS_PER_UNIT, mode="constant")
    peak = int(np.argmax(density))
    return float(np.exp(edges[0] + (peak + 0.5 + _vertex(density, peak)) / _BINS_PER_UNIT))


def _vertex(values: Float64, peak: int) -> float:
    """Where between its neighbours a maximum lies, -0.5 to 0.5."""
    if not 0 < peak < len(values) - 1:
        return 0.0
    left, middle, right = values[peak - 1 : peak + 2]
    bend = left - 2 * middle + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0
