import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bids_spectsynth.dicom.geometry import Placement, affine_of, axial, frames_of, placement_of, volume_of
from bids_spectsynth.errors import ImageError

SHAPE = (3, 4, 5)
_angles = st.tuples(*[st.floats(-180, 180)] * 3)
_sizes = st.tuples(*[st.floats(0.2, 12)] * 3)
_shifts = st.tuples(*[st.floats(-500, 500)] * 3)
_flips = st.tuples(*[st.sampled_from([-1, 1])] * 3)


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", draw(_angles), degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(np.array(draw(_sizes)) * draw(_flips))
    affine[:3, 3] = draw(_shifts)
    return affine


@given(affines())
def test_placement_of__is_the_inverse_of_affine_of(affine: np.ndarray) -> None:
    placement = placement_of(affine)
    np.testing.assert_allclose(affine_of(placement), affine, atol=1e-6)
    assert (placement.spacing > 0) == (np.linalg.det(affine[:3, :3]) > 0)
    np.testing.assert_allclose([np.linalg.norm(placement.row), np.linalg.norm(placement.column)], 1)
    assert abs(placement.row @ placement.column) < 1e-9


@given(affines())
def test_axial__every_voxel_stays_where_it_is_and_spacing_is_positive(affine: np.ndarray) -> None:
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    frames, placement = axial(values, affine)
    assert placement.spacing > 0
    turned, back = affine_of(placement), volume_of(frames)
    # Rows to the left, columns to the back, frames upwards, as far as the axes allow.
    assert (np.diag(turned)[:3] * [-1, -1, 1] >= -1e-6).all()
    for voxel in np.argwhere(np.ones(back.shape, bool)):
        world = turned[:3, :3] @ voxel + turned[:3, 3]
        source = np.rint(np.linalg.solve(affine[:3, :3], world - affine[:3, 3])).astype(int)
        assert values[tuple(source)] == back[tuple(voxel)]


def test_axial__plain_grid_goes_to_left_back_and_top() -> None:
    frames, placement = axial(np.zeros(SHAPE), np.diag([2.0, 2.0, 3.0, 1.0]))
    assert frames.shape == (5, 4, 3)
    assert placement.orientation == [1, 0, 0, 0, 1, 0]
    # The rightmost, foremost, lowest voxel in LPS+.
    np.testing.assert_allclose(placement.position, [-4, -6, 0])


def test_affine_of__frames_with_negative_spacing_go_against_the_normal() -> None:
    axes = np.eye(3)
    placement = Placement(np.array([0.0, 0.0, 90.0]), axes[0], axes[1], (1.0, 1.0), -3.0)
    np.testing.assert_allclose(placement.frame_position(10), [0, 0, 60])
    assert affine_of(placement)[2, 2] == -3


def test_placement_of__shear_is_refused() -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.1
    with pytest.raises(ImageError, match="not orthogonal"):
        placement_of(affine)


def test_placement_of__an_axis_without_length_is_refused() -> None:
    with pytest.raises(ImageError, match="cannot be inverted"):
        placement_of(np.diag([1.0, 0.0, 1.0, 1.0]))


def test_frames_of__a_column_is_an_i_a_row_a_j_a_frame_a_k() -> None:
    values = np.arange(60).reshape(SHAPE)
    frames = frames_of(values)
    assert frames[4, 3, 2] == values[2, 3, 4]
    assert (volume_of(frames) == values).all()
