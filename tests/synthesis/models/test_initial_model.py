"""Training that starts from the weights of a model."""

import dataclasses
import json
import logging

import pandas as pd
import pytest
import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.models.card import (
    has_trained,
    is_selection_participant,
    is_training_participant,
    load_card,
)
from bids_spectsynth.synthesis.models.initial_model import find_initial_model, load_initial_model
from bids_spectsynth.synthesis.models.tensors import load_tensors
from bids_spectsynth.synthesis.training import loop
from bids_spectsynth.synthesis.training.checkpoint import checkpoint_path
from bids_spectsynth.synthesis.training.train import train
from tests.synthesis.training.conftest import CONFIG, weights

SMALL = dataclasses.replace(CONFIG, epochs=2, ssim_weight=0)
PRIOR_FREE = dataclasses.replace(SMALL, adversarial_weight=0, ema_decay=0.9)


def cohort(make_case, *seeds):
    cases = [make_case(f"{seed:02d}", seed) for seed in seeds]
    return cases[:-1], cases[-1:]


def tune(parent, cases, config, folder):
    member = find_initial_model(parent, "", config.as_json())
    initial = load_initial_model(member, checkpoint_path(parent) if config.has_discriminator else None)
    config = dataclasses.replace(config, initial_weights=initial.checksum)
    return train(*cases, config, folder, device="cpu", progress=False, initial=initial)


@pytest.fixture(scope="module")
def parent(tmp_path_factory, make_case):
    """A model with a discriminator, trained on 01 and 02, chosen by 03."""
    folder = tmp_path_factory.mktemp("parent")
    train(*cohort(make_case, 1, 2, 3), SMALL, folder, device="cpu", progress=False)
    return folder


@pytest.mark.parametrize("config", [SMALL, PRIOR_FREE], ids=["adversarial", "averaged"])
def test_fine_tuning__with_its_own_data_and_rate_0_gives_the_same_weights(tmp_path, make_case, config):
    cases = cohort(make_case, 1, 2, 3)
    train(*cases, config, tmp_path / "a", device="cpu", progress=False)
    still = dataclasses.replace(config, learning_rate=0.0)
    card = tune(tmp_path / "a", cases, still, tmp_path / "b")
    first, second = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert card.weights_sha256 == load_card(tmp_path / "a").weights_sha256
    # Nor is it the start that was kept: the last epoch's are the same.
    last = {k: v for k, v in load_state(tmp_path / "b").items() if k.startswith("generator.")}
    assert all(torch.equal(value, last[f"generator.{name}"]) for name, value in first.items())


def load_state(folder):
    return load_tensors(checkpoint_path(folder))[0]


def test_fine_tuning__goes_on_from_the_weights_and_the_discriminator(tmp_path, parent, make_case):
    crawling = dataclasses.replace(SMALL, learning_rate=1e-9, epochs=1)
    card = tune(parent, cohort(make_case, 4, 5, 6), crawling, tmp_path)
    found, start = load_state(tmp_path), load_state(parent)
    for name, value in start.items():
        if name.startswith("discriminator.") and name.endswith("weight"):
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-7)
    own = weights(parent)
    assert all(
        torch.allclose(found[f"generator.{name}"], value, atol=1e-7)
        for name, value in own.items()
        if name.endswith(".weight")
    )
    assert set(card.training["initial_validation"]) == {"rmse", "ssim"}
    assert card.training["initial_discriminator"] == "taken"
    # Software that does not know of initial models would take their participants for held out.
    assert (load_card(parent).format_version, card.format_version) == (3, 4)


def test_fine_tuning__without_the_discriminator_starts_elsewhere(tmp_path, parent, make_case):
    member = find_initial_model(parent, "", SMALL.as_json())
    there, gone = load_initial_model(member, checkpoint_path(parent)), load_initial_model(member, tmp_path / "none")
    assert not gone.discriminator
    assert there.checksum != gone.checksum
    assert load_initial_model(member, None).checksum == gone.checksum


def test_load_initial_model__a_discriminator_of_another_training_is_left_with_a_warning(tmp_path, parent, caplog):
    member = find_initial_model(parent, "", SMALL.as_json())
    other = dataclasses.replace(member, card=dataclasses.replace(member.card, config={**member.card.config, "seed": 9}))
    assert load_initial_model(member, checkpoint_path(parent)).discriminator
    assert load_initial_model(member, None).discriminator == {}
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not load_initial_model(other, checkpoint_path(parent)).discriminator
    assert "no discriminator in" in caplog.text


def test_a_scale_that_the_start_lacks_is_never_kept_untrained(tmp_path, parent, make_case, monkeypatch):
    config = dataclasses.replace(SMALL, loss=(("scale", 1.0),))
    with pytest.raises(ModelError, match=r"predicts no scale of its error.*--learning-rate 0; give another rate"):
        find_initial_model(parent, "", dataclasses.replace(config, learning_rate=0.0).as_json())
    errors = iter([0.1, 0.2, 0.3])
    monkeypatch.setattr(loop, "validate", lambda *args: {"rmse": next(errors), "ssim": 0.5})
    card = tune(parent, cohort(make_case, 4, 5, 6), config, tmp_path)
    assert card.training["best_epoch"] == 1
    assert "initial_validation" not in card.training


def test_a_frozen_encoder_does_not_move(tmp_path, parent, make_case):
    config = dataclasses.replace(SMALL, freeze="encoder", learning_rate=1e-2)
    card = tune(parent, cohort(make_case, 4, 5, 6), config, tmp_path)
    assert card.architecture["parameters"] == load_card(parent).architecture["parameters"]
    before = weights(parent)
    after = {k.removeprefix("generator."): v for k, v in load_state(tmp_path).items() if k.startswith("generator.")}
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert any("running_mean" in name for name in before if name.startswith("downs."))
    assert not {name for name in moved if name.startswith("downs.")}
    assert {name for name in before if name.startswith(("ups.", "last."))} == moved


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": ("pet", "T1w")}, "inputs is T1w pet, that of the model to train pet T1w"),
        ({"base_filters": 3}, "base filters is 2, that of the model to train 3"),
        ({"voxel_size": 1.0}, "voxel size is 2, that of the model to train 1"),
        ({"scaling": "volume"}, "scaling is slice"),
        ({"neighbour_slices": 1}, "neighbour slices is 0"),
        ({"cohort_prior": "residual"}, "cohort prior is none"),
        ({"crop": "brain"}, "crop is none"),
        ({"orientation": "coronal"}, "orientation is axial"),
    ],
)
def test_an_initial_model_that_does_not_fit_is_refused(parent, change, words):
    config = dataclasses.replace(SMALL, **change).as_json()
    with pytest.raises(ModelError, match=f"^--initial-model .*does not fit, its {words}"):
        find_initial_model(parent, "", config)


def test_an_initial_model_of_other_levels_is_refused(tmp_path, parent, make_case):
    cases = [make_case(f"{seed:02d}", seed, shape=(64, 64, 16)) for seed in (4, 5, 6)]
    with pytest.raises(ModelError, match="halves a slice 5 times, this one 6 times"):
        tune(parent, (cases[:-1], cases[-1:]), SMALL, tmp_path)


def test_the_card_keeps_the_chain_and_whom_each_has_seen(tmp_path, parent, make_case):
    tune(parent, cohort(make_case, 4, 5, 6), SMALL, tmp_path / "child")
    tune(tmp_path / "child", cohort(make_case, 7, 8, 9), SMALL, tmp_path / "grandchild")
    card, first = load_card(tmp_path / "grandchild"), load_card(parent)
    assert [one["weights_sha256"] for one in card.initial_models] == [
        load_card(tmp_path / "child").weights_sha256,
        first.weights_sha256,
    ]
    assert [label for label in ("01", "02", "03", "04", "07", "10") if is_training_participant(card, label)] == [
        "01", "02", "04", "07"
    ]  # fmt: skip
    assert [label for label in ("01", "03", "06", "09", "10") if is_selection_participant(card, label)] == [
        "03", "06", "09"
    ]  # fmt: skip
    assert [label for label in ("01", "04", "07", "09") if has_trained(card, label)] == ["07"]
    # A held-out participant that the first model has learned from is none.
    member = find_initial_model(tmp_path / "grandchild", "", SMALL.as_json())
    initial = load_initial_model(member, tmp_path / "none")
    assert initial.known_among(["02", "10", "06"]) == ["02", "06"]


def test_a_card_with_a_damaged_chain_is_refused(tmp_path, parent):
    content = json.loads((parent / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**content, "initial_models": [{"label": "a"}]}))
    with pytest.raises(ModelError, match="initial_models must be"):
        load_card(tmp_path)


def test_another_parent_is_another_training(tmp_path, parent, make_case):
    cases = cohort(make_case, 4, 5, 6)
    tune(parent, cases, SMALL, tmp_path / "b")
    saved = load_card(tmp_path / "b").config
    own = dataclasses.replace(SMALL, initial_weights=saved["initial_weights"])
    other = dataclasses.replace(SMALL, initial_weights="0" * 64)
    assert own.same_as(saved)
    assert own.continues(saved)
    assert not other.same_as(saved)
    assert not other.continues(saved)
    assert not SMALL.same_as(saved)


def test_a_start_that_no_epoch_improves_is_kept(tmp_path, parent, make_case, monkeypatch):
    errors = iter([0.1, 0.2, 0.15])
    monkeypatch.setattr(loop, "validate", lambda *args: {"rmse": next(errors), "ssim": 0.5})
    card = tune(parent, cohort(make_case, 4, 5, 6), SMALL, tmp_path)
    assert (card.training["best_epoch"], card.training["initial_validation"]["rmse"]) == (0, 0.1)
    assert card.weights_sha256 == load_card(parent).weights_sha256
    assert len(pd.read_csv(tmp_path / "history.tsv", sep="\t")) == 2


def test_find_initial_model__one_that_was_harmonised_otherwise_is_taken_with_a_line(parent, caplog):
    find_initial_model(parent, "", SMALL.as_json())
    assert "--harmonise" not in caplog.text
    find_initial_model(parent, "", SMALL.as_json() | {"harmonise": "resolution"})
    assert "learned with --harmonise none, the model to train has resolution" in caplog.text
