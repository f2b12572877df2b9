"""A brain mask that was made elsewhere, checked against the T1w that it is to be of."""

from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.bids.access import read_problem
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.forms import matrix_problem
from bids_spectsynth.images.grid import FloatArray, Grid, apply_affine, grid_of, mask_bounds, new_image
from bids_spectsynth.images.masks import otsu_threshold, solid_component
from bids_spectsynth.images.nifti import READ_ERRORS, opened_image
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.preprocess.registration.plausibility import checked_brain

#: Part of a mask that may lie outside the T1w's field of view or head.
_MOST_OUTSIDE = 0.1
# A mask may have values between 0 and 1 where it was resampled; more kinds of whole numbers are labels.
_MOST_VALUES = 2
# The head is what is brighter than this part of Otsu's threshold, which lies between tissues: fluid is of the head.
_HEAD_SHARE = 0.25
# The shells along a mask's outline whose contrast tells how well it follows the T1w.
_SHELL_MM = 4.0
#: A mirror image whose contrast is better by this much of the T1w's spread in the head shows a mirrored mask.
_MIRROR_GAIN = 0.1


def read_external_mask(path: Path, t1w: nib.Nifti1Image) -> tuple[nib.Nifti1Image, tuple[str, ...]]:
    """A brain mask on the voxels of a T1w.

    Parameters
    ----------
    path : Path
        On the voxels of the T1w, or on others in the same world, from which it is resampled.
    t1w : Nifti1Image, shape (i, j, k)

    Returns
    -------
    mask : Nifti1Image, uint8
        0 or 1.
    notes : tuple of str

    Raises
    ------
    ImageError
        It cannot be read, is no mask, empty, of no brain's volume, lies elsewhere than the head, or is mirrored.
    """
    inside, grid = read_voxels(path)
    if not inside.any():
        raise ImageError(f"{path}: the mask is empty; draw the brain, or remove the file")
    own = grid_of(t1w)
    mask, notes = new_image(inside.astype(np.uint8), t1w.affine), tuple[str, ...]()
    if not grid.equals(own, tolerance=1e-2):
        mask, notes = _resampled(path, inside, grid, own)
    try:
        checked_brain(mask, T1W)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    _check_head(path, mask, t1w)
    return mask, notes


def read_voxels(path: Path) -> tuple[npt.NDArray[np.bool_], Grid]:
    """The voxels of a mask, shape (i, j, k), and where they lie.

    Raises
    ------
    ImageError
        It cannot be read, or is no mask.
    """
    problem = read_problem(path)
    if problem is not None:
        raise ImageError(f"{path}: {problem}")
    try:
        with opened_image(path) as image:
            data = np.asarray(image.dataobj)
            affine = np.asarray(image.affine, dtype=np.float64)
    except READ_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path}: damaged or truncated ({reason}); write it again") from error
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim != 3 or data.dtype.kind not in "biuf" or not np.isfinite(data).all():
        raise ImageError(f"{path}: no mask: it holds no finite numbers in three dimensions; write it again")
    if wrong := matrix_problem(affine):
        raise ImageError(f"{path}: its header places it nowhere ({wrong}); write it again")
    values = np.unique(data)
    between = values.min() >= 0 and values.max() <= 1
    if len(values) > _MOST_VALUES and not between:
        raise ImageError(f"{path}: no mask: it holds {len(values)} different values; write 1 inside and 0 around")
    i, j, k = data.shape
    return data > (0.5 if between else 0), Grid((i, j, k), affine)


def _resampled(
    path: Path, inside: npt.NDArray[np.bool_], grid: Grid, own: Grid
) -> tuple[nib.Nifti1Image, tuple[str, ...]]:
    """A mask on the T1w's voxels, through the world that both are in."""
    line = check_place(path, inside, grid, own)
    share = new_image(inside.astype(np.float32), grid.affine)
    mask = np.asanyarray(resample_image(share, own, np.eye(4), 1).dataobj) >= 0.5
    return new_image(mask.astype(np.uint8), own.affine), (line,)


def check_place(path: Path, inside: npt.NDArray[np.bool_], grid: Grid, own: Grid) -> str:
    """Refuse a mask on another grid than the T1w that does not lie where the T1w does.

    Parameters
    ----------
    path : Path
        Of the mask.
    inside : array of bool, shape of ``grid``
        Not empty.
    grid, own : Grid
        Of the mask and of the T1w.

    Returns
    -------
    str
        A line on the other grid.

    Raises
    ------
    ImageError
        More than a tenth of it lies outside the T1w's field of view.
    """
    voxels = apply_affine(np.linalg.inv(own.affine) @ grid.affine, np.argwhere(inside))
    outside = 1 - np.all((voxels > -1) & (voxels < np.array(own.shape)), axis=1).mean()
    if outside > _MOST_OUTSIDE:
        raise ImageError(
            f"{path}: lies on another grid than the T1w ({_shape(grid)} voxels, not {_shape(own)}), and {outside:.0%} "
            "of it outside the T1w's field of view; draw it on the T1w, or resample it in the T1w's world"
        )
    return f"the mask lies on another grid ({_shape(grid)} voxels, the T1w {_shape(own)}); resampled in world space"


def _shape(grid: Grid) -> str:
    return " x ".join(map(str, grid.shape))


def _check_head(path: Path, mask: nib.Nifti1Image, t1w: nib.Nifti1Image) -> None:
    """Refuse a mask that does not lie in the head, or of which a mirror image follows the T1w better."""
    data, inside = np.asanyarray(t1w.dataobj), np.asanyarray(mask.dataobj) > 0
    head = solid_component(data > _HEAD_SHARE * otsu_threshold(data)) > 0
    grid, spread = grid_of(t1w), float(data[head].std())
    straight = _contrast(data, inside, grid)
    for name, mirrored in mirror_images(inside, grid).items():
        lies_in_head = _outside(mirrored, head) <= _MOST_OUTSIDE
        if lies_in_head and _contrast(data, mirrored, grid) - straight > _MIRROR_GAIN * spread:
            raise ImageError(f"{path}: mirrored: exchanging left and right {name} makes it follow the brain better; "
                             "correct its header or voxels")  # fmt: skip
    if (missed := _outside(inside, head)) > _MOST_OUTSIDE:
        raise ImageError(f"{path}: {missed:.0%} of the mask lies outside the head of the T1w: it is of another image; "
                         "draw it on this T1w")  # fmt: skip


def _outside(inside: npt.NDArray[np.bool_], head: npt.NDArray[np.bool_]) -> float:
    """Part of a mask outside the head, 0 to 1; all of an empty one."""
    voxels = np.count_nonzero(inside)
    return 1 - np.count_nonzero(head & inside) / voxels if voxels else 1.0


def _contrast(data: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_], grid: Grid) -> float:
    """How much brighter the T1w is just inside a mask than just outside it."""
    low, high = mask_bounds(new_image(inside.astype(np.uint8), np.eye(4)))
    reach = np.ceil(_SHELL_MM / grid.voxel_sizes) + 1
    box = tuple(
        slice(int(max(0, a - r)), int(min(n, b + r + 1)))
        for a, b, r, n in zip(low, high, reach, inside.shape, strict=True)
    )
    part, sizes = inside[box], grid.voxel_sizes.tolist()
    # Half a voxel at least, so that coarse grids have a shell at all.
    reach_mm = max(_SHELL_MM, 1.01 * max(sizes))
    within = part & (ndimage.distance_transform_edt(part, sampling=sizes) <= reach_mm)
    around = ~part & (ndimage.distance_transform_edt(~part, sampling=sizes) <= reach_mm)
    if not within.any() or not around.any():
        return 0.0
    return float(data[box][within].mean() - data[box][around].mean())


def mirror_images(inside: npt.NDArray[np.bool_], grid: Grid) -> dict[str, npt.NDArray[np.bool_]]:
    """The mask with its voxels in the other order from left to right, and with its world mirrored at x = 0."""
    axis = int(np.abs(grid.affine[0, :3]).argmax())
    mirror: FloatArray = np.diag([-1.0, 1.0, 1.0, 1.0])
    share = new_image(inside.astype(np.float32), grid.affine)
    in_world = np.asanyarray(resample_image(share, grid, mirror, 1).dataobj) >= 0.5
    return {"in its voxels": np.flip(inside, axis), "in its header": in_world}
