import dataclasses
import json
import math
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.computing.computation import Computation
from bids_spectsynth.synthesis.computing.devices import Processes, resolve_device
from bids_spectsynth.synthesis.data.gathering import gather_slices
from bids_spectsynth.synthesis.data.storage import Storage, decode
from bids_spectsynth.synthesis.models.card import load_card
from bids_spectsynth.synthesis.models.folder import load_model
from bids_spectsynth.synthesis.models.tensors import load_tensors
from bids_spectsynth.synthesis.training import loop as training
from bids_spectsynth.synthesis.training.config import TrainingConfig, training_config
from bids_spectsynth.synthesis.training.finished import check_replaceable
from bids_spectsynth.synthesis.training.state import Interrupted
from bids_spectsynth.synthesis.training.steps import Stepper, loss_names
from bids_spectsynth.synthesis.training.train import train
from bids_spectsynth.synthesis.training.validation import validate

COMPUTATION = Computation(torch.device("cpu"))
CONFIG = TrainingConfig(
    label="pix2pixT1wPet",
    inputs=("T1w", "pet"),
    voxel_size=2.0,
    slices_per_subject=5,
    epochs=3,
    batch_size=4,
    learning_rate=1e-3,
    base_filters=2,
    checkpoint_every=2,
    ssim_weight=1.0,
    precision="float32",
)


@pytest.fixture
def cohort(make_case):
    return [make_case("01", 1), make_case("02", 2)], [make_case("03", 3)]


def fit(cohort, config, folder):
    return train(*cohort, config, folder, device="cpu", progress=False)


def weights(folder):
    return load_tensors(folder / "model.safetensors")[0]


def assert_same_training(first, second):
    one, other = (load_tensors(folder / "checkpoint" / "state.safetensors") for folder in (first, second))
    assert one[0].keys() == other[0].keys()
    for name, value in one[0].items():
        torch.testing.assert_close(value, other[0][name], rtol=0, atol=0, equal_nan=True, msg=name)
    assert weights(first).keys() == weights(second).keys()
    assert all(torch.equal(value, weights(second)[name]) for name, value in weights(first).items())
    history = [pd.read_csv(folder / "history.tsv", sep="\t").drop(columns="seconds") for folder in (first, second)]
    pd.testing.assert_frame_equal(*history)


def interrupt(monkeypatch, at_step, action):
    """Run ``action`` after the given number of steps."""
    original, count = Stepper.step, [0]

    def step(self, *args):
        result = original(self, *args)
        count[0] += 1
        if count[0] == at_step:
            action()
        return result

    monkeypatch.setattr(Stepper, "step", step)


def test_two_slices_can_be_learnt_by_heart(tmp_path, make_case):
    case = make_case("01", 1)
    config = dataclasses.replace(
        CONFIG, slices_per_subject=2, epochs=60, learning_rate=3e-3, base_filters=8, adversarial_weight=1,
        ssim_weight=0, checkpoint_every=100,
    )  # fmt: skip
    fit(([case], [dataclasses.replace(case, participant="02")]), config, tmp_path)
    history = pd.read_csv(tmp_path / "history.tsv", sep="\t")
    assert history["loss_l1"].iloc[-1] < 0.25 * history["loss_l1"].iloc[0]
    assert history["validation_rmse"].min() < 0.25
    assert load_card(tmp_path).training["best_epoch"] == history["validation_rmse"].idxmin() + 1


def test_model_folder_after_training(tmp_path, cohort):
    card = fit(cohort, CONFIG, tmp_path)
    history = pd.read_csv(tmp_path / "history.tsv", sep="\t")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert np.isfinite(history.to_numpy()).all()
    assert set(json.loads((tmp_path / "history.json").read_text())) == set(history.columns)
    best = history.loc[card.training["best_epoch"] - 1]
    assert card.validation == pytest.approx(
        {"rmse": best["validation_rmse"], "ssim": best["validation_ssim"]}, rel=1e-6
    )
    assert best["validation_rmse"] == history["validation_rmse"].min()
    assert card.training | {"participants": 2, "slices": 10, "validation_participants": 1} == card.training
    assert card.training["precision"] == "float32"
    assert card.training["device"] == "cpu"
    assert card.target_statistics["mean_in_brain"] == pytest.approx(np.mean([c.target_mean for c in cohort[0]]))
    assert load_model(tmp_path, torch.device("cpu")).card == card


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


def test_a_finished_model_is_left_alone_unless_something_changed(tmp_path, cohort):
    card = fit(cohort, CONFIG, tmp_path)
    same = fit(([], []), dataclasses.replace(CONFIG, checkpoint_every=9), tmp_path)
    assert same == card
    other = fit(cohort, dataclasses.replace(CONFIG, data="other images"), tmp_path)
    assert other.created >= card.created
    assert other.salt != card.salt


def test_a_finished_model_of_other_options_is_not_replaceable(tmp_path, cohort):
    check_replaceable(tmp_path, CONFIG)
    fit(cohort, CONFIG, tmp_path)
    check_replaceable(tmp_path, CONFIG)
    check_replaceable(tmp_path, dataclasses.replace(CONFIG, epochs=9))
    with pytest.raises(ModelError, match=r"\(seed differ\).*--model-label"):
        check_replaceable(tmp_path, dataclasses.replace(CONFIG, seed=9))
    with pytest.raises(ModelError, match=r"\(epochs differ\)"):
        check_replaceable(tmp_path, dataclasses.replace(CONFIG, epochs=1))


def test_the_random_state_of_the_caller_is_kept(tmp_path, cohort):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    fit(cohort, dataclasses.replace(CONFIG, epochs=1), tmp_path)
    assert torch.equal(torch.rand(3), wanted)


def test_the_seed_decides(tmp_path, cohort):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(cohort, dataclasses.replace(CONFIG, epochs=1, seed=seed), tmp_path / name)
    first, same, other = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(value, same[name]) for name, value in first.items())
    assert not all(torch.equal(value, other[name]) for name, value in first.items())


def test_weights_depend_on_training_participants_only(tmp_path, cohort, make_case):
    config = dataclasses.replace(CONFIG, epochs=1)
    fit(cohort, config, tmp_path / "a")
    card = fit((cohort[0], [make_case("04", 44)]), config, tmp_path / "b")
    assert all(torch.equal(value, weights(tmp_path / "b")[name]) for name, value in weights(tmp_path / "a").items())
    assert card.target_statistics == load_card(tmp_path / "a").target_statistics


def test_a_participant_cannot_train_and_validate(tmp_path, cohort):
    with pytest.raises(ModelError, match="participant 02 is in training and in validation"):
        fit((cohort[0], [dataclasses.replace(cohort[1][0], participant="02")]), CONFIG, tmp_path)


def test_without_adversarial_weight_there_is_no_discriminator(tmp_path, cohort):
    card = fit(cohort, dataclasses.replace(CONFIG, adversarial_weight=0, ssim_weight=0), tmp_path)
    tensors, _ = load_tensors(tmp_path / "checkpoint" / "state.safetensors")
    assert not any("discriminator" in name for name in tensors)
    assert "discriminator" not in card.architecture
    history = pd.read_csv(tmp_path / "history.tsv", sep="\t")
    assert history[["loss_adversarial", "loss_discriminator", "loss_ssim"]].isna().all(axis=None)
    np.testing.assert_allclose(history["loss_generator"], 100 * history["loss_l1"], rtol=1e-5)


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


def make_stepper(config=CONFIG, processes=None):
    return Stepper(config, 2, 5, COMPUTATION, processes or Processes())


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(4, 2, 32, 32, generator=generator) * 2 - 1, torch.rand(4, 1, 32, 32, generator=generator) * 2 - 1


@pytest.mark.parametrize("limit", [1, 2])
def test_out_of_memory_halves_the_batch(monkeypatch, caplog, batch, limit):
    stepper = make_stepper()
    before = [buffer.clone() for buffer in stepper.generator.buffers()]
    forward = type(stepper.generator).forward
    sizes = []

    def small_memory(self, image):
        sizes.append(len(image))
        if len(image) > limit:
            raise torch.cuda.OutOfMemoryError("no memory")
        return forward(self, image)

    monkeypatch.setattr(type(stepper.generator), "forward", small_memory)
    losses = stepper.step(*batch, 1)
    assert losses.isfinite().all()
    # One pass for the discriminator, one for the generator; only the latter may count in batch norm's statistics.
    assert sizes[-8 // limit :] == [limit] * (8 // limit)
    counts = [b for b in stepper.generator.buffers() if b.dtype == torch.int64]
    assert all(count.item() == 4 // limit for count in counts)
    assert any(not torch.equal(a, b) for a, b in zip(before, stepper.generator.buffers(), strict=True))
    assert f"in {4 // limit} parts" in caplog.text
    assert stepper.n_parts == 4 // limit


def test_out_of_memory_with_a_single_slice(monkeypatch, batch):
    stepper = make_stepper()

    def no_memory(self, image):
        raise torch.cuda.OutOfMemoryError("no memory")

    monkeypatch.setattr(type(stepper.generator), "forward", no_memory)
    with pytest.raises(ModelError, match="--base-filters"):
        stepper.step(*batch, 1)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(batch):
    """Without batch norm in between, accumulated gradients are those of the whole batch."""
    grads = []
    for n_parts in (1, 4):
        stepper = make_stepper(dataclasses.replace(CONFIG, adversarial_weight=0))
        for module in stepper.generator.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.Dropout):
                module.eval()
        stepper.n_parts = n_parts
        losses = stepper.step(*batch, 1)
        grads.append((losses, [p.grad.clone() for p in stepper.generator.parameters()]))
    torch.testing.assert_close(grads[0][0], grads[1][0], equal_nan=True, rtol=1e-5, atol=1e-6)
    for first, second in zip(grads[0][1], grads[1][1], strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)


def test_a_step_changes_each_network_by_its_own_loss(batch):
    stepper = make_stepper()
    losses = dict(zip(loss_names(CONFIG), stepper.step(*batch, 1).tolist(), strict=True))
    wanted = losses["adversarial"] + 100 * losses["l1"] + 1 - losses["ssim"]
    assert losses["generator"] == pytest.approx(wanted, rel=1e-5)
    assert losses["discriminator"] == pytest.approx(math.log(2), rel=0.2)
    discriminator = make_stepper().discriminator
    # The generator's loss goes through the discriminator but must not move it: one update of size lr each.
    for fresh, moved in zip(discriminator.parameters(), stepper.discriminator.parameters(), strict=True):
        assert (fresh - moved).abs().max() <= 1.001 * CONFIG.learning_rate


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_out_of_memory_in_validation(monkeypatch, caplog, make_case, limit):
    """Smaller batches give the same metrics; where no slice fits, there is one line."""
    data, _ = gather_slices([make_case("01", 1), make_case("02", 2)], 5, masks=True)
    generator = make_stepper().generator
    expected = validate(generator, data, 3, COMPUTATION)
    forward = type(generator).forward

    def small_memory(self, image):
        if len(image) > limit:
            raise torch.cuda.OutOfMemoryError("no memory")
        return forward(self, image)

    monkeypatch.setattr(type(generator), "forward", small_memory)
    if limit == 0:
        with pytest.raises(ModelError, match="single slice"):
            validate(generator, data, 3, COMPUTATION)
        return
    assert validate(generator, data, 3, COMPUTATION) == pytest.approx(expected, rel=1e-5)
    assert "1 slices at a time" in caplog.text


def test_validation_is_in_mask_and_changes_nothing(make_case):
    case = make_case("01", 1)
    data, _ = gather_slices([case, make_case("02", 2)], 5, masks=True)
    generator = make_stepper().generator
    state = {name: value.clone() for name, value in generator.state_dict().items()}
    metrics = validate(generator, data, 3, COMPUTATION)
    assert generator.training
    assert all(torch.equal(value, state[name]) for name, value in generator.state_dict().items())
    generator.eval()
    with torch.no_grad():
        made = generator(decode(data.images))
    rmse = []
    for number in (0, 1):
        own = data.cases == number
        rmse.append((made[own] - decode(data.targets[own]))[data.masks[own]].square().mean().sqrt().item())
    assert metrics["rmse"] == pytest.approx(np.mean(rmse), rel=1e-5)
    assert metrics["ssim"] < 1


def test_learning_rate_falls_over_the_last_epochs():
    config = dataclasses.replace(CONFIG, epochs=10, learning_rate=1.0, learning_rate_decay_epochs=4)
    assert [round(config.rate(epoch), 3) for epoch in range(10)] == [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    assert {dataclasses.replace(config, learning_rate_decay_epochs=0).rate(epoch) for epoch in range(10)} == {1.0}


def test_config_from_settings(tmp_path):
    settings = make_settings(
        {
            "bids_dir": tmp_path, "output_dir": tmp_path, "analysis_level": "participant", "epochs": 7, "batch_size": 3,
            "learning_rate": 0.5, "learning_rate_decay_epochs": 2, "adversarial_weight": 0.5, "l1_weight": 4,
            "ssim_weight": 2, "base_filters": 11, "checkpoint_every": 4, "voxel_size": 2, "random_seed": 8,
            "intensity_scaling": "volume",
        }
    )  # fmt: skip
    config = training_config(settings, ("pet",), "MNI152NLin6Sym", "digest")
    assert config == TrainingConfig(
        label="pix2pixPetSsimVolumeMNI152NLin6Sym", inputs=("pet",), space="MNI152NLin6Sym", scaling="volume",
        voxel_size=2.0, slices_per_subject=50, epochs=7, batch_size=3, learning_rate=0.5, learning_rate_decay_epochs=2,
        adversarial_weight=0.5, l1_weight=4.0, ssim_weight=2.0, base_filters=11, checkpoint_every=4, seed=8,
        precision="auto", data="digest", configuration="pix2pixPetSsimVolumeMNI152NLin6Sym",
    )  # fmt: skip


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="--device cuda"):
        resolve_device("cuda")
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")


def test_the_device_is_logged(caplog):
    with caplog.at_level("INFO"):
        resolve_device("cpu")
    assert "on the CPU" in caplog.text


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


def test_validation_can_be_stopped(make_case):
    data, _ = gather_slices([make_case("01", 1)], 5, masks=True)
    generator = make_stepper().generator
    answers = iter((False, True))
    assert validate(generator, data, 1, COMPUTATION, lambda: next(answers)) is None
    assert next(answers, "asked twice") == "asked twice"
    assert generator.training


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
    run = training.TrainingLoop(*cohort, CONFIG, tmp_path, torch.device("cpu"), Processes(rank=0, count=2), Storage())
    run.resume()
    assert ("number" in caplog.text or "process(es)" in caplog.text) is not kept
    assert (run.state.epoch, run.state.step) == ((1, 0) if kept else (0, 0))
