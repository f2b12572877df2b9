"""How well two images agree under a transform: overlap of the brains, correlation ratio of the values."""

from typing import Literal

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

FloatArray = npt.NDArray[np.float64]

#: Points that are enough to compare two images: a brain of 1.5 litres on a 2 mm raster.
_MAX_POINTS = 200_000
#: Points for an optimiser, which compares hundreds of times.
_FEW_POINTS = 30_000


def mask_dice(fixed_mask: nib.Nifti1Image, moving_mask: nib.Nifti1Image, matrix: FloatArray) -> float:
    """Dice coefficient of two brain masks in world space, 0 to 1.

    Parameters
    ----------
    fixed_mask, moving_mask : Nifti1Image, shape (i, j, k)
        Voxels above zero are brain.
    matrix : array, shape (4, 4)
        World coordinates of the fixed image to those of the moving image.

    Notes
    -----
    Volumes are counted in millimetres; the part of the moving brain beyond the fixed image's field of view still
    counts, so that a fixed image that is cut cannot hide a shift.
    """
    inside = _raster(np.asanyarray(fixed_mask.dataobj) > 0)
    if inside.points.size == 0:
        return 0.0
    moving = (np.asanyarray(moving_mask.dataobj) > 0).astype(np.float32)
    hits = _sample(moving, fixed_mask.affine, moving_mask.affine, matrix, inside.points, order=0)
    fixed_volume = inside.points.shape[1] * inside.step**3 * _voxel_volume(fixed_mask.affine)
    common = float(hits.sum()) * inside.step**3 * _voxel_volume(fixed_mask.affine)
    # The moving brain's volume, measured in the fixed image's millimetres (an affine transform changes volumes).
    scale = abs(float(np.linalg.det(matrix[:3, :3])))
    moving_volume = float(moving.sum()) * _voxel_volume(moving_mask.affine) / scale
    total = fixed_volume + moving_volume
    return min(1.0, 2 * common / total) if total > 0 else 0.0


def correlation_ratio(
    fixed: nib.Nifti1Image, fixed_mask: nib.Nifti1Image, moving: nib.Nifti1Image, matrix: FloatArray, bins: int = 64
) -> float:
    """Share of the moving image's variance that the fixed image's intensities explain, 0 to 1 (Roche et al. 1998).

    Parameters
    ----------
    fixed, moving : Nifti1Image, shape (i, j, k)
        Brain-extracted images.
    fixed_mask : Nifti1Image, shape as ``fixed``
        Where the comparison is made.
    matrix : array, shape (4, 4)
        World coordinates of the fixed image to those of the moving image.
    bins : int
        Intensity classes of the fixed image.
    """
    inside = _raster(np.asanyarray(fixed_mask.dataobj) > 0)
    return _ratio(inside, fixed, moving, matrix, bins)


def _ratio(
    inside: "_Raster", fixed: nib.Nifti1Image, moving: nib.Nifti1Image, matrix: FloatArray, bins: int = 64
) -> float:
    if inside.points.size == 0:
        return 0.0
    i, j, k = inside.points
    reference = np.asanyarray(fixed.dataobj)[i, j, k].astype(np.float64)
    data = np.asanyarray(moving.dataobj, dtype=np.float32)
    values = _sample(data, fixed.affine, moving.affine, matrix, inside.points, order=1).astype(np.float64)
    total = float(values.var())
    low, high = np.percentile(reference, [1, 99])
    if total <= 0 or high <= low:
        return 0.0
    classes = np.clip((reference - low) / (high - low) * bins, 0, bins - 1).astype(np.intp)
    counts = np.bincount(classes, minlength=bins)
    sums = np.bincount(classes, values, minlength=bins)
    means = sums / np.maximum(counts, 1)
    between = float((counts * (means - values.mean()) ** 2).sum()) / values.size
    return between / total


def mirrored_ratio_gain(
    fixed: nib.Nifti1Image, fixed_mask: nib.Nifti1Image, moving: nib.Nifti1Image, matrix: FloatArray
) -> float:
    """How much the correlation ratio gains where the fixed brain is mirrored left to right.

    Both the found alignment and its mirror image (about the sagittal plane through the brain's centre) are refined by
    the same optimiser first, because a mirrored head lies a little beside.

    Parameters
    ----------
    fixed, fixed_mask, moving, matrix
        See :func:`correlation_ratio`; a rigid ``matrix``.
    """
    inside = _raster(np.asanyarray(fixed_mask.dataobj) > 0, _FEW_POINTS)
    if inside.points.size == 0:
        return 0.0
    centre = fixed.affine[:3, :3] @ inside.points.mean(axis=1) + fixed.affine[:3, 3]
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = 2 * centre[0]

    def best(start: FloatArray) -> float:
        def loss(change: FloatArray) -> float:
            return -_ratio(inside, fixed, moving, start @ _about(centre, change))

        # Steps of 2 mm and 2 degrees: what separates a head from its mirror image, not a new search.
        simplex = np.vstack([np.zeros(6), 2 * np.eye(6)])
        found = optimize.minimize(
            loss, np.zeros(6), method="Nelder-Mead", options={"initial_simplex": simplex, "maxfev": 150, "fatol": 1e-4}
        )
        return -float(found.fun)

    return best(matrix @ mirror) - best(matrix)


def _about(centre: FloatArray, change: FloatArray) -> FloatArray:
    """Rigid matrix of three shifts (mm) and three turns (degrees) about a point."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", change[3:], degrees=True).as_matrix()
    matrix[:3, 3] = centre + change[:3] - matrix[:3, :3] @ centre
    return matrix


def share_outside(fixed_mask: nib.Nifti1Image, moving: nib.Nifti1Image, matrix: FloatArray) -> float:
    """Share of the fixed image's brain, 0 to 1, that lies outside the moving image's field of view.

    Parameters
    ----------
    fixed_mask : Nifti1Image, shape (i, j, k)
        Voxels above zero are brain.
    moving : Nifti1Image
        Only shape and affine are used.
    matrix : array, shape (4, 4)
        World coordinates of the fixed image to those of the moving image.
    """
    points = _raster(np.asanyarray(fixed_mask.dataobj) > 0).points
    if points.size == 0:
        return 0.0
    to_voxels = np.linalg.inv(moving.affine) @ matrix @ fixed_mask.affine
    voxels = to_voxels[:3, :3] @ points + to_voxels[:3, 3:]
    # A voxel reaches half its size beyond its centre.
    last = np.array(moving.shape[:3])[:, None] - 0.5
    return 1.0 - float(np.mean(np.all((voxels >= -0.5) & (voxels <= last), axis=0)))


class _Raster:
    """Every ``step``-th voxel of a mask; ``points`` has shape (3, n)."""

    def __init__(self, points: npt.NDArray[np.intp], step: int) -> None:
        self.points = points
        self.step = step


def _raster(inside: npt.NDArray[np.bool_], most: int = _MAX_POINTS) -> _Raster:
    n = int(np.count_nonzero(inside))
    step = max(1, round((n / most) ** (1 / 3)))
    coarse = np.stack(np.nonzero(inside[::step, ::step, ::step])) * step
    return _Raster(coarse, step)


def _sample(
    data: npt.NDArray[np.float32],
    fixed_affine: FloatArray,
    moving_affine: FloatArray,
    matrix: FloatArray,
    points: npt.NDArray[np.intp],
    *,
    order: Literal[0, 1],
) -> npt.NDArray[np.float32]:
    to_voxels = np.linalg.inv(moving_affine) @ matrix @ fixed_affine
    coordinates = to_voxels[:3, :3] @ points + to_voxels[:3, 3:]
    out = np.empty(points.shape[1], dtype=np.float32)
    ndimage.map_coordinates(data, coordinates, output=out, order=order, mode="constant", cval=0.0)
    return out


def _voxel_volume(affine: FloatArray) -> float:
    return abs(float(np.linalg.det(np.asarray(affine)[:3, :3])))
