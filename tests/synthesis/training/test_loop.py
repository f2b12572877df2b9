import os
import signal

import pytest

from bids_spectsynth.synthesis.models.tensors import load_tensors
from bids_spectsynth.synthesis.training import loop as training
from bids_spectsynth.synthesis.training.state import Interrupted
from bids_spectsynth.synthesis.training.steps import Stepper
from bids_spectsynth.synthesis.training.validation import validate
from tests.synthesis.training.conftest import CONFIG, assert_same_training, fit


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
