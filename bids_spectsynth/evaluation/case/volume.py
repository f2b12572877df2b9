"""How a synthetic SPECT agrees with the real one as a volume: error, correlation, and steps from slice to slice."""

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def relative_uptake(volume: Float32, evaluation_mask: Mask) -> Float32 | None:
    """A volume divided by its mean over the evaluation mask; None where that mean is not above zero.

    Parameters
    ----------
    volume : array, shape (I, J, K)
        In any units, 0 for no signal.
    evaluation_mask : array of bool, shape (I, J, K)
        Brain where the SPECT was measured.
    """
    mean = float(volume[evaluation_mask].mean(dtype=np.float64)) if evaluation_mask.any() else 0.0
    return volume / np.float32(mean) if mean > 0 else None


def volume_rmse(real: Float32, synthetic: Float32, evaluation_mask: Mask) -> float:
    """Root mean square difference over the evaluation mask of two volumes of relative uptake.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        Relative uptake: in-brain mean 1.
    evaluation_mask : array of bool, shape (I, J, K)
    """
    difference = real[evaluation_mask].astype(np.float64) - synthetic[evaluation_mask]
    return float(np.sqrt(np.mean(np.square(difference))))


def volume_correlation(real: Float32, synthetic: Float32, evaluation_mask: Mask) -> float:
    """Pearson's r over the evaluation mask; NaN where one of the volumes is constant.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        Relative uptake: in-brain mean 1.
    evaluation_mask : array of bool, shape (I, J, K)
    """
    pair = np.stack([real[evaluation_mask], synthetic[evaluation_mask]]).astype(np.float64)
    pair -= pair.mean(axis=1, keepdims=True)
    norm = np.sqrt(np.prod(np.square(pair).sum(axis=1)))
    # Rounding of a constant leaves a trace; relative uptake is of the order of 1.
    return float(pair[0] @ pair[1] / norm) if norm > 1e-6 * pair.shape[1] else float("nan")


def through_slice_ratio(real: Float32, synthetic: Float32, evaluation_mask: Mask) -> float:
    """Mean absolute difference between neighbouring axial slices, synthetic over real.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        Relative uptake.
    evaluation_mask : array of bool, shape (I, J, K)
        Voxels that lie in it in both slices of a pair count.

    Returns
    -------
    float
        1 where the synthetic volume changes from slice to slice as much as the real one; above 1 where it has steps,
        below 1 where it is smoother; NaN where the real one does not change or no two slices neighbour.
    """
    both = evaluation_mask[..., 1:] & evaluation_mask[..., :-1]
    changes = [float(np.abs(np.diff(volume, axis=2)).sum(where=both, dtype=np.float64)) for volume in (real, synthetic)]
    return changes[1] / changes[0] if changes[0] > 0 else float("nan")
