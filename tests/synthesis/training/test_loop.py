import dataclasses
import os
import signal

import pandas as pd
import pytest

from bids_spectsynth.synthesis.models.card import load_card
from bids_spectsynth.synthesis.models.tensors import load_tensors
from bids_spectsynth.synthesis.training import loop as training
from bids_spectsynth.synthesis.training.state import Interrupted
from bids_spectsynth.synthesis.training.steps import Stepper
from bids_spectsynth.synthesis.training.validation import validate
from tests.synthesis.training.conftest import CONFIG, assert_same_training, fit, interrupt


def test_a_stop_during_validation_leaves_validation_to_the_next_run(tmp_path, cohort, monkeypatch):
    fit(cohort, CONFIG, tmp_path / "whole")
    asked = []

    def stop_in_validation(*args):
        asked.append(1)
        if len(asked) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return validate(*args)

    with monkeypatch.context() as patch:
        patch.setattr(training, "validate", stop_in_validation)
        with pytest.raises(Interrupted):
            fit(cohort, CONFIG, tmp_path / "parts")
    _, header = load_tensors(tmp_path / "parts" / "checkpoint" / "state.safetensors")
    assert (header["epoch"], header["step"]) == (1, 3), "ten slices in batches of four"
    assert len(header["history"]) == 1
    steps = []
    with monkeypatch.context() as patch:
        original = Stepper.step
        patch.setattr(Stepper, "step", lambda self, *args: steps.append(1) or original(self, *args))
        fit(cohort, CONFIG, tmp_path / "parts")
    assert len(steps) == 3, "the last epoch's"
    assert_same_training(tmp_path / "whole", tmp_path / "parts")


#: Errors of the epochs: the second is the best, the fourth a little worse, the sixth would be the best of all.
ERRORS = (0.5, 0.3, 0.4, 0.31, 0.6, 0.1)
PATIENT = dataclasses.replace(CONFIG, epochs=6, patience=2, checkpoint_every=1)


@pytest.fixture
def errors(monkeypatch):
    """Validation finds these errors, by the epoch that is rated."""

    def found(self, stop):
        return {"rmse": ERRORS[self.state.epoch], "ssim": 0.5}

    monkeypatch.setattr(training.TrainingLoop, "_validate", found)


@pytest.mark.parametrize(("patience", "trained", "best"), [(1, 3, 2), (2, 4, 2), (4, 6, 6), (0, 6, 6)])
def test_patience__ends_the_training_that_many_epochs_after_the_best(tmp_path, cohort, errors, patience, trained, best):
    card = fit(cohort, dataclasses.replace(PATIENT, patience=patience), tmp_path)
    assert (card.training["epochs"], card.training["best_epoch"]) == (trained, best)
    assert len(pd.read_csv(tmp_path / "history.tsv", sep="\t")) == trained
    if patience:
        ended = "patience" if trained < 6 else "epochs"
        assert (card.training["ended_by"], card.training["epochs_at_most"]) == (ended, 6)
    else:
        assert "ended_by" not in card.training


@pytest.mark.parametrize("at_step", [5, 9])
def test_patience__a_training_that_is_killed_goes_on_to_the_same_end(tmp_path, cohort, errors, monkeypatch, at_step):
    fit(cohort, PATIENT, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt(patch, at_step, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted):
            fit(cohort, PATIENT, tmp_path / "parts")
    fit(cohort, PATIENT, tmp_path / "parts")
    assert_same_training(tmp_path / "whole", tmp_path / "parts")
    assert load_card(tmp_path / "parts").training["ended_by"] == "patience"


def test_patience__a_training_that_had_ended_before_its_model_was_written_trains_no_further(
    tmp_path, cohort, errors, monkeypatch
):
    card = fit(cohort, PATIENT, tmp_path)
    (tmp_path / "model.json").unlink()
    monkeypatch.setattr(Stepper, "step", lambda *args: pytest.fail("trained on"))
    assert fit(cohort, PATIENT, tmp_path).weights_sha256 == card.weights_sha256
