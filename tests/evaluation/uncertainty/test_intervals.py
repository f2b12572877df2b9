import dataclasses

import numpy as np
import pytest

from bids_spectsynth.errors import ImageError
from bids_spectsynth.evaluation.uncertainty.calibration_fit import fit_calibration
from bids_spectsynth.evaluation.uncertainty.intervals import calibrated_maps, factors_by_level


def test_calibrated_maps__are_in_units_and_around_the_image(cohort, residuals):
    head = cohort[2]
    calibration = fit_calibration(residuals, "03")
    maps = calibrated_maps(head.prediction, head.case, calibration)
    brain = head.mask
    # 50 units are an uptake of 1; the error is a tenth of the uptake.
    expected = 50 * head.sd[brain]
    assert np.sqrt(np.mean(maps.standard_deviation[brain] ** 2)) == pytest.approx(
        np.sqrt(np.mean(expected**2)), rel=0.1
    )
    assert not maps.standard_deviation[~brain].any()
    assert not maps.upper[~brain].any()
    assert (maps.lower >= 0).all()
    factor = factors_by_level(calibration)[0.9]
    middle = maps.lower > 0
    np.testing.assert_allclose(((maps.lower + maps.upper) / 2)[middle], head.prediction.values[middle], rtol=1e-5)
    np.testing.assert_allclose(
        ((maps.upper - maps.lower) / 2)[middle], factor * maps.standard_deviation[middle], rtol=1e-4
    )
    assert maps.entries["Samples"] == 7
    assert maps.entries["IntervalFactors"]["0.9"] == pytest.approx(factor, abs=1e-5)


def test_calibrated_maps__of_an_empty_image(cohort, residuals):
    head = cohort[0]
    empty = dataclasses.replace(head.prediction, values=0 * head.prediction.values)
    with pytest.raises(ImageError, match="no signal"):
        calibrated_maps(empty, head.case, fit_calibration(residuals))


def test_calibrated_maps__of_a_head_in_another_template_know_no_place(cohort, residuals):
    head = cohort[2]
    calibration = fit_calibration(residuals, "03")
    elsewhere = dataclasses.replace(head.case, template="MNIPediatricAsym")
    nowhere = dataclasses.replace(head.case, template=None, template_xfm=None)
    one, other = (calibrated_maps(head.prediction, case, calibration) for case in (elsewhere, nowhere))
    np.testing.assert_array_equal(one.standard_deviation, other.standard_deviation)
    here = calibrated_maps(head.prediction, head.case, calibration).standard_deviation
    assert not np.array_equal(one.standard_deviation, here)
