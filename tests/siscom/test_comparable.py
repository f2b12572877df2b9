from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bids_spectsynth.siscom.comparable import Choices, residual_difference
from tests.siscom.test_case import (
    AFFINE,
    BRAIN,
    LEFT,
    POINTS,
    SCAN,
    SHAPE,
    SIZE,
    T1W,
    ictal_scan,
    noisy,
    real,
    run,
    seizure,
    spot,
)

pytestmark = pytest.mark.usefixtures("few_simulations")


def head(to_template: np.ndarray | None = None) -> Any:
    """What a difference asks of a request."""
    return SimpleNamespace(voxel_sizes=np.full(3, SIZE), affine=AFFINE, image=lambda role: T1W, to_template=to_template,
                           healthy=lambda mask: mask)  # fmt: skip


def test_residual_difference__nothing_where_scans_differ_by_their_units() -> None:
    difference, peak = residual_difference(Choices())(SCAN, real(7 * SCAN), BRAIN, head())
    assert np.abs(difference).max() < 0.1
    assert np.isnan(peak)
    other, _ = residual_difference(Choices())(
        SCAN * np.where(spot(LEFT), 1.3, 1).astype(np.float32), real(), BRAIN, head()
    )
    assert 5 < other.max() < 30
    assert not other[~BRAIN].any()


def test_residual_difference__is_made_like_the_map_of_an_ictal_scan() -> None:
    scan = np.where(BRAIN, seizure(), 0).astype(np.float32)
    found = run(ictal_scan(seizure()))
    made, _ = residual_difference(Choices())(scan, real(), BRAIN, head())
    # Without the interpolation of the alignment.
    assert np.corrcoef(made[found.maps.mask], found.maps.difference[found.maps.mask])[0, 1] > 0.97


def test_residual_difference__of_what_was_not_measured_has_no_trend_and_a_peak() -> None:
    tilted = real(noisy(2) * (1 + 0.1 * POINTS[:, 0].reshape(SHAPE) / 70), kind="synthetic", synthetic=True)
    with_trend, peak = residual_difference(Choices())(noisy(1), tilted, BRAIN, head())
    without, _ = residual_difference(Choices(trend=False))(noisy(1), tilted, BRAIN, head())
    assert with_trend[BRAIN].std() < 0.8 * without[BRAIN].std()
    assert 1 < peak < 20
    assert residual_difference(Choices())(seizure(), tilted, BRAIN, head())[1] > peak


def test_residual_difference__peak_is_the_one_that_a_map_of_the_same_scans_has() -> None:
    synthetic = real(kind="synthetic", synthetic=True)
    found = run(ictal_scan(seizure()), synthetic)
    _, peak = residual_difference(Choices())(seizure(), synthetic, BRAIN, head())
    assert np.abs(found.maps.znull).max() == pytest.approx(peak, rel=0.1)
