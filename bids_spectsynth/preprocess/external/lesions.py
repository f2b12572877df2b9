"""A lesion mask that was drawn on a T1w, checked, and brought to the grid of the prepared images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import FloatArray, Grid, new_image
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.preprocess.external.masks import check_place, mirror_images, read_voxels

Mask = npt.NDArray[np.bool_]

#: More of the brain than this is no lesion beside which anything could be measured; a mask and its inverse get mixed
#: up, and so do the masks of a lesion and of the brain.
MOST_OF_BRAIN = 0.5
#: A brain mask may leave out a cavity that is open to the surface: what lies so near to it, mm, counts as brain.
NEAR_MM = 10.0
#: Part of a mask that may lie farther away.
_MOST_OUTSIDE = 0.5


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion mask on the grid of prepared images.

    Parameters
    ----------
    mask : array of bool, shape (I, J, K)
        Not only in the brain.
    volume_ml, brain_ml : float
        Volume of the mask as it was drawn, and of what lies in the brain of the grid, mL.
    notes : tuple of str
        One line each.
    """

    mask: Mask
    volume_ml: float
    brain_ml: float
    notes: tuple[str, ...]


def lesion_on_grid(path: Path, t1w: Grid, grid: Grid, to_t1w: FloatArray, brain: Mask) -> Lesion:
    """Read a lesion mask and bring it to a grid, interpolated once.

    Parameters
    ----------
    path : Path
        On the voxels of the T1w, or on others in the same world.
    t1w : Grid
        Of the T1w.
    grid : Grid
        Of the prepared images.
    to_t1w : array, shape (4, 4)
        World of that grid to the T1w's, RAS+ mm.
    brain : array of bool, shape of ``grid``
        Brain mask; not empty.

    Returns
    -------
    Lesion

    Raises
    ------
    ImageError
        It cannot be read, is no mask, empty, mirrored, lies elsewhere than the brain, or covers most of it.
    """
    inside, own = read_voxels(path)
    if not inside.any():
        raise ImageError(f"{path}: the lesion mask is empty; draw the lesion, or remove the file")
    notes: tuple[str, ...] = ()
    if not own.equals(t1w, tolerance=1e-2):
        if _is_mirrored(own, t1w):
            raise ImageError(
                f"{path}: mirrored: its header exchanges left and right of the T1w's; correct its header or voxels"
            )
        notes = (check_place(path, inside, own, t1w),)
    mask = _resampled(inside, own, grid, to_t1w)
    if not mask.any():
        raise ImageError(f"{path}: fills no voxel of the prepared images: it is too small, or lies elsewhere; draw it "
                         "on the T1w")  # fmt: skip
    _check_brain(path, mask, brain, grid, inside, own, to_t1w)
    volume, covered = (np.count_nonzero(one) * _voxel_ml(of) for one, of in ((inside, own), (mask & brain, grid)))
    return Lesion(mask, volume, covered, notes)


def _resampled(inside: Mask, own: Grid, grid: Grid, to_t1w: FloatArray) -> Mask:
    share = new_image(inside.astype(np.float32), own.affine)
    return np.asarray(np.asanyarray(resample_image(share, grid, to_t1w, 1).dataobj) >= 0.5)


def _voxel_ml(grid: Grid) -> float:
    return float(abs(np.linalg.det(grid.affine[:3, :3]))) / 1000


def _is_mirrored(own: Grid, t1w: Grid) -> bool:
    """Whether the header of a mask is that of the T1w with left and right exchanged, and places it elsewhere."""
    axis = int(np.abs(t1w.affine[0, :3]).argmax())
    in_voxels, in_world = np.eye(4), np.diag([-1.0, 1.0, 1.0, 1.0])
    in_voxels[axis, axis] = -1
    # The same voxels in the other order are no mirror image.
    in_voxels[axis, 3] = t1w.shape[axis] - 1
    if own.equals(Grid(t1w.shape, t1w.affine @ in_voxels), tolerance=1e-2):
        return False
    in_voxels[axis, 3] = 0
    mirrored = (t1w.affine @ in_voxels, in_world @ t1w.affine, in_world @ t1w.affine @ in_voxels)
    return any(own.equals(Grid(t1w.shape, affine), tolerance=1e-2) for affine in mirrored)


def _check_brain(path: Path, mask: Mask, brain: Mask, grid: Grid, drawn: Mask, own: Grid, to_t1w: FloatArray) -> None:
    """Refuse a mask that lies elsewhere than the brain, or that is not that of a lesion."""
    outside, touched = _far_from(brain, mask, grid), np.count_nonzero(mask & brain)
    if outside > _MOST_OUTSIDE or not touched:
        for name, mirrored in mirror_images(drawn, own).items():
            other = _resampled(mirrored, own, grid, to_t1w)
            if other.any() and not (other & ~brain).any():
                raise ImageError(f"{path}: mirrored: {outside:.0%} of it lies outside the brain, and nothing with left "
                                 f"and right exchanged {name}; correct its header or voxels")  # fmt: skip
        raise ImageError(f"{path}: {outside:.0%} of it lies more than {NEAR_MM:g} mm outside the brain, and {touched} "
                         "voxels in it: it is of another image; draw it on this T1w")  # fmt: skip
    covered = np.count_nonzero(mask & brain) / np.count_nonzero(brain)
    if covered > MOST_OF_BRAIN:
        raise ImageError(f"{path}: covers {covered:.0%} of the brain: it is no lesion; write 1 in the lesion and 0 "
                         "around")  # fmt: skip


def _far_from(brain: Mask, mask: Mask, grid: Grid) -> float:
    """Part of a mask that lies farther from the brain than :data:`NEAR_MM`, 0 to 1."""
    reach = np.ceil(NEAR_MM / grid.voxel_sizes).astype(int) + 1
    box = tuple(
        slice(max(0, part.start - more), part.stop + more)
        for part, more in zip(ndimage.find_objects(mask.astype(np.uint8))[0], reach, strict=True)
    )
    if not brain[box].any():
        return 1.0
    distance = ndimage.distance_transform_edt(~brain[box], sampling=grid.voxel_sizes.tolist())
    return float(np.mean(distance[mask[box]] > NEAR_MM))
