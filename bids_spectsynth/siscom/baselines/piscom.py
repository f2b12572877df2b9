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


def regional_terms(shape: tuple[int, ...], to_template: Float64 | None) -> dict[str, Float32]:
    """Smooth patterns over the brain that are equal on both sides.

    Parameters
    ----------
    shape : tuple of int
        (I, J, K).
    to_template : array, shape (4, 4), or None
        Voxels to template coordinates, RAS+ mm; None where the way to a template is not known.

    Returns
    -------
    dict of str to array, shape (I, J, K), float32
        By name, the constant first; it alone without a way. The others are polynomials of second degree of the
        distance from the middle, of y and of z.
    """
    one = np.ones(shape, dtype=np.float32)
    if to_template is None:
        return {"1": one}
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    x, y, z = (
        ((row[0] * i + row[1] * j + row[2] * k + row[3] - middle) / half).astype(np.float32)
        for row, middle, half in zip(to_template[:3], _MIDDLE, _HALF, strict=True)
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
    found: Float64 = np.zeros(terms.shape[1])
    weights: Float64 = np.ones(len(target))
    for _ in range(_MAX_ITERATIONS):
        weighted = terms * weights[:, None]
        following = np.asarray(np.linalg.lstsq(weighted.T @ terms, weighted.T @ target, rcond=1e-10)[0])
        if np.allclose(following, found, rtol=1e-4, atol=1e-5):
            break
        found = following
        residuals = target - terms @ found
        residuals = residuals - np.median(residuals)
        spread = _MAD_TO_SIGMA * float(np.median(np.abs(residuals)))
        if not spread > 0:
            break
        weights = np.asarray(np.square(1 - np.square(np.clip(residuals / (tukey * spread), -1, 1))))
    return np.asarray(found)


def pet_as_spect(
    pet: Float32,
    ictal: Float32,
    white: Float32,
    masks: tuple[Mask, Mask],
    affine: Float64,
    kernel: float,
    fwhm: float,
    to_template: Float64 | None = None,
) -> Piscom:
    """Bring a PET to the resolution and the contrast of an ictal SPECT of the same brain.

    Parameters
    ----------
    pet, ictal : array, shape (I, J, K)
        Aligned, not negative.
    white : array, shape (I, J, K)
        Share of white matter, see :func:`bids_spectsynth.siscom.baselines.tissue.white_matter`.
    masks : tuple of array of bool, shape (I, J, K)
        Brain where the PET was measured, and the part of it where the ictal scan was too.
    affine : array, shape (4, 4)
        Voxels to world, RAS+ mm.
    kernel : float
        Gaussian (FWHM, mm) that makes the PET as blurred as the SPECT.
    fwhm : float
        Gaussian of the SISCOM, mm: the fit is made where the map will be.
    to_template : array, shape (4, 4), optional
        World to template, mm; without it there are no regional terms.

    Returns
    -------
    Piscom

    Raises
    ------
    ValueError
        A mask is empty, or a scan has no signal in it.
    """
    if not masks[1].any():
        raise ValueError("no voxel of the brain was measured in both scans")
    # All is done in the box around the brain: eight volumes of the whole field of view would take much memory.
    box = ndimage.find_objects(masks[0].astype(np.uint8))[0]
    mask, both = (each[box] for each in masks)
    levels = [float(scan[box][both].mean(dtype=np.float64)) for scan in (pet, ictal)]
    if not min(levels) > 0:
        raise ValueError("no signal in the brain")
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    smooth_pet = MaskedSmoother(mask, sizes, kernel)(pet[box]) / np.float32(levels[0])
    smooth_white = MaskedSmoother(mask, sizes, float(np.hypot(kernel, PET_FWHM_MM)))(white[box])
    regional = regional_terms(mask.shape, None if to_template is None else to_template @ affine @ _first_voxel(box))
    volumes = [smooth_pet * term for term in regional.values()] + [smooth_white]
    found = _fit(volumes, ictal[box] / np.float32(levels[1]), both, sizes, fwhm)
    part = np.zeros(mask.shape, dtype=np.float32)
    for coefficient, volume in zip(found, volumes, strict=True):
        part += np.float32(coefficient * levels[1]) * volume
    values = np.zeros(masks[0].shape, dtype=np.float32)
    values[box] = np.where(mask, np.maximum(part, 0), np.float32(0))
    names = [*(f"PET*{name}" if name != "1" else "PET" for name in regional), "white matter"]
    return Piscom(values, dict(zip(names, map(float, found), strict=True)))


def _first_voxel(box: tuple[slice, ...]) -> Float64:
    """From voxels of a box to those of the whole volume."""
    shift = np.eye(4)
    shift[:3, 3] = [part.start for part in box]
    return shift


def _fit(volumes: Sequence[Float32], target: Float32, mask: Mask, voxel_sizes: Float64, fwhm: float) -> Float64:
    """Coefficients on every n-th voxel, the rim of the brain left out."""
    step = [max(1, round(_SPACING_MM / float(size))) for size in voxel_sizes]
    part = tuple(slice(n // 2, None, n) for n in step)
    if not mask[part].any():
        step, part = [1, 1, 1], (slice(None),) * 3
    inside = np.ascontiguousarray(mask[part])
    smoother = MaskedSmoother(inside, voxel_sizes * step, fwhm)
    inner = ndimage.binary_erosion(inside)
    inner = inner if inner.any() else inside
    smooth = [smoother(np.ascontiguousarray(volume[part]))[inner].astype(np.float64) for volume in (*volumes, target)]
    return robust_fit(np.stack(smooth[:-1], axis=1), smooth[-1])
