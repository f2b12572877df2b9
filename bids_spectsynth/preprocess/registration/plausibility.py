"""Whether a brain mask can be one, what of the brain an image lacks, and whose header is turned."""

import re
from collections.abc import Mapping
from dataclasses import replace

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import FloatArray, apply_affine, mask_bounds
from bids_spectsynth.images.values import connected_to_border, negative_note
from bids_spectsynth.preprocess.registration.quality import CUT_POOR, MIRRORED, MOST_TURN_DEG, TURNED, WHOSE
from bids_spectsynth.preprocess.registration.result import Registration

#: Volumes in litres between which any image's brain mask can be a brain.
PLAUSIBLE_VOLUME_L = (0.2, 4.0)
#: Range in litres outside which a mask deserves a look.
USUAL_VOLUME_L = (0.9, 2.2)
# Part of a brain mask's outline that may lie at the edge of the image or its padding; more than most of it means that
# the image is brain-extracted.
_EDGE_SHARE, _STRIPPED_SHARE = 0.015, 0.5
# Brain is looked at this deep below its surface for padding: an image may be brain-extracted by another mask.
_DEPTH_MM = 8.0
# Part of the deep brain in padding that deserves a note.
_EMPTY_NOTE = 0.002
# Two turns that differ by less than this (degrees) are the same.
_SAME_TURN_DEG = 30.0
# Notes that do not make a registration poor.
_HARMLESS = re.compile(r"start: |(?P<share>\d+)% of the brain lies outside")


def mask_volume(mask: nib.spatialimages.SpatialImage) -> float:
    """Volume of a mask in litres."""
    n = int(np.count_nonzero(np.asanyarray(mask.dataobj)))
    return n * abs(float(np.linalg.det(mask.affine[:3, :3]))) / 1e6


def checked_brain(mask: nib.Nifti1Image, role: str) -> nib.Nifti1Image:
    """A brain mask as it is; every backend gives every mask of every role through this.

    Parameters
    ----------
    mask : Nifti1Image
    role : str
        Of the image that it was made from.

    Raises
    ------
    ImageError
        It is smaller than any brain, or so large that no brain was told from the background.
    """
    volume, (low, high) = mask_volume(mask), PLAUSIBLE_VOLUME_L
    if low <= volume <= high:
        return mask
    size = f"holds only {volume:.2f} l" if volume < low else f"holds {volume:.1f} l"
    raise ImageError(
        f"the brain mask of the {role_of(role).sentence} {size}, which is no brain (plausible: {low:g} to {high:g} l); "
        "check that the image shows a whole, upright head, and its values"
    )


def volume_note(mask: nib.spatialimages.SpatialImage) -> str | None:
    """A line about a brain mask of unusual volume, or None."""
    volume = mask_volume(mask)
    low, high = USUAL_VOLUME_L
    if low <= volume <= high:
        return None
    return f"brain mask of {volume:.2f} l, usual is {low} to {high} l: look at it"


def brain_notes(image: nib.Nifti1Image, mask: nib.Nifti1Image) -> tuple[str, ...]:
    """What of the brain is lost: values below 0, and parts that the image cuts or that are padded.

    Parameters
    ----------
    image : Nifti1Image, shape (i, j, k)
    mask : Nifti1Image
        Brain mask on the same voxels, not empty.

    Returns
    -------
    tuple of str
        One line each.
    """
    data, inside = np.asanyarray(image.dataobj), np.asanyarray(mask.dataobj) > 0
    negative = negative_note(data[inside])
    outline = inside & ~ndimage.binary_erosion(inside, border_value=1)
    at_edge = np.ones(inside.shape, dtype=bool)
    at_edge[1:-1, 1:-1, 1:-1] = False
    # Erosion counts what lies outside as brain, so that a cut is no outline; it is added here.
    cut = inside & at_edge
    empty = ndimage.binary_dilation(_empty(data)) & outline
    share = np.count_nonzero(cut | empty) / max(1, int(np.count_nonzero(outline | cut)))
    edge = None
    if _EDGE_SHARE < share < _STRIPPED_SHARE:
        where = "lies at the edge of the image or of empty padding"
        edge = f"{share:.0%} of the brain mask's outline {where}: a part of the brain is cut off"
    return tuple(note for note in (negative, edge) if note)


def upright_note(mask: nib.Nifti1Image) -> str | None:
    """A line about a brain mask that is not longest from front to back, or None."""
    low, high = mask_bounds(mask)
    size = high - low
    if size.argmax() == 1:
        return None
    by = " x ".join(f"{mm:.0f}" for mm in size)
    return f"the brain mask measures {by} mm and is not longest from front to back: the voxels' order may be another"


def with_brain_notes(
    found: Registration, moving: nib.Nifti1Image, fixed_mask: nib.Nifti1Image
) -> tuple[Registration, tuple[str, ...]]:
    """What of the fixed image's brain a moving image lacks where it was found.

    Parameters
    ----------
    found : Registration
    moving : Nifti1Image, shape (i, j, k)
    fixed_mask : Nifti1Image
        Brain mask of the fixed image, not empty.

    Returns
    -------
    found : Registration
        With a note on padding in place of brain; poor where it is more than a tenth.
    notes : tuple of str
        On values below 0.
    """
    data, inside = np.asanyarray(moving.dataobj), np.asanyarray(fixed_mask.dataobj) > 0
    brain = _values(data, moving.affine, found.matrix, fixed_mask.affine, inside)
    negative = negative_note(brain) if data.min() < 0 else None
    empty = _empty(data)
    if empty.any():
        sizes = np.linalg.norm(fixed_mask.affine[:3, :3], axis=0)
        deep = ndimage.distance_transform_edt(inside, sampling=sizes.tolist()) > _DEPTH_MM
        args = (moving.affine, found.matrix, fixed_mask.affine)
        if deep.any() and _values(empty, *args, deep).mean() > _EMPTY_NOTE:
            share = float(_values(empty, *args, inside).mean())
            line = f"{share:.0%} of the brain lies in a part of the moving image that is empty (padding)"
            found = replace(found, poor=found.poor or share > CUT_POOR, notes=(*found.notes, line))
    return found, (negative,) if negative else ()


def turn_degrees(matrix: FloatArray) -> float:
    """Angle of the rotation that is nearest to the linear part of a 4x4 matrix."""
    return float(np.degrees(_rotation(matrix).magnitude()))


def with_turn_against_template(found: Registration) -> Registration:
    """A registration of a T1w to a template, poor where the T1w's header has the head turned."""
    turn = turn_degrees(found.matrix)
    if turn <= MOST_TURN_DEG:
        return found
    line = (
        f"turned by {turn:.0f} degrees against the template: the orientation in the T1w's header is wrong, and its "
        "brain mask is of a head that was not upright; correct the header"
    )
    return replace(found, poor=True, notes=(line, *found.notes))


def turned_reference(found: Mapping[str, Registration]) -> float | None:
    """Degrees by which all of two or more images are turned alike against the fixed one, whose header then is wrong.

    Parameters
    ----------
    found : mapping
        Registrations to one fixed image, by role.

    Returns
    -------
    float or None
        0 where they all are mirrored, not turned; None where they are not all turned or mirrored.
    """
    if len(found) < 2 or not all(any(_of_header(note) for note in one.notes) for one in found.values()):
        return None
    rotations = [_rotation(one.matrix) for one in found.values()]
    apart = max(float(np.degrees((rotations[0].inv() * other).magnitude())) for other in rotations[1:])
    turn = max(float(np.degrees(rotation.magnitude())) for rotation in rotations)
    if apart > _SAME_TURN_DEG:
        return None
    return turn if turn > MOST_TURN_DEG else 0.0


def without_header_flags(found: Registration) -> Registration:
    """A registration whose own header was right: without the notes on it, and poor only for other reasons."""
    notes = tuple(note for note in found.notes if not _of_header(note))
    return replace(found, notes=notes, poor=found.poor and not all(_is_harmless(note) for note in notes))


def with_named_header(found: Registration, files: str) -> Registration:
    """A registration whose notes on a header that is turned or mirrored say whose it is.

    Parameters
    ----------
    found : Registration
    files : str
        The file, or the files of which one must be at fault.
    """
    notes = tuple(_named(note, files) if _of_header(note) else note for note in found.notes)
    return replace(found, notes=notes)


def _named(note: str, files: str) -> str:
    # The last one: a note may also say against which header an image is turned.
    before, _, after = note.rpartition(WHOSE)
    return f"{before}{WHOSE} of {files}{after}"


def _of_header(note: str) -> bool:
    return TURNED in note or note == MIRRORED


def _is_harmless(note: str) -> bool:
    match = _HARMLESS.match(note)
    return match is not None and (match["share"] is None or int(match["share"]) <= 100 * CUT_POOR)


def _rotation(matrix: FloatArray) -> Rotation:
    u, _, v = np.linalg.svd(np.asarray(matrix, dtype=np.float64)[:3, :3])
    return Rotation.from_matrix(u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v)


def _empty(data: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Voxels of exactly 0 that reach the border of the image."""
    return connected_to_border(data == 0)


def _values(
    data: npt.NDArray[np.generic],
    affine: FloatArray,
    matrix: FloatArray,
    fixed_affine: FloatArray,
    inside: npt.NDArray[np.bool_],
) -> npt.NDArray[np.generic]:
    """Values of a moving image at the voxels of a mask of the fixed one; 0 outside the moving image."""
    step = max(1, round((np.count_nonzero(inside) / 2e5) ** (1 / 3)))
    coarse = np.argwhere(inside[::step, ::step, ::step]) * step
    index = np.rint(apply_affine(np.linalg.inv(affine) @ matrix @ fixed_affine, coarse)).astype(np.intp)
    seen = np.all((index >= 0) & (index < data.shape), axis=1)
    values = np.zeros(len(index), dtype=data.dtype)
    values[seen] = data[tuple(index[seen].T)]
    return values
