"""Brain mask of a T1w image with skull, by the network of deepbet (Fisch et al. 2024)."""

from itertools import product

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import FloatArray, Grid, apply_affine, grid_of, new_image
from bids_spectsynth.images.masks import solid_component
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.preprocess.backends.fluid_rim import remove_fluid_rim
from bids_spectsynth.preprocess.registration.sampler import shrink
from bids_spectsynth.termination import interruptible

#: An image is brought to upright voxels first if an axis deviates from the world's by more than this (degrees).
_MAX_OBLIQUITY = 15.0
#: No head with its neck and shoulders is longer; upright voxels of 1 mm over more would fill the memory.
_MOST_MM = 600.0


def extract_t1w_brain(image: nib.Nifti1Image, threads: int = 1) -> nib.Nifti1Image:
    """Brain mask of a T1w image.

    The network expects an upright head; images of any axis order are turned by whole axes; strongly oblique ones are
    resampled to 1 mm upright voxels, and the result is brought back. The rim of fluid that the network keeps is taken
    away where it is sure (:func:`~bids_spectsynth.preprocess.backends.fluid_rim.remove_fluid_rim`).

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
        No brain was found, or the image is larger than a head.
    """
    if _obliquity(image) <= _MAX_OBLIQUITY:
        mask = _upright_mask(image, threads)
    else:
        upright = resample_image(image, _upright_grid(image), np.eye(4), 1)
        probability = _brain_probability(np.asanyarray(upright.dataobj), threads)
        inside = solid_component(probability > 0.5)
        tight = remove_fluid_rim(np.asanyarray(upright.dataobj), inside, upright.affine)
        probability[(inside > 0) & (tight == 0)] = 0
        back = resample_image(new_image(probability, upright.affine), grid_of(image), np.eye(4), 1)
        mask = solid_component(np.asanyarray(back.dataobj) > 0.5)
    return new_image(np.ascontiguousarray(mask), image.affine)


def _brain_probability(data: npt.NDArray[np.float32], threads: int) -> npt.NDArray[np.float32]:
    import torch  # deferred: torch and deepbet take seconds and 400 MB, and most callers never need them
    from deepbet.bet import BrainExtraction

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        network = BrainExtraction(no_gpu=True)
        probability = interruptible(lambda: network.run_model(np.array(data, dtype=np.float32)))
    except AssertionError as error:  # deepbet's way to say that its first, coarse network saw no brain
        raise ImageError("no brain was found in the T1w; check that the image shows a whole, upright head") from error
    finally:
        torch.set_num_threads(before)
    return np.asarray(probability, dtype=np.float32)


def _obliquity(image: nib.Nifti1Image) -> float:
    """Largest angle in degrees between a voxel axis and the world axis next to it."""
    cosines = image.affine[:3, :3] / grid_of(image).voxel_sizes
    return float(np.degrees(np.arccos(np.clip(np.abs(cosines).max(axis=0), -1, 1))).max())


def _upright_mask(image: nib.Nifti1Image, threads: int) -> npt.NDArray[np.uint8]:
    # The network works at about 1 mm: finer voxels are averaged, and their mask is given to all of the block.
    data, affine = shrink(image, 1.0)
    blocks = np.rint(np.linalg.norm(affine[:3, :3], axis=0) / grid_of(image).voxel_sizes).astype(int)
    order, flips = _axis_turns(affine)
    inside = _brain_probability(data.transpose(order)[flips], threads) > 0.5
    small = solid_component(inside)[flips].transpose(np.argsort(order))
    small = remove_fluid_rim(data, small, affine)
    for axis, block in enumerate(blocks.tolist()):
        small = np.repeat(small, block, axis=axis) if block > 1 else small
    mask = np.zeros(image.shape, dtype=np.uint8)
    mask[tuple(slice(n) for n in small.shape)] = small
    return mask


def _upright_grid(image: nib.Nifti1Image) -> Grid:
    """Axis-aligned grid of 1 mm over the whole field of view."""
    corners = apply_affine(image.affine, list(product(*((0, n - 1) for n in image.shape[:3]))))
    low, high = corners.min(axis=0), corners.max(axis=0)
    if np.any(high - low > _MOST_MM):
        size = " x ".join(f"{mm:.0f}" for mm in high - low)
        raise ImageError(f"the T1w measures {size} mm, which no head does; check its voxel sizes, or crop it")
    i, j, k = (np.ceil(high - low).astype(int) + 1).tolist()
    affine: FloatArray = np.eye(4)
    affine[:3, 3] = low
    return Grid((i, j, k), affine)


def _axis_turns(affine: FloatArray) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """Order of the axes, and then the flips, that turn voxels to the nearest RAS; for axes that are nearly upright."""
    nearest = np.abs(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).argmax(axis=0)
    order = tuple(int(i) for i in np.argsort(nearest))
    flips = tuple(slice(None, None, -1 if affine[world, axis] < 0 else 1) for world, axis in enumerate(order))
    return order, flips
