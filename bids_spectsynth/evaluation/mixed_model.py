"""A linear mixed model of slice-wise differences: fixed intercept, random intercept per subject."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams

from bids_spectsynth.evaluation.paired_tests import Float64, PairedResult, why_no_test

_FAILED = "the mixed model did not converge"


@dataclass(frozen=True)
class MixedModelResult(PairedResult):
    """The test of the fixed intercept, with the mean difference that it estimates and its standard error."""

    estimate: float = math.nan
    standard_error: float = math.nan


def mixed_model_test(first: npt.ArrayLike, second: npt.ArrayLike, subjects: npt.ArrayLike) -> MixedModelResult:
    """Test whether the mean difference of slices is zero, where slices of one subject may resemble each other.

    Fitted by restricted maximum likelihood with statsmodels. Its z-test finds too much where subjects are few; the
    ratio of estimate and standard error is compared with a t distribution of (number of subjects - 1) degrees of
    freedom instead. That slices of one subject are alike the closer they are is not modelled.

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
    difference = a - b
    # The optimiser's tolerances are absolute.
    spread = difference.std()
    try:
        estimate, error = _fit(difference / spread, codes)
    # Whatever goes wrong in the fit of one comparison must not cost the others.
    except Exception as failure:
        return MixedModelResult(note=f"{_FAILED}: {' '.join(str(failure).split()) or type(failure).__name__}")
    t = estimate / error
    df = float(names.size - 1)
    p = float(2 * stats.t.sf(abs(t), df))
    return MixedModelResult(t, df, p, "", estimate * spread, error * spread)


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


def _fit(values: Float64, codes: npt.NDArray[np.intp]) -> tuple[float, float]:
    """Intercept and its standard error.

    Raises
    ------
    ArithmeticError
        There is no maximum with a variance between subjects, or it was not found.
    """
    ratio = variance_ratio(values, codes)
    if not 0 < ratio < math.inf:
        raise ArithmeticError("singular matrix, the slices vary no more between subjects than within")
    # With equal numbers of slices this start is the maximum itself; from afar the search is slow and may miss it.
    start = MixedLMParams.from_components(fe_params=np.array([values.mean()]), cov_re=np.array([[ratio]]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixedLM(values, np.ones((values.size, 1)), groups=codes)
        fit: Any = model.fit(reml=True, start_params=start, gtol=1e-7)
        estimate, error = float(fit.fe_params[0]), float(fit.bse_fe[0])
    if not fit.converged or not math.isfinite(estimate) or not 0 < error < math.inf:
        raise ArithmeticError("no maximum of the likelihood was found")
    return estimate, error
