import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bids_spectsynth.siscom.records import CohortError
from bids_spectsynth.siscom.subtraction.maps import cohort_z, in_mask, own_z, percent_difference, voxelwise_z

SHAPE = (7, 6, 5)
IMAGES = arrays.arrays(np.float32, SHAPE, elements=st.floats(1, 500, width=32))
SEEDS = st.integers(0, 2**31)


def some_mask(seed: int) -> np.ndarray:
    mask = np.random.default_rng(seed).random(SHAPE) < 0.6
    mask[0, 0, :2] = True
    return mask


@settings(max_examples=50, deadline=None)
@given(IMAGES, IMAGES, st.floats(0.2, 5), SEEDS)
def test_z__is_that_of_a_plain_computation(ictal: np.ndarray, baseline: np.ndarray, level: float, seed: int) -> None:
    mask = some_mask(seed)
    difference = percent_difference(ictal, baseline, level, mask)
    z, deviation = own_z(difference, mask)
    x, y = ictal[mask].astype(float), baseline[mask].astype(float)
    wanted = 100 * (x / level - y) / (y.sum() / y.size)
    np.testing.assert_allclose(difference[mask], wanted, rtol=1e-6, atol=1e-4)
    inside = difference[mask].astype(float)
    spread = np.sqrt(max(np.mean(np.square(inside)) - inside.mean() ** 2, 0))
    assert deviation == pytest.approx(spread, rel=1e-6, abs=1e-3)
    if deviation > 1:
        np.testing.assert_allclose(z[mask], difference[mask] / spread, rtol=1e-6, atol=1e-6)
    assert not difference[~mask].any()
    assert not z[~mask].any()


@settings(max_examples=25, deadline=None)
@given(IMAGES, IMAGES, SEEDS, st.sampled_from((np.nan, np.inf, -1e30, 1e6)))
def test_maps__do_not_see_what_lies_outside_the_mask(
    ictal: np.ndarray, baseline: np.ndarray, seed: int, wild: float
) -> None:
    mask = some_mask(seed)
    other = [np.where(mask, values, np.float32(wild)) for values in (ictal, baseline)]
    plain, same = percent_difference(ictal, baseline, 1.3, mask), percent_difference(*other, 1.3, mask)
    np.testing.assert_array_equal(plain, same)
    soiled = np.where(mask, plain, np.float32(wild))
    np.testing.assert_array_equal(own_z(plain, mask)[0], own_z(soiled, mask)[0])
    assert own_z(plain, mask)[1] == own_z(soiled, mask)[1]
    sd = np.where(mask, np.float32(2), np.float32(wild))
    np.testing.assert_array_equal(voxelwise_z(soiled, sd, mask), np.where(mask, plain / 2, 0))


def test_percent_difference__positive_where_the_ictal_scan_is_higher_at_one_level() -> None:
    mask = np.ones((1, 1, 4), dtype=bool)
    baseline = np.array([[[50, 100, 100, 150]]], dtype=np.float32)
    ictal = 3 * baseline + np.array([[[0, 90, -60, 0]]], dtype=np.float32)
    np.testing.assert_allclose(percent_difference(ictal, baseline, 3.0, mask), [[[0, 30, -20, 0]]], atol=1e-5)


def test_own_z__the_mean_stays_and_a_constant_has_no_z() -> None:
    mask = np.ones((1, 1, 2), dtype=bool)
    z, deviation = own_z(np.array([[[1, 3]]], dtype=np.float32), mask)
    assert (z.tolist(), deviation) == ([[[1, 3]]], 1)
    z, deviation = own_z(np.full((1, 1, 2), 4, np.float32), mask)
    assert (z.tolist(), deviation) == ([[[0, 0]]], 0)


def test_voxelwise_z__nothing_where_the_deviation_is_unknown() -> None:
    mask = np.array([[[True, True, True, True, False]]])
    difference = np.array([[[6, 6, 6, 6, 6]]], dtype=np.float32)
    deviation = np.array([[[2, 0, np.nan, 3, 2]]], dtype=np.float32)
    mean = np.array([[[2, 2, 2, np.nan, 2]]], dtype=np.float32)
    assert voxelwise_z(difference, deviation, mask).tolist() == [[[3, 0, 0, 2, 0]]]
    assert voxelwise_z(difference, deviation, mask, mean).tolist() == [[[2, 0, 0, 0, 0]]]


def test_cohort_z__less_the_mean_over_the_deviation_and_none_without_a_cohort() -> None:
    mask = np.ones((1, 1, 2), dtype=bool)
    difference = np.array([[[10, -10]]], dtype=np.float32)
    error = CohortError(
        mean=np.full((1, 1, 2), -2, np.float32), standard_deviation=np.full((1, 1, 2), 4, np.float32), n_participants=9
    )
    assert cohort_z(difference, None, mask) is None
    found = cohort_z(difference, error, mask)
    assert found is not None
    assert found.tolist() == [[[3, -2]]]


def test_in_mask__values_in_the_order_of_the_mask() -> None:
    mask = some_mask(3)
    values = np.arange(mask.sum())
    volume = in_mask(values, mask)
    assert volume.dtype == np.float32
    np.testing.assert_array_equal(volume[mask], values)
    assert not volume[~mask].any()
