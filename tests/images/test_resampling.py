"""Resampling against functions whose values are known everywhere."""

import platform

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_spectsynth.images.grid import Grid, MaskedGrid, apply_affine, grid_of, new_image
from bids_spectsynth.images.resampling import resample_image, resample_linear


def _affine(angles: list[float], sizes: list[float], origin: list[float], shear: float = 0.0) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(sizes)
    affine[:3, 0] += shear * affine[:3, 1]
    affine[:3, 3] = origin
    return affine


def _world(grid: Grid) -> np.ndarray:
    return apply_affine(grid.affine, np.indices(grid.shape).reshape(3, -1).T)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-180, 180), min_size=3, max_size=3),
    st.lists(st.floats(0.8, 2.5), min_size=3, max_size=3),
    st.floats(-0.3, 0.3),
    st.sampled_from([1, 3]),
)
def test_a_ramp_keeps_its_world_values(angles: list[float], sizes: list[float], shear: float, order: int) -> None:
    """Any orientation, also sheared: linear functions are reproduced where the image is known."""
    affine = _affine(angles, sizes, [3, -5, 8], shear)
    grid_in = Grid((20, 22, 24), affine)
    slope = np.array([0.7, -0.2, 1.3])
    image = new_image((_world(grid_in) @ slope).reshape(grid_in.shape).astype(np.float32), affine)
    matrix = _affine([10, -20, 5], [1, 1, 1], [1, 2, 3])
    centre = np.linalg.inv(matrix) @ affine @ np.array([9.5, 10.5, 11.5, 1])
    target = Grid((5, 5, 5), _affine([0, 0, 0], [1, 1, 1], (centre[:3] - 2).tolist()))
    out = np.asanyarray(resample_image(image, target, matrix, order).dataobj)
    expected = apply_affine(matrix, _world(target)) @ slope
    np.testing.assert_allclose(out.ravel(), expected, atol=0.02 * np.abs(expected).max() + 0.02)
    assert out.dtype == np.float32


@pytest.mark.parametrize("order", [1, 3])
def test_a_blob_arrives_where_the_matrix_says(order: int) -> None:
    grid_in = Grid((40, 40, 40), _affine([15, 0, 30], [1.5, 1.5, 1.5], [-20, 10, -30]))
    blob = apply_affine(grid_in.affine, [[18.3, 21.7, 19.1]])[0]
    values = np.exp(-np.sum((_world(grid_in) - blob) ** 2, axis=1) / (2 * 4**2))
    image = new_image(values.reshape(grid_in.shape).astype(np.float32), grid_in.affine)
    matrix = _affine([-25, 12, 7], [1, 1, 1], [4, -3, 6])
    expected = apply_affine(np.linalg.inv(matrix), blob[None])[0]
    target = Grid((40, 40, 40), _affine([0, 0, 0], [1, 1, 1], (expected - 20.4).tolist()))
    out = np.asanyarray(resample_image(image, target, matrix, order).dataobj).ravel()
    centroid = (_world(target) * out[:, None]).sum(axis=0) / out.sum()
    np.testing.assert_allclose(centroid, expected, atol=0.05)


def test_resample_image__a_shift_by_one_voxel_gives_the_neighbours_values() -> None:
    grid = Grid((6, 7, 5), _affine([0, 0, 0], [4, 4, 4], [-10, -12, -8]))
    values = np.random.default_rng(0).random(grid.shape, dtype=np.float32)
    shift = _affine([0, 0, 0], [1, 1, 1], [4, 0, 0])
    out = np.asanyarray(resample_image(new_image(values, grid.affine), grid, shift, 1).dataobj)
    np.testing.assert_allclose(out[:-1], values[1:], atol=1e-6)


def test_the_spline_is_sharper_than_linear() -> None:
    grid = Grid((16, 16, 16), np.eye(4))
    wave = np.cos(_world(grid) @ [1.2, 0.3, 0.0])
    image = new_image(wave.reshape(grid.shape).astype(np.float32), grid.affine)
    target = Grid((6, 6, 6), _affine([0, 0, 0], [1, 1, 1], [5.5, 5.5, 5.5]))
    expected = np.cos(_world(target) @ [1.2, 0.3, 0.0])
    errors = [np.abs(np.asanyarray(resample_image(image, target, np.eye(4), o).dataobj).ravel() - expected).max()
              for o in (1, 3)]  # fmt: skip
    assert errors[1] < 0.1 * errors[0]


def test_own_grid_gives_the_image_back_and_outside_is_zero() -> None:
    data = np.random.default_rng(0).random((9, 10, 11), dtype=np.float32)
    image = new_image(data, _affine([90, 0, 0], [1, 2, 3], [7, 8, 9]))
    for order in (0, 1, 3):
        same = np.asanyarray(resample_image(image, grid_of(image), np.eye(4), order).dataobj)
        np.testing.assert_allclose(same, data, atol=1e-5)
    away = Grid((3, 3, 3), _affine([0, 0, 0], [1, 1, 1], [500, 0, 0]))
    assert not np.asanyarray(resample_image(image, away, np.eye(4), 3).dataobj).any()


def test_labels_stay_labels() -> None:
    mask = np.zeros((12, 12, 12), np.uint8)
    mask[3:9, 3:9, 3:9] = 1
    out = resample_image(new_image(mask, np.eye(4)), Grid((4, 4, 4), np.diag([3.0, 3, 3, 1])), np.eye(4), 0)
    assert set(np.unique(np.asanyarray(out.dataobj))) <= {0.0, 1.0}


def test_a_coarse_grid_does_not_fold_noise_in() -> None:
    noise = np.random.default_rng(0).standard_normal((48, 48, 48)).astype(np.float32)
    image = new_image(noise, np.eye(4))

    def spread(size: float) -> float:
        n = int(40 / size)
        target = Grid((n, n, n), _affine([0, 0, 0], [size, size, size], [4, 4, 4]))
        return float(np.asanyarray(resample_image(image, target, np.eye(4), 3).dataobj).std())

    assert spread(1.0) == pytest.approx(1, abs=0.05)
    assert spread(2.0) < 0.4
    assert spread(4.0) < 0.15
    constant = new_image(np.full((30, 30, 30), 7, np.float32), np.eye(4))
    target = Grid((4, 4, 4), _affine([0, 0, 0], [3, 3, 3], [8, 8, 8]))
    np.testing.assert_allclose(np.asanyarray(resample_image(constant, target, np.eye(4), 3).dataobj), 7, rtol=1e-5)


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("size", [0.9, 1.0, 2.5])
def test_the_voxels_inside_a_mask_get_the_bits_that_the_whole_grid_gives(order: int, size: float) -> None:
    data = np.random.default_rng(1).random((20, 22, 24), dtype=np.float32)
    image = new_image(data, _affine([20, -35, 110], [1.1, 1.3, 0.9], [-9, 4, 7], 0.2))
    matrix = _affine([-7, 3, 12], [1, 1.05, 1], [0.3, -2.1, 1.7])
    centre = apply_affine(np.linalg.inv(matrix) @ image.affine, [[10, 11, 12]])[0]
    grid = Grid((25, 26, 27), _affine([0, 0, 0], [size, size, size], (centre - 13 * size).tolist()))
    inside = np.random.default_rng(2).random(grid.shape) < 0.4
    whole = np.asanyarray(resample_image(image, grid, matrix, order).dataobj)
    masked = MaskedGrid(grid.shape, grid.affine, inside)
    part = np.asanyarray(resample_image(image, masked, matrix, order).dataobj)
    assert np.count_nonzero(whole[inside]) > 200
    np.testing.assert_array_equal(part, np.where(inside, whole, np.float32(0)))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="compilers fuse the sums of SciPy elsewhere")
@pytest.mark.parametrize("order", [0, 1, 3])
def test_rounding_at_the_borders_is_the_same_inside_a_mask(order: int) -> None:
    """On the image's own oblique grid, the last digit decides whether a border voxel lies in the field of view."""
    data = np.random.default_rng(1).random((20, 22, 24), dtype=np.float32) + 1
    image = new_image(data, _affine([20, -35, 110], [1.1, 1.3, 0.9], [-9, 4, 7], 0.2))
    grid = grid_of(image)
    whole = np.asanyarray(resample_image(image, grid, np.eye(4), order).dataobj)
    inside = MaskedGrid(grid.shape, grid.affine, np.ones(grid.shape, dtype=bool))
    assert order == 0 or 0 < np.count_nonzero(whole == 0) < 5000
    np.testing.assert_array_equal(np.asanyarray(resample_image(image, inside, np.eye(4), order).dataobj), whole)


def test_nothing_inside_gives_nothing() -> None:
    grid = MaskedGrid((5, 6, 7), np.eye(4), np.zeros((5, 6, 7), dtype=bool))
    out = resample_image(new_image(np.ones((9, 9, 9), np.float32), np.eye(4)), grid, np.eye(4), 3)
    assert not np.asanyarray(out.dataobj).any()


@settings(max_examples=25, deadline=None)
@given(
    st.permutations([0, 1, 2]),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.tuples(*[st.floats(0.7, 2.5)] * 3),
    st.tuples(*[st.floats(-0.3, 0.3)] * 3),
)
def test_resampling_keeps_world_coordinates(order, signs, sizes, angles):
    """A field that is linear in world coordinates is reproduced exactly wherever the grids overlap."""
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        one, two = [a for a in range(3) if a != axis]
        rotation = np.eye(3)
        rotation[[one, two], [one, two]] = np.cos(angle)
        rotation[one, two], rotation[two, one] = -np.sin(angle), np.sin(angle)
        turn = turn @ rotation
    wanted = np.eye(4)
    wanted[:3, :3] = turn @ np.eye(3)[:, order] @ np.diag(np.array(signs) * sizes)
    wanted[:3, 3] = -wanted[:3, :3] @ [2.5, 2.5, 2.5]
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -19
    i, j, k = np.indices((20, 20, 20))
    field = 3 * (2 * i - 19) - 2 * (2 * j - 19) + (2 * k - 19) + 500.0
    moved = resample_linear(field.astype(np.float32), affine, (6, 6, 6), wanted)
    world = np.einsum("ab,bijk->aijk", wanted[:3, :3], np.indices((6, 6, 6))) + wanted[:3, 3][:, None, None, None]
    inside = (np.abs(world) < 18.9).all(axis=0)
    assert inside.any()
    np.testing.assert_allclose(moved[inside], (3 * world[0] - 2 * world[1] + world[2] + 500)[inside], rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-180, 180), min_size=3, max_size=3),
    st.lists(st.floats(0.5, 3), min_size=3, max_size=3),
    st.lists(st.floats(-15, 15), min_size=3, max_size=3),
    st.tuples(*[st.tuples(st.integers(0, 9), st.integers(1, 6))] * 3),
)
def test_carrying_part_of_a_grid_gives_what_the_whole_grid_gives(angles, sizes, origin, box) -> None:
    """Only what can be other than 0 is computed; where the values lie at an image's border, too."""
    volume = np.zeros((12, 11, 10), dtype=np.float32)
    filled = tuple(slice(start, start + length) for start, length in box)
    volume[filled] = np.random.default_rng(0).uniform(0.5, 1, volume[filled].shape)
    affine, wanted = np.diag([2.0, 2.0, 2.0, 1.0]), _affine(angles, sizes, origin)
    to_source = np.linalg.inv(affine) @ wanted
    plain = ndimage.affine_transform(
        volume, to_source[:3, :3], to_source[:3, 3], output_shape=(14, 13, 12), order=1, cval=0.0
    )
    moved = resample_linear(volume, affine, (14, 13, 12), wanted)
    # Voxels on the very border of the image may fall to its other side: the positions are summed in another order.
    position = (
        np.einsum("ab,bijk->aijk", to_source[:3, :3], np.indices(moved.shape)) + to_source[:3, 3][:, None, None, None]
    )
    size = np.array(volume.shape)[:, None, None, None]
    clear = (np.minimum(np.abs(position), np.abs(position - (size - 1))) > 1e-9).all(axis=0)
    np.testing.assert_allclose(moved[clear], plain[clear], atol=1e-5)
    assert not resample_linear(np.zeros_like(volume), affine, (14, 13, 12), wanted).any()


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(-2, 2)] * 3))
def test_resample_linear__a_mask_moves_by_the_inverse_of_its_motion(shift):
    mask = np.zeros((12, 12, 12), dtype=np.float32)
    mask[4:7, 5:8, 3:9] = 1
    matrix = np.eye(4)
    matrix[:3, 3] = np.array(shift) * 2.0
    grid = np.diag([2.0, 2.0, 2.0, 1.0])
    moved = resample_linear(mask, grid, (12, 12, 12), matrix @ grid)
    np.testing.assert_allclose(moved, np.roll(mask, [-s for s in shift], axis=(0, 1, 2)), atol=1e-5)


def test_resample_linear__a_box_is_that_part_of_the_whole():
    image = np.random.default_rng(0).random((10, 12, 14), dtype=np.float32)
    grid = np.array([[1.5, 0.1, 0, 2], [0, 1.2, 0.2, 1], [0, 0, 1.1, 3], [0, 0, 0, 1]])
    box = (slice(2, 6), slice(0, 5), slice(3, 9))
    whole = resample_linear(image, np.eye(4), (8, 9, 9), grid)
    part = resample_linear(image, np.eye(4), (8, 9, 9), grid, box)
    np.testing.assert_allclose(part[box], whole[box], atol=1e-5)
    assert (whole[box] > 0).any()
    assert part.sum() == pytest.approx(part[box].sum())


def test_resample_linear__a_coarser_grid_keeps_the_volume():
    mask = np.zeros((16, 16, 16), dtype=np.float32)
    mask[4:12, 4:12, 4:12] = 1
    coarse = np.diag([2.0, 2.0, 2.0, 1.0])
    coarse[:3, 3] = 0.5
    seen = resample_linear(mask, np.eye(4), (8, 8, 8), coarse)
    assert seen.sum() * 8 == pytest.approx(mask.sum())
