import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.subtraction.level import LEVELS, WARN_PERCENT, disagreement, levels
from bids_spectsynth.siscom.subtraction.mask import siscom_mask
from tests.siscom.conftest import SHAPE, SIZES, brain, noise, scan, world

GAIN = 1.7


@functools.cache
def smoother() -> MaskedSmoother:
    return MaskedSmoother(brain(), SIZES, 12.0)


@functools.cache
def mask() -> np.ndarray:
    return siscom_mask(brain(), SIZES)


def changed(share: float, percent: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed ictal scan and baseline; a share of the brain, on one side of a plane, has changed."""
    rng = np.random.default_rng(seed)
    along = world() @ rng.normal(size=3)
    beyond = along > np.quantile(along[mask().ravel()], 1 - share)
    ictal = GAIN * (scan() * np.where(beyond.reshape(SHAPE), 1 + percent / 100, 1) + noise(seed, 5))
    return smoother()(ictal), smoother()(scan() + noise(seed + 100, 5))


@pytest.mark.parametrize("seed", range(4))
def test_levels__mode_holds_where_a_fifth_of_the_brain_has_changed(seed: int) -> None:
    found = levels(*changed(0.2, 30, seed), mask())
    assert tuple(found) == tuple(LEVELS) == ("mode", "mean", "median", "unchanged", "cerebellum")
    assert found["mode"] == pytest.approx(GAIN, rel=0.015)
    assert found["mean"] / GAIN - 1 > 0.04
    assert np.isnan(found["cerebellum"])
    assert disagreement(found, "mode") > WARN_PERCENT


def test_levels__all_agree_where_nothing_has_changed() -> None:
    cerebellum = brain() & (world()[:, 2].reshape(SHAPE) < -20)
    found = levels(*changed(0, 0, 1), mask(), cerebellum)
    assert all(value == pytest.approx(GAIN, rel=0.015) for value in found.values())
    assert disagreement(found, "mode") < WARN_PERCENT


def test_levels__cerebellum_follows_its_own_voxels() -> None:
    cerebellum = brain() & (world()[:, 2].reshape(SHAPE) < -20)
    found = levels(np.where(cerebellum, 1.2, 0.9) * scan(), scan(), mask(), cerebellum)
    assert found["cerebellum"] == pytest.approx(1.2)
    assert found["mode"] == pytest.approx(0.9, rel=0.002)
    assert np.isnan(levels(scan(), scan(), mask(), np.zeros(SHAPE, dtype=bool))["cerebellum"])


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 20), st.floats(0.05, 20))
def test_levels__follow_the_units_of_both_scans(first: float, second: float) -> None:
    ictal, baseline = changed(0.1, 40, 3)
    plain = levels(ictal, baseline, mask())
    other = levels(first * ictal, second * baseline, mask())
    for name in ("mode", "mean", "median", "unchanged"):
        assert other[name] == pytest.approx(plain[name] * first / second, rel=2e-3)


def test_levels__what_lies_outside_the_mask_plays_no_part() -> None:
    ictal, baseline = changed(0.2, 30, 5)
    wild = [np.where(mask(), values, 1e6).astype(np.float32) for values in (ictal, baseline)]
    assert levels(*wild, mask())["mode"] == levels(ictal, baseline, mask())["mode"]


def test_levels__fluid_and_voxels_without_counts_have_no_vote() -> None:
    baseline = scan().copy()
    baseline[mask() & (world()[:, 0].reshape(SHAPE) > 10)] = 1
    found = levels(np.where(baseline == 1, 0, 2 * baseline), baseline, mask())
    assert found["mode"] == found["median"] == pytest.approx(2)


def test_levels__identical_scans_are_at_one_level() -> None:
    found = levels(scan(), scan(), mask(), mask())
    assert set(found.values()) == {1.0}


def test_levels__no_signal_is_said() -> None:
    for pair in ((0 * scan(), scan()), (scan(), 0 * scan())):
        with pytest.raises(ValueError, match="no signal in the brain"):
            levels(*pair, mask())
    with pytest.raises(ValueError, match="no signal"):
        levels(scan(), scan(), np.zeros(SHAPE, dtype=bool))


def test_disagreement__largest_difference_in_percent_without_the_cerebellum() -> None:
    found = {"mode": 2.0, "mean": 2.1, "median": 1.96, "unchanged": float("nan"), "cerebellum": 3.0}
    assert disagreement(found, "mode") == pytest.approx(5)
    assert disagreement(found, "mean") == pytest.approx(100 * (1 - 1.96 / 2.1))
    assert disagreement({"mode": 2.0, "cerebellum": 4.0}, "mode") == 0
