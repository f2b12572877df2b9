"""Tests of paired values: t, signed ranks, and the two one-sided tests of equivalence."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

#: Level of significance of the article.
ALPHA = 0.01

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairedResult:
    """Statistic, degrees of freedom and p of a test; NaN where there is none, and ``note`` says why."""

    statistic: float = math.nan
    df: float = math.nan
    p: float = math.nan
    note: str = ""


def finite_pairs(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Float64, Float64]:
    """The pairs of which both values are finite (the PSNR of identical images is not), each of shape (n,).

    Raises
    ------
    ValueError
        The lengths differ.
    """
    a, b = (np.asarray(values, dtype=np.float64).ravel() for values in (first, second))
    if a.shape != b.shape:
        raise ValueError(f"{a.size} values cannot be paired with {b.size}")
    finite = np.isfinite(a) & np.isfinite(b)
    return a[finite], b[finite]


def why_no_test(first: Float64, second: Float64) -> str:
    """What keeps finite pairs from being tested; empty where nothing does."""
    if first.size == 0:
        return "no pairs"
    if first.size == 1:
        return "fewer than two pairs"
    # Differences that are equal but for rounding have no spread to test against.
    if np.std(first - second, ddof=1) <= 1e-12 * max(np.abs(first).max(), np.abs(second).max()):
        return "all differences are equal"
    return ""


def paired_t_test(first: npt.ArrayLike, second: npt.ArrayLike) -> PairedResult:
    """Two-tailed paired t-test.

    Parameters
    ----------
    first, second : array, shape (n,)
        Paired values. Pairs with a value that is not finite are left out.

    Returns
    -------
    PairedResult
        With n - 1 degrees of freedom; without numbers where fewer than two pairs are left or all differences are
        equal.

    Raises
    ------
    ValueError
        The lengths differ.

    Examples
    --------
    >>> result = paired_t_test([0.81, 0.84, 0.79, 0.88], [0.78, 0.80, 0.79, 0.83])
    >>> round(result.statistic, 3), result.df, round(result.p, 4)
    (2.777, 3.0, 0.0691)
    """
    a, b = finite_pairs(first, second)
    if reason := why_no_test(a, b):
        return PairedResult(note=reason)
    result = stats.ttest_rel(a, b)
    return PairedResult(float(result.statistic), float(result.df), float(result.pvalue))


def signed_rank_test(first: npt.ArrayLike, second: npt.ArrayLike, alpha: float = ALPHA) -> PairedResult:
    """Two-tailed signed-rank test (Wilcoxon 1945), exact or approximate as scipy chooses; zero differences are dropped.

    Parameters
    ----------
    first, second : array, shape (n,)
        As of :func:`paired_t_test`.
    alpha : float
        A level that too few pairs cannot reach is said in the note: the least p of n pairs is ``2 ** (1 - n)``.

    Returns
    -------
    PairedResult
        The statistic is the smaller sum of ranks; there are no degrees of freedom.

    Examples
    --------
    >>> result = signed_rank_test([0.81, 0.84, 0.79, 0.88], [0.78, 0.80, 0.79, 0.83])
    >>> result.p, result.note
    (0.25, 'so few pairs cannot give a p below 0.25')
    """
    a, b = finite_pairs(first, second)
    if reason := why_no_test(a, b):
        return PairedResult(note=reason)
    result = stats.wilcoxon(a - b)
    least = 2.0 ** (1 - np.count_nonzero(a - b))
    note = f"so few pairs cannot give a p below {least:.3g}" if least >= alpha else ""
    return PairedResult(float(result.statistic), p=float(result.pvalue), note=note)


def equivalence_test(first: npt.ArrayLike, second: npt.ArrayLike, margin: float) -> PairedResult:
    """Two one-sided paired t-tests (Schuirmann 1987): is the mean difference within the margin on either side?

    Parameters
    ----------
    first, second : array, shape (n,)
        As of :func:`paired_t_test`.
    margin : float
        The largest mean difference that counts as none, above 0, in the unit of the values.

    Returns
    -------
    PairedResult
        t and p of the one-sided test with the larger p. A small p shows equivalence; a large one shows nothing.

    Examples
    --------
    >>> result = equivalence_test([0.81, 0.84, 0.79, 0.88], [0.78, 0.80, 0.79, 0.83], margin=0.1)
    >>> round(result.p, 4)
    0.0037
    """
    a, b = finite_pairs(first, second)
    if reason := why_no_test(a, b):
        return PairedResult(note=reason)
    difference = a - b
    df = difference.size - 1
    error = difference.std(ddof=1) / math.sqrt(difference.size)
    above, below = (difference.mean() + margin) / error, (difference.mean() - margin) / error
    p_above, p_below = float(stats.t.sf(above, df)), float(stats.t.cdf(below, df))
    return PairedResult(float(above if p_above >= p_below else below), float(df), max(p_above, p_below))
