import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from bids_spectsynth.phantom.smooth import (
    bspline_weights,
    integrate_velocity,
    jacobian_determinant,
    node_lattice,
    random_field,
)


def test_random_field_has_unit_variance_and_the_asked_smoothness():
    fields = np.stack([random_field(np.random.default_rng(seed), (32, 32, 32), 2.0) for seed in range(4)])
    assert fields.std() == pytest.approx(1.0, abs=0.1)
    neighbour = np.mean(fields[:, 1:] * fields[:, :-1]) / fields.var()
    # Autocorrelation of Gaussian-filtered white noise at distance d is exp(-d^2 / (4 sigma^2)).
    assert neighbour == pytest.approx(np.exp(-1 / 16), abs=0.03)


@given(st.floats(2.0, 7.0), st.integers(10, 14))
@settings(max_examples=20, deadline=None)
def test_bspline_weights_reproduce_straight_lines(position, n_nodes):
    weights = bspline_weights(np.array([position]), n_nodes)
    assert weights.sum() == pytest.approx(1.0, abs=1e-5)
    assert float(weights[0] @ np.arange(n_nodes)) == pytest.approx(position, abs=1e-4)


def test_refined_positions_are_the_fine_grids_positions():
    lower = np.array([-30.0, -20.0, 5.0])
    lattice = node_lattice(lower, 1.5, (21, 17, 9), 5.0)
    fine = np.stack([lattice.refine(part) for part in lattice.positions()])
    assert fine.shape == (3, 21, 17, 9)
    np.testing.assert_allclose(fine[:, 4, 3, 2], lower + 1.5 * np.array([4, 3, 2]), atol=1e-3)
    np.testing.assert_allclose(fine[:, -1, -1, -1], lower + 1.5 * np.array([20, 16, 8]), atol=1e-3)


def test_constant_velocity_moves_by_itself():
    velocity = np.zeros((3, 8, 8, 8), np.float32)
    velocity[1] = 3.0
    displacement = integrate_velocity(velocity, 4.0)
    np.testing.assert_allclose(displacement[1], 3.0, rtol=1e-5)
    np.testing.assert_allclose(displacement[[0, 2]], 0.0)
    np.testing.assert_allclose(jacobian_determinant(displacement, 4.0), 1.0, atol=1e-5)


def test_flow_and_reverse_flow_cancel():
    rng = np.random.default_rng(0)
    velocity = np.stack([3.0 * random_field(rng, (20, 20, 20), 4.0) for _ in range(3)])
    forward, backward = integrate_velocity(velocity, 5.0), integrate_velocity(-velocity, 5.0)
    nodes = np.stack(np.meshgrid(*[np.arange(20.0)] * 3, indexing="ij"))
    returned = forward + np.stack([map_coordinates(part, nodes + forward / 5.0, order=1) for part in backward])
    centre = (slice(None), slice(5, 15), slice(5, 15), slice(5, 15))
    assert np.abs(returned[centre]).mean() < 0.05 * np.abs(forward[centre]).mean()


def test_jacobian_of_a_scaling_and_of_a_fold():
    x = np.stack(np.meshgrid(*[np.arange(6.0, dtype=np.float32)] * 3, indexing="ij"))
    np.testing.assert_allclose(jacobian_determinant(0.1 * x, 1.0), 1.1**3, rtol=1e-5)
    assert jacobian_determinant(np.stack([-2 * x[0], 0 * x[1], 0 * x[2]]), 1.0).max() < 0
