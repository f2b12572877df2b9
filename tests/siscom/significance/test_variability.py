import functools

import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.siscom.significance.variability import (
    NOISE_UP_TO_MM,
    SMOOTHINGS_MM,
    WIDTHS_MM,
    Variability,
    estimate_variability,
    robust_variance,
    shrinkage,
)
from bids_spectsynth.siscom.subtraction.mask import siscom_mask
from tests.siscom.conftest import SHAPE, SIZES, ball, brain


@functools.cache
def field(fwhm: float, seed: int) -> np.ndarray:
    """White noise under a Gaussian, standard deviation 1."""
    white = np.random.default_rng(seed).standard_normal(SHAPE)
    smooth = ndimage.gaussian_filter(white, fwhm / 2.3548 / 4, mode="wrap")
    return np.asarray(smooth / smooth.std(), dtype=np.float32)


def estimate(difference: np.ndarray, known: list[float] | None = None) -> Variability:
    return estimate_variability(difference, brain(), siscom_mask(brain(), SIZES), SIZES, known)


def parts(found: Variability) -> tuple[float, float]:
    """Standard deviation before smoothing: of the camera's noise, and of slow variation."""
    slow = [width for width in WIDTHS_MM if width > NOISE_UP_TO_MM]
    return found.smoothed(0, found.noise_widths), found.smoothed(0, slow)


@pytest.mark.parametrize(("noise", "slow"), [(8, 4), (6, 0), (6, 6)])
def test_estimate_variability__recovers_a_mixture_of_two_widths(noise: float, slow: float) -> None:
    found = [parts(estimate(noise * field(7, seed) + slow * field(24, seed + 50))) for seed in range(3)]
    fast_sd, slow_sd = np.sqrt(np.mean(np.square(found), axis=0))
    assert fast_sd == pytest.approx(noise, rel=0.15)
    assert slow_sd == pytest.approx(slow, rel=0.25, abs=1)


def test_estimate_variability__foretells_what_smoothing_leaves() -> None:
    difference = 8 * field(7, 3) + 4 * field(24, 4)
    found = estimate(difference)
    inner = siscom_mask(brain(), SIZES, 20)
    smooth = ndimage.gaussian_filter(difference, 12 / 2.3548 / 4)
    assert found.smoothed(12) == pytest.approx(smooth[inner].std(), rel=0.25)


def test_estimate_variability__a_focus_has_no_vote() -> None:
    difference = 8 * field(7, 1) + 3 * field(24, 2)
    plain, hot = (estimate(difference + gain * ball((30, -20, 20), 20)) for gain in (0, 60))
    assert hot.smoothed(12) == pytest.approx(plain.smoothed(12), rel=0.15)


def test_estimate_variability__takes_off_what_is_known_and_leaves_a_tenth() -> None:
    difference = 10 * field(7, 5)
    plain = estimate(difference)
    own = [plain.smoothed(fwhm) ** 2 for fwhm in SMOOTHINGS_MM]
    half = estimate(difference, [variance / 2 for variance in own])
    assert half.smoothed(9) == pytest.approx(plain.smoothed(9) / np.sqrt(2), rel=0.2)
    none = estimate(difference, [100 * variance for variance in own])
    assert none.smoothed(9) == pytest.approx(plain.smoothed(9) * np.sqrt(0.1), rel=0.2)


def test_estimate_variability__what_lies_outside_the_brain_plays_no_part() -> None:
    difference = 10 * field(7, 6)
    wild = np.where(brain(), difference, np.float32(1e6))
    assert estimate(wild) == estimate(difference)


def test_smoothed__variances_of_the_chosen_widths_add_up() -> None:
    found = Variability((3.0, 0, 4.0, 0, 0, 12.0, 0, 0))
    assert found.noise_widths == (3.0, 5.0, 7.0, 10.0)
    assert found.smoothed(0) == pytest.approx(13)
    assert found.smoothed(0, found.noise_widths) == pytest.approx(5)
    assert found.smoothed(0, ()) == 0


@pytest.mark.parametrize("fwhm", [6.0, 12.0])
def test_shrinkage__is_the_share_of_variance_that_a_gaussian_leaves(fwhm: float) -> None:
    wide = WIDTHS_MM.index(16.0)
    left = [ndimage.gaussian_filter(field(16, seed), fwhm / 2.3548 / 4, mode="wrap").var() for seed in range(8)]
    assert shrinkage([fwhm])[0, wide] == pytest.approx(np.mean(left), rel=0.1)
    np.testing.assert_array_equal(shrinkage([0.0]), np.ones((1, len(WIDTHS_MM))))


def test_robust_variance__of_a_gaussian_with_some_outliers() -> None:
    values = np.random.default_rng(0).normal(5, 3, 20000)
    assert robust_variance(values) == pytest.approx(9, rel=0.05)
    values[:400] = 1e5
    assert robust_variance(values) == pytest.approx(9, rel=0.1)
