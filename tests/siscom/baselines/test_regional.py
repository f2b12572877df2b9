import numpy as np
import pytest

from bids_spectsynth.siscom.baselines.regional import fit_to_scan, regional_gain, regional_terms, robust_fit
from tests.siscom.baselines.test_piscom import AFFINE, FOCUS, MASK, SHAPE, SYMMETRIC, pet_and_spect, residual


def test_robust_fit__outliers_have_no_vote() -> None:
    rng = np.random.default_rng(0)
    terms = np.stack([np.ones(1000), rng.normal(size=1000)], axis=1)
    target = terms @ [2.0, -1.0] + rng.normal(0, 0.05, 1000)
    target[:200] += 3
    np.testing.assert_allclose(robust_fit(terms, target), [2, -1], atol=0.02)
    exact = terms @ [2.0, -1.0]
    np.testing.assert_allclose(robust_fit(terms, exact), [2, -1])


def test_regional_terms__equal_on_both_sides() -> None:
    flipped = np.diag([-1.0, 1, 1, 1])
    there, mirrored = (regional_terms(SHAPE, matrix @ AFFINE) for matrix in (np.eye(4), flipped))
    for name, term in there.items():
        np.testing.assert_allclose(term, mirrored[name], atol=1e-6)
    assert list(regional_terms(SHAPE, None)) == ["1"]


def test_fit_to_scan__coefficients_of_a_sum() -> None:
    rng = np.random.default_rng(0)
    volumes = [rng.uniform(1, 2, SHAPE).astype(np.float32) for _ in range(2)]
    scan = 3 * volumes[0] - volumes[1]
    np.testing.assert_allclose(fit_to_scan(volumes, scan, MASK, np.full(3, 4.0), 8.0), [3, -1], rtol=1e-3)


def gained(baseline: np.ndarray, scan: np.ndarray) -> np.ndarray:
    return regional_gain(baseline.astype(np.float32), scan.astype(np.float32), MASK, AFFINE, 12.0, np.eye(4))


def test_regional_gain__takes_away_what_is_smooth_and_equal_on_both_sides() -> None:
    _, spect = pet_and_spect()
    wrong = 0.02 * spect * SYMMETRIC
    assert residual(gained(wrong, spect), spect) < 0.65 * residual(wrong, spect)
    np.testing.assert_allclose(gained(wrong, 7 * spect), 7 * gained(wrong, spect), rtol=2e-3)
    np.testing.assert_array_equal(gained(np.where(MASK, wrong, 1e6), spect), gained(wrong, spect))


def test_regional_gain__leaves_what_one_side_alone_has() -> None:
    _, spect = pet_and_spect(individual=0.05)
    _, baseline = pet_and_spect()
    lost = gained(baseline, spect * (1 + 0.5 * FOCUS)) - gained(baseline, spect)
    place = FOCUS > 0.8
    assert abs(lost[place].mean() / (0.5 * FOCUS * spect)[place].mean()) < 0.06
    with pytest.raises(ValueError, match="signal"):
        gained(baseline, 0 * spect)
