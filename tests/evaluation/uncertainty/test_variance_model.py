import numpy as np

from bids_spectsynth.evaluation.uncertainty.variance_model import fit_coefficients, normal_equations, predicted_scale


def test_fit__finds_what_the_error_is_proportional_to():
    rng = np.random.default_rng(2)
    parts, last = [], None
    for _ in range(4):
        predictors = rng.standard_normal((20000, 2))
        scale = np.exp(0.5 * predictors[:, 0] - 1.0)
        parts.append(normal_equations(predictors, scale * rng.standard_normal(20000)))
        last = predictors, scale
    coefficients = fit_coefficients(parts)
    np.testing.assert_allclose(coefficients[1:], [1.0, 0.0], atol=0.05)
    found = predicted_scale(coefficients, last[0])
    ratio = found / last[1]
    assert ratio.std() / ratio.mean() < 0.05


def test_fit__participants_weigh_the_same_however_many_voxels():
    rng = np.random.default_rng(3)
    few, many = (normal_equations(rng.standard_normal((n, 1)), rng.standard_normal(n)) for n in (1000, 50000))
    assert abs(few[0][0, 0] - many[0][0, 0]) < 1e-12


def test_fit__of_a_constant_predictor_is_finite():
    equations = normal_equations(np.ones((100, 1)), np.random.default_rng(1).standard_normal(100))
    assert np.isfinite(fit_coefficients([equations])).all()
