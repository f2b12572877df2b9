from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.siscom.significance.null import Null
from bids_spectsynth.siscom.significance.patient_null import _nearest, coarse_pair, on_prepared_grid, patient_null

SHAPE = (24, 26, 22)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
AFFINE[:3, 3] = (-24, -26, -22)
BRAIN = np.zeros(SHAPE, dtype=bool)
BRAIN[3:21, 3:23, 3:19] = True
EVALUATED = np.zeros(SHAPE, dtype=bool)
EVALUATED[6:18, 6:20, 6:16] = True

pytestmark = pytest.mark.usefixtures("few_simulations")


def scan(seed: int, level: float = 1.0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(SHAPE)
    return np.where(BRAIN, level * (100 + 10 * noise), 0).astype(np.float32)


def null(level: float = 1.0, evaluated: np.ndarray = EVALUATED) -> Null:
    scans = scan(0, level), scan(1)
    return patient_null(coarse_pair(scans, level, BRAIN, evaluated, AFFINE, 8.0), threshold=2, seed=0)


def test_patient_null__does_not_depend_on_the_level() -> None:
    np.testing.assert_allclose(null(3.0).standard_deviation, null().standard_deviation, rtol=1e-3)


def test_patient_null__a_mask_thinner_than_the_coarse_grid() -> None:
    thin = np.zeros(SHAPE, dtype=bool)
    thin[6, 6, 6] = True
    assert np.isfinite(null(evaluated=thin).extents).all()


def test_trend_of__is_what_the_trend_says_and_ends_at_the_mask() -> None:
    pair = coarse_pair((scan(0), scan(1)), 1.0, BRAIN, BRAIN, AFFINE, 8.0)
    trend = pair.fit_trend()
    values = np.where(BRAIN, 5, 99).astype(np.float32)
    found = pair.trend_of(trend, values, EVALUATED, AFFINE)
    assert not found[~EVALUATED].any()
    coarse = trend.of(pair.coarse.take(values))
    both = pair.evaluated & EVALUATED[pair.coarse.slices]
    np.testing.assert_allclose(found[pair.coarse.slices][both], coarse[both], rtol=1e-4)


def test_peak__looks_at_the_voxels_that_simulated_maps_have() -> None:
    pair = coarse_pair((scan(0), scan(1)), 1.0, BRAIN, EVALUATED, AFFINE, 8.0)
    trend = pair.fit_trend()
    between, seen = np.ones((2, *SHAPE), dtype=np.float32)
    on_coarse = pair.on_coarse(seen)
    assert on_coarse[pair.coarse.slices].all()
    i, j, k = np.argwhere((on_coarse > 0) & EVALUATED)[3]
    between[i + 1, j, k], seen[i, j, k] = 500, 500
    assert pair.peak(trend, between) < 0.1 * pair.peak(trend, seen)


def test_on_prepared_grid__keeps_a_constant_and_ends_at_the_mask() -> None:
    found = null()
    (fine,) = on_prepared_grid(found, [np.where(found.mask, 3, 99).astype(np.float32)], EVALUATED, AFFINE)
    np.testing.assert_allclose(fine[EVALUATED], 3, rtol=1e-5)
    assert not fine[~EVALUATED].any()


def test_on_prepared_grid__in_a_lesion_is_the_nearest_outside_and_elsewhere_as_without() -> None:
    lesion = np.zeros(SHAPE, dtype=bool)
    lesion[12:] = True
    found = null(evaluated=EVALUATED & ~lesion)
    values = 1 + np.indices(found.mask.shape)[1].astype(np.float32)
    (before,), (after,) = (on_prepared_grid(found, [values], EVALUATED, AFFINE, one) for one in (None, lesion))
    np.testing.assert_array_equal(after[~lesion], before[~lesion])
    assert not after[~EVALUATED].any()
    rim, deep = after[11, 6:20, 6:16], after[12:18, 6:20, 6:16]
    np.testing.assert_allclose(deep, np.broadcast_to(rim, deep.shape), rtol=1e-5)
    assert np.ptp(rim) > 4


def by_the_whole_volume(known: np.ndarray, missing: np.ndarray, affine: np.ndarray) -> np.ndarray:
    sizes = np.diag(affine)[:3].tolist()
    found = ndimage.distance_transform_edt(~known, sampling=sizes, return_distances=False, return_indices=True)
    return np.asarray(found[:, missing])


@pytest.mark.parametrize("share", [0.002, 0.02, 0.3])
@pytest.mark.parametrize("sizes", [(2.0, 2.0, 2.0), (1.0, 1.5, 3.3)])
def test_nearest__is_that_of_the_whole_volume(share: float, sizes: tuple[float, ...]) -> None:
    """Few known voxels lie far from the box, or at the same distance more than one."""
    rng = np.random.default_rng(5)
    for _ in range(10):
        known, missing = rng.random(SHAPE) < share, np.zeros(SHAPE, dtype=bool)
        i, j, k = rng.integers(0, 18, 3)
        missing[i : i + 5, j : j + 6, k : k + 4] = True
        missing &= ~known
        known[0, 0, 0] = not missing[0, 0, 0]
        affine = np.diag([*sizes, 1])
        np.testing.assert_array_equal(_nearest(known, missing, affine), by_the_whole_volume(known, missing, affine))


def test_on_prepared_grid__looks_for_the_surroundings_once_in_a_part_and_not_without_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []
    transform = ndimage.distance_transform_edt
    monkeypatch.setattr(
        ndimage, "distance_transform_edt", lambda mask, **rest: (sizes.append(mask.size), transform(mask, **rest))[1]
    )
    lesion = np.zeros(SHAPE, dtype=bool)
    lesion[10:14, 11:15, 9:13] = True
    full, without = null(), null(evaluated=EVALUATED & ~lesion)
    sizes.clear()
    on_prepared_grid(full, [full.standard_deviation] * 3, EVALUATED, AFFINE, np.zeros_like(lesion))
    assert sizes == []
    on_prepared_grid(without, [without.standard_deviation] * 3, EVALUATED, AFFINE, lesion)
    assert 1 <= len(sizes) <= 2, "however many maps"
    assert max(sizes) < EVALUATED.size / 4


def test_pair__of_a_brain_with_a_lesion_at_its_border_sees_the_lesion() -> None:
    """The box of the brain outside ends before it."""
    lesion = np.zeros(SHAPE, dtype=bool)
    lesion[13:] = True
    pair = coarse_pair((scan(0), scan(1)), 1.0, BRAIN & ~lesion, EVALUATED & ~lesion, AFFINE, 8.0)
    seen = pair.on_coarse(np.where(EVALUATED, np.float32(2), np.float32(0)))
    assert seen[13:].any()
    assert not seen[1 - pair.coarse.slices[0].start % 2 :: 2].any(), "the same lattice"
    # One that is the map at its cells: nothing of this small brain is far enough away to foretell the rest.
    trend, values = pair.fit_trend(), np.where(BRAIN, np.indices(SHAPE)[1], 0).astype(np.float32)
    trend = replace(trend, weights=np.eye(len(trend.weights), dtype=np.float32))
    plain, slow = (pair.trend_of(trend, values, EVALUATED, AFFINE, one) for one in (None, lesion))
    np.testing.assert_array_equal(slow[:10], plain[:10])
    # Along the way into it the slow part goes on; it was the mean of the brain.
    np.testing.assert_allclose(slow[17], slow[13], rtol=1e-5)
    assert np.ptp(slow[17][EVALUATED[17]]) > 0.5 * np.ptp(slow[10][EVALUATED[10]]) > 0
