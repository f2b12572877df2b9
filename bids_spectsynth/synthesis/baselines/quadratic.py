"""Terms of the quadratic regression that predicts a SPECT voxel from the inputs' voxels, and their sums."""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.baselines.base import TrainingCase, TrainingCohort

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


class QuadraticSums:
    """Sums of products of the terms with each other and with the SPECT, over the voxels of the evaluation masks.

    The first term is 1: ``gram[0, 0]`` is the number of voxels, ``moments[0]`` the sum of their SPECT values.
    """

    def __init__(self, cohort: TrainingCohort) -> None:
        self.inputs = cohort.inputs
        n_terms = len(feature_names(cohort.inputs))
        self.gram, self._moments = np.zeros((n_terms, n_terms)), np.zeros(n_terms)

    def add(self, case: TrainingCase) -> None:
        """Add the voxels of a case."""
        inside = case.evaluation_mask
        features = quadratic_features(case.arrays.inputs[:, inside])
        self.gram += features @ features.T
        self._moments += features @ case.target[inside].astype(np.float64)

    @property
    def moments(self) -> Float64:
        """Sums of the products with the SPECT, shape (T,).

        Raises
        ------
        ModelError
            There was not a single voxel.
        """
        if not self.gram[0, 0]:
            raise ModelError("no training SPECT overlaps with the brain of its T1w; look at the registrations")
        return self._moments
