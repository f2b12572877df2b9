"""Matrices of the rigid and affine search, on an image that is a formula."""

from itertools import product

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bids_spectsynth.images.grid import FloatArray, apply_affine
from bids_spectsynth.preprocess.registration.cost import ModelSamples, Samples
from bids_spectsynth.preprocess.registration.optimiser import (
    _distinct,
    _normal_equations,
    _shift,
    _step_matrix,
    _turn,
    initial_transforms,
    mean_distance,
    r_squared,
    refine,
    rotation_about,
    search,
    visible_samples,
)
from bids_spectsynth.preprocess.registration.sampler import Sampler, make_sampler

#: Of the image: voxels of 3 mm, x counted from the other end.
AFFINE = np.array([[-3.0, 0, 0, 60], [0, 3.0, 0, -60], [0, 0, 3.0, -60], [0, 0, 0, 1]])
SHAPE = (41, 41, 41)
CENTRE = np.array([4.0, -3.0, 2.0])


def formula(points: FloatArray) -> FloatArray:
    """A smooth, lopsided head in world millimetres."""
    blobs = [((8, 0, 0), 14, 1.0), ((-12, 10, 4), 11, 0.7), ((2, -14, -9), 9, -0.5), ((0, 6, 16), 8, 0.6)]
    distances = (np.square(points - np.array(at)).sum(axis=1) / (2 * width**2) for at, width, _ in blobs)
    return np.sum([height * np.exp(-d) for d, (_, _, height) in zip(distances, blobs, strict=True)], axis=0)


def moving() -> Sampler:
    points = apply_affine(AFFINE, np.indices(SHAPE).reshape(3, -1).T)
    return make_sampler(formula(points).reshape(SHAPE).astype(np.float32), AFFINE, 0.0)


def model() -> ModelSamples:
    """Points of the fixed image every 6 mm; the moving image is there any sum of 1 and the formula."""
    points = np.array(list(product(np.arange(-33.0, 34, 6), repeat=3)))
    return ModelSamples(points, np.stack([np.ones(len(points)), formula(points)], axis=1).astype(np.float32))


def unexplained(matrix: FloatArray, samples: Samples) -> float:
    values = moving().read(matrix, samples.points).astype(np.float64)
    rest = values - np.linalg.lstsq(samples.basis.astype(np.float64), values, rcond=None)[0] @ samples.basis.T
    return 0.5 * float(rest @ rest)


@pytest.mark.parametrize("dof", [6, 12])
def test_normal_equations__slope_is_that_of_what_is_unexplained(dof: int) -> None:
    samples = model().orthonormal()
    matrix = rotation_about(Rotation.from_euler("xyz", [6, -4, 5], degrees=True).as_matrix(), CENTRE, CENTRE + 2)
    hessian, slope = _normal_equations(moving(), matrix, samples, CENTRE, dof)
    # Both ends are this far away: parts of a turn, or of a stretch, and millimetres.
    h = np.r_[np.full(dof - 3, 0.01), np.full(3, 0.2)]
    steps = np.diag(h)
    numeric = [
        (
            unexplained(matrix @ _step_matrix(s, CENTRE), samples)
            - unexplained(matrix @ _step_matrix(-s, CENTRE), samples)
        )
        / (2 * s.sum())
        for s in steps
    ]
    np.testing.assert_allclose(-slope, numeric, atol=0.03 * np.abs(numeric).max())
    assert hessian.shape == (dof, dof)
    assert hessian.dtype == slope.dtype == np.float64
    np.testing.assert_allclose(hessian, hessian.T)
    assert np.linalg.eigvalsh(hessian).min() > 0


@pytest.mark.parametrize(
    ("linear", "dof"),
    [
        (Rotation.from_euler("xyz", [8, -6, 5], degrees=True).as_matrix(), 6),
        (Rotation.from_euler("xyz", [5, -3, 4], degrees=True).as_matrix() @ np.diag([1.06, 0.95, 1.04]), 12),
    ],
)
def test_refine__finds_the_matrix_that_the_image_was_moved_by(linear: FloatArray, dof: int) -> None:
    truth = rotation_about(linear, CENTRE, CENTRE + np.array([3.0, -2.0, 4.0]))
    own = model()
    moved = ModelSamples(own.points, np.stack([own.columns[:, 0], formula(apply_affine(truth, own.points))], axis=1))
    samples = moved.orthonormal()
    found = refine(moving(), np.eye(4), samples, CENTRE, dof)
    assert mean_distance(found.matrix, truth, own.points) < 0.2
    assert found.score == r_squared(moving(), found.matrix, samples)
    assert found.score > 0.999 > 0.99 > r_squared(moving(), np.eye(4), samples)
    np.testing.assert_allclose(found.matrix[3], [0, 0, 0, 1], atol=1e-12)
    if dof == 6:
        np.testing.assert_allclose(found.matrix[:3, :3] @ found.matrix[:3, :3].T, np.eye(3), atol=1e-9)


def test_refine__no_step_is_longer_than_8_degrees_and_8_mm_and_none_is_worse() -> None:
    samples = model().orthonormal()
    start = rotation_about(
        Rotation.from_euler("z", 40, degrees=True).as_matrix(), CENTRE, CENTRE + np.array([14, -12, 10])
    )
    before = r_squared(moving(), start, samples)
    for n in range(1, 4):
        found = refine(moving(), start, samples, CENTRE, iterations=n)
        assert found.score > before
        step = np.linalg.inv(start) @ found.matrix
        assert np.degrees(Rotation.from_matrix(step[:3, :3]).magnitude()) <= 8 * n + 1e-6
        assert np.linalg.norm(apply_affine(step, CENTRE[None])[0] - CENTRE) <= 8 * n * (1 + 0.2 * (n - 1)) + 1e-6
    there = refine(moving(), np.eye(4), samples, CENTRE)
    assert mean_distance(there.matrix, np.eye(4), samples.points) < 0.05
    assert refine(moving(), start, samples, CENTRE, iterations=0).matrix is start


def test_r_squared__is_that_of_a_regression() -> None:
    samples = model().orthonormal()
    matrix = rotation_about(np.eye(3), CENTRE, CENTRE + np.array([5, 0, -3]))
    values = moving().read(matrix, samples.points).astype(np.float64)
    expected = 1 - 2 * unexplained(matrix, samples) / np.square(values - values.mean()).sum()
    assert r_squared(moving(), matrix, samples) == pytest.approx(expected, abs=1e-5)
    # Of any unit.
    small = make_sampler(1e-3 * moving().values, AFFINE, 0.0)
    assert r_squared(small, matrix, samples) == pytest.approx(expected, abs=1e-5)
    flat = make_sampler(np.ones(SHAPE, np.float32), AFFINE, 0.0)
    assert r_squared(flat, np.eye(4), samples) == 0


def test_refine__the_first_step_of_a_long_way_is_8_mm() -> None:
    samples = model().orthonormal()
    start = rotation_about(np.eye(3), CENTRE, CENTRE + np.array([14.0, 0, 0]))
    step = np.linalg.inv(start) @ refine(moving(), start, samples, CENTRE, iterations=1).matrix
    assert np.linalg.norm(apply_affine(step, CENTRE[None])[0] - CENTRE) == pytest.approx(8)


def test_turn_and_shift__norms_of_the_parts_of_a_step() -> None:
    for size in (6, 12):
        step = np.arange(1.0, size + 1)
        assert _turn(step) == pytest.approx(np.sqrt((step[: size - 3] ** 2).sum()))
        assert _shift(step) == pytest.approx(np.sqrt((step[size - 3 :] ** 2).sum()))


def test_step_matrix__turns_or_stretches_about_the_centre_and_shifts() -> None:
    turn = _step_matrix(np.array([0, 0, np.pi / 2, 1.0, 2, 3]), CENTRE)
    np.testing.assert_allclose(
        apply_affine(turn, [CENTRE, CENTRE + np.array([1, 0, 0])]), CENTRE + np.array([[1, 2, 3], [1, 3, 3]])
    )
    stretch = np.zeros(12)
    stretch[[0, 5, 9]] = 0.1, 0.2, 4.0
    matrix = _step_matrix(stretch, CENTRE)
    np.testing.assert_allclose(matrix[:3, :3], [[1.1, 0, 0], [0, 1, 0.2], [0, 0, 1]])
    np.testing.assert_allclose(apply_affine(matrix, [CENTRE])[0], CENTRE + np.array([4, 0, 0]))


def test_rotation_about__maps_the_centre_to_the_target() -> None:
    linear = np.array([[0.0, -2, 0], [1, 0, 0], [0, 0, 1]])
    matrix = rotation_about(linear, CENTRE, np.array([7.0, 8, 9]))
    np.testing.assert_allclose(apply_affine(matrix, [CENTRE, CENTRE + np.array([0, 1, 0])]), [[7, 8, 9], [5, 8, 9]])
    np.testing.assert_array_equal(matrix[3], [0, 0, 0, 1])


def test_initial_transforms__all_turns_by_whole_axes_and_by_25_degrees_from_each() -> None:
    targets = [np.array([10.0, 0, 0]), np.array([0.0, -20, 5])]
    starts = initial_transforms(CENTRE, targets)
    np.testing.assert_array_equal(starts[0], np.eye(4))
    assert len(starts) == 1 + 2 * (5**3 + 23 * 3**3)
    for n, target in enumerate(targets):
        own = starts[1 + n * (len(starts) // 2) : 1 + (n + 1) * (len(starts) // 2)]
        np.testing.assert_allclose([apply_affine(m, CENTRE[None])[0] for m in own], np.tile(target, (len(own), 1)))
        turns = Rotation.from_matrix([m[:3, :3] for m in own])
        asked = [Rotation.from_euler("xyz", a, degrees=True) for a in product((-50, -25, 0, 25, 50), repeat=3)]
        cube = [
            Rotation.from_matrix(sign[:, None] * np.eye(3)[list(order)])
            for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2), (0, 2, 1), (2, 1, 0))
            for sign in np.array(list(product((-1.0, 1.0), repeat=3)))
            if np.linalg.det(sign[:, None] * np.eye(3)[list(order)]) > 0
        ]
        assert len(cube) == 24
        asked += [
            whole * Rotation.from_euler(axis, turn, degrees=True)
            for whole in cube
            for axis in "xyz"
            for turn in (-25, 0, 25)
        ]
        nearest = [min(np.degrees((turns.inv() * one).magnitude())) for one in asked]
        assert max(nearest) < 1e-3


def test_mean_distance__by_hand() -> None:
    second = np.eye(4)
    second[0, 3] = 3
    second[1, 1] = 2
    assert mean_distance(np.eye(4), second, np.array([[0.0, 0, 0], [5, 4, 1]])) == pytest.approx((3 + 5) / 2)


def test_visible_samples__those_in_view_unless_hardly_any_is() -> None:
    own = model()
    sampler = moving()
    assert len(visible_samples(sampler, own, np.eye(4)).points) == len(own.points)
    half = rotation_about(np.eye(3), CENTRE, CENTRE + np.array([60.0, 0, 0]))
    expected = own.points[own.points[:, 0] + 60 <= 60]
    found = visible_samples(sampler, own, half)
    np.testing.assert_array_equal(found.points, expected)
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(found.basis.shape[1]), atol=1e-5)
    away = rotation_about(np.eye(3), CENTRE, CENTRE + 500)
    assert len(visible_samples(sampler, own, away).points) == len(own.points)


def test_visible_samples__twice_as_many_as_columns_are_hardly_any() -> None:
    points = np.array([[x, 0.0, 0.0] for x in (-10, -5, 5, 10, 990, 995, 1000)])
    columns = np.stack([np.ones(7), np.arange(7)], axis=1).astype(np.float32)
    assert len(visible_samples(moving(), ModelSamples(points, columns), np.eye(4)).points) == 7
    more = ModelSamples(np.vstack([[[0.0, 0, 0]], points]), np.vstack([[[1, 7]], columns]).astype(np.float32))
    assert len(visible_samples(moving(), more, np.eye(4)).points) == 5


def test_search__best_first_and_the_header_is_always_tried() -> None:
    own = model()
    near = rotation_about(Rotation.from_euler("z", 10, degrees=True).as_matrix(), CENTRE, CENTRE + 2)
    far = rotation_about(Rotation.from_euler("x", 180, degrees=True).as_matrix(), CENTRE, CENTRE)
    found = search(moving(), own, [far, near], CENTRE, keep=1)
    assert len(found) == 2
    assert found[0].score > found[1].score
    assert mean_distance(found[0].matrix, np.eye(4), own.points) < 0.1
    assert len(search(moving(), own, [near, far], CENTRE, keep=1)) == 1


def test_search__what_is_out_of_view_costs_its_part_of_the_score() -> None:
    own = model()
    lower = make_sampler(moving().values[:, :, :29], AFFINE, 0.0)
    (found,) = search(lower, own, [np.eye(4)], CENTRE)
    seen = float(np.mean(lower.contains(found.matrix, own.points)))
    assert 0.7 < seen < 0.9
    assert found.score == pytest.approx(
        seen * r_squared(lower, found.matrix, visible_samples(lower, own, found.matrix)), rel=0.02
    )
    assert mean_distance(found.matrix, np.eye(4), own.points) < 0.5


def test_distinct__the_first_of_those_that_are_alike() -> None:
    shifts = [0.0, 20, 40, 60, 80]
    starts = [rotation_about(np.eye(3), CENTRE, CENTRE + np.array([shift, 0, 0])) for shift in shifts]
    assert _distinct(starts, [4, 3, 2, 1, 0], CENTRE, 8) == [4, 2, 0]
    assert _distinct(starts, [4, 3, 2, 1, 0], CENTRE, 2) == [4, 2]
    at_35 = [np.eye(4), rotation_about(np.eye(3), CENTRE, CENTRE + np.array([35.0, 0, 0]))]
    assert _distinct(at_35, [0, 1], CENTRE, 8) == [0]
    # Corners of a cube in a sphere of 70 mm: a turn about z moves each by 2 sin(turn / 2) 70 sqrt(2 / 3) mm.
    for degrees, expected in ((35, [0]), (37, [0, 1])):
        turned = rotation_about(Rotation.from_euler("z", degrees, degrees=True).as_matrix(), CENTRE, CENTRE)
        assert _distinct([np.eye(4), turned], [0, 1], CENTRE, 8) == expected
    # About a diagonal, which two of them lie on.
    diagonal = Rotation.from_rotvec(np.deg2rad(60) * np.ones(3) / np.sqrt(3)).as_matrix()
    assert _distinct([np.eye(4), rotation_about(diagonal, CENTRE, CENTRE)], [0, 1], CENTRE, 8) == [0, 1]
