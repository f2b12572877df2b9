"""How large the error of a synthetic image is, from what is known of each voxel: a log-linear regression."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

#: Added to squared errors before their logarithm is taken (fraction of the in-brain mean, squared).
_LEAST_ERROR = 1e-3
#: Keeps the regression determined where a predictor is constant.
_RIDGE = 1e-6


def normal_equations(predictors: Float64, errors: Float64, weight: float = 1.0) -> tuple[Float64, Float64]:
    """What one image contributes to the regression of log squared errors, however many voxels it has.

    Parameters
    ----------
    predictors : array, shape (n, p)
        Logarithms of what the error may be proportional to.
    errors : array, shape (n,)
        Fractions of the in-brain mean.
    weight : float
        One over the number of the participant's images, so that all participants weigh the same.

    Returns
    -------
    gram : array, shape (p + 1, p + 1)
    moment : array, shape (p + 1,)
    """
    design = np.column_stack([np.ones(len(predictors)), predictors])
    wanted = np.log(errors**2 + _LEAST_ERROR**2)
    scale = weight / len(design)
    return scale * (design.T @ design), scale * (design.T @ wanted)


def fit_coefficients(contributions: Sequence[tuple[Float64, Float64]]) -> Float64:
    """Coefficients (p + 1,) of the regression: constant, then exponents of squared predictors' square roots."""
    gram = np.sum([own for own, _ in contributions], axis=0)
    moment = np.sum([own for _, own in contributions], axis=0)
    return np.asarray(np.linalg.solve(gram + _RIDGE * np.eye(len(gram)), moment), dtype=np.float64)


def predicted_scale(coefficients: Float64, predictors: Float64) -> Float64:
    """Scale of the error (n,), up to one factor for all, from predictors (n, p)."""
    return np.asarray(np.exp((coefficients[0] + predictors @ coefficients[1:]) / 2), dtype=np.float64)
