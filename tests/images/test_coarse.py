import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.images.coarse import Coarse
from bids_spectsynth.images.grid import apply_affine


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.sampled_from((-3.0, -1.0, 1.0, 1.5, 2.0, 5.0))] * 3),
    st.sampled_from((3.0, 4.0, 8.0)),
    st.integers(0, 2**31),
)
def test_coarse__each_kept_voxel_lies_where_it_lay(
    steps: tuple[float, float, float], spacing: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = rng.uniform(-50, 50, 3)
    mask = np.zeros((20, 17, 23), dtype=bool)
    low = rng.integers(0, 8, 3)
    high = low + rng.integers(1, 10, 3)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    coarse = Coarse(mask, affine, spacing)
    grid = coarse.grid
    points = apply_affine(affine, np.indices(mask.shape).reshape(3, -1).T)
    for axis in range(3):
        kept = coarse.take(points[:, axis].reshape(mask.shape))
        assert kept.shape == grid.shape
        wanted = apply_affine(grid.affine, np.indices(grid.shape).reshape(3, -1).T)[:, axis]
        np.testing.assert_allclose(kept.ravel(), wanted, atol=1e-9)
    np.testing.assert_array_equal(coarse.take(mask), grid.inside)
    # About the wanted distance, never finer than the voxels, and never without a brain.
    np.testing.assert_allclose(grid.voxel_sizes, np.abs(steps) * np.maximum(1, np.round(spacing / np.abs(steps))))
    assert grid.inside.any()


def test_coarse__takes_one_voxel_of_each_cell_of_the_brain() -> None:
    mask = np.zeros((24, 24, 24), dtype=bool)
    mask[4:20, 6:18, 5:21] = True
    coarse = Coarse(mask, np.eye(4), 4.0)
    assert coarse.step == (4, 4, 4)
    assert coarse.grid.shape == (4, 3, 4)
    assert coarse.grid.inside.all()


def test_coarse__an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="the brain mask is empty"):
        Coarse(np.zeros((3, 3, 3), dtype=bool), np.eye(4), 4.0)
