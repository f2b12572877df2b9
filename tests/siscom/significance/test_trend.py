import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.images.grid import MaskedGrid, apply_affine
from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.significance.trend import RADIUS_MM, Trend, _covariance, fit_trend
from bids_spectsynth.siscom.significance.variability import WIDTHS_MM, Variability

SHAPE = (30, 36, 28)
AFFINE = np.diag([-4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = (58, -70, -50)
VOXELS = np.indices(SHAPE).reshape(3, -1).T
POINTS = apply_affine(AFFINE, VOXELS).reshape(*SHAPE, 3)
HALF = np.array([52.0, 66.0, 50.0])
BRAIN = np.sum(np.square((POINTS - POINTS.reshape(-1, 3).mean(axis=0)) / HALF), axis=-1) < 1
GRID = MaskedGrid(SHAPE, AFFINE, BRAIN)
#: Some noise, and slow variation of 36 mm.
SLOW = Variability(tuple({5.0: 6.0, 36.0: 5.0}.get(width, 0.0) for width in WIDTHS_MM))


@pytest.fixture(scope="module")
def trend() -> Trend:
    return fit_trend(GRID, SLOW, 12.0)


def slow_map(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    total = np.zeros(SHAPE, dtype=np.float32)
    for width, deviation in zip(WIDTHS_MM, SLOW.deviations, strict=True):
        if deviation:
            field = MaskedSmoother(np.ones(SHAPE, dtype=bool), (4, 4, 4), width)(rng.standard_normal(SHAPE))
            total += np.float32(deviation) * field / field.std()
    return MaskedSmoother(BRAIN, (4, 4, 4), 12.0)(total)


def sphere(volume_ml: float, centre_mm: np.ndarray) -> np.ndarray:
    radius = (3000 * volume_ml / 4 / np.pi) ** (1 / 3)
    distance = np.linalg.norm(POINTS - centre_mm, axis=-1)
    inside = np.clip((radius - distance) / 4 + 0.5, 0, 1).astype(np.float32)
    return MaskedSmoother(BRAIN, (4, 4, 4), 14.0)(inside)


@pytest.mark.parametrize("sizes", [(8.0, 8.0, 8.0), (4.0, 4.0, 5.0), (-3.0, 4.0, 8.0)])
@pytest.mark.parametrize("degrees", [0, 25])
def test_fit_trend__equals_kriging_from_the_cells_that_are_left(sizes: tuple[float, ...], degrees: float) -> None:
    turn = np.deg2rad(degrees)
    affine = np.eye(4)
    rotation = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    affine[:3, :3] = np.array(rotation) @ np.diag(sizes)
    affine[:3, 3] = (7, -50, 3)
    shape = (int(64 / abs(sizes[0])), int(64 / sizes[1]), int(64 / sizes[2]))
    inside = np.ones(shape, dtype=bool)
    inside[0] = inside[:, -1] = False
    found = fit_trend(MaskedGrid(shape, affine, inside), SLOW, 12.0)
    points = apply_affine(affine, np.argwhere(found.cells))
    squared = np.sum(np.square(points[:, None] - points[None]), axis=-1)
    # Fields of 5 and 36 mm, each smoothed by 12 mm; the level is unknown.
    covariance = np.full(squared.shape, 100.0**2)
    for width, deviation in ((5.0, 6.0), (36.0, 5.0)):
        own, both = (width / 2.354820) ** 2, (width**2 + 144) / 2.354820**2
        covariance += deviation**2 * (own / both) ** 1.5 * np.exp(-squared / 4 / both)
    covariance[np.diag_indices_from(covariance)] += 0.01 * (covariance[0, 0] - 100.0**2)
    for index in (0, len(points) // 3, len(points) - 1):
        far = np.linalg.norm(points - points[index], axis=1) > RADIUS_MM
        expected = np.linalg.solve(covariance[np.ix_(far, far)], covariance[far, index])
        np.testing.assert_allclose(found.weights[index, far], expected, atol=2e-4)
        assert not found.weights[index, ~far].any()
        variance = covariance[index, index] - covariance[index, far] @ expected
        assert found.deviation[index] == pytest.approx(np.sqrt(variance), rel=1e-4)


@settings(max_examples=10)
@given(index=st.integers(0, 10**6), value=st.floats(-1000, 1000))
def test_of__a_place_and_what_is_near_it_have_no_say(trend: Trend, index: int, value: float) -> None:
    cells = np.argwhere(trend.cells)
    voxel = cells[index % len(cells)]
    near = np.linalg.norm(POINTS - POINTS[tuple(voxel)], axis=-1) <= RADIUS_MM
    values = slow_map(1)
    changed = np.where(near, np.float32(value), values)
    before, after = trend.of(values), trend.of(changed)
    assert after[tuple(voxel)] == pytest.approx(before[tuple(voxel)], abs=1e-3)


def test_of__a_constant_is_all_trend(trend: Trend) -> None:
    np.testing.assert_allclose(trend.of(np.full(SHAPE, 7, dtype=np.float32))[BRAIN], 7, atol=0.05)


def test_of__takes_most_of_what_is_slow(trend: Trend) -> None:
    for seed in range(3):
        values = slow_map(seed)
        left = (values - trend.of(values))[BRAIN]
        assert left.std() < 0.7 * values[BRAIN].std()


def test_deviation__is_that_of_what_is_left(trend: Trend) -> None:
    # Maps of exactly the covariance that was told.
    covariance = _covariance(np.argwhere(trend.cells), AFFINE, SLOW, 12.0)
    drawn = np.linalg.cholesky(covariance) @ np.random.default_rng(0).standard_normal((len(covariance), 200))
    left = (drawn - trend.weights @ drawn) / trend.deviation[:, None]
    assert left.std() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("volume", "lost"), [(2, 0.01), (10, 0.03), (30, 0.2)])
def test_of__keeps_a_focus(trend: Trend, volume: float, lost: float) -> None:
    focus = sphere(volume, np.array([-20.0, 10.0, 5.0]))
    at = np.unravel_index(int(np.argmax(focus)), SHAPE)
    assert trend.of(focus)[at] < lost * focus[at]


def test_fit_trend__a_mask_of_one_voxel_has_nothing_around_it() -> None:
    thin = np.zeros(SHAPE, dtype=bool)
    thin[5, 5, 5] = True
    found = fit_trend(MaskedGrid(SHAPE, AFFINE, thin), SLOW, 12.0)
    assert not found.of(np.ones(SHAPE, dtype=np.float32)).any()


@pytest.mark.parametrize("size", [0.0, 1e-5])
def test_fit_trend__scans_that_are_equal_but_for_rounding(size: float) -> None:
    found = fit_trend(GRID, Variability(tuple(size * one for one in SLOW.deviations)), 12.0)
    assert np.isfinite(found.weights).all()
    assert (found.expected() > 0).all()


def test_spread__cells_keep_their_values_and_voxels_between_get_the_mean(trend: Trend) -> None:
    values = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    found = (trend.spread @ values[trend.cells]).reshape(SHAPE)
    np.testing.assert_allclose(found[trend.cells], values[trend.cells], rtol=1e-6)
    i, j, k = np.argwhere(trend.cells[:-2] & trend.cells[2:])[50]
    assert found[i + 1, j, k] == pytest.approx((values[i, j, k] + values[i + 2, j, k]) / 2, rel=1e-5)
