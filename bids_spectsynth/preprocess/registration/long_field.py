"""Scans that show more than a head: where the brain may be, and how well the masks overlap there."""

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_spectsynth.images.grid import FloatArray, apply_affine
from bids_spectsynth.images.masks import solid_component
from bids_spectsynth.preprocess.registration.cost import SPACING_MM, IntensityModel

#: Signal that is longer than this along an axis (mm) is more than a head.
LONGEST_HEAD_MM = 300.0
#: Voxels above this part of the 99th percentile are signal.
_SIGNAL = 0.1
# A brain is looked for in slabs of this length, which begin this far from either end of the signal (mm).
_SLAB_MM, _BEGINNINGS_MM = 180.0, (0.0, 60.0)
# The neighbourhood in which the moving brain is told from what is around it, mm beyond the fixed image's brain.
_AROUND_MM = 15.0


def long_field_targets(image: nib.Nifti1Image, volume: float) -> list[FloatArray]:
    """Where the brain may be in a scan that shows neck, heart or liver too, which may be brighter than the brain.

    Parameters
    ----------
    image : Nifti1Image, shape (i, j, k)
        Smoothed moving image, voxels of some millimetres.
    volume : float
        Of the brain, mm^3.

    Returns
    -------
    list of array, shape (3,)
        World points, the centroids of the brightest part of a brain's volume near either end of the signal; none
        where the signal is no longer than a head.
    """
    data = np.asanyarray(image.dataobj)
    sizes = np.linalg.norm(image.affine[:3, :3], axis=0)
    signal = data > _SIGNAL * np.percentile(data, 99)
    n = max(1, round(volume / float(np.prod(sizes))))
    targets = []
    for axis in range(3):
        lit = np.flatnonzero(signal.any(axis=tuple(other for other in range(3) if other != axis)))
        if not lit.size or (lit[-1] - lit[0] + 1) * sizes[axis] <= LONGEST_HEAD_MM:
            continue
        length = round(_SLAB_MM / sizes[axis])
        for begin in _BEGINNINGS_MM:
            skip = round(begin / sizes[axis])
            for first in (lit[0] + skip, lit[-1] + 1 - skip - length):
                slab = np.zeros(data.shape, dtype=bool)
                np.moveaxis(slab, axis, 0)[max(first, 0) : first + length] = True
                values = np.sort(data[slab])
                if values.size > n:
                    brightest = solid_component(slab & (data >= values[-n]))
                    targets.append(apply_affine(image.affine, np.argwhere(brightest)).mean(axis=0))
    return targets


def overlap_around(model: IntensityModel, image: nib.Nifti1Image, matrix: FloatArray) -> float:
    """Dice of the fixed image's brain and the brightest part of its volume in the neighbourhood where it was found.

    Parameters
    ----------
    model : IntensityModel
        The fixed image's.
    image : Nifti1Image, shape (i, j, k)
        Smoothed moving image.
    matrix : array, shape (4, 4)
        World coordinates of the fixed image to those of the moving image.
    """
    near = ndimage.distance_transform_edt(~model.brain) * SPACING_MM <= _AROUND_MM
    to_image = np.linalg.inv(image.affine) @ matrix @ model.grid.affine
    values = ndimage.affine_transform(
        np.asanyarray(image.dataobj, dtype=np.float32), to_image[:3, :3], to_image[:3, 3], model.grid.shape, order=1
    )
    n = int(np.count_nonzero(model.brain))
    inside = np.sort(values[near])
    if inside.size <= n or inside[-1] <= 0:
        return 0.0
    own = solid_component(near & (values >= max(inside[-n], np.finfo(np.float32).tiny))) > 0
    return float(2 * np.count_nonzero(own & model.brain) / (np.count_nonzero(own) + n))
