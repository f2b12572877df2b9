from dataclasses import replace

import numpy as np
import pytest

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.fitting import fit_baselines
from bids_spectsynth.synthesis.baselines.predict import predict
from bids_spectsynth.synthesis.data.slices import PreparedCases, load_case
from bids_spectsynth.synthesis.network.prior_channel import cohort_prior, prior_baseline, with_prior
from tests.synthesis.baselines.conftest import TEMPLATE, make_case

INPUTS = ("T1w", "pet")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Four heads on the template's own grid, whose SPECTs differ in gain only, and one with a pattern of its own."""
    folder = tmp_path_factory.mktemp("cases")
    return tuple(make_case(folder, f"{n:02d}", seed=n, space=TEMPLATE) for n in range(1, 5))


def test_the_prior_follows_the_inputs():
    assert prior_baseline(("T1w",)) == "meanSpect"
    assert prior_baseline(("T1w", "pet")) == "meanSpectPetRatio"


def test_the_prior_of_a_new_subject_is_the_baseline(cases):
    fitted = fit_baselines(cases[:3], INPUTS, "volume")
    arrays = load_case(cases[3], INPUTS, "volume")
    expected = predict(fitted, cases[3])["meanSpectPetRatio"]
    assert np.allclose(cohort_prior(fitted, cases[3], arrays), expected)


@pytest.mark.parametrize("inputs", [INPUTS, ("T1w",)])
def test_leaving_one_out_equals_never_having_had_it(cases, inputs):
    everybody, others = (fit_baselines(part, inputs, "volume") for part in (cases, cases[1:]))
    # The calibration is that of the whole training cohort in either case.
    others = replace(others, calibration=everybody.calibration)
    arrays = load_case(cases[0], inputs, "volume")
    left_out = cohort_prior(everybody, cases[0], arrays, left_out=(cases[0],))
    assert np.allclose(left_out, cohort_prior(others, cases[0], arrays), atol=1e-4)
    if "pet" in inputs:  # The SPECTs of these heads differ in gain only, their PETs in noise too.
        assert not np.allclose(left_out, cohort_prior(everybody, cases[0], arrays), atol=1e-4)


def test_training_cases_do_not_see_themselves_and_validation_cases_see_all(cases, tmp_path):
    fitted = fit_baselines(cases[:3], INPUTS, "volume")
    fitted.save(tmp_path)
    training = list(with_prior(PreparedCases(cases[:3], INPUTS, "volume"), tmp_path, fitted_to=True))
    validation = next(iter(with_prior(PreparedCases(cases[3:], INPUTS, "volume"), tmp_path, fitted_to=False)))
    assert training[0].inputs.shape[0] == 3
    own = cohort_prior(fitted, cases[0], training[0], left_out=cases[:1])
    assert np.allclose(training[0].inputs[2], own)
    assert np.allclose(validation.inputs[2], cohort_prior(fitted, cases[3], validation))


def test_what_is_saved_gives_the_same_prior(cases, tmp_path):
    fitted = fit_baselines(cases[:3], INPUTS, "slice")
    fitted.save(tmp_path)
    arrays = load_case(cases[0], INPUTS, "slice")
    priors = [cohort_prior(one, cases[0], arrays, cases[:1]) for one in (fitted, Baselines.load(tmp_path))]
    assert np.array_equal(*priors)


def test_the_only_training_subject_is_not_left_out(cases):
    fitted = fit_baselines(cases[:1], INPUTS, "volume")
    arrays = load_case(cases[0], INPUTS, "volume")
    assert np.isfinite(cohort_prior(fitted, cases[0], arrays, cases[:1])).all()


def test_without_a_mean_there_is_no_prior(cases, tmp_path):
    fitted = replace(fit_baselines(cases[:2], INPUTS, "volume"), left_out={"meanSpectPetRatio": "1 of 2 without PET"})
    with pytest.raises(ModelError, match="1 of 2 without PET; use --cohort-prior none"):
        cohort_prior(fitted, cases[2], load_case(cases[2], INPUTS, "volume"))
    with pytest.raises(ModelError, match="on disk"):
        with_prior([load_case(cases[0], INPUTS, "volume")], tmp_path, fitted_to=True)
