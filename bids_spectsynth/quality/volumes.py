"""The prepared images of a case on voxels of 4 mm, the same for every resolution of the preparation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.images.masks import without_edge
from bids_spectsynth.images.resampling import FWHM_PER_SIGMA
from bids_spectsynth.images.tissue import class_means

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Edge of the voxels that everything is measured on, mm: fine enough for the PET's and the SPECT's resolution, and a
#: fraction of a second a case.
VOXEL_MM = 4.0
#: Measured this deep below the brain's surface, where neither the mask nor the scalp plays a part.
DEPTH_MM = 8.0


@dataclass(frozen=True, eq=False)
class Volumes:
    """A case at 4 mm.

    Parameters
    ----------
    images : mapping of str to array, shape (I, J, K), float64
        PET and SPECT by role; 0 outside their masks.
    grey, white : array, shape (I, J, K), float64
        Share of each tissue, from the T1w alone; 0 outside the brain.
    brain : array of bool, shape (I, J, K)
    inside : array of bool, shape (I, J, K)
        The part of the brain below its surface, where every image was measured.
    measured : mapping of str to array of bool
        Where each image was measured.
    """

    images: Mapping[str, Float64]
    grey: Float64
    white: Float64
    brain: Mask
    inside: Mask
    measured: Mapping[str, Mask]

    def blurred(self, values: Float64, fwhm: float) -> Float64:
        """A volume smoothed by a Gaussian of a width in mm."""
        return np.asarray(ndimage.gaussian_filter(values, fwhm / FWHM_PER_SIGMA / VOXEL_MM, mode="constant"))


def make_volumes(
    t1w: npt.NDArray[np.floating],
    brain: Mask,
    images: Mapping[str, npt.NDArray[np.floating]],
    masks: Mapping[str, Mask],
    voxel_size: float,
) -> Volumes:
    """Bring a prepared case to voxels of 4 mm by means over blocks.

    Parameters
    ----------
    t1w : array, shape (i, j, k)
        Prepared T1w on the common grid.
    brain : array of bool, shape (i, j, k)
    images : mapping of str to array, shape (i, j, k)
        Prepared PET and SPECT by role.
    masks : mapping of str to array of bool
        Of images with a mask of their own.
    voxel_size : float
        mm; 4 or a whole fraction of it. Coarser images are taken as they are.
    """
    n = max(1, round(VOXEL_MM / voxel_size))
    grey, white = _tissue(np.asarray(t1w, dtype=np.float64), brain)
    small = _block_mean(brain.astype(np.float64), n) >= 0.5
    own = {
        role: small & (_block_mean(masks[role].astype(np.float64), n) >= 0.5) if role in masks else small
        for role in images
    }
    inside = without_edge(small, (VOXEL_MM,) * 3, DEPTH_MM)
    return Volumes(
        images={role: _block_mean(np.asarray(image, dtype=np.float64), n) for role, image in images.items()},
        grey=_block_mean(grey, n),
        white=_block_mean(white, n),
        brain=small,
        inside=inside,
        measured=own,
    )


def _tissue(t1w: Float64, brain: Mask) -> tuple[Float64, Float64]:
    """Shares of grey and white matter, linear between the brightness of fluid, grey and white matter."""
    fluid_mean, grey_mean, white_mean = class_means(t1w[brain])
    grey, white = np.zeros(t1w.shape), np.zeros(t1w.shape)
    if fluid_mean < grey_mean < white_mean:
        values = t1w[brain]
        light = np.clip((values - grey_mean) / (white_mean - grey_mean), 0, 1)
        white[brain] = light
        grey[brain] = np.clip((values - fluid_mean) / (grey_mean - fluid_mean), 0, 1) - light
    return grey, white


def _block_mean(values: Float64, n: int) -> Float64:
    """Means over blocks of n voxels along each axis; what is left over at the end is dropped."""
    if n == 1:
        return values
    i, j, k = (length // n for length in values.shape)
    blocks = values[: i * n, : j * n, : k * n].reshape(i, n, j, n, k, n)
    return np.asarray(blocks.mean(axis=(1, 3, 5)))
