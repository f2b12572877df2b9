"""How a synthetic SPECT agrees with the real one as a volume: error, correlation, information, sharpness, steps."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Coarse enough for the voxels of a brain of 4 mm to fill them.
_NMI_BINS = 64


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


def volume_nmi(real: Float32, synthetic: Float32, evaluation_mask: Mask) -> float:
    """Normalised mutual information over the evaluation mask, which any monotonous relation of both leaves high.

    Studholme et al. 1999 (doi:10.1016/S0031-3203(98)00091-0): sum of both entropies over the joint one, of a histogram
    with 64 x 64 bins of equal width between the lowest and the highest value of each volume.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
    evaluation_mask : array of bool, shape (I, J, K)

    Returns
    -------
    float
        From 1 (independent) to 2 (one tells the other); NaN where both are constant.
    """
    joint, _, _ = np.histogram2d(real[evaluation_mask], synthetic[evaluation_mask], bins=_NMI_BINS)
    both = _entropy(joint)
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / both if both > 0 else float("nan")


def _entropy(counts: Float64) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def sharpness_ratio(real: Float32, synthetic: Float32, evaluation_mask: Mask, spacing: Sequence[float]) -> float:
    """Standard deviation of the Laplacian, synthetic over real: a measure of blur (Pech-Pacheco et al. 2000).

    SSIM and correlation hardly see blur (Dohmen et al. 2025). Both volumes are taken as they are: noise of the real
    SPECT, which a synthetic one lacks, counts as sharpness too.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        Relative uptake: in-brain mean 1.
    evaluation_mask : array of bool, shape (I, J, K)
        Voxels count whose six neighbours lie in it as well.
    spacing : sequence of float
        Of voxels along each axis, mm.

    Returns
    -------
    float
        1 where the synthetic volume is as sharp as the real one, below 1 where it is blurred; NaN where the real one
        is constant or no voxel has all of its neighbours.
    """
    inside = ndimage.binary_erosion(evaluation_mask)
    if not inside.any():
        return float("nan")
    spread = [float(_laplacian(volume, spacing)[inside].std(dtype=np.float64)) for volume in (real, synthetic)]
    return spread[1] / spread[0] if spread[0] > 0 else float("nan")


def _laplacian(volume: Float32, spacing: Sequence[float]) -> Float32:
    """Sum of the second differences along the axes, per square mm."""
    total = np.zeros_like(volume)
    for axis, step in enumerate(spacing):
        total += ndimage.correlate1d(volume, [1, -2, 1], axis=axis) / np.float32(step**2)
    return total


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
