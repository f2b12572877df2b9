"""The way that a long training takes is the fastest one that is open, and it stays with it."""

import dataclasses
import itertools
import os
import signal

import pytest
import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.computing.computation import Computation
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.models.card import load_card
from bids_spectsynth.synthesis.models.tensors import read_header
from bids_spectsynth.synthesis.training import trial
from bids_spectsynth.synthesis.training.checkpoint import checkpoint_path
from bids_spectsynth.synthesis.training.state import Interrupted
from bids_spectsynth.synthesis.training.trial import MIN_STEPS_TO_TRY, tried
from tests.synthesis.training.conftest import CONFIG, assert_same_training, fit, interrupt

CPU = torch.device("cpu")
RULE = Computation(CPU, "float32", "channels_last")
PLAIN = Computation(CPU, "float32", "contiguous")
OPEN = dataclasses.replace(CONFIG, precision="auto", memory_format="auto")


@pytest.fixture(autouse=True)
def bfloat16(monkeypatch):
    monkeypatch.setattr(trial, "has_bfloat16", lambda device: True)


def chosen(seconds, config=OPEN, rule=RULE, n_steps=MIN_STEPS_TO_TRY, begun=None):
    times = {(way.precision, way.layout): value for way, value in seconds.items()}

    def timer(way):
        return times.get((way.precision, way.layout), 9.0)

    return tried(rule, config, 5, (32, 32), Processes(), n_steps=n_steps, begun=begun, timer=timer)


def test_the_fastest_way_is_taken_and_all_are_told():
    fast = Computation(CPU, "bfloat16", "contiguous")
    found = chosen({RULE: 1.0, PLAIN: 1.2, fast: 0.5})
    assert found == fast
    assert found.trial_facts() == {
        "computation_trial": {
            "float32, channels_last": 1.0,
            "float32, contiguous": 1.2,
            "bfloat16, contiguous": 0.5,
            "bfloat16, channels_last": 9.0,
        }
    }


def test_noise_does_not_change_the_rule():
    assert chosen({RULE: 1.0, PLAIN: 0.97}) == RULE
    assert chosen({RULE: 1.0, PLAIN: 0.9}) == PLAIN


def test_the_least_time_of_all_turns_counts():
    turns = itertools.count()

    # In the first turn the machine is busy with something else while the plain way is tried.
    def timer(way):
        return 5.0 if (number := next(turns)) == 1 else 0.5 if way == PLAIN and number > 1 else 1.0

    config = dataclasses.replace(OPEN, precision="float32")
    assert tried(RULE, config, 5, (32, 32), Processes(), n_steps=MIN_STEPS_TO_TRY, timer=timer) == PLAIN


@pytest.mark.parametrize(
    ("config", "n_steps"),
    [
        (OPEN, MIN_STEPS_TO_TRY - 1),
        (dataclasses.replace(OPEN, precision="float32", memory_format="channels_last"), MIN_STEPS_TO_TRY),
    ],
)
def test_nothing_is_tried_in_a_short_training_or_without_a_choice(config, n_steps):
    found = chosen({PLAIN: 0.1}, config, n_steps=n_steps)
    assert found == RULE
    assert found.trial_facts() == {}


def test_what_the_user_chose_is_not_tried():
    fast = Computation(CPU, "bfloat16", "channels_last")
    config = dataclasses.replace(OPEN, memory_format="contiguous")
    assert chosen({PLAIN: 1.0, fast: 0.1}, config, rule=PLAIN) == PLAIN
    config = dataclasses.replace(OPEN, precision="float32")
    assert chosen({RULE: 1.0, fast: 0.1}, config) == RULE


def test_a_training_that_was_begun_goes_on_in_its_way():
    begun = {**PLAIN.facts(), "computation_trial": {"float32, contiguous": 0.25}}
    found = chosen({RULE: 0.1}, begun=begun)
    assert found == PLAIN
    assert found.trial == (("float32, contiguous", 0.25),)
    # Of a machine that could what this one cannot.
    assert chosen({RULE: 0.1}, begun={**PLAIN.facts(), "device": "cuda"}) == RULE


@pytest.mark.parametrize("error", [RuntimeError("no such kernel"), ModelError("no memory")])
def test_tried__a_way_that_cannot_be_computed_is_not_taken(error):
    def timer(way):
        if way.precision == "bfloat16":
            raise error
        return 0.5 if way == PLAIN else 1.0

    found = tried(RULE, OPEN, 5, (32, 32), Processes(), n_steps=MIN_STEPS_TO_TRY, timer=timer)
    assert found == PLAIN
    assert dict(found.trial) == {"float32, channels_last": 1.0, "float32, contiguous": 0.5}


def test_tried__the_rule_that_cannot_be_computed_is_an_error():
    def timer(way):
        raise ModelError("no memory")

    with pytest.raises(ModelError, match="no memory"):
        tried(RULE, OPEN, 5, (32, 32), Processes(), n_steps=MIN_STEPS_TO_TRY, timer=timer)


class _Divided(Processes):
    """Processes of which another one sees another checkpoint."""

    def agree(self, *numbers):
        return False


@pytest.mark.parametrize("begun", [None, PLAIN.facts()])
def test_tried__a_checkpoint_that_only_some_processes_see_is_refused(begun):
    with pytest.raises(ModelError, match="do not see the same checkpoint; use a folder that all share"):
        tried(RULE, OPEN, 5, (32, 32), _Divided(), n_steps=MIN_STEPS_TO_TRY, begun=begun, timer=lambda way: 1.0)


def test_steps_are_timed_and_the_training_is_the_same_afterwards(cohort, tmp_path, monkeypatch):
    """The trial leaves no trace in the weights, and a resumed training is as if it had not been stopped."""
    config = dataclasses.replace(OPEN, precision="float32")
    monkeypatch.setattr(trial, "CLEARLY_FASTER", 1e9)
    fit(cohort, config, tmp_path / "rule")
    monkeypatch.setattr(trial, "MIN_STEPS_TO_TRY", 1)
    fit(cohort, config, tmp_path / "tried")
    assert_same_training(tmp_path / "rule", tmp_path / "tried")
    measured = load_card(tmp_path / "tried").training["computation_trial"]
    assert set(measured) == {"float32, channels_last", "float32, contiguous"}
    assert all(0 < seconds < 60 for seconds in measured.values())
    assert "computation_trial" not in load_card(tmp_path / "rule").training


def test_stopped_and_gone_on_with(cohort, tmp_path, monkeypatch):
    config = dataclasses.replace(OPEN, precision="float32")
    monkeypatch.setattr(trial, "MIN_STEPS_TO_TRY", 1)
    # The plain way is not the rule's; after the stop it would be the slower one.
    with monkeypatch.context() as patched:
        patched.setattr(trial, "_step_timer", lambda *_: lambda way: 1.0 if way == PLAIN else 2.0)
        fit(cohort, config, tmp_path / "whole")
        with monkeypatch.context() as stopped:
            interrupt(stopped, 4, lambda: os.kill(os.getpid(), signal.SIGTERM))
            with pytest.raises(Interrupted):
                fit(cohort, config, tmp_path / "stopped")
    assert read_header(checkpoint_path(tmp_path / "stopped"))["memory_format"] == "contiguous"
    monkeypatch.setattr(trial, "_step_timer", lambda *_: lambda way: 2.0 if way == PLAIN else 1.0)
    fit(cohort, config, tmp_path / "stopped")
    assert_same_training(tmp_path / "whole", tmp_path / "stopped")
    card = load_card(tmp_path / "stopped").training
    assert card["computation_trial"] == {"float32, channels_last": 2.0, "float32, contiguous": 1.0}
