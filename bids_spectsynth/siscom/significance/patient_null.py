"""The null of one patient's pair of scans, from the prepared grid to the coarse one and back."""

import numpy as np

from bids_spectsynth.images.resampling import resample_linear
from bids_spectsynth.siscom.records import Float32, Float64, Mask
from bids_spectsynth.siscom.significance.null import SPACING_MM, Errors, Null, simulate_null
from bids_spectsynth.siscom.subtraction.coarse import Coarse

#: Below this a voxel of the prepared grid knows nothing of the coarse one.
_LEAST_WEIGHT = 1e-3


def patient_null(
    scans: tuple[Float32, Float32],
    level: float,
    brain: Mask,
    evaluated: Mask,
    affine: Float64,
    *,
    fwhm: float,
    threshold: float,
    seed: int,
) -> Null:
    """Simulate what two scans can produce without a seizure.

    Parameters
    ----------
    scans : tuple of array, shape (I, J, K)
        Ictal scan and baseline, aligned and equally sharp, not smoothed further.
    level : float
        Ratio of ictal to baseline where nothing has changed.
    brain, evaluated : array of bool, shape (I, J, K)
        Brain that both have measured, and the evaluation mask.
    affine : array, shape (4, 4)
    fwhm : float
        Of the map's smoothing, mm.
    threshold : float
        z from which a cluster counts.
    seed : int
    """
    coarse = Coarse(brain, affine, SPACING_MM)
    grid, inside = coarse.grid, np.ascontiguousarray(evaluated[coarse.slices])
    # A thin evaluation mask may have no voxel on the coarse grid.
    inside = inside if inside.any() else grid.inside
    x, y = (coarse.take(scan) for scan in scans)
    difference = np.where(grid.inside, 100 * (x / level - y) / y[inside].mean(dtype=np.float64), 0).astype(np.float32)
    return simulate_null(difference, y, grid, inside, fwhm=fwhm, threshold=threshold, errors=Errors(), seed=seed)


def on_prepared_grid(null: Null, values: Float32, evaluated: Mask, affine: Float64) -> Float32:
    """A map of the null on the prepared grid: linear between voxels, each weighted by whether it is in the mask.

    Parameters
    ----------
    null : Null
    values : array, shape (i, j, k)
        On its grid.
    evaluated : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
        Of the prepared grid.

    Returns
    -------
    array, shape (I, J, K), float32
        The mask's mean where no voxel of the null is near; 0 outside ``evaluated``.
    """
    shape = (evaluated.shape[0], evaluated.shape[1], evaluated.shape[2])
    total = resample_linear(np.where(null.mask, values, 0), null.affine, shape, affine)
    weight = resample_linear(null.mask.astype(np.float32), null.affine, shape, affine)
    known = evaluated & (weight > _LEAST_WEIGHT)
    typical = float(values[null.mask].mean())
    return np.where(known, total / np.maximum(weight, _LEAST_WEIGHT), np.where(evaluated, typical, 0)).astype(
        np.float32
    )
