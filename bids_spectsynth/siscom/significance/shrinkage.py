"""Standard deviations of few values each, drawn towards what is usual, and wide enough for the few."""

import numpy as np
from scipy import special

from bids_spectsynth.siscom.records import Float64

#: The threshold at which the chance of a false voxel is to be right.
_USUAL_Z = 2.0


def predicted_deviation(variance: Float64, n: Float64) -> Float64:
    """By how much a further scan is to deviate from the mean of a few.

    Parameters
    ----------
    variance : array, shape (v,)
        Among ``n`` scans, at each voxel.
    n : array, shape (v,)
        At least 2.

    Returns
    -------
    array, shape (v,)
        The standard deviation, drawn towards what is usual (:func:`shrunk_variance`); with the uncertainty of the mean
        in it, ``sqrt(1 + 1/n)``; and wide enough for values beyond 2 of them to be as rare as of a Gaussian.
    """
    shrunk, degrees = shrunk_variance(variance, n - 1)
    return np.asarray(np.sqrt(shrunk) * np.sqrt(1 + 1 / n) * _tail_factor(degrees))


def shrunk_variance(variance: Float64, degrees: Float64) -> tuple[Float64, Float64]:
    """Variances of few values each, drawn towards what is usual among them.

    The true variances are taken to follow a scaled inverse chi-squared distribution over the brain, whose mean and
    spread are estimated from the variances themselves (moments of their logarithm); each is then replaced by its
    posterior mean, ``(d0 s0 + d s) / (d0 + d)``. Where all differ by no more than chance, all become equal.

    Parameters
    ----------
    variance : array, shape (n,)
        Not negative.
    degrees : array, shape (n,)
        Of freedom, at least 1.

    Returns
    -------
    variance, degrees : array, shape (n,)
        The degrees of freedom with the ``d0`` that the other voxels add.

    References
    ----------
    Smyth 2004, Stat Appl Genet Mol Biol 3:3.
    """
    positive = variance > 0
    if positive.sum() < 2:
        return variance, degrees
    half = degrees[positive] / 2
    logs = np.log(variance[positive]) - special.digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1) - special.polygamma(1, half).mean())
    if not excess > 0:
        return np.full_like(variance, float(np.exp(logs.mean()))), np.full_like(degrees, np.inf)
    prior = 2 * _inverse_trigamma(excess)
    usual = float(np.exp(logs.mean() + special.digamma(prior / 2) - np.log(prior / 2)))
    return np.asarray((prior * usual + degrees * variance) / (prior + degrees)), prior + degrees


def _tail_factor(degrees: Float64) -> Float64:
    """What makes the chance of a value beyond 2 standard deviations that of a Gaussian (from Student's t)."""
    tail = special.ndtr(_USUAL_Z)
    return np.asarray(np.where(np.isinf(degrees), 1, special.stdtrit(np.minimum(degrees, 1e6), tail) / _USUAL_Z))


def _inverse_trigamma(value: float) -> float:
    """The argument whose trigamma this is, by Newton's method on its reciprocal (Smyth 2004, appendix)."""
    y = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, y))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, y))
        y += step
        if abs(step) < 1e-10 * y:
            break
    return y
