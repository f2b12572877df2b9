"""Quadratic least-squares regression of the SPECT on the model's inputs, voxel by voxel."""

import numpy as np

from bids_spectsynth.synthesis.baselines.base import Baseline, CaseImages, Float32, Gathered, Stored, in_brain
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.quadratic import QuadraticSums, feature_names, quadratic_features


def _fit(gathered: Gathered) -> Stored:
    sums = gathered[QuadraticSums]
    # The least-norm solution also serves inputs that are constant or equal to each other.
    coefficients = np.linalg.lstsq(sums.gram, sums.moments, rcond=1e-10)[0]
    names = feature_names(sums.inputs)
    return Stored({"RegressionTerms": names}, {"coefficients": np.asarray(coefficients, dtype=np.float64)})


def _predict(baselines: Baselines, case: CaseImages) -> Float32:
    values = np.stack([case.images[role][case.mask] for role in baselines.inputs])
    return in_brain(np.clip(baselines.arrays["coefficients"] @ quadratic_features(values), -1, 1), case.mask)


REGRESSION = Baseline(
    name="regression",
    title="Regression from the inputs",
    description="Quadratic least-squares regression of the SPECT on the model's inputs, voxel by voxel.",
    gathers=(QuadraticSums,),
    fit=_fit,
    keeps=("coefficients",),
    predict=_predict,
)
