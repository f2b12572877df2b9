import dataclasses

import pytest
import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.models.tensors import load_tensors
from bids_spectsynth.synthesis.training import loop as training
from bids_spectsynth.synthesis.training.steps import Stepper
from tests.synthesis.training.conftest import CONFIG, assert_same_training, fit


@pytest.mark.parametrize("rate", [1e30, 1e12])
def test_fit__absurd_learning_rate_is_an_error_without_a_model(tmp_path, cohort, rate):
    with pytest.raises(ModelError, match="in epoch 1, nothing was saved; use a lower --learning-rate"):
        fit(cohort, dataclasses.replace(CONFIG, learning_rate=rate), tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not (tmp_path / "model.json").exists()


def spoil(stepper, when):
    original, count = stepper.step, [0]

    def step(self, *args):
        losses = original(self, *args)
        count[0] += 1
        when(count[0], self, losses)
        return losses

    return step


def test_fit__nan_loss_keeps_the_last_good_checkpoint(tmp_path, cohort, monkeypatch):
    # Three steps an epoch, a checkpoint after the second one.
    config = dataclasses.replace(CONFIG, epochs=5)
    fit(cohort, config, tmp_path / "whole")

    def nan_in_the_third_epoch(count, stepper, losses):
        if count == 8:
            losses[0] = torch.nan

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "step", spoil(Stepper, nan_in_the_third_epoch))
        with pytest.raises(ModelError, match="the loss is no usable number in epoch 3, the last good checkpoint"):
            fit(cohort, config, tmp_path / "parts")
    tensors, header = load_tensors(tmp_path / "parts" / "checkpoint" / "state.safetensors")
    assert (header["epoch"], header["step"]) == (2, 0)
    assert torch.isfinite(tensors["generator.last.1.bias"]).all()
    assert not (tmp_path / "parts" / "model.json").exists()
    fit(cohort, config, tmp_path / "parts")
    assert_same_training(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e9])
def test_fit__weight_that_is_no_number_although_losses_are(tmp_path, cohort, monkeypatch, value):
    def last_step(count, stepper, losses):
        if count == 9:
            stepper.generator.state_dict()["last.1.bias"][:] = value

    monkeypatch.setattr(Stepper, "step", spoil(Stepper, last_step))
    with pytest.raises(ModelError, match="a weight of the networks is no usable number in epoch 3"):
        fit(cohort, CONFIG, tmp_path)
    assert not (tmp_path / "model.json").exists()


def test_fit__signal_writes_no_checkpoint_of_nan(tmp_path, cohort, monkeypatch):
    class Stop:
        number = 15

    def spoiled(count, stepper, losses):
        losses[0] = torch.nan

    monkeypatch.setattr(Stepper, "step", spoil(Stepper, spoiled))
    monkeypatch.setattr(training.TrainingLoop, "_stop_on_signal", stop_with(Stop()))
    with pytest.raises(ModelError, match="the loss is no usable number"):
        fit(cohort, CONFIG, tmp_path)
    assert not (tmp_path / "checkpoint").exists()


def stop_with(stop):
    original = training.TrainingLoop._stop_on_signal
    return lambda self, _: original(self, stop)


@pytest.mark.parametrize("metrics", [{"rmse": float("nan"), "ssim": 0.5}, {"rmse": 0.1, "ssim": float("inf")}])
def test_fit__validation_without_numbers_is_an_error(tmp_path, cohort, monkeypatch, metrics):
    monkeypatch.setattr(training, "validate", lambda *args: metrics)
    with pytest.raises(ModelError, match="the error of the validation participants is no usable number in epoch 1"):
        fit(cohort, CONFIG, tmp_path)
    assert not (tmp_path / "model.json").exists()
