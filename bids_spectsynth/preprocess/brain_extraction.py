"""Brain mask of a T1w image with skull, by the network of deepbet (Fisch et al. 2024)."""

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.errors import ImageError
from bids_spectsynth.preprocess.grid import FloatArray, Grid, grid_of, mask_bounds, new_image
from bids_spectsynth.preprocess.intensity import solid_component
from bids_spectsynth.preprocess.resampling import resample_image

#: Volume in litres below which a mask cannot be a brain.
MIN_VOLUME_L = 0.2
#: Range in litres outside which a mask deserves a look.
USUAL_VOLUME_L = (0.9, 2.2)
#: An image is brought to upright voxels first if an axis deviates from the world's by more than this (degrees) ...
_MAX_OBLIQUITY = 15.0
#: ... or one voxel edge is this many times another one.
_MAX_ANISOTROPY = 2.0


def extract_t1w_brain(image: nib.Nifti1Image, threads: int = 1) -> nib.Nifti1Image:
    """Brain mask of a T1w image.

    The network expects an upright head; images of any axis order are turned by whole axes, and strongly oblique or
    anisotropic ones are resampled to 1 mm upright voxels and the result is brought back.

    Parameters
    ----------
    image : Nifti1Image, shape (i, j, k)
        T1w with skull.
    threads : int
        Threads of torch during the call (its setting is restored).

    Returns
    -------
    Nifti1Image, uint8
        0 or 1 on the voxels of ``image``; one component without holes.

    Raises
    ------
    ImageError
        No brain was found, or less than 0.2 l.
    """
    if _is_upright(image):
        order, flips = _axis_turns(image.affine)
        upright_data = np.asanyarray(image.dataobj).transpose(order)[flips]
        inside = _brain_probability(upright_data, threads) > 0.5
        mask = solid_component(inside)[flips].transpose(np.argsort(order))
    else:
        upright = resample_image(image, _upright_grid(image), np.eye(4), 1)
        probability = _brain_probability(np.asanyarray(upright.dataobj), threads)
        back = resample_image(new_image(probability, upright.affine), grid_of(image), np.eye(4), 1)
        mask = solid_component(np.asanyarray(back.dataobj) > 0.5)
    result = new_image(np.ascontiguousarray(mask), image.affine)
    volume = mask_volume(result)
    if volume < MIN_VOLUME_L:
        raise ImageError(
            f"the T1w brain mask holds only {volume:.2f} l; check that the image shows a whole, upright head"
        )
    return result


def mask_volume(mask: nib.spatialimages.SpatialImage) -> float:
    """Volume of a mask in litres."""
    n = int(np.count_nonzero(np.asanyarray(mask.dataobj)))
    return n * abs(float(np.linalg.det(mask.affine[:3, :3]))) / 1e6


def volume_note(mask: nib.spatialimages.SpatialImage) -> str | None:
    """A line about a brain mask of unusual volume, or None."""
    volume = mask_volume(mask)
    low, high = USUAL_VOLUME_L
    if low <= volume <= high:
        return None
    return f"brain mask of {volume:.2f} l, usual is {low} to {high} l: look at it"


def _brain_probability(data: npt.NDArray[np.float32], threads: int) -> npt.NDArray[np.float32]:
    import torch  # deferred: torch and deepbet take seconds and 400 MB, and most callers never need them
    from deepbet.bet import BrainExtraction

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        probability = BrainExtraction(no_gpu=True).run_model(np.array(data, dtype=np.float32))
    except AssertionError as error:  # deepbet's way to say that its first, coarse network saw no brain
        raise ImageError("no brain was found in the T1w; check that the image shows a whole, upright head") from error
    finally:
        torch.set_num_threads(before)
    return np.asarray(probability, dtype=np.float32)


def _is_upright(image: nib.Nifti1Image) -> bool:
    cosines = image.affine[:3, :3] / grid_of(image).voxel_sizes
    angle = np.degrees(np.arccos(np.clip(np.abs(cosines).max(axis=0), -1, 1)))
    sizes = grid_of(image).voxel_sizes
    return bool(angle.max() <= _MAX_OBLIQUITY and sizes.max() / sizes.min() <= _MAX_ANISOTROPY)


def _upright_grid(image: nib.Nifti1Image) -> Grid:
    whole = new_image(np.ones(image.shape[:3], dtype=np.uint8), image.affine)
    low, high = mask_bounds(whole)
    i, j, k = np.ceil(high - low).astype(int).tolist()
    affine: FloatArray = np.eye(4)
    affine[:3, 3] = low + 0.5
    return Grid((i, j, k), affine)


def _axis_turns(affine: FloatArray) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """Order of the axes, and then the flips, that turn voxels to the nearest RAS; for axes that are nearly upright."""
    nearest = np.abs(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).argmax(axis=0)
    order = tuple(int(i) for i in np.argsort(nearest))
    flips = tuple(slice(None, None, -1 if affine[world, axis] < 0 else 1) for world, axis in enumerate(order))
    return order, flips
