from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_spectsynth.bids.prepared import find_prepared
from bids_spectsynth.siscom.baselines import cohort
from bids_spectsynth.siscom.baselines.cohort import COHORT, choose_mean
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.models.ensemble import find_models
from tests.conftest import App


def request_of(app: App, label: str, ictal: str = "interictal", **options: object) -> Request:
    (case,) = find_prepared(app.output_dir, "T1w", (label,))
    arguments = {"models": find_models(app.output_dir), "fwhm": 12.0, **options}
    return Request(case=case, output_dir=app.output_dir, ictal=ictal, **arguments)


def test_cohort__mean_times_ratio_of_a_head_that_no_model_knows(finished: App) -> None:
    request = request_of(finished, "07", "ictal")
    assert COHORT.available(request) is None
    (found,) = COHORT.make(request)
    assert (found.kind, found.label, found.synthetic, found.seen) == ("cohort", "Cohort", False, False)
    np.testing.assert_array_equal(found.mask, request.brain)
    assert found.values[request.brain].mean() == pytest.approx(1, abs=0.15)
    assert not found.values[~request.brain].any()
    assert any("PET" in note for note in found.notes)
    assert found.sources[0].name == "baselines.safetensors"


def test_cohort__the_largest_cohort_serves_where_there_is_no_pet(finished: App) -> None:
    with_pet = choose_mean(request_of(finished, "07", "ictal"))
    without = request_of(finished, "07", "ictal")
    images = {role: path for role, path in without.case.images.items() if role != "pet"}
    without = replace(without, case=replace(without.case, images=images))
    plain = choose_mean(without)
    assert with_pet is not None
    assert plain is not None
    assert with_pet.with_ratio
    assert not plain.with_ratio
    counts = {folder: Baselines.load(folder).n_subjects for folder in find_models(finished.output_dir)}
    assert plain.n_participants == max(counts.values()) == 2
    assert not any("PET" in note for note in COHORT.make(without)[0].notes)


def test_cohort__a_training_participant_is_left_out(finished: App) -> None:
    # Of the two who trained the model of T1w alone, one is left: its own SPECT, carried to the other's head.
    request = request_of(finished, "06")
    mean = choose_mean(request)
    assert mean is not None
    assert (mean.n_participants, mean.seen) == (1, False)
    whole = Baselines.load(mean.folder).arrays["mean_spect"]
    assert np.abs(mean.baselines.arrays["mean_spect"] - whole).max() > 0.01


def test_cohort__of_another_folder_cannot_be_taken_apart(finished: App, tmp_path: Path) -> None:
    request = replace(request_of(finished, "01"), output_dir=tmp_path)
    (found,) = COHORT.make(request)
    assert found.seen
    assert any("may be part of the mean" in note for note in found.notes)


def test_cohort__reasons_for_none(finished: App, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert "no model" in str(COHORT.available(request_of(finished, "07", "ictal", models=())))
    lost = request_of(finished, "07", "ictal")
    lost = replace(lost, case=replace(lost.case, template=None, template_xfm=None, template_xfms={}))
    assert "template" in str(COHORT.available(lost))
    assert COHORT.available(request_of(finished, "07", "ictal", models=(tmp_path,)))
    assert "left out as a cohort" in caplog.text


def test_cohort__pet_as_blurred_as_the_cohorts_that_were_harmonised(
    finished: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(finished, "07", "ictal")
    (plain,) = COHORT.make(request)
    mean = choose_mean(request)
    assert mean is not None
    assert mean.widths == {}
    monkeypatch.setattr(cohort, "choose_mean", lambda _: replace(mean, widths={"pet": 30.0}))
    (found,) = COHORT.make(request)
    assert any(note.startswith("The PET was smoothed by") for note in found.notes)
    assert not np.allclose(found.values, plain.values)
