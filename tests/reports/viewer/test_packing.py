import gzip
from base64 import b64decode

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bids_spectsynth.reports.viewer.packing import COARSE, FINE, brain_box, coarsen, crop, pack, unpack

VALUES = arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.floats(-1000, 1000, width=32))


@settings(deadline=None)
@given(VALUES, st.sampled_from([1, COARSE, COARSE + 1, FINE, 65534]))
def test_pack__values_return_to_half_a_step_and_zero_exactly(values, steps):
    packed = pack(values, np.eye(4), steps)
    returned = unpack(packed)
    assert returned.shape == values.shape
    assert np.abs(returned - values).max() <= packed.slope * 0.501 + 1e-3
    assert (returned[values == 0] == 0).all()
    assert packed.bits == (8 if steps <= COARSE else 16)


def test_pack__what_is_above_the_highest_is_the_highest():
    values = np.array([[[0, 50, 100, 900]]], dtype=np.float32)
    returned = unpack(pack(values, np.eye(4), COARSE, highest=100))
    assert returned.ravel() == pytest.approx([0, 50, 100, 100], abs=0.5)


def test_pack__equal_volumes_give_equal_text_in_order_of_i():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    packed = pack(values, np.eye(4), 23)
    assert packed.data == pack(values.copy(), np.eye(4), 23).data
    numbers = np.frombuffer(gzip.decompress(b64decode(packed.data)), np.uint8).tolist()
    stored = np.reshape([n // 2 if n % 2 == 0 else -(n + 1) // 2 for n in numbers], values.shape, order="F")
    for axis in range(packed.axes):
        stored = stored.cumsum(axis)
    assert stored.tolist() == values.tolist()


def test_pack__smooth_volumes_are_stored_along_three_axes_and_take_less_room():
    i, j, k = np.indices((20, 22, 24))
    smooth = (np.sin(i / 9) * np.cos(j / 8) * np.sin(k / 7)).astype(np.float32)
    noise = np.random.default_rng(3).standard_normal(smooth.shape).astype(np.float32)
    assert (pack(smooth, np.eye(4)).axes, pack(noise, np.eye(4)).axes) == (3, 1)
    assert len(pack(smooth, np.eye(4)).data) < 0.5 * len(pack(noise, np.eye(4)).data)


@pytest.mark.parametrize("steps", [0, 65535])
def test_pack__steps_that_cannot_be_stored_are_refused(steps):
    with pytest.raises(ValueError, match="steps"):
        pack(np.zeros((1, 1, 1), np.float32), np.eye(4), steps)


def test_crop__places_in_the_world_stay():
    rng = np.random.default_rng(1)
    values, affine = (
        rng.random((6, 7, 8), np.float32),
        np.array([[0, -2, 0, 5], [3, 0, 0, 1], [0, 0, 4, -9], [0, 0, 0, 1.0]]),
    )
    part, own = crop(values, affine, (slice(1, 4), slice(2, 7), slice(3, 5)))
    assert part[1, 2, 1] == values[2, 4, 4]
    assert own @ [1, 2, 1, 1] == pytest.approx(affine @ [2, 4, 4, 1])


def test_brain_box__margin_ends_at_the_grid():
    mask = np.zeros((10, 10, 10), bool)
    mask[1:3, 4:6, 9] = True
    assert brain_box(mask) == (slice(0, 5), slice(2, 8), slice(7, 10))
    assert brain_box(np.zeros((3, 4, 5), bool)) == (slice(0, 3), slice(0, 4), slice(0, 5))


def test_coarsen__means_of_blocks_lie_in_their_middle():
    values = np.random.default_rng(2).random((4, 6, 5), dtype=np.float32)
    means, affine = coarsen(values, np.diag([1.0, 1.0, 2.0, 1.0]), np.ones((4, 6, 5), bool))
    assert means.shape == (2, 3, 5)
    assert means[1, 2, 3] == pytest.approx(values[2:4, 4:6, 3].mean())
    assert affine @ [1, 2, 3, 1] == pytest.approx([2.5, 4.5, 6, 1])


def test_coarsen__edge_stays_sharp():
    inside = np.zeros((4, 4, 4), bool)
    inside[:3] = True
    means, _ = coarsen(np.full((4, 4, 4), 7, np.float32), np.eye(4), inside)
    assert (means == 7).all(), "of half a block the mean is that of its inside"
    inside[2, 1:] = inside[2, :, 1:] = False
    means, _ = coarsen(np.full((4, 4, 4), 7, np.float32), np.eye(4), inside)
    assert (means[1] == 0).all()


def test_coarsen__a_coarse_grid_stays_and_what_is_outside_goes():
    values, inside = np.ones((2, 2, 2), np.float32), np.eye(2, dtype=bool)[..., None] & np.ones(2, bool)
    means, affine = coarsen(values, np.diag([4.0, 4, 4, 1]), inside)
    assert (means == inside).all()
    assert (affine == np.diag([4.0, 4, 4, 1])).all()
