import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

from bids_spectsynth.synthesis.models.card import load_card
from bids_spectsynth.synthesis.models.folder import load_model
from bids_spectsynth.synthesis.models.tensors import load_tensors
from tests.synthesis.training.conftest import CONFIG, fit, weights


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


def test_without_adversarial_weight_there_is_no_discriminator(tmp_path, cohort):
    card = fit(cohort, dataclasses.replace(CONFIG, adversarial_weight=0, ssim_weight=0), tmp_path)
    tensors, _ = load_tensors(tmp_path / "checkpoint" / "state.safetensors")
    assert not any("discriminator" in name for name in tensors)
    assert "discriminator" not in card.architecture
    history = pd.read_csv(tmp_path / "history.tsv", sep="\t")
    assert history[["loss_adversarial", "loss_discriminator", "loss_ssim"]].isna().all(axis=None)
    np.testing.assert_allclose(history["loss_generator"], 100 * history["loss_l1"], rtol=1e-5)
