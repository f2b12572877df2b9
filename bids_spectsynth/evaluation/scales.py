"""The scale that two volumes are rated on where the synthetic one was not made on it."""

import numpy as np
import numpy.typing as npt

from bids_spectsynth.preprocess.intensity import apply_scaling, scaling_coefficients
from bids_spectsynth.settings import Scaling

Volume = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def on_one_scale(real: Volume, synthetic: Volume, mask: Mask, rated: Mask, scale: Scaling) -> tuple[Volume, Volume]:
    """Two unscaled volumes on a scale that the synthetic one was not made on.

    Both are scaled with the coefficients of the real SPECT, after the synthetic one was brought to its mean over the
    rated voxels, as a subtraction of scans does. Its own maximum would not do: a real SPECT owes its maximum to noise,
    so that a smooth image scaled by its own is too bright.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
    mask, rated : array of bool, shape (I, J, K)
        Brain, and the part of it where the SPECT was measured.
    scale : {'slice', 'volume'}

    Returns
    -------
    real, synthetic : array, shape (I, J, K), float32
        In [-1, 1].
    """
    coefficients = scaling_coefficients(real, mask, scale)
    level = float(synthetic[rated].mean(dtype=np.float64)) if rated.any() else 0.0
    factor = float(real[rated].mean(dtype=np.float64)) / level if level > 0 else 1.0
    matched = (synthetic * np.float32(factor)).astype(np.float32)
    return apply_scaling(real, *coefficients), apply_scaling(matched, *coefficients)
