"""Whether a registration can be trusted: overlap, ambiguity, turned or mirrored headers, a cut field of view."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.images.grid import FloatArray, apply_affine
from bids_spectsynth.preprocess.registration.cost import SPACING_MM, IntensityModel, Samples
from bids_spectsynth.preprocess.registration.optimiser import OptimisationResult, mean_distance, r_squared, refine
from bids_spectsynth.preprocess.registration.sampler import Sampler

#: Dice of the two brain masks below which a registration is poor (functional images, and brain to template).
LEAST_OVERLAP = 0.75
#: R squared of the smoothed image below which a registration is poor.
LEAST_SCORE = 0.6
#: R squared of the smoothed image above which a low overlap may come of something brighter than the brain.
GOOD_SCORE = 0.9
#: Turn against the header, in degrees, above which the header is suspicious.
MOST_TURN_DEG = 60.0
#: What is said of such an image, and of one that is mirrored. Whose header it is, is known where the files are.
WHOSE = "the header"
TURNED = f"degrees against the header: the orientation in {WHOSE} may be wrong"
MIRRORED = f"a mirrored head fits better: {WHOSE} may swap left and right (or be upside down)"
#: Another alignment further away than this (mm) that explains nearly as much makes the result ambiguous.
OTHER_MM, OTHER_SCORE = 10.0, 0.01
#: A mirrored head that explains this much more of the smoothed image shows a header that swaps left and right.
MIRRORED_R_SQUARED_GAIN = 0.005
#: An optimiser that would move an alignment by more than this (mm) disagrees with it.
DISAGREEMENT_MM = 4.0
#: Parts of the brain outside the moving image's field of view that deserve a note, and that are poor.
CUT_NOTE, CUT_POOR = 0.01, 0.1


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the check of a registration rests on.

    Parameters
    ----------
    result : OptimisationResult
        The alignment to check.
    refined : OptimisationResult
        Where the optimiser ends (equal to ``result`` unless the alignment was given).
    others : tuple of OptimisationResult
        Results of the coarse search, best first.
    overlap : float
        See :func:`brain_overlap`.
    model, coarse, coarse_samples
        The fixed image's model and the moving image of the coarse search.
    """

    result: OptimisationResult
    refined: OptimisationResult
    others: tuple[OptimisationResult, ...]
    overlap: float
    model: IntensityModel
    coarse: Sampler
    coarse_samples: Samples


def brain_overlap(model: IntensityModel, own_mask: nib.Nifti1Image, matrix: FloatArray) -> float:
    """Dice coefficient of the fixed image's brain and a mask of the moving image, 0 to 1.

    Parameters
    ----------
    model : IntensityModel
        The fixed image's.
    own_mask : Nifti1Image, shape (i, j, k)
        Voxels above zero are brain of the moving image.
    matrix : array, shape (4, 4)
        World coordinates of the fixed image to those of the moving image.
    """
    points = model.brain_points(1)
    inside = np.asanyarray(own_mask.dataobj) > 0
    index = np.rint(apply_affine(np.linalg.inv(own_mask.affine) @ matrix, points)).astype(np.intp)
    seen = np.all((index >= 0) & (index < inside.shape), axis=1)
    shared = np.count_nonzero(inside[tuple(index[seen].T)])
    # Volumes are compared in the fixed image's world, where an affine changes them.
    voxel = abs(float(np.linalg.det(own_mask.affine[:3, :3]) / np.linalg.det(matrix[:3, :3])))
    own = np.count_nonzero(inside) * voxel / SPACING_MM**3
    return float(2 * shared / (len(points) + own))


def check_quality(evidence: Evidence, *, role: str, dof: int) -> tuple[bool, tuple[str, ...]]:
    """Whether a registration can be trusted.

    Parameters
    ----------
    evidence : Evidence
    role : str
        What is moving.
    dof : {6, 12}
        Rigid or affine; a turned or mirrored header is looked for after a rigid one only.

    Returns
    -------
    poor : bool
    notes : tuple of str
        One line for each finding, also for those that are only worth knowing.
    """
    flags = [*_fit_flags(evidence, role, dof)]
    if dof == 6:
        flags += _header_flags(evidence)
    cut = 1 - float(evidence.coarse.contains(evidence.result.matrix, evidence.model.brain_points(3)).mean())
    notes: list[str] = []
    if cut > CUT_NOTE:
        (flags if cut > CUT_POOR else notes).append(f"{cut:.0%} of the brain lies outside the moving image")
    return bool(flags), (*flags, *notes)


def _fit_flags(evidence: Evidence, role: str, dof: int) -> list[str]:
    flags = []
    if (role_of(role).is_nuclear or dof == 12) and evidence.overlap < LEAST_OVERLAP:
        flags.append(f"the brain masks overlap by only {evidence.overlap:.2f} (Dice), expected {LEAST_OVERLAP} or more")
    # On the smoothed image: at full resolution a low score may only mean few counts.
    seen = r_squared(evidence.coarse, evidence.result.matrix, evidence.coarse_samples)
    if seen < LEAST_SCORE:
        flags.append(f"the fit explains only {seen:.2f} of the smoothed image, expected {LEAST_SCORE} or more")
    points = evidence.model.brain_points(3)
    gap = mean_distance(evidence.result.matrix, evidence.refined.matrix, points)
    if gap > DISAGREEMENT_MM:
        flags.append(f"taken as aligned by its header, but an optimiser would move it by {gap:.1f} mm")
    best = evidence.others[0]
    alternatives = [o for o in evidence.others[1:] if mean_distance(o.matrix, best.matrix, points) > OTHER_MM]
    if alternatives and alternatives[0].score > best.score - OTHER_SCORE:
        away = mean_distance(alternatives[0].matrix, best.matrix, points)
        flags.append(f"another alignment {away:.0f} mm away fits nearly as well ({alternatives[0].score:.3f})")
    return flags


def _header_flags(evidence: Evidence) -> list[str]:
    flags = []
    turn = float(np.degrees(Rotation.from_matrix(evidence.result.matrix[:3, :3]).magnitude()))
    if turn > MOST_TURN_DEG:
        flags.append(f"turned by {turn:.0f} {TURNED}")
    gain = mirrored_r_squared_gain(evidence)
    if gain > MIRRORED_R_SQUARED_GAIN:
        flags.append(MIRRORED)
    return flags


def mirrored_r_squared_gain(evidence: Evidence) -> float:
    """How much more of the moving image is explained (R squared) when the fixed head is mirrored left to right."""
    centre = evidence.model.centre
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = 2 * centre[0]
    args = (evidence.coarse_samples, centre)
    straight = refine(evidence.coarse, evidence.result.matrix, *args)
    mirrored = refine(evidence.coarse, evidence.result.matrix @ mirror, *args)
    return mirrored.score - straight.score
