import dataclasses
import os
import signal

import pytest
import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.data.storage import Storage
from bids_spectsynth.synthesis.training import loop as training
from bids_spectsynth.synthesis.training.state import Interrupted
from tests.synthesis.training.conftest import CONFIG, assert_same_training, fit, interrupt


@pytest.mark.parametrize(("at_step", "number"), [(2, signal.SIGTERM), (3, signal.SIGINT), (7, signal.SIGTERM)])
def test_stopped_training_goes_on_to_the_same_result(tmp_path, cohort, monkeypatch, at_step, number):
    fit(cohort, CONFIG, tmp_path / "whole")
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        interrupt(patch, at_step, lambda: os.kill(os.getpid(), number))
        with pytest.raises(Interrupted) as stopped:
            fit(cohort, CONFIG, tmp_path / "parts")
    assert stopped.value.exit_code == 128 + number
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert signal.getsignal(number) is before
    assert not (tmp_path / "parts" / "model.json").exists()
    torch.manual_seed(99)
    fit(cohort, CONFIG, tmp_path / "parts")
    assert_same_training(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_crashed_training_goes_on_from_its_last_checkpoint(tmp_path, cohort, monkeypatch, precision):
    config = dataclasses.replace(CONFIG, precision=precision, learning_rate_decay_epochs=2)
    fit(cohort, config, tmp_path / "whole")

    def crash():
        raise OSError("node failure")

    with monkeypatch.context() as patch:
        interrupt(patch, 8, crash)
        with pytest.raises(OSError, match="node failure"):
            fit(cohort, config, tmp_path / "parts")
    fit(cohort, config, tmp_path / "parts")
    assert_same_training(tmp_path / "whole", tmp_path / "parts")


def test_more_epochs_extend_a_finished_training(tmp_path, cohort):
    fit(cohort, CONFIG, tmp_path / "whole")
    fit(cohort, dataclasses.replace(CONFIG, epochs=2), tmp_path / "parts")
    fit(cohort, CONFIG, tmp_path / "parts")
    assert_same_training(tmp_path / "whole", tmp_path / "parts")


def test_checkpoint_of_another_training_is_not_used(tmp_path, cohort, caplog):
    fit(cohort, dataclasses.replace(CONFIG, seed=7), tmp_path)
    fit(cohort, CONFIG, tmp_path)
    fit(cohort, CONFIG, tmp_path / "fresh")
    assert "of another training" in caplog.text
    assert_same_training(tmp_path, tmp_path / "fresh")


def test_damaged_checkpoint(tmp_path, cohort):
    path = tmp_path / "checkpoint" / "state.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"not tensors")
    with pytest.raises(ModelError, match=r"state\.safetensors: damaged"):
        fit(cohort, CONFIG, tmp_path)


@pytest.mark.parametrize(("at_step", "kept"), [(2, False), (None, True)])
def test_another_number_of_processes(tmp_path, cohort, monkeypatch, caplog, at_step, kept):
    config = dataclasses.replace(CONFIG, epochs=1)
    if at_step is None:
        fit(cohort, config, tmp_path)
    else:
        with monkeypatch.context() as patch:
            interrupt(patch, at_step, lambda: os.kill(os.getpid(), signal.SIGTERM))
            with pytest.raises(Interrupted):
                fit(cohort, config, tmp_path)
    # Of the two processes there is only one, which has nobody to share gradients with.
    monkeypatch.setattr(Processes, "with_shared_gradients", lambda self, network: network)
    monkeypatch.setattr(Processes, "agree", lambda self, *numbers: True)
    run = training.TrainingLoop(*cohort, CONFIG, tmp_path, torch.device("cpu"), Processes(rank=0, count=2), Storage())
    run.resume()
    assert ("number" in caplog.text or "process(es)" in caplog.text) is not kept
    assert (run.state.epoch, run.state.step) == ((1, 0) if kept else (0, 0))
