"""Voxel grids: where an image's voxels lie in world space (RAS+ millimetres)."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.errors import ImageError
from bids_spectsynth.options.settings import FIELD_OF_VIEW_MM

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape (i, j, k) and 4x4 affine from voxel indices to world RAS+ millimetres."""

    shape: tuple[int, int, int]
    affine: FloatArray

    @property
    def voxel_sizes(self) -> FloatArray:
        """Distance in millimetres between neighbouring voxel centres along i, j, k; shape (3,)."""
        return np.asarray(np.sqrt(np.sum(self.affine[:3, :3] ** 2, axis=0)))

    def equals(self, other: "Grid", tolerance: float = 1e-4) -> bool:
        """Whether both grids have the same shape and voxel centres (``tolerance`` in mm, at the corners)."""
        if self.shape != other.shape:
            return False
        corners = np.array(list(product(*((0, n - 1) for n in self.shape))), dtype=np.float64)
        return bool(np.abs(apply_affine(self.affine - other.affine, corners)).max() <= tolerance)


@dataclass(frozen=True, eq=False)
class MaskedGrid(Grid):
    """A grid of which only some voxels are wanted.

    Who computes values on it may leave the others at 0.

    Parameters
    ----------
    inside : array of bool, shape of the grid
        The voxels that are wanted.
    """

    inside: npt.NDArray[np.bool_]


def apply_affine(matrix: npt.ArrayLike, points: npt.ArrayLike) -> FloatArray:
    """Apply a 4x4 ``matrix`` to ``points`` of shape (n, 3)."""
    m = np.asarray(matrix, dtype=np.float64)
    return np.asarray(points, dtype=np.float64) @ m[:3, :3].T + m[:3, 3]


def grid_of(image: nib.spatialimages.SpatialImage) -> Grid:
    """Grid of the first three dimensions of an image."""
    i, j, k = image.shape[:3]
    return Grid((int(i), int(j), int(k)), np.array(image.affine, dtype=np.float64))


def new_image(
    data: npt.NDArray[Any], affine: npt.ArrayLike, header: nib.nifti1.Nifti1Header | None = None
) -> nib.Nifti1Image:
    """NIfTI image of an array, with ``affine`` as its sform unless ``header`` already says the same.

    Parameters
    ----------
    data : array, shape (i, j, k) or (i, j, k, t)
    affine : array, shape (4, 4)
        Voxel indices to world RAS+ mm.
    header : Nifti1Header, optional
        Whose other fields are kept.
    """
    return nib.Nifti1Image(data, affine, header)  # type: ignore[no-untyped-call]  # nibabel annotates only in part


def mask_bounds(mask_image: nib.spatialimages.SpatialImage) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest world coordinates that the voxels of a mask reach, voxel edges included.

    Parameters
    ----------
    mask_image : image, shape (i, j, k)
        Voxels above zero belong to the mask.

    Returns
    -------
    low, high : array, shape (3,)
        RAS+ millimetres.

    Raises
    ------
    ImageError
        The mask is empty.
    """
    inside = np.asanyarray(mask_image.dataobj) > 0
    # The extremes of an affine image of a set lie at voxels that begin or end a run along the first axis.
    along = inside.any(axis=0)
    if not along.any():
        raise ImageError("the brain mask is empty, so no grid can be centred on it; check the image")
    j, k = np.nonzero(along)
    columns = inside[:, j, k]
    first = columns.argmax(axis=0)
    last = inside.shape[0] - 1 - columns[::-1].argmax(axis=0)
    ends = np.concatenate([np.stack([first, j, k], axis=1), np.stack([last, j, k], axis=1)])
    world = apply_affine(mask_image.affine, ends)
    half = 0.5 * np.abs(np.asarray(mask_image.affine, dtype=np.float64)[:3, :3]).sum(axis=1)
    return world.min(axis=0) - half, world.max(axis=0) + half


def axial_grid(mask_image: nib.spatialimages.SpatialImage, voxel_size: float) -> Grid:
    """Axial RAS grid of 256 x 256 x 192 mm, centred on the brain so that none of it is cut.

    The centre is that of the mask's bounding box in world space, rounded to whole millimetres: voxel edges then lie
    at whole millimetres for every voxel size, and a grid of 2 mm covers exactly that of 1 mm. World coordinates stay
    those of the image (nothing is rotated).

    Parameters
    ----------
    mask_image : image, shape (i, j, k)
        Brain mask of any orientation, also oblique or sheared.
    voxel_size : float
        Edge of the isotropic voxels, mm; must divide 256 and 192.

    Returns
    -------
    Grid
        Shape (256, 256, 192) / voxel_size; affine diagonal in ``voxel_size``.

    Raises
    ------
    ImageError
        The mask is empty, or the brain is larger than the field of view.
    """
    low, high = mask_bounds(mask_image)
    fov = np.array(FIELD_OF_VIEW_MM, dtype=np.float64)
    centre = np.floor((low + high) / 2 + 0.5)
    start = centre - fov / 2
    if np.any(low < start) or np.any(high > start + fov):
        size = " x ".join(f"{mm:.0f}" for mm in high - low)
        allowed = " x ".join(str(mm) for mm in FIELD_OF_VIEW_MM)
        raise ImageError(f"the brain mask measures {size} mm and does not fit into {allowed} mm; check the brain mask")
    affine = np.diag([voxel_size, voxel_size, voxel_size, 1.0])
    affine[:3, 3] = start + voxel_size / 2
    i, j, k = (round(mm / voxel_size) for mm in FIELD_OF_VIEW_MM)
    return Grid((i, j, k), affine)
