"""Rigid alignment of an ictal scan with a baseline of the same contrast, blind to what a seizure changes.

A difference image shows every tenth of a millimetre of misalignment: 1 mm makes a false difference of about 5 % of
the brain mean. Both scans show one brain in one contrast, so that values, not joint statistics, can be compared:
weighted least squares over the brain, in which regions that do not fit (Tukey's biweight) have no vote. What a seizure
has changed is among them.
"""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.images.coarse import Coarse
from bids_spectsynth.images.grid import MaskedGrid, apply_affine
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.records import Float32, Float64, Mask

#: Voxels of the grids on which scans are compared, mm, one after the other: on the coarse one most of the way is gone,
#: the fine one has enough of the noise's independent values.
SPACINGS_MM = (4.0, 2.0)
#: Both scans are smoothed so before they are compared (FWHM, mm): camera noise counts less, edges still count.
SMOOTHING_MM = 3.0
#: A seizure changes whole regions, noise single voxels: who has a vote is decided on residuals smoothed so (FWHM, mm).
_REGION_MM = 12.0
#: Smoothed residuals beyond this many robust standard deviations have no vote.
_TUKEY = 3.0
_MAD_TO_SIGMA = 1.4826
#: Steps of the numerical derivative: mm, and radians that move the rim of the brain as far.
_STEP_MM, _STEP_RAD = 0.5, 0.5 / 70
#: Level and votes are found in turn.
_LEVEL_ROUNDS = 5
#: Smoothing leaves so much of a constant, as a share of it.
_LEAST_CONTRAST = 1e-4
_MAX_ITERATIONS, _CONVERGED_MM = 12, 0.005


@dataclass(frozen=True, eq=False)
class Alignment:
    """A rigid transform and how well the scans agree after it.

    Parameters
    ----------
    matrix : array, shape (4, 4)
        World coordinates of the baseline to those of the ictal scan, RAS+ mm.
    residual_percent : float
        Robust standard deviation (MAD) of what is left, percent of the brain mean, at :data:`SMOOTHING_MM`.
    start_residual_percent : float
        The same where it started.
    share : float
        Of the brain's voxels that had a vote, 0 to 1.
    """

    matrix: Float64
    residual_percent: float
    start_residual_percent: float
    share: float


def align(
    ictal: nib.Nifti1Image, baseline: Float32, mask: Mask, affine: Float64, start: Float64 | None = None
) -> Alignment:
    """Align an ictal scan with a baseline.

    Parameters
    ----------
    ictal : Nifti1Image, shape (i, j, k)
        Finite, on its own voxels.
    baseline : array, shape (I, J, K)
        Not negative.
    mask : array of bool, shape (I, J, K)
        Brain in which the baseline holds.
    affine : array, shape (4, 4)
        Of ``baseline`` and ``mask``, to world RAS+ mm.
    start : array, shape (4, 4), optional
        World of the baseline to that of the ictal scan, within some millimetres; by default the identity.

    Returns
    -------
    Alignment

    Raises
    ------
    ValueError
        The mask is empty, or one of the scans is constant in it.
    """
    matrix = np.eye(4) if start is None else np.asarray(start, dtype=np.float64)
    pairs = [_Pair(ictal, baseline, mask, affine, spacing) for spacing in SPACINGS_MM]
    before, _ = pairs[0].compare(pairs[0].values(matrix))
    for pair in pairs:
        matrix = _climb(pair, matrix)
    after, weights = pairs[0].compare(pairs[0].values(matrix))
    return Alignment(matrix, 100 * _spread(after), 100 * _spread(before), float(np.mean(weights > 0)))


def _climb(pair: "_Pair", matrix: Float64) -> Float64:
    values = pair.values(matrix)
    for _ in range(_MAX_ITERATIONS):
        residuals, weights = pair.compare(values)
        update = _update(pair, matrix, weights, residuals)
        matrix = matrix @ pair.motion(update)
        if np.abs(update * [1, 1, 1, 70, 70, 70]).max() < _CONVERGED_MM:
            break
        values = pair.values(matrix)
    return matrix


class _Pair:
    """Both scans on the coarse grid, smoothed in the brain, mean about 1."""

    def __init__(self, ictal: nib.Nifti1Image, baseline: Float32, mask: Mask, affine: Float64, spacing: float) -> None:
        coarse = Coarse(mask, affine, spacing)
        self._grid = coarse.grid
        self._smoother = MaskedSmoother(self._grid.inside, self._grid.voxel_sizes, SMOOTHING_MM)
        self._region = MaskedSmoother(self._grid.inside, self._grid.voxel_sizes, _REGION_MM)
        self._ictal = ictal
        fixed = self._smoother(coarse.take(baseline))[self._grid.inside].astype(np.float64)
        if not np.ptp(fixed) > _LEAST_CONTRAST * fixed.mean():
            raise ValueError("the baseline is constant in the brain")
        self.fixed = fixed / fixed.mean()
        self._centre = apply_affine(self._grid.affine, np.argwhere(self._grid.inside)).mean(axis=0)

    def values(self, matrix: Float64) -> Float64:
        """The ictal scan at the brain's voxels, smoothed like the baseline."""
        moved = np.asanyarray(resample_image(self._ictal, self._grid, matrix, 1).dataobj, dtype=np.float32)
        found = self._smoother(moved)[self._grid.inside].astype(np.float64)
        if not np.ptp(found) > _LEAST_CONTRAST * found.mean():
            raise ValueError("the ictal scan is constant in the brain")
        return np.asarray(found / found.mean())

    def compare(self, values: Float64) -> tuple[Float64, Float64]:
        """Residuals after the level of the voxels that have a vote, and the weights."""
        level = float(np.median(values / np.maximum(self.fixed, 0.1)))
        for _ in range(_LEVEL_ROUNDS):
            regional = self._region.values(values / level - self.fixed).astype(np.float64)
            limit = _TUKEY * max(_spread(regional), 1e-6)
            weights = np.square(1 - np.square(np.clip((regional - np.median(regional)) / limit, -1, 1)))
            level = float(np.sum(weights * values * self.fixed) / np.sum(weights * self.fixed * self.fixed))
        return values / level - self.fixed, weights

    def motion(self, parameters: Float64) -> Float64:
        """A small rigid motion about the brain's centre: three shifts (mm), three rotations (radians)."""
        x, y, z = parameters[3:]
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        angle = float(np.linalg.norm(parameters[3:]))
        rotation = np.eye(3)
        if angle > 0:
            rotation = rotation + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / angle**2 * cross @ cross
        out = np.eye(4)
        out[:3, :3] = rotation
        out[:3, 3] = self._centre - rotation @ self._centre + parameters[:3]
        return out


def _spread(residuals: npt.NDArray[np.floating]) -> float:
    return float(_MAD_TO_SIGMA * np.median(np.abs(residuals - np.median(residuals))))


def _update(pair: _Pair, matrix: Float64, weights: Float64, residuals: Float64) -> Float64:
    steps = np.array([_STEP_MM] * 3 + [_STEP_RAD] * 3)
    columns = []
    for index, step in enumerate(steps):
        change = np.zeros(6)
        change[index] = step
        ahead, behind = pair.values(matrix @ pair.motion(change)), pair.values(matrix @ pair.motion(-change))
        columns.append((ahead - behind) / (2 * step))
    # The level is free: it is estimated along with the motion.
    jacobian = np.stack([*columns, pair.fixed], axis=1)
    root = np.sqrt(weights)[:, None]
    solution = np.linalg.lstsq(jacobian * root, -residuals[:, None] * root, rcond=None)[0]
    return np.asarray(solution[:6, 0])


def displacement(first: Float64, second: Float64, mask: Mask, affine: Float64) -> tuple[float, float]:
    """How far two transforms of one brain lie apart: mean and largest distance over the mask's voxels, mm.

    Parameters
    ----------
    first, second : array, shape (4, 4)
        From the world of the mask.
    mask : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
        Of the mask, to world RAS+ mm.
    """
    points = apply_affine(affine, np.argwhere(mask))
    distances = np.linalg.norm(apply_affine(first, points) - apply_affine(second, points), axis=1)
    return float(distances.mean()), float(distances.max())


def inside_field(image: nib.Nifti1Image, matrix: Float64, mask: Mask, affine: Float64) -> Mask:
    """Which voxels of a mask lie inside the field of view of a scan, and not beyond its outermost voxels.

    Parameters
    ----------
    image : Nifti1Image
    matrix : array, shape (4, 4)
        World of the mask to that of the scan.
    mask : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
    """
    voxels = np.argwhere(mask)
    there = apply_affine(np.linalg.inv(image.affine) @ matrix @ affine, voxels)
    # Rounding must not cost the outermost plane of a scan that lies on the grid itself.
    inside = np.all((there >= -1e-3) & (there <= np.array(image.shape[:3]) - 1 + 1e-3), axis=1)
    out = np.zeros(mask.shape, dtype=bool)
    out[tuple(voxels[inside].T)] = True
    return out


def resample_ictal(ictal: nib.Nifti1Image, matrix: Float64, mask: Mask, affine: Float64) -> Float32:
    """The ictal scan on the baseline's grid: interpolated once (cubic B-spline), in the mask, not below 0.

    Parameters
    ----------
    ictal : Nifti1Image
    matrix : array, shape (4, 4)
        World of the baseline to that of the ictal scan.
    mask : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)

    Returns
    -------
    array, shape (I, J, K), float32
    """
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    shift = np.eye(4)
    shift[:3, 3] = [part.start for part in box]
    i, j, k = mask[box].shape
    moved = resample_image(ictal, MaskedGrid((i, j, k), affine @ shift, mask[box]), matrix, 3)
    out = np.zeros(mask.shape, dtype=np.float32)
    out[box] = np.where(mask[box], np.maximum(np.asanyarray(moved.dataobj), 0), 0)
    return out
