"""A PET made to look like an interictal SPECT: resolution, white matter and regional contrast of the other tracer.

Eight numbers are fitted to the ictal scan, see :mod:`bids_spectsynth.siscom.baselines.regional`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from bids_spectsynth.images.smoothing import smooth_apart
from bids_spectsynth.siscom.baselines.regional import first_voxel, fit_to_scan, regional_terms
from bids_spectsynth.siscom.records import Float32, Float64, Mask

#: What a PET resolves of itself (FWHM, mm): the map of white matter, sharp as the MRI, is smoothed by as much more.
PET_FWHM_MM = 5.0


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


def pet_as_spect(
    pet: Float32,
    ictal: Float32,
    white: Float32,
    masks: tuple[Mask, Mask],
    affine: Float64,
    kernel: float,
    fwhm: float,
    to_template: Float64 | None = None,
    apart: Mask | None = None,
) -> Piscom:
    """Bring a PET to the resolution and the contrast of an ictal SPECT of the same brain.

    Parameters
    ----------
    pet, ictal : array, shape (I, J, K)
        Aligned, not negative.
    white : array, shape (I, J, K)
        Share of white matter, see :func:`bids_spectsynth.siscom.baselines.tissue.white_matter`.
    masks : tuple of array of bool, shape (I, J, K)
        Brain where the PET was measured, and the part of it where the ictal scan was too, without a lesion.
    affine : array, shape (4, 4)
        Voxels to world, RAS+ mm.
    kernel, fwhm : float
        Gaussians (FWHM, mm): what makes the PET as blurred as the SPECT; that of the SISCOM, in which the fit is made.
    to_template : array, shape (4, 4), optional
        World to template, mm; without it there are no regional terms.
    apart : array of bool, shape (I, J, K), optional
        The lesion: nothing outside of it depends on it.

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
    lesion = None if apart is None else apart[box]
    smooth_pet = smooth_apart(pet[box], mask, lesion, sizes, kernel) / np.float32(levels[0])
    smooth_white = smooth_apart(white[box], mask, lesion, sizes, float(np.hypot(kernel, PET_FWHM_MM)))
    regional = regional_terms(mask.shape, None if to_template is None else to_template @ affine @ first_voxel(box))
    volumes = [smooth_pet * term for term in regional.values()] + [smooth_white]
    found = fit_to_scan(volumes, ictal[box] / np.float32(levels[1]), both, sizes, fwhm)
    part = sum(np.float32(weight * levels[1]) * volume for weight, volume in zip(found, volumes, strict=True))
    values = np.zeros(masks[0].shape, dtype=np.float32)
    values[box] = np.where(mask, np.maximum(part, 0), np.float32(0))
    names = [*(f"PET*{name}" if name != "1" else "PET" for name in regional), "white matter"]
    return Piscom(values, dict(zip(names, map(float, found), strict=True)))
