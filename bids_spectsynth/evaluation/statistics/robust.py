"""Robust z-scores: how far a value lies from the others, without being pulled along by it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

#: Absolute z beyond which a value is an outlier (Iglewicz and Hoaglin 1993).
OUTLIER_Z = 3.5
#: With fewer values there is no usual one to differ from.
LEAST_VALUES = 5
#: The median and the mean of the absolute deviations of a normal distribution of standard deviation 1.
_NORMAL_MAD, _NORMAL_MEAN_DEVIATION = 0.674489750196082, 0.797884560802865


@dataclass(frozen=True, eq=False)
class RobustScores:
    """Scores of some values.

    Parameters
    ----------
    z : array, shape (n,)
        Modified z-scores; not a number where there is none.
    median : float
    mad : float
        Median absolute deviation from the median.
    n : int
        Finite values.
    """

    z: Float64
    median: float
    mad: float
    n: int


def robust_scores(values: npt.ArrayLike) -> RobustScores:
    """Modified z-scores by median and median absolute deviation (Iglewicz and Hoaglin 1993).

    Where more than half of the values are equal, the median absolute deviation is 0 and the mean absolute deviation
    from the median takes its place; where all are equal, every z is 0.

    Parameters
    ----------
    values : array, shape (n,)
        What is not finite gets no score and does not count.

    Returns
    -------
    RobustScores
        With fewer than five finite values, without any z.

    Examples
    --------
    >>> robust_scores([1.0, 2.0, 3.0, 4.0, 100.0]).z.round(2).tolist()
    [-1.35, -0.67, 0.0, 0.67, 65.43]
    """
    array = np.asarray(values, dtype=np.float64)
    finite = array[np.isfinite(array)]
    z = np.full(array.shape, np.nan)
    if not len(finite):
        return RobustScores(z, np.nan, np.nan, 0)
    median = float(np.median(finite))
    deviations = np.abs(finite - median)
    mad = float(np.median(deviations))
    if len(finite) < LEAST_VALUES:
        return RobustScores(z, median, mad, len(finite))
    # Differences that only rounding has made are none.
    tiny = 1e-9 * max(abs(median), 1e-300)
    spread = mad / _NORMAL_MAD if mad > tiny else float(deviations.mean()) / _NORMAL_MEAN_DEVIATION
    known = np.isfinite(array)
    z[known] = (finite - median) / spread if spread > tiny else 0.0
    return RobustScores(z, median, mad, len(finite))
