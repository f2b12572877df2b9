"""Statistics of counts and categories: shares with exact intervals, paired yes and no, agreement beyond chance."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

#: Intervals hold the truth in so many of a hundred studies.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Share:
    """A share with its exact interval; NaN where there is nothing to count.

    Parameters
    ----------
    k, n : int
        So many of so many.
    share, low, high : float
        Share, and the bounds of its interval, 0 to 1.
    """

    k: int
    n: int
    share: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa with its interval, of n pairs; NaN where there is none."""

    n: int
    kappa: float = math.nan
    low: float = math.nan
    high: float = math.nan


def exact_share(k: int, n: int, confidence: float = CONFIDENCE) -> Share:
    """A share with the interval of Clopper and Pearson (1934).

    Parameters
    ----------
    k, n : int
        ``0 <= k <= n``.
    confidence : float

    Examples
    --------
    >>> result = exact_share(9, 10)
    >>> round(result.low, 3), round(result.high, 3)
    (0.555, 0.997)
    """
    if n == 0:
        return Share(k, n)
    interval = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
    return Share(k, n, k / n, float(interval.low), float(interval.high))


def exact_mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p of McNemar's exact test: are yes-first-no-second and no-first-yes-second equally frequent?

    Parameters
    ----------
    only_first, only_second : int
        Pairs of which only the one, and only the other, is a yes.

    Returns
    -------
    float
        1 where all pairs agree.

    Examples
    --------
    >>> exact_mcnemar(6, 0)
    0.03125
    """
    n = only_first + only_second
    return float(stats.binomtest(min(only_first, only_second), n, 0.5).pvalue) if n else 1.0


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable], confidence: float = CONFIDENCE) -> Kappa:
    """Agreement of two raters beyond chance (Cohen 1960), unweighted.

    Parameters
    ----------
    first, second : sequence of length n
        Categories, pair by pair.
    confidence : float
        Of the interval, by the large-sample variance of Fleiss, Cohen and Everitt (1969).

    Returns
    -------
    Kappa
        NaN without pairs, and where both always chose one and the same category: chance alone would agree.

    Raises
    ------
    ValueError
        The lengths differ.

    Examples
    --------
    >>> result = cohen_kappa("LLLRRR", "LLRRRR")
    >>> round(result.kappa, 3), round(result.low, 3), round(result.high, 3)
    (0.667, 0.104, 1.0)
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} categories cannot be paired with {len(second)}")
    names = list(dict.fromkeys([*first, *second]))
    table = np.zeros((len(names), len(names)))
    for a, b in zip(first, second, strict=True):
        table[names.index(a), names.index(b)] += 1
    n = len(first)
    if len(names) < 2:
        return Kappa(n)
    shares = table / n
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = float(np.trace(shares)), float(rows @ columns)
    kappa = (observed - expected) / (1 - expected)
    # With p the share of a cell: the sum over the diagonal, that over the rest, and the square of their mean.
    on_diagonal = np.sum(np.diag(shares) * (1 - (rows + columns) * (1 - kappa)) ** 2)
    crossed = shares * (columns[:, None] + rows[None, :]) ** 2
    off_diagonal = (1 - kappa) ** 2 * (crossed.sum() - np.trace(crossed))
    variance = (on_diagonal + off_diagonal - (kappa - expected * (1 - kappa)) ** 2) / (n * (1 - expected) ** 2)
    half = float(stats.norm.ppf(0.5 + confidence / 2)) * math.sqrt(max(float(variance), 0.0))
    return Kappa(n, kappa, max(kappa - half, -1.0), min(kappa + half, 1.0))
