"""Registration of a small simulated head: known offsets are found, and what cannot be right is flagged."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_spectsynth.images.grid import apply_affine, grid_of, new_image
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.preprocess.registration.cost import build_model
from bids_spectsynth.preprocess.registration.optimiser import (
    initial_transforms,
    mean_distance,
    r_squared,
    refine,
    rotation_about,
)
from bids_spectsynth.preprocess.registration.register import register_images
from bids_spectsynth.preprocess.registration.result import Registration
from bids_spectsynth.preprocess.registration.sampler import make_sampler, shrink

FloatArray = np.ndarray


@dataclass(frozen=True)
class Head:
    t1w: nib.Nifti1Image
    mask: nib.Nifti1Image
    activity: nib.Nifti1Image
    points: FloatArray

    def error(self, result: Registration, truth: FloatArray) -> float:
        return mean_distance(result.matrix, truth, self.points)


@pytest.fixture(scope="module")
def head() -> Head:
    """Three tissues in an ellipsoid without symmetry, skull gap and scalp around it, 2.5 mm voxels."""
    rng = np.random.default_rng(3)
    shape, spacing = (48, 56, 44), 2.5
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [-58, -72, -50]
    position = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    x, y, z = position
    # Wide behind and flat below, as heads are: only the mirror image looks alike.
    radius = np.sqrt((x * (1 + 0.35 * y)) ** 2 + y**2 + (z * (1 + 0.25 * y) * np.where(z < 0, 1.3, 1)) ** 2)
    texture = ndimage.gaussian_filter(rng.standard_normal(shape), 3)
    texture = texture / texture.std() + 0.3 * x
    brain = radius < 0.72
    white, csf = texture > 0.5, texture < -1.2
    tissue = np.where(white, 3, np.where(csf, 1, 2))
    t1w = np.where(brain, np.array([0, 20, 60, 100])[tissue], 0.0)
    t1w += np.where((radius > 0.82) & (radius < 0.92), 80.0, 0) + rng.normal(0, 2, shape)
    uptake = np.where(brain, np.array([0, 5, 100, 35])[tissue], 0.0)
    uptake += np.where((radius > 0.82) & (radius < 0.92), 8.0, 0)
    points = apply_affine(affine, np.argwhere(brain)[::13])
    return Head(
        new_image(t1w.astype(np.float32), affine),
        new_image(brain.astype(np.uint8), affine),
        new_image(uptake.astype(np.float32), affine),
        points,
    )


def _offset(
    degrees: float, shift: tuple[float, float, float], axis: tuple[float, float, float] = (1, 2, -1)
) -> FloatArray:
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * np.array(axis) / np.linalg.norm(axis)).as_matrix()
    centre = np.array([0.0, 0.0, 4.0])
    return rotation_about(turn, centre, centre + np.array(shift))


def _scan(head: Head, truth: FloatArray, fwhm: float, spacing: float, noise: float = 3.0) -> nib.Nifti1Image:
    """The activity as a scanner would see it whose world is ``truth`` applied to the head's."""
    data = ndimage.gaussian_filter(np.asanyarray(head.activity.dataobj), fwhm / 2.355 / 2.5)
    centre = apply_affine(truth, head.points.mean(axis=0, keepdims=True))[0]
    n = int(170 / spacing)
    affine = np.diag([-spacing, spacing, spacing, 1.0])
    affine[:3, 3] = centre + np.array([1, -1, -1]) * spacing * (n - 1) / 2 + 3
    grid = grid_of(new_image(np.zeros((n, n, n), np.float32), affine))
    seen = np.asanyarray(resample_image(new_image(data, head.activity.affine), grid, np.linalg.inv(truth), 1).dataobj)
    grain = np.random.default_rng(0).normal(0, noise, seen.shape)
    return new_image(np.clip(seen + grain, 0, None).astype(np.float32), affine)


@pytest.mark.parametrize(
    ("role", "fwhm", "spacing", "truth"),
    [
        ("pet", 6, 2.0, _offset(12, (8, -14, 9))),
        ("interictal", 9, 4.0, _offset(14, (-9, 6, 12))),
        ("interictal", 9, 4.0, _offset(40, (140, -60, 200))),
    ],
)
def test_known_offset_is_found(head: Head, role: str, fwhm: float, spacing: float, truth: FloatArray) -> None:
    result = register_images(_scan(head, truth, fwhm, spacing), head.t1w, head.mask, dof=6, init="auto", role=role)
    assert head.error(result, truth) < 1.0
    np.testing.assert_allclose(result.matrix[:3, :3] @ result.matrix[:3, :3].T, np.eye(3), atol=1e-9)
    assert not result.poor, result.notes
    assert result.overlap > 0.8
    assert 0.8 < result.score <= 1


def test_same_input_gives_the_same_bits(head: Head) -> None:
    scan = _scan(head, _offset(5, (3, 2, 1)), 9, 4.0)
    first, second = (register_images(scan, head.t1w, head.mask, dof=6, init="header", role="ictal") for _ in range(2))
    np.testing.assert_array_equal(first.matrix, second.matrix)
    assert first.score == second.score


def test_mirrored_and_upside_down_headers_are_flagged(head: Head) -> None:
    scan = _scan(head, _offset(5, (4, 4, 4)), 6, 3.0)
    for axis, reason in ((0, "mirrored"), (2, "degrees against the header")):
        flipped = new_image(np.flip(np.asanyarray(scan.dataobj), axis).copy(), scan.affine)
        result = register_images(flipped, head.t1w, head.mask, dof=6, init="auto", role="pet")
        assert result.poor
        assert any(reason in note for note in result.notes), result.notes


def test_header_start_and_identity(head: Head) -> None:
    near = _offset(4, (3, -2, 3))
    found = register_images(_scan(head, near, 6, 3.0), head.t1w, head.mask, dof=6, init="header", role="pet")
    assert head.error(found, near) < 1.0
    aligned = register_images(_scan(head, np.eye(4), 6, 3.0), head.t1w, head.mask, dof=6, init="identity", role="pet")
    np.testing.assert_array_equal(aligned.matrix, np.eye(4))
    assert not aligned.poor, aligned.notes
    off = register_images(
        _scan(head, _offset(0, (12, 0, 0)), 6, 3.0), head.t1w, head.mask, dof=6, init="identity", role="pet"
    )
    np.testing.assert_array_equal(off.matrix, np.eye(4))
    assert off.poor
    assert any("optimiser would move it by 1" in note for note in off.notes)
    assert off.score < aligned.score


def test_header_far_away_is_poor_without_other_starts(head: Head) -> None:
    scan = _scan(head, _offset(5, (300, 0, 0)), 6, 3.0)
    result = register_images(scan, head.t1w, head.mask, dof=6, init="header", role="pet")
    assert result.poor
    assert result.overlap < 0.1


def test_a_field_of_view_that_cuts_the_brain_is_noted_and_still_aligned(head: Head) -> None:
    truth = _offset(6, (4, -3, 2))
    scan = _scan(head, truth, 6, 3.0)
    values = np.asanyarray(scan.dataobj)
    lit = np.flatnonzero((values > 40).any(axis=(0, 1)))
    cut = new_image(values[:, :, : lit[-1] - 4].copy(), scan.affine)
    result = register_images(cut, head.t1w, head.mask, dof=6, init="auto", role="pet")
    assert head.error(result, truth) < 1.5
    assert any("outside the moving image" in note for note in result.notes)


def _with_body(scan: nib.Nifti1Image) -> nib.Nifti1Image:
    """A scan with glands beside the head and a heart far below, all brighter than the brain."""
    data = np.pad(np.asanyarray(scan.dataobj), ((0, 0), (0, 0), (450 // 4, 0)))
    affine = scan.affine.copy()
    affine[:3, 3] -= affine[:3, 2] * (450 // 4)
    x, y, z = np.indices(data.shape) * 4.0
    top, centre = z.max(), x.max() / 2
    for shift, below, radius, times in ((-45, 150, 16, 2.5), (45, 150, 16, 2.5), (0, 420, 55, 5), (20, 480, 70, 1.5)):
        organ = (x - centre - shift) ** 2 + (y - centre) ** 2 + (z - top + below) ** 2 < radius**2
        data[organ] = times * np.percentile(data[data > 20], 90)
    neck = (x - centre) ** 2 + (y - centre) ** 2 < 50**2
    data[neck & (z < top - 150)] = np.maximum(data[neck & (z < top - 150)], 30)
    return new_image(ndimage.gaussian_filter(data, 0.6), affine)


@pytest.mark.parametrize("truth", [_offset(12, (8, -14, 9)), _offset(14, (30, -20, 400))])
def test_a_long_field_with_brighter_organs_is_aligned_by_its_brain(head: Head, truth: FloatArray) -> None:
    body = _with_body(_scan(head, truth, 6, 4.0))
    found = register_images(body, head.t1w, head.mask, dof=6, init="auto", role="pet")
    assert head.error(found, truth) < 2.0
    assert not found.poor, found.notes
    for wrong in ([0, 0, 30], [20, 15, 0], [0, 0, -400]):
        moved = nib.affines.from_matvec(np.eye(3), wrong) @ np.linalg.inv(truth)
        given = new_image(np.asanyarray(body.dataobj), moved @ body.affine)
        assert register_images(given, head.t1w, head.mask, dof=6, init="identity", role="pet").poor


def test_affine_to_a_template(head: Head) -> None:
    """The fixed image is a stretched copy: the linear part must undo the stretch."""
    truth = np.diag([1.08, 0.93, 1.05, 1.0]) @ _offset(8, (5, 3, -6))
    brain = np.asanyarray(head.t1w.dataobj) * np.asanyarray(head.mask.dataobj)
    moving = new_image(np.clip(brain, 0, None).astype(np.float32), head.t1w.affine)
    grid = grid_of(new_image(np.zeros((70, 76, 70), np.float32), _centred(2.2, (70, 76, 70))))
    fixed = resample_image(moving, grid, truth, 1)
    mask = new_image((np.asanyarray(fixed.dataobj) > 5).astype(np.uint8), grid.affine)
    result = register_images(moving, fixed, mask, dof=12, init="auto", role="T1w")
    inside = apply_affine(grid.affine, np.argwhere(np.asanyarray(mask.dataobj) > 0)[::13])
    assert mean_distance(result.matrix, truth, inside) < 1.0
    assert not result.poor, result.notes


def _centred(spacing: float, shape: tuple[int, int, int]) -> FloatArray:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    return affine


def test_other_mr_images_need_no_bright_brain(head: Head) -> None:
    """A contrast like T2: dark white matter, bright fluid, and scalp as bright as brain."""
    truth = _offset(7, (-6, 5, 4))
    inverted = new_image((110 - np.asanyarray(head.t1w.dataobj)).astype(np.float32), head.t1w.affine)
    scan = _scan(Head(head.t1w, head.mask, inverted, head.points), truth, 1.0, 2.0)
    result = register_images(scan, head.t1w, head.mask, dof=6, init="auto", role="T2w")
    assert head.error(result, truth) < 0.7
    assert not result.poor, result.notes


def test_model_classes_add_up_and_explain_their_own_sum(head: Head) -> None:
    model = build_model(head.t1w, head.mask)
    total = np.sum(model.inside, axis=0) + np.sum(model.outside, axis=0)
    np.testing.assert_allclose(total, 1, atol=1e-5)
    samples = model.samples(8.0, 1, varying=True).orthonormal()
    np.testing.assert_allclose(samples.basis.T @ samples.basis, np.eye(samples.basis.shape[1]), atol=1e-4)
    sampler = make_sampler(*shrink(_scan(head, np.eye(4), 6, 3.0), 2.0), 4.0)
    here = r_squared(sampler, np.eye(4), samples)
    assert here > r_squared(sampler, _offset(0, (5, 0, 0)), samples)
    assert r_squared(sampler, _offset(0, (900, 0, 0)), samples) == 0
    assert refine(sampler, np.eye(4), samples, model.centre).score >= here


def test_starts_map_the_centre_to_the_target() -> None:
    centre, target = np.array([1.0, 2.0, 3.0]), np.array([-40.0, 90.0, 7.0])
    starts = initial_transforms(centre, [target])
    np.testing.assert_array_equal(starts[0], np.eye(4))
    for start in starts[1:]:
        np.testing.assert_allclose(apply_affine(start, centre[None])[0], target, atol=1e-9)
        assert np.linalg.det(start[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("spacing", [0.8, 1.0, 3.0])
def test_shrinking_keeps_world_positions(spacing: float) -> None:
    affine = np.array([[0, 0.0, spacing, 5], [-spacing, 0, 0, 9], [0, 0.7, 0, -4], [0, 0, 0, 1]])
    index = np.indices((9, 12, 11)).reshape(3, -1).T
    ramp = (apply_affine(affine, index) @ [1.0, -2.0, 0.5]).reshape(9, 12, 11).astype(np.float32)
    data, small = shrink(new_image(ramp, affine), 2.0)
    where = apply_affine(small, np.indices(data.shape).reshape(3, -1).T)
    np.testing.assert_allclose(data.ravel(), where @ [1.0, -2.0, 0.5], atol=1e-3)
