import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.evaluation.uncertainty.calibration_fit import RegionalScale
from bids_spectsynth.evaluation.uncertainty.rating import ALL, calibration, regional_calibration

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


def test_coverage__of_normal_errors_is_nominal(truth):
    row = calibration(*truth).iloc[-1]
    for level in (50, 80, 90, 95):
        assert row[f"coverage_{level}"] == pytest.approx(level, abs=2)
    assert row["width_90"] == pytest.approx(2 * 1.6449 * np.mean(truth[2] / truth[1].mean()), rel=0.01)


def test_coverage__uses_the_factors(truth):
    wide = calibration(*truth, factors={0.5: 0.1, 0.8: 0.2, 0.9: 100.0, 0.95: 100.0}).iloc[-1]
    assert wide["coverage_50"] < 12
    assert wide["coverage_90"] == 100


def test_tissues__have_rows_of_their_own(truth):
    real, synthetic, spread, mask = truth
    t1w = np.repeat([1.0, 50.0, 100.0, 100.0], 2000).reshape(SHAPE)
    table = calibration(real, synthetic, spread, mask, t1w=t1w).set_index("bin")
    assert table.loc[["fluid", "grey", "white"], "n_voxels"].tolist() == [2000, 2000, 4000]


def test_regional_calibration__of_one_measure():
    scale = RegionalScale(scales={"a": 1.0, "b": 2.0}, usual=3.0, factors=(0.5, 1.0, 1.5, 2.0))
    row = regional_calibration({"a": 0.9, "b": -1.9, "c": 4.4}, scale, "asymmetry", "percent")
    assert row["coverage_50"] == 0
    assert row["coverage_80"] == pytest.approx(200 / 3)
    assert row["coverage_90"] == 100
    assert row["width_90"] == pytest.approx(2 * 1.5 * 2)
    assert (row["measure"], row["measure_unit"], row["n_voxels"]) == ("asymmetry", "percent", 3)
