"""Corrections of a family of p-values for its size."""

import numpy as np
import numpy.typing as npt
from scipy import stats

Float64 = npt.NDArray[np.float64]


def holm(p_values: npt.ArrayLike) -> Float64:
    """Holm's (1979) step-down adjustment of a family of p-values.

    Parameters
    ----------
    p_values : array, shape (n,)
        NaN marks a test that could not be made; it stays NaN and does not count.

    Returns
    -------
    array, shape (n,)
        Adjusted values, at most 1; below alpha where the family-wise error is controlled at alpha.

    Examples
    --------
    >>> holm([0.01, 0.04, np.nan, 0.005]).tolist()
    [0.02, 0.04, nan, 0.015]
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    order = np.argsort(p, kind="stable")[: np.count_nonzero(np.isfinite(p))]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return adjusted


def benjamini_hochberg(p_values: npt.ArrayLike) -> Float64:
    """Step-up adjustment of Benjamini and Hochberg (1995) of a family of p-values.

    Parameters
    ----------
    p_values : array, shape (n,)
        NaN marks a test that could not be made; it stays NaN and does not count.

    Returns
    -------
    array, shape (n,)
        Adjusted values, at most 1; of those below q, a share of q is expected to be false at most (for tests that are
        independent or positively dependent).
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.isfinite(p)
    adjusted[known] = stats.false_discovery_control(p[known])
    return adjusted
