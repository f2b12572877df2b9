import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.reports.pictures.views import AXIS, Frame, View, frame_of, slice_of, views_across

PLANES = ("axial", "coronal", "sagittal")


@st.composite
def boxes(draw):
    shape = draw(st.tuples(*[st.integers(4, 12)] * 3))
    ranges = [sorted(draw(st.lists(st.integers(0, n - 1), min_size=2, max_size=2))) for n in shape]
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(low, high + 1) for low, high in ranges)] = True
    return mask


@given(boxes(), st.sampled_from(PLANES), st.integers(1, 9))
def test_slices_lie_in_the_mask_in_order(mask, plane, n):
    positions = [view.at for view in views_across(mask, plane, n)]
    assert len(positions) == n
    assert positions == sorted(positions)
    assert all(np.take(mask, at, axis=AXIS[plane]).any() for at in positions)


@given(boxes(), st.floats(0.5, 4), st.floats(0, 20))
def test_frame_holds_the_mask_and_stays_on_the_grid(mask, voxel, margin):
    frame = frame_of(mask, np.diag([voxel, voxel, voxel, 1.0]), margin)
    assert mask[frame.box].sum() == mask.sum()
    assert all(0 <= part.start < part.stop <= n for part, n in zip(frame.box, mask.shape, strict=True))


def test_an_empty_mask_shows_the_whole_grid():
    mask = np.zeros((5, 6, 7), dtype=bool)
    assert frame_of(mask, np.eye(4)).box == (slice(0, 5), slice(0, 6), slice(0, 7))
    assert [view.at for view in views_across(mask, "axial", 1)] == [3]


def test_columns_grow_to_the_right_or_front_and_rows_to_the_top_or_front():
    i, j, k = np.indices((3, 4, 5)).astype(np.float32)
    frame = frame_of(np.ones((3, 4, 5), dtype=bool), np.eye(4))
    for plane, across, up in (("axial", i, j), ("coronal", i, k), ("sagittal", j, k)):
        view = View(plane, 1)
        assert (np.diff(slice_of(across, view, frame), axis=1) == 1).all()
        assert (np.diff(slice_of(up, view, frame), axis=0) == 1).all()


def test_positions_and_sizes_are_in_millimetres():
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = [-10, -20, -30]
    frame = Frame((slice(0, 5), slice(2, 6), slice(1, 4)), affine)
    assert frame.position(View("axial", 2)) == -22
    assert frame.position(View("sagittal", 3)) == -4
    assert frame.size_mm("axial") == (10, 12)
    assert frame.size_mm("coronal") == (10, 12)
    assert frame.size_mm("sagittal") == pytest.approx((12, 12))
