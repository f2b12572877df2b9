"""What differs smoothly, and equally on both sides, between a baseline and a scan: by tracer, camera or network.

The ictal scan itself teaches it: almost everywhere it is what an interictal scan would be. Few numbers are fitted, by a
robust regression that gives no vote to voxels which do not follow, so that a focus is not fitted away.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.records import Float32, Float64, Mask

#: Voxels of the regression: SPECT that is smoothed for a SISCOM has nothing finer.
_SPACING_MM = 4.0
#: Middle and half size of the brain in template space, mm: coordinates become about -1 to 1.
_MIDDLE, _HALF = np.array([0.0, -18.0, 5.0]), np.array([70.0, 90.0, 75.0])
#: Residuals beyond so many standard deviations have no vote (Tukey's biweight; 4.685 is usual, but a focus is no rare
#: outlier: it has a slope).
_TUKEY = 3.0
_MAD_TO_SIGMA = 1.4826
_MAX_ITERATIONS = 30


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


def fit_to_scan(volumes: Sequence[Float32], scan: Float32, mask: Mask, voxel_sizes: Float64, fwhm: float) -> Float64:
    """Coefficients of the sum of some volumes that follows a scan, where the map will be: smoothed.

    Parameters
    ----------
    volumes : sequence of array, shape (I, J, K)
    scan : array, shape (I, J, K)
    mask : array of bool, shape (I, J, K)
        Not empty. Its rim is left out; every n-th voxel counts.
    voxel_sizes : array, shape (3,)
        mm.
    fwhm : float
        mm.

    Returns
    -------
    array, shape (p,)
        Of :func:`robust_fit`.
    """
    step = [max(1, round(_SPACING_MM / float(size))) for size in voxel_sizes]
    part = tuple(slice(n // 2, None, n) for n in step)
    if not mask[part].any():
        step, part = [1, 1, 1], (slice(None),) * 3
    inside = np.ascontiguousarray(mask[part])
    smoother = MaskedSmoother(inside, voxel_sizes * step, fwhm)
    inner = ndimage.binary_erosion(inside)
    inner = inner if inner.any() else inside
    smooth = [smoother(np.ascontiguousarray(volume[part]))[inner].astype(np.float64) for volume in (*volumes, scan)]
    return robust_fit(np.stack(smooth[:-1], axis=1), smooth[-1])


def regional_gain(
    baseline: Float32,
    scan: Float32,
    mask: Mask,
    affine: Float64,
    fwhm: float,
    to_template: Float64,
    apart: Mask | None = None,
) -> Float32:
    """A baseline times a smooth gain, equal on both sides, that brings it to the level of a scan region by region.

    In place of one level for the whole brain: seven numbers. What changes smoothly and equally on both sides in the
    seizure is lost.

    Parameters
    ----------
    baseline, scan : array, shape (I, J, K)
        Aligned, of equal resolution, not negative.
    mask : array of bool, shape (I, J, K)
        Brain, measured in both.
    affine : array, shape (4, 4)
        Voxels to world, RAS+ mm.
    fwhm : float
        Gaussian of the SISCOM, mm.
    to_template : array, shape (4, 4)
        World to template, mm.
    apart : array of bool, shape (I, J, K), optional
        A lesion: the gain is applied in it, but not fitted.

    Returns
    -------
    array, shape (I, J, K), float32
        In units of the scan; not negative, 0 outside the mask.

    Raises
    ------
    ValueError
        The mask is empty, or one of both has no signal in it.
    """
    fitted = mask if apart is None else mask & ~apart
    if not fitted.any() or not min(float(volume[fitted].mean(dtype=np.float64)) for volume in (baseline, scan)) > 0:
        raise ValueError("no signal in the brain")
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = mask[box]
    level = np.float32(scan[fitted].mean(dtype=np.float64))
    own = np.where(inside, baseline[box], 0).astype(np.float32) / np.float32(baseline[fitted].mean(dtype=np.float64))
    terms = regional_terms(inside.shape, to_template @ affine @ first_voxel(box))
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    found = fit_to_scan([own * term for term in terms.values()], scan[box] / level, fitted[box], sizes, fwhm)
    gain = sum(np.float32(coefficient) * term for coefficient, term in zip(found, terms.values(), strict=True))
    out = np.zeros(mask.shape, dtype=np.float32)
    out[box] = np.maximum(level * own * gain, 0)
    return out


def first_voxel(box: tuple[slice, ...]) -> Float64:
    """From voxels of a box to those of the whole volume; shape (4, 4)."""
    shift = np.eye(4)
    shift[:3, 3] = [part.start for part in box]
    return shift
