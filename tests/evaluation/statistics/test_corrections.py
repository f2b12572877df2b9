import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.multitest import multipletests

from bids_spectsynth.evaluation.statistics.corrections import benjamini_hochberg, holm

families = arrays(np.float64, st.integers(1, 80), elements=st.floats(0, 1))


def test_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(benjamini_hochberg([0.01, 0.04, 0.03, 0.005]), [0.02, 0.04, 0.04, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1, 1])
    np.testing.assert_allclose(benjamini_hochberg([0.5, 0.9]), [0.9, 0.9])


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_tests_without_p_do_not_count(correct) -> None:
    np.testing.assert_array_equal(correct([math.nan, 0.02, 0.04, math.nan])[1:3], correct([0.02, 0.04]))
    assert np.isnan(correct([math.nan, 0.02, 0.04, math.nan])[[0, 3]]).all()
    assert np.isnan(correct([math.nan])).all()
    assert correct([]).size == 0


@pytest.mark.parametrize(("correct", "name"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
@settings(max_examples=15, deadline=None)
@given(p=families)
def test_equal_statsmodels(correct, name: str, p: np.ndarray) -> None:
    np.testing.assert_allclose(correct(p), multipletests(p, method=name)[1], rtol=1e-10, atol=0)


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
@given(p=families)
def test_order_and_bounds(correct, p: np.ndarray) -> None:
    adjusted = correct(p)
    assert np.all(adjusted >= p * (1 - 1e-12))
    assert np.all(adjusted <= np.minimum(1, p * len(p)) + 1e-12)
    assert np.all(np.diff(adjusted[np.argsort(p)]) >= 0)
    assert np.all(benjamini_hochberg(p) <= holm(p) + 1e-12)
