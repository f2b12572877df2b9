"""Registration of two scans of one head (rigid), or of a head to a template (affine)."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.images.grid import FloatArray, apply_affine, new_image
from bids_spectsynth.images.masks import histogram_mask, solid_component
from bids_spectsynth.options.settings import CoregInit
from bids_spectsynth.preprocess.registration.affine_part import fit_affine_part, make_even_sampler, shaded_samples
from bids_spectsynth.preprocess.registration.cost import SPACING_MM, IntensityModel, ModelSamples, Samples, build_model
from bids_spectsynth.preprocess.registration.long_field import long_field_targets, overlap_around
from bids_spectsynth.preprocess.registration.optimiser import (
    OptimisationResult,
    initial_transforms,
    mean_distance,
    r_squared,
    refine,
    search,
    visible_samples,
)
from bids_spectsynth.preprocess.registration.quality import (
    GOOD_SCORE,
    LEAST_OVERLAP,
    Evidence,
    brain_overlap,
    check_quality,
)
from bids_spectsynth.preprocess.registration.result import Registration
from bids_spectsynth.preprocess.registration.sampler import Sampler, make_sampler, shrink

METRIC = "R squared of the moving image as a sum of blurred intensity classes of the fixed image, 0 to 1"

# Moving voxels are averaged up to these edges, mm, in the first search and in the final fit.
_COARSE_SPACING_MM, _FINE_SPACING_MM = 4.0, 2.0
# Model voxels (2 mm) are averaged in blocks of these lengths, and every second is a sample: every 8 and 4 mm.
_COARSE_BLOCK, _FINE_BLOCK = 2, 1
# In the first search both images are blurred so that 20 mm and 25 degrees are forgiven (FWHM, mm).
_COARSE_SMOOTHING_MM, _COARSE_FWHM_MM = 10.0, 12.0
# The affine part of the deformation to a template may explain this much less than where it started.
_MOST_LOST = 0.05
# It is fitted anew as often, with the moving image smoothed for the scale that was found.
_ROUNDS = 2
# Two guesses of the brain's centre that are closer than this (mm) lead to the same place.
_SAME_CENTROID_MM = 10.0


@dataclass(frozen=True)
class Resolution:
    """Smoothing of a moving image against its noise, and the model's resolution with it included (FWHM, mm).

    These are common scanners' values: a model half as sharp or as blurred again as the image costs about 0.1 mm.
    """

    smoothing: float
    model: float


#: By the datatype of the image.
_RESOLUTIONS = {"pet": Resolution(3.0, 7.0), "spect": Resolution(0.0, 11.0)}
_MR_RESOLUTION = Resolution(2.0, 4.0)
# A template registered to itself is exact where the two are alike; the model's grid of 2 mm is a blur of its own.
_TEMPLATE_RESOLUTION = Resolution(3.2, 2.6)


@dataclass(frozen=True, eq=False)
class _Pair:
    """What the stages of one registration share."""

    model: IntensityModel
    coarse: Sampler
    coarse_model: ModelSamples
    fine: Sampler
    own_mask: nib.Nifti1Image
    small: nib.Nifti1Image
    resolution: Resolution
    own: nib.Nifti1Image
    blocks: FloatArray


def register_images(
    moving: nib.Nifti1Image,
    fixed: nib.Nifti1Image,
    fixed_mask: nib.Nifti1Image,
    *,
    dof: int,
    init: CoregInit,
    role: str,
) -> Registration:
    """Align ``moving`` with ``fixed``.

    Computed on one thread whatever the machine has, and without random numbers: the same input gives the same bits.

    Parameters
    ----------
    moving, fixed : Nifti1Image, shape (i, j, k)
        Finite values, any orientation. For ``dof`` 12 both are brain-extracted (0 outside).
    fixed_mask : Nifti1Image
        Brain mask of ``fixed``, not empty.
    dof : {6, 12}
        Rigid, or affine after a rigid one.
    init : {'auto', 'header', 'identity'}
        Search from many starts; only from the header's alignment; or take the header's alignment as it is.
    role : str
        What is moving: ``pet``, ``interictal``, ``ictal``, or an MR suffix such as ``T1w``.

    Returns
    -------
    Registration
        World coordinates of ``fixed`` to those of ``moving``; poor results are flagged, with the reasons.

    Examples
    --------
    >>> x, y, z = np.mgrid[-72:73:4.0, -88:89:4.0, -64:65:4.0]
    >>> brain = (x / 60) ** 2 + (y / 75) ** 2 + (z / 52) ** 2 < 1
    >>> white = ((x - 5) / 38) ** 2 + ((y + 12) / 46) ** 2 + ((z - 6) / 30) ** 2 < 1
    >>> affine = nib.affines.from_matvec(4 * np.eye(3), [-72, -88, -64])
    >>> t1w = new_image(np.where(white, 100, 60 * brain).astype(np.float32), affine)
    >>> mask = new_image(brain.astype(np.uint8), affine)
    >>> affine = nib.affines.from_matvec(4 * np.eye(3), [-62, -94, -60])
    >>> pet = new_image(np.where(white, 30, 100 * brain).astype(np.float32), affine)
    >>> found = register_images(pet, t1w, mask, dof=6, init="header", role="pet")
    >>> found.matrix[:3, 3].round().tolist(), found.poor
    ([10.0, -6.0, 4.0], False)
    """
    with threadpool_limits(limits=1):
        pair = _prepare(moving, fixed, fixed_mask, dof, role)
        found = _coarse_search(pair, init)
        refined = _climb(pair, found[0].matrix, dof)
        result = refined if init != "identity" else _at_identity(pair)
        overlap = brain_overlap(pair.model, pair.own_mask, result.matrix)
        visible = visible_samples(pair.coarse, pair.coarse_model, result.matrix)
        good = r_squared(pair.coarse, result.matrix, visible) > GOOD_SCORE
        if overlap < LEAST_OVERLAP and role_of(role).is_nuclear and good:
            # Something else may be brighter than the brain: look at where it was found alone.
            overlap = overlap_around(pair.model, new_image(pair.coarse.values, pair.small.affine), result.matrix)
        evidence = Evidence(result, refined, tuple(found), overlap, pair.model, pair.coarse, visible)
        poor, notes = check_quality(evidence, role=role, dof=dof)
    return Registration(result.matrix, result.score, METRIC, overlap, poor, notes)


@dataclass(frozen=True, eq=False)
class Rating:
    """What a matrix that was found elsewhere is worth.

    Parameters
    ----------
    registration : Registration
        With its score, overlap and notes; as poor as one of our own would be.
    smoothed, refined : float
        R squared of the smoothed moving image there, and where an optimiser ends that begins there.
    moved_mm : float
        How far it has gone, mean over the brain.
    outside : float
        Part of the brain outside the moving image, 0 to 1.
    """

    registration: Registration
    smoothed: float
    refined: float
    moved_mm: float
    outside: float


def rate_matrix(
    moving: nib.Nifti1Image,
    fixed: nib.Nifti1Image,
    fixed_mask: nib.Nifti1Image,
    matrix: FloatArray,
    *,
    dof: int,
    role: str,
) -> Rating:
    """Rate an alignment by the same measures as those that :func:`register_images` finds.

    Parameters
    ----------
    moving, fixed, fixed_mask, dof, role
        See :func:`register_images`.
    matrix : array, shape (4, 4)
        World coordinates of ``fixed`` to those of ``moving``.
    """
    with threadpool_limits(limits=1):
        pair = _prepare(moving, fixed, fixed_mask, dof, role)
        overlap = brain_overlap(pair.model, pair.own_mask, matrix)
        visible = visible_samples(pair.coarse, pair.coarse_model, matrix)
        smoothed = r_squared(pair.coarse, matrix, visible)
        if overlap < LEAST_OVERLAP and role_of(role).is_nuclear and smoothed > GOOD_SCORE:
            overlap = overlap_around(pair.model, new_image(pair.coarse.values, pair.small.affine), matrix)
        refined = refine(pair.coarse, matrix, visible, pair.model.centre, dof)
        result = OptimisationResult(matrix, _fine_score(pair, matrix, dof))
        evidence = Evidence(result, result, (refined,), overlap, pair.model, pair.coarse, visible)
        poor, notes = check_quality(evidence, role=role, dof=dof)
        points = pair.model.brain_points(3)
        outside = 1 - float(pair.coarse.contains(matrix, points).mean())
        moved = mean_distance(matrix, refined.matrix, points)
    found = Registration(matrix, result.score, METRIC, overlap, poor, notes)
    return Rating(found, smoothed, refined.score, moved, outside)


def _fine_score(pair: _Pair, matrix: FloatArray, dof: int) -> float:
    """R squared at the resolution of the last step of a registration."""
    if dof == 6:
        return r_squared(pair.fine, matrix, _fine_samples(pair, matrix))
    smoothing, fwhm = pair.resolution.smoothing, pair.resolution.model
    sampler = make_even_sampler(np.asanyarray(pair.own.dataobj), pair.own.affine, pair.blocks, matrix, smoothing)
    return r_squared(sampler, matrix, visible_samples(sampler, shaded_samples(pair.model, fwhm), matrix))


def _prepare(moving: nib.Nifti1Image, fixed: nib.Nifti1Image, mask: nib.Nifti1Image, dof: int, role: str) -> _Pair:
    resolution = _TEMPLATE_RESOLUTION if dof == 12 else _RESOLUTIONS.get(role_of(role).datatype, _MR_RESOLUTION)
    model = build_model(fixed, mask)
    data, affine = shrink(moving, _FINE_SPACING_MM)
    own = new_image(data, affine)
    coarse_data, coarse_affine = shrink(own, _COARSE_SPACING_MM)
    coarse = make_sampler(coarse_data, coarse_affine, _COARSE_SMOOTHING_MM)
    if dof == 12:
        own_mask = new_image(solid_component(data > 0), affine)
    elif role_of(role).is_nuclear:
        own_mask = _brightest(new_image(coarse.values, coarse_affine), np.count_nonzero(model.brain) * SPACING_MM**3)
    else:
        own_mask = histogram_mask(own)
    return _Pair(
        model,
        coarse,
        model.samples(_COARSE_FWHM_MM, _COARSE_BLOCK, varying=False),
        make_sampler(data, affine, resolution.smoothing),
        own_mask,
        new_image(coarse_data, coarse_affine),
        resolution,
        own,
        np.linalg.norm(affine[:3, :3], axis=0) / np.linalg.norm(moving.affine[:3, :3], axis=0),
    )


def _brightest(image: nib.Nifti1Image, volume: float) -> nib.Nifti1Image:
    """Mask of the brightest part of an image that has the ``volume`` (mm^3) of the brain, as one solid piece.

    Unlike a threshold from the histogram it does not depend on how much air the field of view holds.
    """
    data = np.asanyarray(image.dataobj)
    n = round(volume / abs(float(np.linalg.det(image.affine[:3, :3]))))
    if n >= data.size // 2:
        return histogram_mask(image)
    threshold = np.partition(data.ravel(), data.size - n - 1)[data.size - n - 1]
    if threshold == data.max():
        return histogram_mask(image)
    return new_image(solid_component(data > threshold), image.affine)


def _coarse_search(pair: _Pair, init: CoregInit) -> list[OptimisationResult]:
    targets = [_centroid(pair.own_mask)]
    # Where the field of view cuts the brain, the brightest part of its size reaches into the face: ask a threshold too.
    other = _centroid(histogram_mask(pair.small))
    if np.linalg.norm(other - targets[0]) > _SAME_CENTROID_MM:
        targets.append(other)
    if init == "auto":
        smoothed = new_image(pair.coarse.values, pair.small.affine)
        targets += long_field_targets(smoothed, np.count_nonzero(pair.model.brain) * SPACING_MM**3)
    starts = initial_transforms(pair.model.centre, targets) if init == "auto" else [np.eye(4)]
    return search(pair.coarse, pair.coarse_model, starts, pair.model.centre)


def _centroid(mask: nib.Nifti1Image) -> FloatArray:
    voxels = np.argwhere(np.asanyarray(mask.dataobj) > 0)
    return np.asarray(apply_affine(mask.affine, voxels).mean(axis=0))


def _climb(pair: _Pair, matrix: FloatArray, dof: int) -> OptimisationResult:
    """From the coarse rigid result to the final one."""
    centre = pair.model.centre
    if dof == 12:
        return _climb_to_template(
            pair, refine(pair.coarse, matrix, pair.coarse_model.orthonormal(), centre, dof).matrix
        )
    return refine(pair.fine, matrix, _fine_samples(pair, matrix), centre, dof)


def _climb_to_template(pair: _Pair, start: FloatArray) -> OptimisationResult:
    """The affine part of the deformation; the start where that explains far less, as between images unlike a brain."""
    matrix, smoothing, fwhm = start, pair.resolution.smoothing, pair.resolution.model
    for _ in range(_ROUNDS):
        sampler = make_even_sampler(np.asanyarray(pair.own.dataobj), pair.own.affine, pair.blocks, matrix, smoothing)
        matrix = fit_affine_part(sampler, matrix, pair.model, fwhm)
    samples = visible_samples(sampler, shaded_samples(pair.model, fwhm), start)
    found, before = (OptimisationResult(m, r_squared(sampler, m, samples)) for m in (matrix, start))
    return found if found.score > before.score - _MOST_LOST else before


def _fine_samples(pair: _Pair, matrix: FloatArray) -> Samples:
    model = pair.model.samples(pair.resolution.model, _FINE_BLOCK, varying=True)
    return visible_samples(pair.fine, model, matrix)


def _at_identity(pair: _Pair) -> OptimisationResult:
    return OptimisationResult(np.eye(4), r_squared(pair.fine, np.eye(4), _fine_samples(pair, np.eye(4))))
