"""What is known of each voxel of a synthetic image that tells how large its error may be."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.synthesis.prediction.case_prediction import Prediction

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Of the predictors, as a calibration names them; ``network`` only of networks that were trained to predict it.
NETWORK, UPTAKE, EDGES = "network", "uptake", "edges"
#: Added before logarithms are taken, fractions of the in-brain mean (``edges``: per voxel).
_LEAST = 0.02
#: Blur of the image of which edges are taken, voxels.
_EDGE_SIGMA = 0.7


def voxel_predictors(prediction: Prediction, mask: Mask) -> Mapping[str, Float64]:
    """Logarithms of what the error of each voxel may be proportional to.

    Parameters
    ----------
    prediction : Prediction
    mask : array of bool, shape (I, J, K)
        Voxels that are wanted; at least one, with a mean uptake above zero.

    Returns
    -------
    mapping of str to array, shape (n,)
        ``network``, what the network predicts, where it does; ``uptake``, the synthetic image itself; ``edges``, its
        gradient: errors of registration and resolution lie there. Voxels in the order of ``np.nonzero(mask)``.
    """
    relative = prediction.values.astype(np.float64) / in_brain_mean(prediction, mask)
    gradient = ndimage.gaussian_gradient_magnitude(relative, _EDGE_SIGMA)
    found = {UPTAKE: relative[mask], EDGES: gradient[mask]}
    if prediction.predicted_scale is not None:
        found[NETWORK] = prediction.predicted_scale[mask].astype(np.float64) / in_brain_mean(prediction, mask)
    least = {NETWORK: _LEAST / 20}
    return {name: np.log(values + least.get(name, _LEAST)) for name, values in found.items()}


def in_brain_mean(prediction: Prediction, mask: Mask) -> float:
    """Mean of a synthetic image over a mask, in its units.

    Raises
    ------
    ValueError
        It is not above zero.
    """
    mean = float(prediction.values[mask].mean(dtype=np.float64)) if mask.any() else 0.0
    if not mean > 0:
        raise ValueError("no signal in the brain")
    return mean
