"""A lesion mask that was drawn on a T1w, checked, and brought to the grid of the prepared images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.coverage import coverage
from bids_spectsynth.images.grid import FloatArray, Grid
from bids_spectsynth.preprocess.external.masks import check_place, mirror_images, read_voxels

Mask = npt.NDArray[np.bool_]

#: More of the brain than this is no lesion beside which anything could be measured; a mask and its inverse get mixed
#: up, and so do the masks of a lesion and of the brain.
MOST_OF_BRAIN = 0.5
#: A brain mask may leave out a cavity: what lies in its convex hull or so near to that, mm, counts as brain.
NEAR_MM = 10.0
#: Part of a mask that may lie farther away.
_MOST_OUTSIDE = 0.5
#: Less of a mask than this in the prepared field of view is said; its edge may be rounded off.
_MOST_ON_GRID = 0.98
#: So many times the drawn volume in voxels of the grid is said.
_COARSE = 2.0
# A voxel outside the brain of which a mirror image fills less does not count against it.
_HALF = 0.5
#: Less of a mask than this in the brain, or more of the brain in the mask, is said: it may be meant, and may not.
_LITTLE_IN_BRAIN, _MUCH_OF_BRAIN = 0.5, 0.25


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion mask on the grid of prepared images.

    Parameters
    ----------
    mask : array of bool, shape (I, J, K)
        Every voxel that the drawn mask reaches into, not only in the brain: what is left out is rather too much than
        too little, and nothing that is small or thin is lost.
    volume_ml, brain_ml : float
        Volume of the mask as it was drawn, and of what of that lies in the brain of the grid, mL on the T1w.
    notes : tuple of str
        One line each.
    """

    mask: Mask
    volume_ml: float
    brain_ml: float
    notes: tuple[str, ...]


def lesion_on_grid(path: Path, t1w: Grid, grid: Grid, to_t1w: FloatArray, brain: Mask) -> Lesion:
    """Read a lesion mask and bring it to a grid.

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
    volume = np.count_nonzero(inside) * _voxel_ml(own.affine)
    # Of a voxel of the grid, on the T1w.
    voxel_ml = _voxel_ml(to_t1w @ grid.affine)
    if volume > np.count_nonzero(brain) * voxel_ml:
        raise ImageError(f"{path}: {volume:.0f} mL, more than the brain has: it is no lesion; write 1 in the lesion "
                         "and 0 around")  # fmt: skip
    share = _share(path, inside, own, grid, to_t1w)
    if not share.any():
        raise ImageError(f"{path}: fills no voxel of the prepared images: it lies elsewhere; draw it on the T1w")
    _check_brain(path, share, brain, grid, inside, own, to_t1w)
    notes += tuple(_doubts(volume, share, brain, voxel_ml))
    return Lesion(share > 0, volume, float(share[brain].sum()) * voxel_ml, notes)


def _share(path: Path, inside: Mask, own: Grid, grid: Grid, to_t1w: FloatArray) -> FloatArray:
    """How much of a mask lies in each voxel of the grid, in voxels."""
    try:
        return coverage(inside, own, grid, to_t1w)
    except ImageError as error:
        raise ImageError(f"{path}: {error}; draw it on the T1w") from error


def _doubts(drawn: float, share: FloatArray, brain: Mask, voxel_ml: float) -> Iterator[str]:
    """What may be meant and may not, one line each."""
    on_grid, in_brain, taken = share.sum() * voxel_ml, share[brain].sum() * voxel_ml, (share > 0).sum() * voxel_ml
    of_drawn, of_brain = f"of the {drawn:.3g} mL that were drawn", share[brain].sum() / brain.sum()
    if on_grid < _MOST_ON_GRID * drawn:
        yield f"{on_grid:.3g} {of_drawn} lie in the prepared images' field of view; the rest is left off"
    if in_brain < _LITTLE_IN_BRAIN * drawn:
        yield (f"{in_brain:.3g} {of_drawn} lie in the brain mask; where that does not go around a cavity, look at both "
               "outlines")  # fmt: skip
    if taken > _COARSE * drawn:
        yield f"it reaches into {taken:.3g} mL of prepared voxels, which are coarse for the {drawn:.3g} mL drawn"
    if of_brain > _MUCH_OF_BRAIN:
        yield f"it covers {of_brain:.0%} of the brain, which takes no part in what the rest is compared with"


def _voxel_ml(affine: FloatArray) -> float:
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000


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


def _check_brain(
    path: Path, share: FloatArray, brain: Mask, grid: Grid, drawn: Mask, own: Grid, to_t1w: FloatArray
) -> None:
    """Refuse a mask that lies elsewhere than the brain, or that is not that of a lesion."""
    outside, touched = _far_from(brain, share, grid), np.count_nonzero(share[brain])
    if outside > _MOST_OUTSIDE:
        for name, mirrored in mirror_images(drawn, own).items():
            other = coverage(mirrored, own, grid, to_t1w)
            if other.any() and not (other[~brain] >= _HALF).any():
                raise ImageError(f"{path}: mirrored: {outside:.0%} of it lies outside the brain, and nothing with left "
                                 f"and right exchanged {name}; correct its header or voxels")  # fmt: skip
        raise ImageError(f"{path}: {outside:.0%} of it lies more than {NEAR_MM:g} mm outside the brain, and {touched} "
                         "voxels in it: it is of another image; draw it on this T1w")  # fmt: skip
    covered = share[brain].sum() / np.count_nonzero(brain)
    if covered > MOST_OF_BRAIN:
        raise ImageError(f"{path}: covers {covered:.0%} of the brain: it is no lesion; write 1 in the lesion and 0 "
                         "around")  # fmt: skip


def _far_from(brain: Mask, share: FloatArray, grid: Grid) -> float:
    """Part of a mask that lies farther than :data:`NEAR_MM` from all that the brain encloses, 0 to 1."""
    rim = np.argwhere(brain & ~ndimage.binary_erosion(brain)) * grid.voxel_sizes
    voxels = np.argwhere(share > 0)
    try:
        faces = ConvexHull(rim).equations
    except QhullError:
        # The brain has no volume; it encloses nothing.
        distance = ndimage.distance_transform_edt(~brain, sampling=grid.voxel_sizes.tolist())[share > 0]
    else:
        # Beside a corner of the hull less than the distance from it: a mask is rather used, with a line, than refused.
        distance = np.full(len(voxels), -np.inf)
        for *normal, offset in faces:
            np.maximum(distance, voxels @ (normal * grid.voxel_sizes) + offset, out=distance)
    return float(share[share > 0][distance > NEAR_MM].sum() / share.sum())
