"""Reading a moving image, and its gradient, at world coordinates."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.images.grid import FloatArray, apply_affine
from bids_spectsynth.images.resampling import FWHM_PER_SIGMA

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sampler:
    """A moving image that can be read, with its gradient, at any world coordinate.

    Parameters
    ----------
    values : array, shape (i, j, k), float32
    gradient : array, shape (3, i, j, k), float32
        Per voxel index.
    to_index : array, shape (4, 4)
        World coordinates of the moving image to voxel indices.
    """

    values: Float32Array
    gradient: Float32Array
    to_index: FloatArray

    def read(self, matrix: FloatArray, points: FloatArray) -> Float32Array:
        """Values at ``matrix`` applied to world ``points`` (n, 3); 0 outside the image; shape (n,)."""
        index = apply_affine(self.to_index @ matrix, points).T
        return _interpolate(self.values, index)

    def read_gradient(self, matrix: FloatArray, points: FloatArray) -> Float32Array:
        """Gradient of the values by the coordinates of the points (not of the moving image); shape (n, 3)."""
        whole = self.to_index @ matrix
        index = apply_affine(whole, points).T
        by_index = np.stack([_interpolate(g, index) for g in self.gradient], axis=1)
        return np.asarray(by_index @ whole[:3, :3].astype(np.float32), dtype=np.float32)

    def contains(self, matrix: FloatArray, points: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether the points lie in the field of view; shape (n,)."""
        index = apply_affine(self.to_index @ matrix, points)
        return np.asarray(np.all((index >= 0) & (index <= np.array(self.values.shape) - 1), axis=1))


def _interpolate(volume: Float32Array, index: FloatArray) -> Float32Array:
    out = np.empty(index.shape[1], dtype=np.float32)
    ndimage.map_coordinates(volume, index, output=out, order=1, mode="constant", cval=0.0, prefilter=False)
    return out


def shrink(image: nib.Nifti1Image, spacing: float) -> tuple[Float32Array, FloatArray]:
    """Means over blocks of whole voxels whose edges stay at or below ``spacing`` mm, and their affine."""
    sizes = np.linalg.norm(image.affine[:3, :3], axis=0)
    factors = np.maximum(1, np.floor(spacing / sizes + 1e-3).astype(int))
    data = np.asanyarray(image.dataobj)
    factors = np.minimum(factors, data.shape)
    data = data[tuple(slice(n // f * f) for n, f in zip(data.shape, factors, strict=True))]
    for axis, factor in enumerate(factors.tolist()):
        if factor > 1:
            shape = (*data.shape[:axis], data.shape[axis] // factor, factor, *data.shape[axis + 1 :])
            data = data.reshape(shape).mean(axis=axis + 1, dtype=np.float32)
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3, 3] += affine[:3, :3] @ ((factors - 1) / 2)
    affine[:3, :3] *= factors
    return np.asarray(data, dtype=np.float32), affine


def make_sampler(data: Float32Array, affine: FloatArray, fwhm: float) -> Sampler:
    """Sampler of an image that is smoothed more than it is.

    Parameters
    ----------
    data : array, shape (i, j, k), float32
    affine : array, shape (4, 4)
        Voxel indices to world mm.
    fwhm : float
        Of the Gaussian, mm; 0: not smoothed.
    """
    if fwhm > 0:
        data = ndimage.gaussian_filter(data, fwhm / FWHM_PER_SIGMA / np.linalg.norm(affine[:3, :3], axis=0))
    gradient = np.stack([np.gradient(data, axis=axis) for axis in range(3)]).astype(np.float32, copy=False)
    return Sampler(data, gradient, np.asarray(np.linalg.inv(affine), dtype=np.float64))
