"""The scale that two volumes are rated on where the synthetic one was not made on it."""

import numpy as np
import numpy.typing as npt

from bids_spectsynth.options.settings import Scaling
from bids_spectsynth.synthesis.data.scaling import apply_scaling, scaling_coefficients

Volume = npt.NDArray[np.float32]
Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def on_one_scale(
    real: Volume, synthetic: Volume, mask: Mask, evaluation_mask: Mask, scale: Scaling
) -> tuple[Volume, Volume]:
    """Two unscaled volumes on a scale that the synthetic one was not made on.

    Both are scaled with the coefficients of the real SPECT, after the synthetic one was brought to its mean over the
    evaluation mask, as a subtraction of scans does. Its own maximum would not do: a real SPECT owes its maximum to
    noise, so that a smooth image scaled by its own is too bright.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
    mask, evaluation_mask : array of bool, shape (I, J, K)
        Brain, and the part of it where the SPECT was measured.
    scale : {'slice', 'volume'}

    Returns
    -------
    real, synthetic : array, shape (I, J, K), float32
        In [-1, 1].
    """
    matched = synthetic * level_factor(real, synthetic, evaluation_mask)
    coefficients = scaling_coefficients(real, mask, scale)
    return apply_scaling(real, *coefficients), apply_scaling(matched, *coefficients)


def beside_lesion(target: Volume, output: Volume, touched: Mask, evaluation_mask: Mask, scale: Scaling) -> Volume:
    """A network's output on the scale of a target from which a lesion was left out.

    Training scales an image by what is brightest in it. Where that may lie in a lesion, nothing outside of it tells
    what the network's 1 stands for: the output is brought to the target's mean outside, slice by slice or as a volume.
    Else it stands as it is.

    Parameters
    ----------
    target, output : array, shape (I, J, K)
        In [-1, 1], -1 for no signal.
    touched : array of bool, shape (I, J, K)
        Part of the lesion where the SPECT was measured.
    evaluation_mask : array of bool, shape (I, J, K)
        Without the lesion.
    scale : {'slice', 'volume'}
        Of the training.

    Returns
    -------
    array, shape (I, J, K), float32
        In [-1, 1].
    """
    real, synthetic, out = target + np.float32(1), output + np.float32(1), output.copy()
    # What a scale has cut off tells nothing of the level.
    told = evaluation_mask & (target < 1) & (output < 1)
    slices = np.flatnonzero(touched.any(axis=(0, 1)))
    parts = [slice(k, k + 1) for k in slices] if scale == "slice" else [slice(None)] if len(slices) else []
    for part in parts:
        one = (..., part)
        factor = level_factor(real[one], synthetic[one], told[one])
        out[one] = np.clip(synthetic[one] * factor - 1, -1, 1)
    return out


def slice_on_paper_scale(real: Volume, synthetic: Volume, mask: Mask, evaluation_mask: Mask, k: int) -> Plane:
    """Slice ``k`` of the synthetic volume as :func:`on_one_scale` has it on slice scale, without all the others.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        Unscaled.
    mask, evaluation_mask : array of bool, shape (I, J, K)
        Brain, and the part of it where the SPECT was measured.
    k : int

    Returns
    -------
    array, shape (I, J), float32
        In [-1, 1].
    """
    one = (..., slice(k, k + 1))
    matched = synthetic[one] * level_factor(real, synthetic, evaluation_mask)
    return apply_scaling(matched, *scaling_coefficients(real[one], mask[one], "slice"))[..., 0]


def level_factor(real: Volume, synthetic: Volume, evaluation_mask: Mask) -> np.float32:
    """What brings the synthetic volume's mean over the evaluation mask to the real one's; 1 if it is not above zero.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        Unscaled.
    evaluation_mask : array of bool, shape (I, J, K)
    """
    level = _mean(synthetic, evaluation_mask)
    return np.float32(_mean(real, evaluation_mask) / level if level > 0 else 1.0)


def _mean(volume: Volume, evaluation_mask: Mask) -> float:
    # Voxels are picked ten times faster in the order in which they lie, which NIfTI files turn round.
    if volume.flags.f_contiguous:
        volume, evaluation_mask = volume.T, evaluation_mask.T
    return float(volume[evaluation_mask].mean(dtype=np.float64)) if evaluation_mask.any() else 0.0
