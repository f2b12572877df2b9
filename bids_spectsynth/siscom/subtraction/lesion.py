"""An ictal scan on its own voxels without what lies in a lesion, so that interpolation carries nothing out of it."""

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_spectsynth.images.grid import apply_affine, new_image
from bids_spectsynth.siscom.records import Float64, Mask


def without_lesion(scan: nib.Nifti1Image, matrix: Float64, lesion: Mask, affine: Float64) -> nib.Nifti1Image:
    """A scan whose voxels in a lesion have the value of the nearest voxel outside of it.

    Parameters
    ----------
    scan : Nifti1Image, shape (i, j, k)
        On its own voxels.
    matrix : array, shape (4, 4)
        World of the lesion mask to that of the scan, RAS+ mm.
    lesion : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
        Of the mask, to world RAS+ mm.

    Returns
    -------
    Nifti1Image, shape (i, j, k)
        Nothing in it depends on the scan's voxels whose centres lie in the lesion. The scan itself where all or none
        of them do.
    """
    data = np.asanyarray(scan.dataobj)
    to_mask = np.linalg.inv(affine) @ np.linalg.inv(matrix) @ scan.affine
    index = np.rint(apply_affine(to_mask, np.indices(data.shape).reshape(3, -1).T)).astype(np.intp)
    there = np.all((index >= 0) & (index < lesion.shape), axis=1)
    inside = np.zeros(len(index), dtype=bool)
    inside[there] = lesion[tuple(index[there].T)]
    if inside.all() or not inside.any():
        return scan
    sizes = np.linalg.norm(np.asarray(scan.affine)[:3, :3], axis=0).tolist()
    nearest = ndimage.distance_transform_edt(
        inside.reshape(data.shape), sampling=sizes, return_distances=False, return_indices=True
    )
    return new_image(np.asarray(data[tuple(nearest)]), scan.affine)
