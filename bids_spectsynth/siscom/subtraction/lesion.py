"""An ictal scan on its own voxels without what lies in a lesion, so that interpolation carries nothing out of it."""

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.images.grid import apply_affine, new_image
from bids_spectsynth.siscom.records import Float64, Mask


def without_lesion(scan: nib.Nifti1Image, lesion: Mask, affine: Float64, *matrices: Float64) -> nib.Nifti1Image:
    """A scan whose voxels in a lesion have the value of the nearest voxel outside of it.

    Parameters
    ----------
    scan : Nifti1Image, shape (i, j, k)
        On its own voxels.
    lesion : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
        Of the mask, to world RAS+ mm.
    *matrices : array, shape (4, 4)
        World of the lesion mask to that of the scan, RAS+ mm; of several, a voxel counts that lies in it by any.

    Returns
    -------
    Nifti1Image, shape (i, j, k)
        Nothing in it depends on the scan's voxels whose centres lie in the lesion. The scan itself where all or none
        of them do.
    """
    data = np.asanyarray(scan.dataobj)
    inside = np.any([_inside(scan, lesion, affine, matrix) for matrix in matrices], axis=0)
    if inside.all() or not inside.any():
        return scan
    sizes = np.linalg.norm(np.asarray(scan.affine)[:3, :3], axis=0).tolist()
    nearest = ndimage.distance_transform_edt(inside, sampling=sizes, return_distances=False, return_indices=True)
    return new_image(np.asarray(data[tuple(nearest)]), scan.affine)


def _inside(scan: nib.Nifti1Image, lesion: Mask, affine: Float64, matrix: Float64) -> Mask:
    """Which voxels of a scan have their centres in a mask."""
    to_mask = np.linalg.inv(affine) @ np.linalg.inv(matrix) @ scan.affine
    index = np.rint(apply_affine(to_mask, np.indices(scan.shape).reshape(3, -1).T)).astype(np.intp)
    there = np.all((index >= 0) & (index < lesion.shape), axis=1)
    inside = np.zeros(len(index), dtype=bool)
    inside[there] = lesion[tuple(index[there].T)]
    return inside.reshape(scan.shape)


def around(lesion: Mask, affine: Float64, reach_mm: float) -> tuple[Mask, Float64]:
    """What lies within a distance of a lesion, on a grid that holds all of it.

    Parameters
    ----------
    lesion : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
        Of the mask, to world RAS+ mm.
    reach_mm : float
        Between the centres of voxels.

    Returns
    -------
    near : array of bool, shape (I + 2 a, J + 2 b, K + 2 c)
        With the lesion.
    affine : array, shape (4, 4)
        Of ``near``.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    rim = np.ceil(reach_mm / sizes).astype(int)
    distance: npt.NDArray[np.float64] = ndimage.distance_transform_edt(
        ~np.pad(lesion, [(int(one), int(one)) for one in rim]), sampling=sizes.tolist()
    )
    shift = np.eye(4)
    shift[:3, 3] = -rim
    return distance <= reach_mm, affine @ shift
