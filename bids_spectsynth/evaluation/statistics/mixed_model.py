"""A linear mixed model of slice-wise differences: fixed intercept, random intercept per subject."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from bids_spectsynth.evaluation.statistics.paired_tests import Float64, PairedResult, why_no_test

_FAILED = "the mixed model did not converge"


@dataclass(frozen=True)
class MixedModelResult(PairedResult):
    """The test of the fixed intercept, with the mean difference that it estimates."""

    estimate: float = math.nan


def mixed_model_test(first: npt.ArrayLike, second: npt.ArrayLike, subjects: npt.ArrayLike) -> MixedModelResult:
    """Test whether the mean difference of slices is zero, where slices of one subject may resemble each other.

    Fitted by restricted maximum likelihood, with the standard error from its second derivatives, as statsmodels'
    ``MixedLM`` does. The usual z-test finds too much where subjects are few; the ratio of estimate and standard error
    is compared with a t distribution of (number of subjects - 1) degrees of freedom instead. That slices of one
    subject are alike the closer they are is not modelled.

    Parameters
    ----------
    first, second : array, shape (n,)
        Paired values of slices. Pairs with a value that is not finite are left out.
    subjects : array, shape (n,)
        Whose slices they are.

    Returns
    -------
    MixedModelResult
        Without numbers where there are fewer than two subjects, one slice per subject, no variance between subjects
        (the covariance matrix of the random intercept is singular then) or where the fit failed; ``note`` says which.
    """
    a, b = (np.asarray(values, dtype=np.float64).ravel() for values in (first, second))
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    names, codes = np.unique(np.asarray(subjects)[finite], return_inverse=True)
    if reason := why_no_test(a, b):
        return MixedModelResult(note=reason)
    if names.size < 2:
        return MixedModelResult(note="fewer than two subjects")
    if names.size == a.size:
        return MixedModelResult(note="one slice per subject leaves no variance within subjects")
    try:
        estimate, error = _fit(a - b, codes)
    # Whatever goes wrong in the fit of one comparison must not cost the others.
    except Exception as failure:
        return MixedModelResult(note=f"{_FAILED}: {' '.join(str(failure).split()) or type(failure).__name__}")
    t = estimate / error
    df = float(names.size - 1)
    p = float(2 * stats.t.sf(abs(t), df))
    return MixedModelResult(t, df, p, "", estimate)


def variance_ratio(values: Float64, codes: npt.NDArray[np.intp]) -> float:
    """Variance between subjects over variance within, from the mean squares of a one-way analysis of variance.

    Parameters
    ----------
    values : array, shape (n,)
    codes : array of int, shape (n,)
        Subject of each value, counted from 0, each with at least one value; more values than subjects.

    Returns
    -------
    float
        Not above zero where the subjects' means differ no more than slices do.
    """
    counts = np.bincount(codes)
    means = np.bincount(codes, values) / counts
    n, n_subjects = values.size, counts.size
    within = float(((values - means[codes]) ** 2).sum()) / (n - n_subjects)
    between = float((counts * (means - values.mean()) ** 2).sum()) / (n_subjects - 1)
    slices = (n - float((counts**2).sum()) / n) / (n_subjects - 1)
    return (between - within) / slices / within if within > 0 else math.inf


@dataclass(frozen=True, eq=False)
class _Likelihood:
    """Restricted likelihood of a ratio of variances, between subjects over within, with the best mean for it.

    A single random intercept leaves three things of the values that it depends on: how many each subject has, their
    means, and the sum of squares around these. A general solver would go through all slices at every step.
    """

    counts: Float64
    means: Float64
    squares: float

    @property
    def freedom(self) -> float:
        """Slices minus the one mean."""
        return float(self.counts.sum()) - 1

    def at(self, ratio: float) -> tuple[float, Float64, Float64, float]:
        """The best mean, and by subject weights w and deviations r from it; the weighted sum of all squares.

        A weight is the inverse variance of a subject's mean in units of the variance within; its derivative by the
        ratio is minus its square.
        """
        w = self.counts / (1 + ratio * self.counts)
        mean = float(w @ self.means / w.sum())
        r = self.means - mean
        return mean, w, r, self.squares + float(w @ r**2)

    def slope(self, ratio: float) -> float:
        """Derivative of the log-likelihood by the ratio."""
        _, w, r, squares = self.at(ratio)
        return float(self.freedom * (w**2 @ r**2) / squares - w.sum() + w @ w / w.sum()) / 2

    def estimate(self, ratio: float) -> tuple[float, float]:
        """The mean and its standard error at the best ratio, from the inverse of minus the second derivatives."""
        mean, w, r, squares = self.at(ratio)
        by_mean = self.freedom * w.sum() / squares
        by_both = self.freedom * (w**2 @ r) / squares
        second_derivative = 2 * (w**3 @ r**2) / squares - (w**2 @ r**2 / squares) ** 2
        by_ratio = (self.freedom * second_derivative - w @ w + 2 * (w**3).sum() / w.sum() - (w @ w / w.sum()) ** 2) / 2
        information = float(by_mean - by_both**2 / by_ratio)
        return mean, 1 / math.sqrt(information) if information > 0 else math.nan


def _fit(values: Float64, codes: npt.NDArray[np.intp]) -> tuple[float, float]:
    """Intercept and its standard error.

    Raises
    ------
    ArithmeticError
        There is no maximum with a variance between subjects, or it was not found.
    """
    counts = np.bincount(codes)
    means = np.bincount(codes, values) / counts
    likelihood = _Likelihood(counts.astype(np.float64), means, float(((values - means[codes]) ** 2).sum()))
    start = variance_ratio(values, codes)
    if start == math.inf:
        raise ArithmeticError("no variance within subjects")
    estimate, error = likelihood.estimate(_best_ratio(likelihood, start))
    if not math.isfinite(estimate) or not 0 < error < math.inf:
        raise ArithmeticError("no maximum of the likelihood was found")
    return estimate, error


def _best_ratio(likelihood: _Likelihood, start: float) -> float:
    """Where the likelihood is highest: between 0, where it must rise, and a ratio at which it falls."""
    if likelihood.slope(0.0) <= 0:
        raise ArithmeticError("singular matrix, the slices vary no more between subjects than within")
    # The mean squares may see no variance where the likelihood, which weighs subjects otherwise, does.
    high = first = start if start > 0 else 1 / float(likelihood.counts.sum())
    # With equal numbers of slices the start is the maximum itself.
    while likelihood.slope(high) >= 0:
        high *= 2
        if not math.isfinite(high):
            raise ArithmeticError("no maximum of the likelihood was found")
    return float(optimize.brentq(likelihood.slope, 0.0, high, xtol=1e-14 * first, rtol=1e-14))
