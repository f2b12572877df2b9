"""Terms of the quadratic regression that predicts a SPECT voxel from the inputs' voxels."""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


def feature_names(inputs: Sequence[str]) -> list[str]:
    """Names of the regression's terms, in the order of :func:`quadratic_features`."""
    pairs = itertools.combinations_with_replacement(inputs, 2)
    return ["1", *inputs, *(f"{a}*{b}" for a, b in pairs)]


def quadratic_features(values: npt.NDArray[np.floating]) -> Float64:
    """Terms of a quadratic polynomial: 1, every input, every product of two inputs.

    Parameters
    ----------
    values : array, shape (C, N)
        Scaled inputs at N voxels.

    Returns
    -------
    array, shape (1 + C + C (C + 1) / 2, N), float64
    """
    x = np.asarray(values, dtype=np.float64)
    products = [x[c] * x[d] for c, d in itertools.combinations_with_replacement(range(len(x)), 2)]
    return np.stack([np.ones(x.shape[1]), *x, *products])
