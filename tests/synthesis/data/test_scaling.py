"""Scaling of slices, and the block that is learnt from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bids_spectsynth.synthesis.data.scaling import apply_scaling, scaling_coefficients, slice_block

volumes = hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(0, 1000, width=32).map(lambda v: float(np.float32(v))))


@settings(max_examples=60, deadline=None)
@given(volumes)
def test_slice_scaling_spans_the_range_and_can_be_undone(volume: np.ndarray) -> None:
    slope, intercept = scaling_coefficients(volume, np.ones(volume.shape, bool), "slice")
    scaled = apply_scaling(volume, slope, intercept)
    assert scaled.dtype == np.float32
    for k in range(volume.shape[2]):
        span = float(volume[..., k].max()) - float(volume[..., k].min())
        if span == 0:
            assert (slope[k], intercept[k]) == (0.0, -1.0)
            continue
        assert scaled[..., k].min() == pytest.approx(-1, abs=1e-5)
        assert scaled[..., k].max() == pytest.approx(1, abs=1e-5)
        back = (scaled[..., k].astype(np.float64) - intercept[k]) / slope[k]
        np.testing.assert_allclose(back, volume[..., k], atol=span * 1e-6 + 1e-6 * float(volume[..., k].max()))


def test_volume_scaling_is_one_line_for_all_slices() -> None:
    rng = np.random.default_rng(1)
    mask = np.zeros((20, 20, 20), bool)
    mask[4:16, 4:16, 4:16] = True
    volume = np.where(mask, rng.uniform(10, 90, mask.shape), 0)
    slope, intercept = scaling_coefficients(volume, mask, "volume")
    assert np.unique(slope).size == np.unique(intercept).size == 1
    assert 0 * slope[0] + intercept[0] == -1
    assert np.percentile(volume[mask], 99.8) * slope[0] + intercept[0] == pytest.approx(1)
    assert apply_scaling(volume, slope, intercept).max() == 1
    nothing, low = scaling_coefficients(np.zeros((4, 4, 4)), np.zeros((4, 4, 4), bool), "volume")
    assert not nothing.any()
    assert (low == -1).all()


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.bool_, (2, 2, 12)), st.integers(1, 15))
def test_slice_block_has_the_most_brain(mask: np.ndarray, n: int) -> None:
    block = slice_block(mask, n)
    counts = mask.sum(axis=(0, 1))
    width = min(n, 12)
    assert block.stop - block.start == width
    assert counts[block].sum() == max(counts[s : s + width].sum() for s in range(12 - width + 1))


def test_slice_block_centres_a_small_brain() -> None:
    mask = np.zeros((2, 2, 20), bool)
    mask[:, :, 9:11] = True
    assert slice_block(mask, 6) == slice(7, 13)
