"""Gaussian smoothing that looks at nothing outside a mask."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

from bids_spectsynth.images.resampling import FWHM_PER_SIGMA

Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: The Gaussian ends here, in standard deviations.
_TRUNCATE = 4.0


class MaskedSmoother:
    """Normalised convolution in a mask: each value is a weighted mean of the mask's voxels around it.

    The weights of the mask are computed once, so that many volumes of one mask are smoothed at half the price. Near the
    edge a value is the mean of the part of the Gaussian that lies inside: a constant stays constant.

    Parameters
    ----------
    mask : array of bool, shape (I, J, K)
        Not empty.
    voxel_sizes : array, shape (3,)
        mm.
    fwhm : float
        Full width at half maximum, mm; 0 leaves values as they are.

    Raises
    ------
    ValueError
        The mask is empty, or the width negative.

    References
    ----------
    Knutsson and Westin 1993, Normalized and differential convolution, CVPR 1993:515-523.
    """

    def __init__(self, mask: Mask, voxel_sizes: npt.ArrayLike, fwhm: float) -> None:
        if not mask.any():
            raise ValueError("the mask is empty")
        if not fwhm >= 0:
            raise ValueError(f"a width of {fwhm} mm")
        self._sigma = np.asarray(fwhm / FWHM_PER_SIGMA / np.asarray(voxel_sizes, dtype=np.float64))
        self.box = ndimage.find_objects(mask.astype(np.uint8))[0]
        self.mask = mask
        self._inside = mask[self.box]
        # All of the mask has a weight, at least that of the voxel itself.
        self._weight = self._blur(self._inside.astype(np.float32))[self._inside]

    def _blur(self, part: Float32) -> Float32:
        if not self._sigma.any():
            return part
        blurred: Float32 = ndimage.gaussian_filter(part, self._sigma, mode="constant", truncate=_TRUNCATE)
        return blurred

    def __call__(self, values: npt.NDArray[np.floating]) -> Float32:
        """Smooth a volume.

        Parameters
        ----------
        values : array, shape (I, J, K)
            Finite in the mask; what is outside plays no part, whatever it is.

        Returns
        -------
        array, shape (I, J, K), float32
            0 outside the mask.
        """
        out = np.zeros(self.mask.shape, dtype=np.float32)
        out[self.mask] = self.inside(np.where(self._inside, values[self.box], 0).astype(np.float32))
        return out

    def inside(self, part: Float32) -> Float32:
        """Smooth the box around the mask, with 0 outside the mask; the values in the mask, in its order."""
        return np.asarray(self._blur(part)[self._inside] / self._weight)

    def values(self, inside: npt.NDArray[np.floating]) -> Float32:
        """Smooth the values in the mask, shape (n,), in its order; the same back."""
        part = np.zeros(self._inside.shape, dtype=np.float32)
        part[self._inside] = inside
        return self.inside(part)


def smooth_in_mask(values: npt.NDArray[np.floating], mask: Mask, voxel_sizes: npt.ArrayLike, fwhm: float) -> Float32:
    """Smooth one volume in a mask, see :class:`MaskedSmoother`.

    Parameters
    ----------
    values : array, shape (I, J, K)
        Finite in the mask.
    mask : array of bool, shape (I, J, K)
    voxel_sizes : array, shape (3,)
        mm.
    fwhm : float
        Full width at half maximum, mm.

    Returns
    -------
    array, shape (I, J, K), float32
        0 outside the mask.

    Examples
    --------
    >>> mask = np.zeros((9, 9, 9), dtype=bool)
    >>> mask[2:7, 2:7, 2:7] = True
    >>> smooth_in_mask(np.where(mask, 3.0, 99.0), mask, (2, 2, 2), 8.0)[4, 4, 4].round(5)
    np.float32(3.0)
    """
    return MaskedSmoother(mask, voxel_sizes, fwhm)(values)


def smooth_apart(
    values: npt.NDArray[np.floating], mask: Mask, apart: Mask | None, voxel_sizes: npt.ArrayLike, fwhm: float
) -> Float32:
    """Smooth in a mask, so that nothing outside a part of it depends on the values in that part.

    Outside the part, only the rest of the mask is looked at; in it, all of the mask.

    Parameters
    ----------
    values : array, shape (I, J, K)
        Finite in the mask.
    mask : array of bool, shape (I, J, K)
    apart : array of bool, shape (I, J, K), or None
        A lesion, say; None for no such part.
    voxel_sizes : array, shape (3,)
        mm.
    fwhm : float
        Full width at half maximum, mm.

    Returns
    -------
    array, shape (I, J, K), float32
        0 outside the mask.

    Raises
    ------
    ValueError
        Nothing of the mask lies outside the part.
    """
    if apart is None or not (mask & apart).any():
        return smooth_in_mask(values, mask, voxel_sizes, fwhm)
    out = smooth_in_mask(values, mask & ~apart, voxel_sizes, fwhm)
    within = mask & apart
    out[within] = smooth_in_mask(values, mask, voxel_sizes, fwhm)[within]
    return out


def as_by_blurrier_camera(
    values: npt.NDArray[np.floating], brain: Mask, measured: Mask, voxel_sizes: npt.ArrayLike, fwhm: float
) -> Float32:
    """A brain-extracted scan as a camera of lower resolution would have it.

    At the brain's surface such a camera mixes in what lies outside it: less than the cortex takes up, but not nothing.
    A plain smoothing of the extracted image mixes in zeros, one in the mask nothing; the geometric mean of both is
    taken, which is nearest to what the phantom's cameras record (docs/method.md). Where the field of view ends within
    the brain, what was not measured plays no part.

    The Gaussian is the discrete one, whose variance is right however narrow it is; of a sampled one of less than about
    1.2 voxels (FWHM) next to nothing but its middle is left.

    Parameters
    ----------
    values : array, shape (I, J, K)
        Finite in ``measured``.
    brain, measured : array of bool, shape (I, J, K)
        Brain mask, and the part of it that lies in the scan's field of view; not empty.
    voxel_sizes : array, shape (3,)
        mm.
    fwhm : float
        Full width at half maximum, mm, of the Gaussian that the scan lacks.

    Returns
    -------
    array, shape (I, J, K), float32
        0 outside ``measured``.

    Examples
    --------
    >>> brain = np.zeros((9, 9, 9), dtype=bool)
    >>> brain[2:7, 2:7, 2:7] = True
    >>> blurred = as_by_blurrier_camera(np.where(brain, 3.0, 0), brain, brain, (2, 2, 2), 4.0)
    >>> blurred[4, 4, 4].round(1), bool(blurred[2, 2, 2] < 2.5), blurred[0, 0, 0]
    (np.float32(3.0), True, np.float32(0.0))
    """
    sigma = np.asarray(fwhm / FWHM_PER_SIGMA / np.asarray(voxel_sizes, dtype=np.float64))
    box = ndimage.find_objects(brain.astype(np.uint8))[0]
    inside = (brain & measured)[box]
    part = _discrete_gaussian(np.where(inside, values[box], 0).astype(np.float32), sigma)
    in_mask = part[inside] / _discrete_gaussian(inside.astype(np.float32), sigma)[inside]
    weight = _discrete_gaussian(brain[box].astype(np.float32), sigma)[inside]
    out = np.zeros(brain.shape, dtype=np.float32)
    out[brain & measured] = in_mask * np.sqrt(weight)
    return out


def _discrete_gaussian(part: Float32, sigma: npt.NDArray[np.float64]) -> Float32:
    """Convolve with the Gaussian of a grid, widths in voxels, and 0 outside (Lindeberg 1990, IEEE TPAMI 12:234-254)."""
    for axis, width in enumerate(sigma):
        # Its tails are longer than those of the sampled one where it is narrow.
        reach = int(np.ceil(_TRUNCATE * width)) + 2
        weights = special.ive(np.arange(-reach, reach + 1), width**2)
        part = ndimage.correlate1d(part, weights / weights.sum(), axis=axis, mode="constant")
    return part
