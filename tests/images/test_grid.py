"""The prepared grid: a constant field of view around the brain, in the world of the image."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import Grid, apply_affine, axial_grid, grid_of, mask_bounds, new_image


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Any axis order and flip, obliquity, voxel size, shear and origin."""
    order = draw(st.permutations([0, 1, 2]))
    signs = draw(st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3))
    angles = draw(st.lists(st.floats(-40, 40), min_size=3, max_size=3))
    sizes = draw(st.lists(st.floats(0.5, 4.0), min_size=3, max_size=3))
    shear = draw(st.floats(-0.2, 0.2))
    linear = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.eye(3)[:, order]
    linear = linear @ np.diag(np.array(signs) * sizes)
    linear[:, 0] += shear * linear[:, 1]
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = draw(st.lists(st.floats(-300, 300), min_size=3, max_size=3))
    return affine


@st.composite
def masks(draw: st.DrawFn) -> nib.Nifti1Image:
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    inside = np.zeros((12, 14, 16), dtype=np.uint8)
    points = rng.integers(1, 11, (draw(st.integers(1, 30)), 3))
    inside[tuple(points.T)] = 1
    return new_image(inside, draw(affines()))


@settings(max_examples=60, deadline=None)
@given(masks(), st.sampled_from([1.0, 2.0, 4.0]))
def test_the_brain_is_never_cut(mask: nib.Nifti1Image, voxel_size: float) -> None:
    grid = axial_grid(mask, voxel_size)
    assert grid.shape == tuple(round(mm / voxel_size) for mm in (256, 256, 192))
    world = apply_affine(mask.affine, np.argwhere(np.asanyarray(mask.dataobj) > 0))
    index = apply_affine(np.linalg.inv(grid.affine), world)
    assert np.all(index >= -0.5)
    assert np.all(index <= np.array(grid.shape) - 0.5)


@settings(max_examples=60, deadline=None)
@given(masks())
def test_the_grid_is_centred_and_axis_aligned(mask: nib.Nifti1Image) -> None:
    grid = axial_grid(mask, 2.0)
    low, high = mask_bounds(mask)
    centre = apply_affine(grid.affine, [(np.array(grid.shape) - 1) / 2])[0]
    assert np.all(np.abs(centre - (low + high) / 2) <= 0.5 + 1e-9)
    np.testing.assert_allclose(grid.affine[:3, :3], 2 * np.eye(3))


@settings(max_examples=40, deadline=None)
@given(masks())
def test_bounds_hold_every_voxel_corner(mask: nib.Nifti1Image) -> None:
    low, high = mask_bounds(mask)
    voxels = np.argwhere(np.asanyarray(mask.dataobj) > 0)
    steps = np.array(np.meshgrid(*[[-0.5, 0.5]] * 3)).reshape(3, -1).T
    corners = apply_affine(mask.affine, (voxels[:, None] + steps).reshape(-1, 3))
    np.testing.assert_allclose(low, corners.min(axis=0), atol=1e-6)
    np.testing.assert_allclose(high, corners.max(axis=0), atol=1e-6)


def test_coarse_grid_covers_exactly_the_fine_one() -> None:
    mask = new_image(np.ones((5, 6, 7), np.uint8), np.diag([3.3, 2.1, 1.7, 1.0]))
    fine, coarse = axial_grid(mask, 1.0), axial_grid(mask, 2.0)
    np.testing.assert_allclose(apply_affine(fine.affine, [[-0.5] * 3]), apply_affine(coarse.affine, [[-0.5] * 3]))


def test_empty_and_too_large_masks_are_refused() -> None:
    with pytest.raises(
        ImageError, match=r"^the brain mask is empty, so no grid can be centred on it; check the image$"
    ):
        axial_grid(new_image(np.zeros((5, 5, 5), np.uint8), np.eye(4)), 1.0)
    tall = np.zeros((4, 4, 100), np.uint8)
    tall[2, 2, [0, 99]] = 1
    with pytest.raises(
        ImageError, match=r"^the brain mask measures 2 x 2 x 200 mm and does not fit into 256 x 256 x 192"
    ):
        axial_grid(new_image(tall, np.diag([2.0, 2.0, 2.0, 1.0])), 1.0)


@pytest.mark.parametrize(("bottom", "height", "fits"), [(0, 192, True), (0, 192.6, False), (0.4, 192.6, False)])
def test_axial_grid__brain_as_high_as_the_field_of_view(bottom: float, height: float, fits: bool) -> None:
    """The centre is rounded to whole millimetres, so a little too much may hang out on one side alone."""
    affine = np.diag([1.0, 1.0, height, 1.0])
    affine[2, 3] = bottom + height / 2
    mask = new_image(np.ones((1, 1, 1), np.uint8), affine)
    np.testing.assert_allclose([end[2] for end in mask_bounds(mask)], [bottom, bottom + height])
    if fits:
        np.testing.assert_array_equal(
            axial_grid(mask, 1.0).affine, [[1, 0, 0, -127.5], [0, 1, 0, -127.5], [0, 0, 1, 0.5], [0, 0, 0, 1]]
        )
    else:
        with pytest.raises(ImageError, match="does not fit"):
            axial_grid(mask, 1.0)


def test_axial_grid__voxel_edges_lie_at_whole_millimetres() -> None:
    affine = np.diag([1.3, -1.7, 2.1, 1.0])
    affine[:3, 3] = (0.11, 20.3, -7.77)
    for voxel_size in (1.0, 2.0, 4.0):
        grid = axial_grid(new_image(np.ones((50, 60, 40), np.uint8), affine), voxel_size)
        edges = grid.affine[:3, 3] - voxel_size / 2
        np.testing.assert_array_equal(edges, np.round(edges))
        np.testing.assert_array_equal(grid.affine[3], [0, 0, 0, 1])


def test_equals__a_difference_at_the_far_corner_alone_counts() -> None:
    grid = Grid((11, 21, 31), np.eye(4))
    for axis, n in enumerate(grid.shape):
        stretched = np.eye(4)
        stretched[axis, axis] += 0.5 / (n - 1)
        other = Grid(grid.shape, stretched)
        assert grid.equals(other, tolerance=0.5001)
        assert not grid.equals(other, tolerance=0.4999)
    # A turn about the far corner moves the near one alone.
    turned = np.eye(4)
    turned[0, 1], turned[0, 3] = 0.01, -0.2
    assert grid.equals(Grid(grid.shape, turned), tolerance=0.2001)
    assert not grid.equals(Grid(grid.shape, turned), tolerance=0.1999)
    assert grid.equals(Grid(grid.shape, np.eye(4)), tolerance=0)


def test_new_image__keeps_the_header_that_it_is_given() -> None:
    header = nib.Nifti1Header()
    header["descrip"] = b"of another image"
    image = new_image(np.zeros((2, 2, 2), np.int16), np.diag([3.0, 3.0, 3.0, 1.0]), header)
    assert image.header["descrip"] == b"of another image"
    assert image.header is not header
    np.testing.assert_array_equal(image.affine, np.diag([3, 3, 3, 1]))
    assert new_image(np.zeros((2, 2, 2), np.int16), np.eye(4)).get_data_dtype() == np.int16


def test_grid_of_takes_three_dimensions_and_equality_sees_shifts() -> None:
    image = new_image(np.zeros((4, 5, 6, 2), np.float32), np.diag([2.0, 3.0, 4.0, 1.0]))
    grid = grid_of(image)
    assert grid.shape == (4, 5, 6)
    np.testing.assert_allclose(grid.voxel_sizes, [2, 3, 4])
    moved = grid.affine.copy()
    moved[0, 3] += 0.01
    assert grid.equals(grid_of(image))
    assert not grid.equals(Grid(grid.shape, moved))
    assert not grid.equals(Grid((4, 5, 7), grid.affine))
