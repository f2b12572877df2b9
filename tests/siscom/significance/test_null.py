import functools
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.images.grid import MaskedGrid
from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.significance.null import Errors, Null, largest_cluster, patient_variability, simulate_null
from bids_spectsynth.siscom.significance.trend import Trend, fit_trend
from bids_spectsynth.siscom.significance.variability import Variability
from bids_spectsynth.siscom.subtraction.maps import own_z
from bids_spectsynth.siscom.subtraction.mask import siscom_mask
from tests.siscom.conftest import AFFINE, SHAPE, SIZES, brain, scan

FWHM, THRESHOLD = 12.0, 2.0
#: Neither registration nor resolution is off.
EXACT = Errors(shift_mm=0, rotation_deg=0, resolution_mm2=0)


def white(shape: tuple[int, ...], seed: int, fwhm: float = 7.0) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(values, fwhm / 2.3548 / 4, mode="wrap")
    return np.asarray(smooth / smooth.std(), dtype=np.float32)


@functools.cache
def small() -> tuple[MaskedGrid, np.ndarray]:
    """A tiny head, and what is evaluated of it."""
    shape = (16, 16, 16)
    inside = np.linalg.norm(np.indices(shape) - 7.5, axis=0) < 7.5
    return MaskedGrid(shape, AFFINE, inside), siscom_mask(inside, SIZES)


def simulate(difference: np.ndarray, grid: MaskedGrid, mask: np.ndarray, **options: Any) -> Null:
    baseline = options.pop("baseline", np.where(grid.inside, 100, 0).astype(np.float32))
    settings = {"fwhm": FWHM, "threshold": THRESHOLD, "errors": EXACT, "seed": 0, "simulations": 20, **options}
    variability = patient_variability(difference, baseline, grid, mask, settings["fwhm"], settings["errors"])
    return simulate_null(variability, baseline, grid, mask, **settings)


def test_simulate_null__equal_seeds_give_equal_results() -> None:
    grid, mask = small()
    difference = 8 * white(grid.shape, 1)
    one, same, other = (simulate(difference, grid, mask, seed=seed, simulations=7) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.standard_deviation, same.standard_deviation)
    np.testing.assert_array_equal(one.masses, same.masses)
    np.testing.assert_array_equal(one.extents, same.extents)
    assert not np.array_equal(one.masses, other.masses)
    assert len(one.masses) == len(one.extents) == 7
    assert np.all(np.diff(one.masses) >= 0)
    assert np.all(np.diff(one.extents) >= 0)


def test_simulate_null__standard_deviation_is_that_of_noise() -> None:
    grid = MaskedGrid(SHAPE, AFFINE, brain())
    mask = siscom_mask(brain(), SIZES)
    smoother = MaskedSmoother(brain(), SIZES, FWHM)
    true = np.sqrt(np.mean([np.square(smoother(8 * white(SHAPE, seed))[mask]) for seed in range(30)]))
    found = simulate(8 * white(SHAPE, 99), grid, mask)
    assert np.sqrt(np.mean(np.square(found.standard_deviation[mask]))) == pytest.approx(true, rel=0.25)
    assert not found.standard_deviation[~mask].any()
    # All of it is the camera's.
    assert np.median(found.parts["noise"][mask]) > 5 * np.median(found.parts["registration"][mask])


def test_simulate_null__noise_is_where_counts_are() -> None:
    grid = MaskedGrid(SHAPE, AFFINE, brain())
    mask = siscom_mask(brain(), SIZES)
    left = np.indices(SHAPE)[0] < SHAPE[0] // 2
    found = simulate(8 * white(SHAPE, 5), grid, mask, baseline=np.where(left, 150, 50).astype(np.float32))
    sides = [np.sqrt(np.mean(np.square(found.standard_deviation[mask & side]))) for side in (left, ~left)]
    assert sides[0] / sides[1] == pytest.approx(np.sqrt(3), rel=0.25)


def test_simulate_null__errors_of_registration_follow_the_gradient() -> None:
    grid = MaskedGrid(SHAPE, AFFINE, brain())
    mask = siscom_mask(brain(), SIZES)
    errors = Errors(shift_mm=1, rotation_deg=0, resolution_mm2=0)
    found = simulate(0.1 * white(SHAPE, 5), grid, mask, baseline=scan(), errors=errors, simulations=4)
    smooth = MaskedSmoother(brain(), SIZES, FWHM)(100 * scan() / scan()[brain()].mean())
    steep = np.sqrt(sum(np.square(slope / 4) for slope in np.gradient(smooth)))
    np.testing.assert_allclose(found.parts["registration"][mask], steep[mask], rtol=1e-3, atol=1e-3)
    assert not found.parts["resolution"].any()
    twice = simulate(0.1 * white(SHAPE, 5), grid, mask, baseline=3 * scan(), errors=Errors(2, 0, 0), simulations=4)
    np.testing.assert_allclose(twice.parts["registration"], 2 * found.parts["registration"], rtol=1e-3, atol=1e-3)


def test_p__is_never_0_and_at_most_1() -> None:
    grid, mask = small()
    found = simulate(8 * white(grid.shape, 1), grid, mask, simulations=9)
    for p_of in (found.p_mass, found.p_extent):
        assert p_of(1e9) == pytest.approx(1 / 10)
        assert p_of(0) == 1
        values = [p_of(size) for size in np.linspace(0, 400, 50)]
        assert np.all(np.diff(values) <= 0)
        assert min(values) > 0
    assert found.p_mass(found.masses[-1]) == pytest.approx(2 / 10)


def test_p_mass__counts_maps_with_as_much_or_more() -> None:
    one = np.ones((1, 1, 1))
    null = Null(
        mask=one > 0,
        affine=np.eye(4),
        standard_deviation=one.astype(np.float32),
        parts={},
        extents=np.array([1.0, 2, 3, 4]),
        masses=np.array([0.0, 0.5, 0.5, 2]),
        variability=Variability((0.0,) * 8),
    )
    assert [null.p_mass(mass) for mass in (0, 0.5, 0.51, 2, 3)] == pytest.approx([1, 0.8, 0.4, 0.4, 0.2])
    assert [null.p_extent(extent) for extent in (1, 3, 9)] == pytest.approx([1, 0.6, 0.2])


def test_simulate_null__pure_noise_is_seldom_significant() -> None:
    grid, mask = small()
    smoother = MaskedSmoother(grid.inside, SIZES, FWHM)
    smallest = []
    for seed in range(20):
        difference = 6 * (white(grid.shape, seed) - white(grid.shape, seed + 500))
        z, _ = own_z(smoother(difference), mask)
        null = simulate(difference, grid, mask, seed=seed, simulations=40)
        smallest.append(null.p_mass(largest_cluster(z, THRESHOLD)[1] * 0.064))
    assert sum(p < 0.05 for p in smallest) <= 4
    # And not because everything is likely.
    assert sum(p < 0.5 for p in smallest) >= 4


def test_simulate_null__the_trend_is_taken_off_each_map() -> None:
    grid, mask = small()
    slow = 8 * white(grid.shape, 1, fwhm=24.0)
    variability = patient_variability(slow, np.where(grid.inside, 100, 0).astype(np.float32), grid, mask, FWHM, EXACT)
    trend = fit_trend(MaskedGrid(grid.shape, AFFINE, mask), variability, FWHM, 20.0)
    without, less = simulate(slow, grid, mask), simulate(slow, grid, mask, trend=trend)
    assert less.standard_deviation[mask].mean() < 0.9 * without.standard_deviation[mask].mean()
    # Of maps that still had their slow part, peaks over what is expected would be higher.
    pair = less.heights, simulate(slow, grid, mask, trend=_Nothing(trend)).heights
    assert np.median(pair[0]) < 0.9 * np.median(pair[1])
    # Noise is not booked as variation between injections.
    noisy = 8 * white(grid.shape, 2) + slow
    found = simulate(noisy, grid, mask, trend=trend).parts["noise"][mask]
    assert found.mean() > 0.5


class _Nothing:
    """A trend that takes nothing off, but expects as much as another."""

    def __init__(self, other: Trend) -> None:
        self.expected = other.expected

    def of(self, values: np.ndarray) -> np.ndarray:
        return np.zeros_like(values)


def test_largest_cluster__of_either_sign_by_faces() -> None:
    z = np.zeros((6, 6, 6), dtype=np.float32)
    z[0, 0, :3] = 3
    z[1, 1, 3] = 9  # touches by an edge alone
    z[5, 5, :4] = -2.5
    assert largest_cluster(z, 2.0) == (4, pytest.approx(7))
    assert largest_cluster(-z, 2.0) == (4, pytest.approx(7))
    assert largest_cluster(z, 9.5) == (0, 0)
