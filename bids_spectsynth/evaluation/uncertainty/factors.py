"""By how much a predicted standard deviation is multiplied for an interval of a given coverage."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

#: Coverages that intervals are made and rated for.
LEVELS = (0.50, 0.80, 0.90, 0.95)
#: A participant's ratios are kept as so many of their quantiles, so that all participants weigh the same.
N_QUANTILES = 501
#: Fewer participants tell too little of how much participants differ.
MIN_PARTICIPANTS = 5

_STEPS = 40


def summary(ratios: npt.NDArray[np.floating]) -> Float64:
    """Quantiles of one participant's ratios of absolute error and predicted standard deviation.

    Parameters
    ----------
    ratios : array, shape (n,)
        Not negative; at least one.

    Returns
    -------
    array, shape (501,)
        Ascending.
    """
    at = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    return np.asarray(np.quantile(np.asarray(ratios, dtype=np.float64), at), dtype=np.float64)


def interval_factors(summaries: Sequence[Float64], levels: Sequence[float] = LEVELS) -> tuple[float, ...]:
    """Factors with which intervals hold their coverage in a further participant, on average over participants.

    Conformal by participant: the values of one head are not independent, so participants are what is exchanged. The
    factor is a quantile of all participants' ratios, each participant weighing the same. Which quantile follows from
    leaving each participant out in turn (the jackknife): the one for which those left out are covered as often as
    wanted. Without that correction coverage falls short by what participants differ, the more the fewer there are.

    Parameters
    ----------
    summaries : sequence of array, shape (501,)
        Of each participant, see :func:`summary`.
    levels : sequence of float
        Wanted coverages, within 0 and 1.

    Returns
    -------
    tuple of float
        One for each level. The largest ratio where even that does not cover the participant left out as often.

    Raises
    ------
    ValueError
        There are fewer than :data:`MIN_PARTICIPANTS`.
    """
    if len(summaries) < MIN_PARTICIPANTS:
        raise ValueError(f"{len(summaries)} participants, {MIN_PARTICIPANTS} needed")
    table = np.stack(summaries)
    pooled = np.sort(table.ravel())
    others = np.stack([np.sort(np.delete(table, left_out, axis=0).ravel()) for left_out in range(len(table))])
    return tuple(_quantile(pooled, _corrected(table, others, level)) for level in levels)


def _corrected(table: Float64, others: Float64, level: float) -> float:
    """Quantile of the others' ratios that covers the participants left out as often as ``level`` says."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _mean_coverage(table, others, middle) < level:
            low = middle
        else:
            high = middle
    return high


def _mean_coverage(table: Float64, others: Float64, quantile: float) -> float:
    factors = others[:, _index(quantile, others.shape[1])]
    return float((table <= factors[:, np.newaxis]).mean())


def _index(quantile: float, n: int) -> int:
    return min(max(int(np.ceil(quantile * n)) - 1, 0), n - 1)


def _quantile(ordered: Float64, quantile: float) -> float:
    return float(ordered[_index(quantile, len(ordered))])
