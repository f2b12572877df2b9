"""A PET made to look like an interictal SPECT: resolution, white matter and regional contrast of the other tracer.

The ictal scan itself teaches it: almost everywhere it is what an interictal scan would be. Eight numbers are fitted, by
a robust regression that gives no vote to voxels which do not follow, so that a focus is not fitted away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.records import Float32, Float64, Mask

#: What a PET resolves of itself (FWHM, mm): the map of white matter, sharp as the MRI, is smoothed by as much more.
PET_FWHM_MM = 5.0
#: Voxels of the regression: SPECT that is smoothed for a SISCOM has nothing finer.
_SPACING_MM = 4.0
#: Middle and half size of the brain in template space, mm: coordinates become about -1 to 1.
_MIDDLE, _HALF = np.array([0.0, -18.0, 5.0]), np.array([70.0, 90.0, 75.0])
#: Residuals beyond so many standard deviations have no vote (Tukey's biweight; 4.685 is usual, but a focus is no rare
#: outlier: it has a slope), once they are smoothed by this much more (FWHM, mm), as a focus has neighbours.
_TUKEY, _REGION_MM = 3.0, 16.0
_MAD_TO_SIGMA = 1.4826
_MAX_ITERATIONS = 30


@dataclass(frozen=True, eq=False)
class Piscom:
    """A PET as SPECT.

    Parameters
    ----------
    values : array, shape (I, J, K), float32
        In units of the ictal scan; not negative, 0 outside the mask.
    coefficients : mapping of str to float
        Of each term, both scans having a mean of 1 in the mask.
    """

    values: Float32
    coefficients: dict[str, float]


def regional_terms(coordinates: Float64 | None, shape: tuple[int, ...]) -> dict[str, Float32]:
    """Smooth patterns over the brain that are equal on both sides.

    Parameters
    ----------
    coordinates : array, shape (3, I, J, K), or None
        Template coordinates of each voxel, RAS+ mm; None where the way to a template is not known.
    shape : tuple of int
        (I, J, K).

    Returns
    -------
    dict of str to array, shape (I, J, K), float32
        By name, the constant first; it alone without coordinates. The others are polynomials of second degree of the
        distance from the middle, of y and of z.
    """
    one = np.ones(shape, dtype=np.float32)
    if coordinates is None:
        return {"1": one}
    x, y, z = (
        ((c - middle) / half).astype(np.float32) for c, middle, half in zip(coordinates, _MIDDLE, _HALF, strict=True)
    )
    return {"1": one, "y": y, "z": z, "x^2": x * x, "y^2": y * y, "z^2": z * z, "yz": y * z}


def robust_fit(terms: Float64, target: Float64, tukey: float = _TUKEY) -> Float64:
    """Linear regression by Tukey's biweight, repeated from least squares.

    Parameters
    ----------
    terms : array, shape (n, p)
    target : array, shape (n,)
    tukey : float
        Residuals beyond so many robust standard deviations do not count.

    Returns
    -------
    array, shape (p,)
    """
    weights, found = np.ones(len(target)), np.zeros(terms.shape[1])
    for _ in range(_MAX_ITERATIONS):
        weighted = terms * weights[:, None]
        following = np.linalg.lstsq(weighted.T @ terms, weighted.T @ target, rcond=1e-10)[0]
        if np.allclose(following, found, rtol=1e-4, atol=1e-5):
            break
        found = following
        residuals = target - terms @ found
        residuals = residuals - np.median(residuals)
        spread = _MAD_TO_SIGMA * float(np.median(np.abs(residuals)))
        if not spread > 0:
            break
        weights = np.square(1 - np.square(np.clip(residuals / (tukey * spread), -1, 1)))
    return np.asarray(found)


def pet_as_spect(
    pet: Float32,
    ictal: Float32,
    white: Float32,
    mask: Mask,
    voxel_sizes: Float64,
    kernel: float,
    fwhm: float,
    coordinates: Float64 | None = None,
) -> Piscom:
    """Bring a PET to the resolution and the contrast of an ictal SPECT of the same brain.

    Parameters
    ----------
    pet, ictal : array, shape (I, J, K)
        Aligned, not negative.
    white : array, shape (I, J, K)
        Share of white matter, see :func:`bids_spectsynth.siscom.baselines.tissue.white_matter`.
    mask : array of bool, shape (I, J, K)
        Brain, measured in both scans.
    voxel_sizes : array, shape (3,)
        mm.
    kernel : float
        Gaussian (FWHM, mm) that makes the PET as blurred as the SPECT.
    fwhm : float
        Gaussian of the SISCOM, mm: the fit is made where the map will be.
    coordinates : array, shape (3, I, J, K), optional
        In template space; without them there are no regional terms.

    Returns
    -------
    Piscom

    Raises
    ------
    ValueError
        The mask is empty, or a scan has no signal in it.
    """
    levels = [float(scan[mask].mean(dtype=np.float64)) if mask.any() else 0.0 for scan in (pet, ictal)]
    if not min(levels) > 0:
        raise ValueError("no signal in the brain")
    smooth_pet = MaskedSmoother(mask, voxel_sizes, kernel)(pet) / np.float32(levels[0])
    smooth_white = MaskedSmoother(mask, voxel_sizes, float(np.hypot(kernel, PET_FWHM_MM)))(white)
    regional = regional_terms(coordinates, mask.shape)
    volumes = [smooth_pet * term for term in regional.values()] + [smooth_white]
    found = _fit(volumes, ictal / np.float32(levels[1]), mask, voxel_sizes, fwhm)
    values = np.zeros(mask.shape, dtype=np.float32)
    for coefficient, volume in zip(found, volumes, strict=True):
        values += np.float32(coefficient * levels[1]) * volume
    names = [*(f"PET*{name}" if name != "1" else "PET" for name in regional), "white matter"]
    return Piscom(
        np.where(mask, np.maximum(values, 0), np.float32(0)), dict(zip(names, map(float, found), strict=True))
    )


def _fit(volumes: Sequence[Float32], target: Float32, mask: Mask, voxel_sizes: Float64, fwhm: float) -> Float64:
    """Coefficients on every n-th voxel, the rim of the brain left out."""
    step = [max(1, round(_SPACING_MM / float(size))) for size in voxel_sizes]
    part = tuple(slice(n // 2, None, n) for n in step)
    inside = np.ascontiguousarray(mask[part])
    if not inside.any():
        part, inside = (slice(None),) * 3, mask
        step = [1, 1, 1]
    smoother = MaskedSmoother(inside, voxel_sizes * step, fwhm)
    inner = ndimage.binary_erosion(inside)
    inner = inner if inner.any() else inside
    smooth = [smoother(np.ascontiguousarray(volume[part]))[inner].astype(np.float64) for volume in (*volumes, target)]
    return robust_fit(np.stack(smooth[:-1], axis=1), smooth[-1])
