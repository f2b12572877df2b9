"""Resampling of an image onto a grid through one world matrix, exact for any affine, also a sheared one."""

from itertools import product
from typing import Any, Literal, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.images.grid import FloatArray, Grid, MaskedGrid, apply_affine, new_image

SplineOrder = Literal[0, 1, 3]
#: A grid this much coarser than the source voxels gets a low-pass filter first.
ANTIALIAS_RATIO = 1.5
FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
# A cubic B-spline coefficient no longer feels a border (0.27 ** 12 < 1e-6) that is this many voxels away.
_SPLINE_MARGIN = 12


def resample_image(
    image: nib.spatialimages.SpatialImage, grid: Grid, matrix: npt.ArrayLike, order: int
) -> nib.Nifti1Image:
    """Values of ``image`` at the voxels of ``grid``.

    Where the grid is more than 1.5 times coarser than the source voxels along one of their axes, the source is
    smoothed along that axis first, to the width that separates the two voxel sizes (Gaussian,
    FWHM = sqrt(target^2 - source^2)); otherwise noise would fold into the coarse image. Nearest neighbour
    (``order`` 0) is for labels and is never smoothed.

    Parameters
    ----------
    image : image, shape (i, j, k)
        Finite values.
    grid : Grid
        Where values are wanted. Of a :class:`MaskedGrid` only the voxels inside are computed, to the values that the
        whole grid gives; the others are 0.
    matrix : array, shape (4, 4)
        World coordinates (RAS+ mm) of the grid to those of the image.
    order : {0, 1, 3}
        Nearest neighbour, linear, or cubic B-spline.

    Returns
    -------
    Nifti1Image, shape of the grid, float32
        0 outside the image.

    Examples
    --------
    >>> image = new_image(np.arange(8, dtype=np.float32).reshape(8, 1, 1), np.eye(4))
    >>> shift = np.eye(4)
    >>> shift[0, 3] = 2.5  # millimetres along x
    >>> resample_image(image, Grid((4, 1, 1), np.eye(4)), shift, 1).get_fdata().ravel().tolist()
    [2.5, 3.5, 4.5, 5.5]
    """
    to_source = np.linalg.inv(image.affine) @ np.asarray(matrix, dtype=np.float64) @ grid.affine
    data, offset = _needed_block(np.asanyarray(image.dataobj), grid.shape, to_source)
    if data.size == 0:
        return new_image(np.zeros(grid.shape, dtype=np.float32), grid.affine)
    to_block = to_source.copy()
    to_block[:3, 3] -= offset
    data = np.asarray(data, dtype=np.float32)
    if order > 0:
        data = _antialiased(data, to_source)
    degree = cast(SplineOrder, order)
    if degree > 1:
        data = ndimage.spline_filter(data, degree, np.empty(data.shape, dtype=np.float32))
    inside = grid.inside if isinstance(grid, MaskedGrid) else None
    return new_image(_interpolated(data, to_block, grid.shape, inside, degree), grid.affine)


def resample_linear(
    volume: npt.NDArray[Any],
    affine: npt.ArrayLike,
    shape: tuple[int, int, int],
    wanted: npt.ArrayLike,
    box: tuple[slice, slice, slice] | None = None,
) -> npt.NDArray[np.float32]:
    """A volume at the voxels of another grid in the same world; trilinear, never smoothed.

    Only the part of the grid is computed that the volume's values other than 0 can reach.

    Parameters
    ----------
    volume : array, shape (i, j, k)
    affine, wanted : array, shape (4, 4)
        Voxels to world of the volume and of the result. To follow a registration, give as ``wanted`` its matrix (world
        of the result to world of the volume) times the result's own affine.
    shape : tuple of int
        Of the result.
    box : tuple of slice, optional
        The part of the result that is looked at; the rest stays 0.

    Returns
    -------
    array, shape ``shape``, float32
        0 outside the volume.
    """
    target = np.array(wanted, dtype=np.float64)
    out = np.zeros(shape, dtype=np.float32)
    if box is not None:
        target[:3, 3] += target[:3, :3] @ [axis.start for axis in box]
        part = out[box]
        part[...] = resample_linear(volume, affine, part.shape, target)
        return out
    to_source = np.linalg.inv(np.asarray(affine, dtype=np.float64)) @ target
    reached = _reach(volume, to_source, shape)
    part = out[reached]
    if part.size:
        to_part = to_source[:3, :3] @ [axis.start for axis in reached] + to_source[:3, 3]
        source = np.asarray(volume, dtype=np.float32)
        ndimage.affine_transform(source, to_source[:3, :3], to_part, output=part, order=1, mode="constant", cval=0.0)
    return out


def _reach(volume: npt.NDArray[Any], to_source: FloatArray, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    """The box of the grid that feels voxels other than 0; empty where there are none."""
    filled = volume != 0
    bounds = []
    for axis in range(3):
        found = np.flatnonzero(filled.any(axis=tuple(other for other in range(3) if other != axis)))
        if not found.size:
            return slice(0, 0), slice(0, 0), slice(0, 0)
        bounds.append((found[0] - 1, found[-1] + 1))  # a voxel is felt up to its neighbours
    corners = apply_affine(np.linalg.inv(to_source), np.array(list(product(*bounds)), dtype=np.float64))
    low = np.clip(np.floor(corners.min(axis=0)), 0, shape).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, low, shape).astype(int)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return i, j, k


def _interpolated(
    data: npt.NDArray[np.float32],
    to_source: FloatArray,
    shape: tuple[int, int, int],
    inside: npt.NDArray[np.bool_] | None,
    order: SplineOrder,
) -> npt.NDArray[np.float32]:
    out = np.zeros(shape, dtype=np.float32)
    matrix, shift = to_source[:3, :3], to_source[:3, 3]
    if inside is None:
        ndimage.affine_transform(
            data, matrix, shift, output=out, order=order, mode="constant", cval=0.0, prefilter=False
        )
        return out
    voxels = np.nonzero(inside)
    coordinates = np.repeat(shift[:, None], len(voxels[0]), axis=1)
    # Summed in the order in which affine_transform does, so that both give the same bits (on x86-64; where compilers
    # fuse multiplication and addition, voxels on the very border of the image may fall to its other side).
    for row, factors in zip(coordinates, matrix, strict=True):
        for index, factor in zip(voxels, factors, strict=True):
            row += index * factor
    values = np.empty(len(voxels[0]), dtype=np.float32)
    ndimage.map_coordinates(data, coordinates, output=values, order=order, mode="constant", cval=0.0, prefilter=False)
    out[voxels] = values
    return out


def _needed_block(
    data: npt.NDArray[Any], shape: tuple[int, int, int], to_source: FloatArray
) -> tuple[npt.NDArray[Any], FloatArray]:
    """Part of the source that the grid can see, with a margin for the filters, and its first voxel's index."""
    corners = apply_affine(to_source, np.array(list(product(*((0, n - 1) for n in shape)))))
    margin = _SPLINE_MARGIN + 3 * _voxel_ratio(to_source)
    size = np.array(data.shape[:3])
    low = np.clip(np.floor(corners.min(axis=0) - margin), 0, size).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) + margin) + 1, 0, size).astype(int)
    return data[low[0] : high[0], low[1] : high[1], low[2] : high[2]], low.astype(np.float64)


def _voxel_ratio(to_source: FloatArray) -> FloatArray:
    """Step of the grid in source voxels, along each source axis; shape (3,)."""
    return np.asarray(np.sqrt(np.sum(to_source[:3, :3] ** 2, axis=1)))


def _antialiased(data: npt.NDArray[np.float32], to_source: FloatArray) -> npt.NDArray[np.float32]:
    for axis, ratio in enumerate(_voxel_ratio(to_source)):
        if ratio > ANTIALIAS_RATIO:
            sigma = np.sqrt(ratio**2 - 1) / FWHM_PER_SIGMA
            data = ndimage.gaussian_filter1d(data, sigma, axis=axis, mode="nearest", output=np.float32)
    return data
