"""A registration that was made elsewhere: its matrix, rated by what rates our own."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib

from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.errors import ImageError
from bids_spectsynth.preprocess.external.transforms import read_transform
from bids_spectsynth.preprocess.registration.quality import DISAGREEMENT_MM, LEAST_SCORE
from bids_spectsynth.preprocess.registration.register import Rating, rate_matrix
from bids_spectsynth.preprocess.registration.result import Registration

# Below these no two images of one head lie on one another, whatever an optimiser finds from there. Images that are hard
# to register may have a low score where they are aligned; then no other place nearby is much better.
_LEAST_OVERLAP, _LEAST_SCORE = 0.5, 0.25
#: An optimiser that explains this much more of the smoothed image shows that a transform is of another pair of images.
_OPTIMISER_GAIN = 0.1
# Part of the brain that the moving image must show.
_MOST_OUTSIDE = 0.5


def external_registration(
    path: Path, moving: nib.Nifti1Image, fixed: nib.Nifti1Image, fixed_mask: nib.Nifti1Image, *, dof: int, role: str
) -> Registration:
    """Read a transform and rate it on the images that it is to align.

    Parameters
    ----------
    path : Path
        See :func:`bids_spectsynth.preprocess.external.transforms.read_transform`.
    moving, fixed : Nifti1Image, shape (i, j, k)
    fixed_mask : Nifti1Image
        Brain mask of ``fixed``, on its voxels, not empty.
    dof : {6, 12}
        Rigid, or affine: of a head to a template.
    role : str
        What is moving.

    Returns
    -------
    Registration

    Raises
    ------
    ImageError
        The transform cannot be used, or does not fit to these images.
    """
    matrix, notes = read_transform(path, moving, fixed, rigid=dof == 6)
    rating = rate_matrix(moving, fixed, fixed_mask, matrix, dof=dof, role=role)
    _check(path, rating, dof, role)
    found = rating.registration
    more = [f"given; an optimiser would move it by {rating.moved_mm:.1f} mm"] * (rating.moved_mm > DISAGREEMENT_MM)
    return replace(found, notes=(*notes, *found.notes, *more))


def _check(path: Path, rating: Rating, dof: int, role: str) -> None:
    advice = "it is of another head or image, or leads the other way; give the one of this pair"
    if rating.outside > _MOST_OUTSIDE:
        raise ImageError(f"{path}: a poor registration: {rating.outside:.0%} of the brain lies outside the "
                         f"{role_of(role).sentence}: {advice}")  # fmt: skip
    overlap = rating.registration.overlap
    if (role_of(role).is_nuclear or dof == 12) and overlap < _LEAST_OVERLAP:
        raise ImageError(f"{path}: a poor registration: the brains overlap by {overlap:.2f} alone (Dice): {advice}")
    gain = rating.refined - rating.smoothed
    if rating.smoothed < _LEAST_SCORE or (rating.smoothed < LEAST_SCORE and gain > _OPTIMISER_GAIN):
        raise ImageError(f"{path}: a poor registration: it explains {rating.smoothed:.2f} of the smoothed image, an "
                         f"optimiser that begins there {rating.refined:.2f}: {advice}")  # fmt: skip
