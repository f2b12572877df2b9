"""The resolution of a scan, from the scan and the anatomy: which blur of the T1w's tissues explains it best."""

import numpy as np
from scipy import ndimage, optimize

from bids_spectsynth.images.resampling import FWHM_PER_SIGMA
from bids_spectsynth.siscom.records import Float32, Float64, Mask
from bids_spectsynth.siscom.subtraction.coarse import Coarse

#: Classes of the T1w's intensity in the brain, of equal size: the scan may have any value in each.
_CLASSES = 8
#: Voxels of the grid on which the scan is explained, mm.
_SPACING_MM = 4.0
#: Widths that are tried (FWHM, mm).
_LEAST_MM, _MOST_MM, _STEP_MM = 4.0, 20.0, 2.0
#: The rim sees what lies outside the brain.
_RIM_MM = 6.0


def estimate_fwhm(scan: Float32, t1w: Float32, mask: Mask, affine: Float64) -> float:
    """Resolution of a PET or SPECT: the Gaussian blur of the T1w's intensity classes that explains it best.

    Each class may take up tracer differently, and more at one side of the brain than at the other. Interpolation and
    voxels of the scan count as blur. On simulated SPECTs the answer is within about 1 mm; only the difference of two
    scans enters a SISCOM, and that is measured directly (:mod:`bids_spectsynth.siscom.subtraction.resolution`).

    Parameters
    ----------
    scan, t1w : array, shape (I, J, K)
        Aligned.
    mask : array of bool, shape (I, J, K)
        Brain in which both hold.
    affine : array, shape (4, 4)

    Returns
    -------
    float
        FWHM, mm; 4 to 20.
    """
    coarse = Coarse(mask, affine, _SPACING_MM)
    grid = coarse.grid
    inner = ndimage.binary_erosion(grid.inside, iterations=max(1, round(_RIM_MM / float(grid.voxel_sizes.min()))))
    inner = inner if inner.any() else grid.inside
    shares = _class_shares(t1w, mask, coarse)
    values = coarse.take(scan)[inner].astype(np.float64)
    position = np.argwhere(inner) - np.argwhere(inner).mean(axis=0)
    position = position / np.abs(position).max()
    shading = np.concatenate([np.ones((len(position), 1)), position, position**2], axis=1)

    def unexplained(fwhm: float) -> float:
        spread = fwhm / FWHM_PER_SIGMA / grid.voxel_sizes
        classes = [ndimage.gaussian_filter(share, spread, mode="constant")[inner] for share in shares]
        design = (np.stack(classes, axis=1)[:, :, None] * shading[:, None, :]).reshape(len(values), -1)
        # Classes sum up to the blurred mask: the smallest solution is as good as any.
        normal = design.T @ design
        normal[np.diag_indices_from(normal)] *= 1 + 1e-6
        fitted = design @ np.linalg.lstsq(normal, design.T @ values, rcond=None)[0]
        return float(np.mean(np.square(values - fitted)) / max(values.var(), 1e-12))

    widths = np.arange(_LEAST_MM, _MOST_MM + 1, _STEP_MM)
    best = float(widths[int(np.argmin([unexplained(width) for width in widths]))])
    bounds = (max(_LEAST_MM, best - _STEP_MM), min(_MOST_MM, best + _STEP_MM))
    return float(optimize.minimize_scalar(unexplained, bounds=bounds, method="bounded", options={"xatol": 0.1}).x)


def _class_shares(t1w: Float32, mask: Mask, coarse: Coarse) -> list[Float32]:
    """How much of each coarse voxel belongs to each class, 0 to 1."""
    limits = np.quantile(t1w[mask], np.linspace(0, 1, _CLASSES + 1)[1:-1])
    classes = np.digitize(t1w, limits)
    shares = []
    for index in range(_CLASSES):
        member = ((classes == index) & mask).astype(np.float32)
        shares.append(coarse.take(ndimage.uniform_filter(member, coarse.step, mode="constant")))
    return shares
