"""The command ``bids_spectsynth-pretrain``: a model folder that a training can start from."""

import os
import re
import signal
import time

import numpy as np
import pytest
import torch

from bids_spectsynth.app.model_choice import choose_models
from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.pretraining import cli, stream, train
from bids_spectsynth.pretraining.cli import DEFAULTS, OPTIONS, build_parser, main
from bids_spectsynth.pretraining.cohort import CohortRequest
from bids_spectsynth.pretraining.stream import CohortStream
from bids_spectsynth.pretraining.train import STATEMENT
from bids_spectsynth.synthesis.models.card import is_training_participant, load_card
from bids_spectsynth.synthesis.models.tensors import load_tensors
from bids_spectsynth.synthesis.study import planned_models
from bids_spectsynth.synthesis.training.planning import check_initial_model
from bids_spectsynth.synthesis.training.steps import Stepper

SMALL = ["--preset", "best", "--voxel-size", "4", "--base-filters", "2", "--slices-per-subject", "3", "--epochs", "2",
         "--heads", "3", "--device", "cpu", "--batch-size", "3", "--checkpoint-every", "1"]  # fmt: skip


@pytest.fixture(autouse=True)
def _threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def _few_heads():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "VALIDATION_COHORTS", 1)
        patch.setattr(train, "VALIDATION_HEADS", 3)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained") / "start"
    assert main([str(folder), *SMALL]) == 0
    return folder


def tensors(folder):
    return load_tensors(folder / "checkpoint" / "state.safetensors")[0]


def test_the_card_says_simulated_and_nobody(trained):
    card = load_card(trained)
    assert card.phantom is True
    assert (card.participants, card.selection_participants) == ((), ())
    assert not is_training_participant(card, "0x0")
    assert card.statement == STATEMENT
    assert (card.training["participants"], card.training["simulated_heads"]) == (0, 6)
    assert card.label == "pix2pixT1wPetBestSimulated"
    assert {path.name for path in trained.iterdir()} == {
        "checkpoint", "history.json", "history.tsv", "model.json", "model.safetensors"
    }  # fmt: skip


def test_a_training_with_the_same_options_can_start_from_it_and_nothing_else(trained, tmp_path):
    plain = {"bids_dir": tmp_path, "output_dir": tmp_path / "out", "analysis_level": "participant"}
    values = {**plain, "preset": "best", "voxel_size": 4, "base_filters": 2, "initial_model": trained}
    check_initial_model(planned_models(make_settings(values))[0], 0)
    for change in ({"inputs": "pet"}, {"preset": "fard2024"}, {"voxel_size": 2}, {"base_filters": 4}):
        with pytest.raises(ModelError, match="does not fit"):
            check_initial_model(planned_models(make_settings({**values, **change}))[0], 0)


def test_it_is_no_model_to_apply(trained, tmp_path):
    plain = {"bids_dir": tmp_path, "output_dir": tmp_path / "out", "analysis_level": "participant"}
    with pytest.raises(ModelError, match=r"learned from simulated heads alone.*--initial-model"):
        choose_models(make_settings({**plain, "model": trained, "voxel_size": 4, "device": "cpu"}))


def test_a_training_that_is_killed_goes_on_to_the_same_weights(trained, tmp_path, monkeypatch, capsys):
    original, steps = Stepper.step, []

    def step(self, *args):
        steps.append(1)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "step", step)
        assert main([str(tmp_path / "start"), *SMALL]) == 143
    assert "the next run goes on from the checkpoint" in capsys.readouterr().err
    assert len(steps) == 5, "in the second epoch"
    assert main([str(tmp_path / "start"), *SMALL]) == 0
    first, second = tensors(trained), tensors(tmp_path / "start")
    assert all(torch.equal(value, second[name]) for name, value in first.items() if name != "sums")
    assert load_card(trained).weights_sha256 == load_card(tmp_path / "start").weights_sha256
    # Finished, it is left alone; with another seed it is another model.
    before = (trained / "model.json").stat().st_mtime_ns
    assert main([str(trained), *SMALL]) == 0
    assert (trained / "model.json").stat().st_mtime_ns == before
    assert main([str(trained), *SMALL, "--random-seed", "7"]) == 5
    assert "seed" in capsys.readouterr().err


def test_another_number_of_heads_is_said_in_words_of_this_command(trained, capsys):
    options = ["4" if option == "3" and SMALL[at - 1] == "--heads" else option for at, option in enumerate(SMALL)]
    assert main([str(trained), *options]) == 5
    error = capsys.readouterr().err
    assert "(heads differ)" in error
    assert "another OUT" in error
    assert "--model-label" not in error


def test_several_processes_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([str(tmp_path / "m"), *SMALL]) == 2
    assert "torchrun: this command trains in one process" in capsys.readouterr().err


def test_a_dataset_is_no_place_for_a_model(tmp_path, capsys):
    (tmp_path / "dataset_description.json").write_text("{}")
    assert main([str(tmp_path), *SMALL]) == 2
    assert "give a new folder for the model" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["dataset_description.json"]


def test_a_signal_while_the_first_heads_are_drawn_ends_at_once(tmp_path, monkeypatch, capsys):
    def kill(stream):
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal was kept for later")

    monkeypatch.setattr(train, "_validation_cases", kill)
    assert main([str(tmp_path / "m"), *SMALL]) == 143
    assert "stopped by SIGTERM" in capsys.readouterr().err


def test_wait__ends_when_it_is_told_to(monkeypatch):
    monkeypatch.setattr(stream, "draw_planned", lambda *_: time.sleep(1))
    request = CohortRequest(seed=3, n_heads=3, inputs=("T1w",), voxel_size=4.0, scaling="volume", prior=False)
    with stream.CohortStream(request, 1) as cohorts:
        assert not cohorts.wait(0, lambda: True)


def test_every_epoch_is_another_cohort(monkeypatch, tmp_path):
    seen = []
    original = CohortStream.cohort

    def cohort(self, number):
        cases = original(self, number)
        seen.append((number, float(np.sum(cases[0].inputs[0], dtype=np.float64))))
        return cases

    monkeypatch.setattr(CohortStream, "cohort", cohort)
    assert main([str(tmp_path / "m"), *SMALL, "--inputs", "FLAIR"]) == 0
    assert [number for number, _ in seen] == [0, 1]
    assert len({total for _, total in seen}) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--heads", "2"], "--heads: 2 is below 3"),
        (["--inputs", "PDw"], "--inputs PDw: cannot be simulated; there are T1w, T2w, FLAIR, pet"),
        (["--inputs", "pet", "--inputs", "T1w"], "--inputs: one set of images"),
        (["--preset", "demo"], "--preset demo: trains several models"),
        (["--epochs", "0"], "--epochs: 0 is not above zero"),
        (["--siscom", "off"], "unknown option --siscom"),
    ],
)
def test_bad_options_are_one_line(tmp_path, capsys, options, words):
    assert main([str(tmp_path / "m"), *options]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "m").exists()


def test_defaults_that_differ_are_in_the_help():
    text = build_parser().format_help()
    for name, value in DEFAULTS.items():
        assert name in OPTIONS
        assert re.search(rf"--{name.replace('_', '-')}\s+{value}", text)


@pytest.mark.parametrize("error", [MemoryError("747 MB"), RuntimeError("can't start new thread (out of memory)")])
def test_lack_of_memory_is_one_line(tmp_path, monkeypatch, capsys, error):
    def lacking():
        raise error

    monkeypatch.setattr(cli, "check_room", lacking)
    assert main([str(tmp_path / "start"), *SMALL]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bids_spectsynth-pretrain: error: out of memory; ")
    assert str(error) in line
    assert not (tmp_path / "start").exists()


def test_a_defect_is_not_hidden(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "check_room", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main([str(tmp_path / "start"), *SMALL])
