import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.subtraction.resolution import match
from tests.siscom.conftest import SHAPE, SIZES

WIDTH = st.floats(4, 20)


@given(WIDTH, WIDTH)
def test_match__both_are_as_wide_as_the_wider_and_it_stays_as_it_is(ictal: float, baseline: float) -> None:
    kernels = match(ictal, baseline)
    assert np.hypot(ictal, kernels.ictal) == pytest.approx(max(ictal, baseline))
    assert np.hypot(baseline, kernels.baseline) == pytest.approx(max(ictal, baseline))
    assert min(kernels.ictal, kernels.baseline) == 0
    swapped = match(baseline, ictal)
    assert (swapped.ictal, swapped.baseline) == (kernels.baseline, kernels.ictal)


def test_match__scans_of_8_and_10_mm_become_alike() -> None:
    point = np.zeros(SHAPE, dtype=np.float32)
    point[18, 22, 16] = 1e4
    everywhere = np.ones(SHAPE, dtype=bool)
    sharp, blurred = (MaskedSmoother(everywhere, SIZES, width)(point) for width in (10.0, 12.5))
    matched = MaskedSmoother(everywhere, SIZES, match(10.0, 12.5).ictal)(sharp)
    assert np.abs(matched - blurred).max() < 0.05 * np.abs(sharp - blurred).max()
