import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bids_spectsynth.images.grid import Grid
from bids_spectsynth.siscom.foci.midplane import labelled_midplane, mask_midplane, template_midplane

angles = st.floats(-25, 25)
shifts = st.floats(-20, 20)
flips = st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)


def pose(angle: tuple[float, float, float], shift: tuple[float, float, float], scale: float = 1.1) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = scale * Rotation.from_euler("xyz", angle, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


@given(st.tuples(angles, angles, angles), st.tuples(shifts, shifts, shifts))
def test_template_midplane__points_right_of_the_template_s_middle_lie_right_by_their_distance(angle, shift) -> None:
    matrix = pose(angle, shift)
    plane = template_midplane(matrix)
    for x in (-30.0, -1.0, 0.0, 1.0, 30.0):
        point = matrix @ [x, 17.0, -5.0, 1.0]
        assert np.isclose(plane.distance(point[None, :3])[0], 1.1 * x)
        assert plane.sides(point[None, :3]) == ["M" if abs(x) <= 1 else "L" if x < 0 else "R"]


@given(flips, st.permutations(range(3)), st.tuples(angles, angles, angles), st.tuples(shifts, shifts, shifts))
def test_side_map__every_orientation_of_the_voxels_gives_the_side_of_the_voxel_s_world_point(
    flip, order, angle, shift
) -> None:
    voxels = np.eye(4)
    voxels[:3, :3] = (np.diag(flip) * 6)[:, list(order)]
    voxels[:3, 3] = -np.array(flip) * 27
    plane = template_midplane(pose(angle, shift))
    grid = Grid((10, 9, 8), pose(angle, shift, 1.0) @ voxels)
    index = np.indices(grid.shape).reshape(3, -1)
    points = (grid.affine[:3, :3] @ index).T + grid.affine[:3, 3]
    distance = plane.distance(points)
    clear = np.abs(np.abs(distance) - 2) > 1e-3  # single precision
    expected = np.where(np.abs(distance) <= 2, 0, np.sign(distance))
    np.testing.assert_array_equal(plane.side_map(grid).ravel()[clear], expected[clear])


@given(st.tuples(angles, angles, angles), st.tuples(shifts, shifts, shifts))
def test_labelled_midplane__plane_between_halves_that_mirror_each_other(angle, shift) -> None:
    half = np.random.default_rng(3).normal((30, -10, 5), (10, 30, 25), (200, 3))
    points = np.concatenate([half, half * (-1, 1, 1)])
    matrix = pose(angle, shift, 1.0)
    plane = labelled_midplane(points @ matrix[:3, :3].T + matrix[:3, 3], np.repeat([1.0, -1.0], 200))
    np.testing.assert_allclose(plane.normal, matrix[:3, 0], atol=1e-6)
    assert abs(plane.distance(np.array([shift]))[0]) < 1e-6


@given(flips)
def test_mask_midplane__through_the_centre_in_every_orientation(flip) -> None:
    affine = np.diag([*(3.0 * np.array(flip)), 1.0])
    affine[0, 3] = 11.0
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[2:5, 3:6, 3:6] = True
    centre = 11.0 + flip[0] * 9.0
    assert np.isclose(mask_midplane(mask, affine).distance(np.array([[centre + 4, 0, 0]]))[0], 4.0)
