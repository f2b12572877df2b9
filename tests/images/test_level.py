import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.images.level import mode_of_ratio, voxel_ratios


@given(st.floats(0.02, 50), st.integers(0, 100))
def test_mode_of_ratio__a_part_that_changed_has_no_vote(level: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    second = rng.uniform(40, 80, 20_000)
    first = level * second * rng.normal(1, 0.03, second.size)
    first[:4000] *= 1.3
    assert mode_of_ratio(first, second) == pytest.approx(level, rel=0.006)
    assert first.mean() / second.mean() > 1.05 * level


def test_voxel_ratios__of_voxels_that_tell() -> None:
    first, second = np.array([3.0, 0.0, 8.0, 5.0]), np.array([10.0, 10.0, 16.0, 1.0])
    np.testing.assert_allclose(voxel_ratios(first, second), [0.3, 0.5])


def test_mode_of_ratio__where_nothing_tells() -> None:
    assert np.isnan(mode_of_ratio(np.zeros(5), np.ones(5)))
    assert np.isnan(mode_of_ratio(np.ones(5), -np.ones(5)))
    assert mode_of_ratio(np.array([3.0]), np.array([2.0])) == 1.5
    assert mode_of_ratio(np.full(9, 4.0), np.full(9, 2.0)) == 2
