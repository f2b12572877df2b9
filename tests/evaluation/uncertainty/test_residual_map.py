import numpy as np
import pytest

from bids_spectsynth.evaluation.uncertainty.residual_map import SHAPE, added, residual_sums

RNG = np.random.default_rng(7)
POINTS = np.stack([RNG.uniform(-70, 70, 40000), RNG.uniform(-100, 70, 40000), RNG.uniform(-60, 80, 40000)])


def test_log_rms__is_larger_where_residuals_are():
    residuals = np.where(POINTS[0] > 0, 0.2, 0.05)
    found = added([residual_sums(residuals, POINTS) for _ in range(20)]).log_rms(
        np.array([[40.0, -40], [0, 0], [0, 0]])
    )
    np.testing.assert_allclose(np.exp(found), [0.2, 0.05], rtol=0.25)


def test_without__takes_a_participant_off():
    first, second = residual_sums(np.full(40000, 0.1), POINTS), residual_sums(np.full(40000, 0.3), POINTS)
    left = added([first, second]).without(second)
    np.testing.assert_allclose(left.squares, first.squares, atol=1e-12)
    np.testing.assert_allclose(left.weights, first.weights, atol=1e-12)


def test_log_rms__far_from_all_residuals_is_usual():
    sums = residual_sums(np.full(40000, 0.1), POINTS)
    far = np.array([[0.0], [0.0], [120.0]])
    assert float(sums.log_rms(far)[0]) == pytest.approx(sums.usual_log_rms, abs=0.1)


def test_residual_sums__participants_weigh_the_same_at_any_voxel_size():
    half = slice(None, None, 2)
    fine, coarse = residual_sums(np.full(40000, 0.1), POINTS), residual_sums(np.full(20000, 0.1), POINTS[:, half])
    assert fine.weights.max() == coarse.weights.max() == 1
    assert fine.weights.shape == SHAPE


def test_added__of_nothing():
    nothing = added([])
    assert np.isfinite(nothing.usual_log_rms)
    assert np.isfinite(nothing.log_rms(np.zeros((3, 2)))).all()
