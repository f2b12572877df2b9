import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.evaluation.case.calibration import ALL, calibration

SHAPE = (20, 20, 20)


def test_a_right_standard_deviation_has_a_ratio_of_one_in_every_bin(truth):
    table = calibration(*truth)
    assert list(table["bin"]) == [*map(str, range(1, 11)), ALL]
    assert table["ratio"].to_numpy() == pytest.approx(1, abs=0.12)
    assert table["predicted_sd"][:10].is_monotonic_increasing
    assert table["rank_correlation"].iloc[-1] > 0.3
    assert table["n_voxels"].iloc[-1] == table["n_voxels"][:10].sum() == 8000


def test_units_do_not_matter(truth):
    real, synthetic, spread, mask = truth
    expected = calibration(real, synthetic, spread, mask)
    other = calibration(7 * real, 3 * synthetic, 3 * spread, mask)
    pd.testing.assert_frame_equal(expected, other)


def test_a_standard_deviation_that_is_too_small_shows(truth):
    real, synthetic, spread, mask = truth
    assert calibration(real, synthetic, spread / 4, mask)["ratio"].iloc[-1] == pytest.approx(4, rel=0.05)


def test_a_constant_standard_deviation_has_no_rank(truth):
    real, synthetic, _, mask = truth
    assert np.isnan(calibration(real, synthetic, np.ones(SHAPE), mask)["rank_correlation"].iloc[-1])


def test_too_little_to_rate(truth):
    real, synthetic, spread, mask = truth
    with pytest.raises(ValueError, match="9 voxels in the evaluation mask"):
        calibration(real, synthetic, spread, np.arange(8000).reshape(SHAPE) < 9)
    with pytest.raises(ValueError, match="no signal"):
        calibration(0 * real, synthetic, spread, mask)
