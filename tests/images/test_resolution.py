import functools

import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.images.resolution import estimate_fwhm

#: Middle and half axes of the brain, mm.
CENTRE, RADII = np.array([0.0, -14.0, 12.0]), np.array([58.0, 72.0, 52.0])

#: Tissue is drawn on finer voxels than it is looked at.
SIZE = 3.0
SHAPE = (48, 58, 44)
AFFINE = np.diag([SIZE, SIZE, SIZE, 1.0])
AFFINE[:3, 3] = (-71, -100, -53)


@functools.cache
def tissue() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A folded cortex around white matter: T1w, uptake before any blur, brain mask."""
    points = (np.indices(SHAPE).reshape(3, -1).T * SIZE + AFFINE[:3, 3] - CENTRE) / RADII
    radius = np.linalg.norm(points, axis=1).reshape(SHAPE)
    x, y, z = points.T.reshape(3, *SHAPE)
    folds = 0.12 * (np.sin(9 * x + 4 * y) + np.sin(11 * y - 5 * z) + np.sin(10 * z + 6 * x))
    grey = radius + folds > 0.75
    mask = radius < 1
    rng = np.random.default_rng(0)
    t1w = np.where(mask, np.where(grey, 60, 100) + rng.normal(0, 3, SHAPE), 0).astype(np.float32)
    # More at the right than at the left: shading is no blur.
    uptake = np.where(mask, np.where(grey, 100.0, 30.0) * (1 + 0.1 * x), 0)
    return t1w, uptake, mask


def scan_of(fwhm: float, percent: float = 0, seed: int = 0) -> np.ndarray:
    blurred = ndimage.gaussian_filter(tissue()[1], fwhm / 2.3548 / SIZE)
    white = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), 0.85)
    return np.asarray(blurred + percent / 100 * blurred.max() * white / white.std(), dtype=np.float32)


@pytest.mark.parametrize("fwhm", [7.0, 10.0, 14.0])
def test_estimate_fwhm__recovers_a_known_blur_within_a_millimetre(fwhm: float) -> None:
    t1w, _, mask = tissue()
    assert estimate_fwhm(scan_of(fwhm), t1w, mask, AFFINE) == pytest.approx(fwhm, abs=1)


def test_estimate_fwhm__noise_and_units_change_it_little() -> None:
    t1w, _, mask = tissue()
    plain = estimate_fwhm(scan_of(9.0), t1w, mask, AFFINE)
    assert estimate_fwhm(7 * scan_of(9.0), 3 * t1w, mask, AFFINE) == pytest.approx(plain, abs=0.1)
    assert estimate_fwhm(scan_of(9.0, percent=4), t1w, mask, AFFINE) == pytest.approx(plain, abs=1)


def test_estimate_fwhm__difference_of_two_scans_is_told() -> None:
    t1w, _, mask = tissue()
    sharp, blurred = (estimate_fwhm(scan_of(width, 2, seed), t1w, mask, AFFINE) for seed, width in ((1, 8), (2, 11)))
    assert np.sqrt(blurred**2 - sharp**2) == pytest.approx(np.sqrt(11**2 - 8**2), abs=1)


def test_estimate_fwhm__a_constant_scan_has_some_width() -> None:
    t1w, _, mask = tissue()
    assert 4 <= estimate_fwhm(np.full(SHAPE, 5, np.float32), t1w, mask, AFFINE) <= 20
