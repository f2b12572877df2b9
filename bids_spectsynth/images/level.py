"""The level of one image against another: the ratio of the two where they do not differ."""

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

#: Voxels with less than this share of the second image's mean say nothing of the level (fluid).
_LEAST = 0.4
#: Ratios beyond this many standard deviations of the narrower side have no vote.
_TUKEY = 2.0
_HALF_OF_GAUSSIAN = 0.6745
_MAX_ITERATIONS, _CONVERGED = 50, 1e-7


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
    """The most frequent ratio: the centre of its logarithm's narrower side.

    What a seizure changes lies on one side of the ratios that did not change and widens that side alone. From the
    middle of the shortest interval that holds half of the ratios, Tukey's biweight goes on to the centre, with the
    width of the narrower side.

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
    logs = np.sort(np.log(voxel_ratios(first, second)))
    if not logs.size:
        return float("nan")
    centre = _middle_of_shortest_half(logs)
    for _ in range(_MAX_ITERATIONS):
        width = _narrower_side(logs, centre)
        if width <= 0:
            break
        weights = np.square(1 - np.square(np.clip((logs - centre) / (_TUKEY * width), -1, 1)))
        following = float(np.sum(weights * logs) / np.sum(weights))
        step, centre = abs(following - centre), following
        if step < _CONVERGED:
            break
    return float(np.exp(centre))


def _middle_of_shortest_half(ordered: Float64) -> float:
    half = (ordered.size + 1) // 2
    start = int(np.argmin(ordered[half - 1 :] - ordered[: ordered.size - half + 1]))
    return float(np.median(ordered[start : start + half]))


def _narrower_side(ordered: Float64, centre: float) -> float:
    """Standard deviation of a Gaussian whose half is that of the narrower side; 0 where all lie at the centre."""
    at = int(np.searchsorted(ordered, centre))
    sides = [centre - ordered[:at], ordered[at:] - centre]
    widths = [float(np.median(side)) for side in sides if side.size]
    return min(widths) / _HALF_OF_GAUSSIAN
