"""Agreement of paired values that several subjects gave several of each: limits of agreement, correlations, signs.

Values of one subject are not independent, so intervals are computed over subjects throughout.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

#: Limits of agreement hold 95 % of the differences, intervals have 95 % confidence.
LEVEL = 0.95
#: Asymmetry indices of the real SPECT beyond this, percent, have a side that can be agreed on.
MARKED_PERCENT = 5.0
#: Fewest pairs of a subject that a correlation is worth computing from.
MIN_PAIRS = 4

Float64 = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval; NaN where the data do not give one."""

    value: float
    low: float
    high: float


_NOTHING = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Limits:
    """Bias, spread and limits of agreement of differences; see :func:`limits_of_agreement`."""

    bias: Interval
    sd_between: float
    sd_within: float
    sd_total: float
    lower: Interval
    upper: Interval


def limits_of_agreement(differences: npt.ArrayLike, subjects: npt.ArrayLike) -> Limits:
    """Bland-Altman limits of agreement of differences with several from each subject.

    The bias is the mean over subjects of each one's mean difference d_i. The variance of the difference at a random
    place in a random subject is the variance of the d_i plus the mean over subjects of the mean square around d_i;
    this holds however the values within a subject depend on each other. With as many values of every subject it is the
    sum of the two variance components that Bland and Altman 2007 (J Biopharm Stat 17:571, true value varies) take from
    a one-way analysis of variance. The limits are bias -/+ 1.96 of its root.

    Their intervals are those of Zou 2013 (Stat Methods Med Res 22:630), with two changes that few subjects and
    dependent values ask for: Student's t for the bias, and for the spread within subjects not the number of values but
    the degrees of freedom that its variation from subject to subject shows (Satterthwaite), at most that number.

    Parameters
    ----------
    differences : array, shape (N,)
    subjects : array, shape (N,)
        Whose each difference is.

    Returns
    -------
    Limits
        With one subject only bias and ``sd_within`` are known; with one value of each subject these are the plain
        limits of agreement and ``sd_within`` is NaN.

    Examples
    --------
    >>> limits = limits_of_agreement([1.0, 2.0, 3.0, -1.0, 0.0, 4.0], ["01", "01", "02", "02", "03", "03"])
    >>> limits.bias.value, round(limits.lower.value, 2), round(limits.upper.value, 2)
    (1.5, -1.89, 4.89)
    """
    d = np.asarray(differences, dtype=np.float64)
    labels, m = _labels(subjects)
    n, total = len(m), len(d)
    if n == 0:
        return Limits(_NOTHING, math.nan, math.nan, math.nan, _NOTHING, _NOTHING)
    means = np.bincount(labels, weights=d) / m
    around = np.bincount(labels, weights=np.square(d - means[labels]))
    within_square = float(around.sum()) / (total - n) if total > n else math.nan
    bias = float(means.mean())
    if n == 1:
        one = Interval(bias, math.nan, math.nan)
        return Limits(one, math.nan, math.sqrt(within_square), math.nan, _NOTHING, _NOTHING)
    between, within = float(means.var(ddof=1)), around / m
    variance = between + float(within.mean())
    low, high = _variance_interval(between, within, n, total - n)
    sd = math.sqrt(variance)
    z, t = float(special.ndtri((1 + LEVEL) / 2)), _t_quantile(n - 1)
    half = t * math.sqrt(between / n)
    wide, narrow = (math.hypot(half, z * (sd - math.sqrt(end))) for end in (high, low))
    return Limits(
        bias=Interval(bias, bias - half, bias + half),
        sd_between=math.sqrt(_between_component(d, means, m, within_square)),
        sd_within=math.sqrt(within_square),
        sd_total=sd,
        lower=Interval(bias - z * sd, bias - z * sd - wide, bias - z * sd + narrow),
        upper=Interval(bias + z * sd, bias + z * sd - narrow, bias + z * sd + wide),
    )


def _t_quantile(freedom: int) -> float:
    """Student's t of a two-sided interval; scipy.special, because hundreds of regions ask for it."""
    return float(special.stdtrit(freedom, (1 + LEVEL) / 2))


def _variance_interval(between: float, within: Float64, n: int, most: int) -> tuple[float, float]:
    """Ends of the interval of ``between + mean(within)``, recovered from the intervals of both parts (MOVER)."""
    alpha = (1 - LEVEL) / 2
    parts = [(between, float(n - 1))]
    level = float(within.mean())
    if most > 0 and level > 0:
        scatter = float(within.var(ddof=1)) / n
        # A variance with v degrees of freedom has the variance 2 level**2 / v.
        freedom = 2 * level**2 / scatter if scatter > 0 else math.inf
        parts.append((level, min(max(freedom, 1.0), float(most))))
    # chdtri gives the chi-square value that is exceeded with a probability.
    below = [value * (1 - v / float(special.chdtri(v, alpha))) for value, v in parts]
    above = [value * (v / float(special.chdtri(v, 1 - alpha)) - 1) for value, v in parts]
    whole = between + level
    return max(whole - math.hypot(*below), 0.0), whole + math.hypot(*above)


def _between_component(d: Float64, means: Float64, m: Float64, within_square: float) -> float:
    """Variance component between subjects of the one-way analysis of variance, not below 0."""
    n, total = len(m), float(m.sum())
    between_square = float(m @ np.square(means - d.mean())) / (n - 1)
    if math.isnan(within_square):
        return between_square
    typical = (total**2 - float(np.square(m).sum())) / ((n - 1) * total)
    return max((between_square - within_square) / typical, 0.0)


def _labels(groups: npt.ArrayLike) -> tuple[Labels, Float64]:
    """Group of each value as a number from 0, and how many values each group has."""
    names = np.asarray(groups)
    # Hundreds of regions ask with numbers that are such labels already; sorting them would tell nothing new.
    if names.dtype.kind == "i" and names.size and 0 <= names.min() <= names.max() < names.size:
        found = np.bincount(names)
        if found.all():
            return names.astype(np.intp, copy=False), found.astype(np.float64)
    _, labels, counts = np.unique(names, return_inverse=True, return_counts=True)
    return labels, counts.astype(np.float64)


def grouped_correlation(x: npt.ArrayLike, y: npt.ArrayLike, groups: npt.ArrayLike) -> float:
    """Pearson's r of the deviations from each group's mean.

    With subjects as groups it is the repeated-measures correlation of Bland and Altman 1995 (BMJ 310:446); with regions
    as groups it tells whether both agree on who has more where. NaN without a spread in both.

    Parameters
    ----------
    x, y, groups : array, shape (N,)
    """
    labels, counts = _labels(groups)
    pair = np.stack([np.asarray(values, dtype=np.float64) for values in (x, y)])
    if not pair.size:
        return math.nan
    scale = np.abs(pair).max(axis=1)
    deviations = pair - np.stack([(np.bincount(labels, weights=values) / counts)[labels] for values in pair])
    norms = np.sqrt(np.square(deviations).sum(axis=1))
    # What rounding leaves of equal values is no spread.
    if (norms <= 1e-12 * scale * math.sqrt(pair.shape[1])).any():
        return math.nan
    return float(np.clip(deviations[0] @ deviations[1] / norms.prod(), -1, 1))


def mean_correlation(x: npt.ArrayLike, y: npt.ArrayLike, subjects: npt.ArrayLike) -> Interval:
    """Mean over subjects of each one's Pearson's r, by Fisher's z, with a t interval over subjects.

    Parameters
    ----------
    x, y : array, shape (N,)
    subjects : array, shape (N,)
        Whose each pair is. Subjects with fewer than :data:`MIN_PAIRS` pairs or without spread are left out.

    Returns
    -------
    Interval
        NaN where no subject is left; without ends for one.
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (x, y))
    labels, counts = _labels(subjects)
    found = [
        grouped_correlation(a[labels == one], b[labels == one], np.zeros(int(counts[one])))
        for one in np.flatnonzero(counts >= MIN_PAIRS)
    ]
    return _mean_of_z(_fisher(np.array([r for r in found if not math.isnan(r)])))


def _fisher(r: Float64) -> Float64:
    # An r of 1 would outweigh everything else.
    return np.asarray(np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12)), dtype=np.float64)


def _mean_of_z(z: Float64) -> Interval:
    if not z.size:
        return _NOTHING
    mean = float(z.mean())
    if z.size == 1:
        return Interval(math.tanh(mean), math.nan, math.nan)
    half = _t_quantile(z.size - 1) * float(z.std(ddof=1)) / math.sqrt(z.size)
    return Interval(math.tanh(mean), math.tanh(mean - half), math.tanh(mean + half))


def concordance(x: npt.ArrayLike, y: npt.ArrayLike, subjects: npt.ArrayLike) -> Interval:
    """Concordance correlation coefficient of Lin 1989 (Biometrics 45:255): 1 only where x equals y.

    ``2 cov / (var x + var y + (mean x - mean y)**2)`` of all values together, with population moments. The interval is
    a t interval of the jackknife that leaves out one subject at a time, by Fisher's z.

    Parameters
    ----------
    x, y, subjects : array, shape (N,)

    Returns
    -------
    Interval
        NaN where both are constant and equal; without ends for fewer than three subjects, or where the coefficient
        does not exist without one of them.
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (x, y))
    if not a.size:
        return _NOTHING
    labels, counts = _labels(subjects)
    n = len(counts)
    # Sums about the means lose no digits when a subject's are taken off.
    a, b = a - a.mean(), b - b.mean() + (b.mean() - a.mean())
    terms = (np.ones_like(a), a, b, a * a, b * b, a * b)
    sums = np.stack([np.bincount(labels, weights=term, minlength=n) for term in terms])
    whole = sums.sum(axis=1, keepdims=True)
    value = float(_concordance_of(whole)[0])
    left = _concordance_of(whole - sums) if n > 2 else np.empty(0)
    if math.isnan(value) or not left.size or np.isnan(left).any():
        return Interval(value, math.nan, math.nan)
    centre = float(_fisher(np.array([value]))[0])
    pseudo = n * centre - (n - 1) * _fisher(left)
    half = _t_quantile(n - 1) * float(pseudo.std(ddof=1)) / math.sqrt(n)
    return Interval(value, math.tanh(centre - half), math.tanh(centre + half))


def _concordance_of(sums: Float64) -> Float64:
    """Coefficients from the sums (6, M) of 1, x, y, x^2, y^2 and x y."""
    n = sums[0]
    mean_x, mean_y, square_x, square_y, product = sums[1:] / n
    spread = square_x - mean_x**2 + square_y - mean_y**2 + (mean_x - mean_y) ** 2
    covariance = product - mean_x * mean_y
    return np.asarray(np.divide(2 * covariance, spread, out=np.full(n.shape, np.nan), where=spread > 0))


def sign_agreement(real: npt.ArrayLike, synthetic: npt.ArrayLike, least: float = MARKED_PERCENT) -> tuple[int, float]:
    """How many real values exceed ``least`` either way, and the share of them whose synthetic value has their sign.

    Parameters
    ----------
    real, synthetic : array, shape (N,)
        Paired values, such as asymmetry indices in percent.
    least : float
        At least 0, in the unit of the values.

    Returns
    -------
    n : int
    share : float
        0 to 1; NaN where no real value exceeds ``least``.
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (real, synthetic))
    marked = np.abs(a) > least
    n = int(np.count_nonzero(marked))
    return n, float(np.mean(np.sign(a[marked]) == np.sign(b[marked]))) if n else math.nan
