import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bids_spectsynth.synthesis.data.orientation import ORIENTATIONS, from_slices, to_slices

SHAPES = st.tuples(*[st.integers(1, 7)] * 3)


@given(shape=SHAPES, orientation=st.sampled_from(ORIENTATIONS), data=st.data())
def test_there_and_back(shape, orientation, data):
    volume = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(-1, 1, width=32)))
    stack = to_slices(volume, orientation, -1)
    assert np.array_equal(from_slices(stack, orientation, shape), volume)
    if orientation != "axial":
        assert stack.shape[0] == stack.shape[1]


@given(shape=SHAPES, orientation=st.sampled_from(ORIENTATIONS))
def test_margins_hold_the_fill_and_nothing_is_lost(shape, orientation):
    stack = to_slices(np.ones(shape), orientation, 0)
    assert stack.sum() == np.prod(shape)


@pytest.mark.parametrize(("orientation", "axis"), [("axial", 2), ("coronal", 1), ("sagittal", 0)])
def test_slices_run_along_the_axis_that_the_name_says(orientation, axis):
    volume = np.arange(2 * 3 * 4, dtype=float).reshape(2, 3, 4)
    stack = to_slices(volume, orientation, np.nan)
    for k in range(volume.shape[axis]):
        assert set(stack[..., k][np.isfinite(stack[..., k])]) == set(volume.take(k, axis).ravel())


def test_channels_stay_in_front():
    volume = np.random.default_rng(1).normal(size=(2, 4, 6, 5))
    stack = to_slices(volume, "coronal", 0)
    assert np.array_equal(stack[1], to_slices(volume[1], "coronal", 0))
