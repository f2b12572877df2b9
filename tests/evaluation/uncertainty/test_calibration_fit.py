import dataclasses

import numpy as np
import pytest

from bids_spectsynth.evaluation.uncertainty.calibration_fit import PLACE, fit_calibration
from bids_spectsynth.evaluation.uncertainty.factors import LEVELS
from bids_spectsynth.evaluation.uncertainty.residuals import case_residuals


def test_fit_calibration__finds_the_standard_deviation(residuals, cohort):
    calibration = fit_calibration(residuals)
    assert calibration.predictors == ("edges", "uptake", PLACE)
    head, own = cohort[0], residuals[0]
    step = -(-int(head.mask.sum()) // len(own.errors))
    truth = (head.sd[head.mask] / head.prediction.values[head.mask].mean() * 50)[::step]
    found = calibration.standard_deviation(own.predictors, own.points)
    assert np.corrcoef(found, truth)[0, 1] > 0.95
    assert np.sqrt(np.mean(found**2)) == pytest.approx(np.sqrt(np.mean(truth**2)), rel=0.05)


def test_fit_calibration__covers_who_was_left_out(residuals):
    covered = {"voxels": [], "uptake": [], "asymmetry": []}
    for own in residuals:
        calibration = fit_calibration(residuals, own.participant)
        assert calibration.n_participants == 7
        sd = calibration.standard_deviation(own.predictors, own.points)
        covered["voxels"].append([np.mean(np.abs(own.errors) <= factor * sd) for factor in calibration.sd_factors])
        for measure, errors in own.regional.items():
            scale = calibration.regional[measure]
            ratios = [abs(error) / scale.scales.get(name, scale.usual) for name, error in errors.items()]
            covered[measure].append([np.mean(np.array(ratios) <= factor) for factor in scale.factors])
    np.testing.assert_allclose(np.mean(covered["voxels"], axis=0), LEVELS, atol=0.02)
    np.testing.assert_allclose(np.mean(covered["uptake"], axis=0), LEVELS, atol=0.06)
    np.testing.assert_allclose(np.mean(covered["asymmetry"], axis=0), LEVELS, atol=0.08)


def test_fit_calibration__nothing_of_who_is_left_out_goes_in(residuals):
    changed = [dataclasses.replace(residuals[0], errors=9 * residuals[0].errors), *residuals[1:]]
    first, second = (fit_calibration(one, residuals[0].participant) for one in (residuals, changed))
    assert first.factors == second.factors
    assert first.regional["uptake"].factors == second.regional["uptake"].factors
    np.testing.assert_array_equal(first.place.squares, second.place.squares)
    np.testing.assert_array_equal(first.coefficients, second.coefficients)
    assert fit_calibration(changed).factors != fit_calibration(residuals).factors


def test_fit_calibration__sessions_are_of_one_participant(residuals):
    twice = [*residuals, dataclasses.replace(residuals[0])]
    assert fit_calibration(twice).n_participants == 8


def test_fit_calibration__a_participant_without_a_place(residuals, make_head, tmp_path):
    head = make_head(tmp_path, "20", 20, transform=False)
    other = case_residuals(head.prediction, head.case)
    assert PLACE not in fit_calibration([*residuals, other]).predictors
    found = fit_calibration(residuals).standard_deviation(other.predictors, None)
    assert np.isfinite(found).all()
    assert (found > 0).all()


def test_fit_calibration__of_too_few(residuals):
    with pytest.raises(ValueError, match="4 held-out participants"):
        fit_calibration(residuals[:4])
    with pytest.raises(ValueError, match="4 held-out participants"):
        fit_calibration(residuals[:5], residuals[0].participant)


def test_fit_calibration__sessions_do_not_make_a_participant_weigh_more(residuals):
    once, thrice = fit_calibration(residuals), fit_calibration([*residuals, residuals[0], residuals[0]])
    np.testing.assert_allclose(thrice.coefficients, once.coefficients, rtol=1e-9)
    np.testing.assert_allclose(thrice.place.squares, once.place.squares, atol=1e-12)
    np.testing.assert_allclose(thrice.place.weights, once.place.weights, atol=1e-12)


def test_fit_calibration__rests_on_what_is_known_of_who_is_left_out(residuals):
    with_network = [
        dataclasses.replace(one, predictors={**one.predictors, "network": one.predictors["uptake"]})
        for one in residuals[1:]
    ]
    calibration = fit_calibration([residuals[0], *with_network], residuals[0].participant)
    assert "network" not in calibration.predictors
    own = calibration.standard_deviation(residuals[0].predictors, residuals[0].points)
    assert np.isfinite(own).all()


def test_fit_calibration__places_of_another_template_are_no_places(residuals):
    astray = dataclasses.replace(residuals[0], template="MNIPediatricAsym")
    calibration = fit_calibration([astray, *residuals[1:]])
    assert calibration.template == "MNI152NLin2009aSym"
    assert PLACE not in calibration.predictors
    without = fit_calibration(residuals, residuals[0].participant)
    assert calibration.regional["asymmetry"].scales.keys() == without.regional["asymmetry"].scales.keys()
    found, of_all = (one.regional["asymmetry"].scales for one in (calibration, fit_calibration(residuals)))
    block = next(name for name in found if name != "hemisphere")
    assert found[block] != of_all[block]
