import dataclasses
import re
from pathlib import Path

import pytest

from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.evaluation.case.model_identity import losses_label, training_fingerprint
from bids_spectsynth.synthesis.models.card import CARD_FILE, ModelCard
from bids_spectsynth.synthesis.models.ensemble import write_ensemble
from bids_spectsynth.synthesis.training.config import TrainingConfig


def card_of(**options: object) -> ModelCard:
    given = {"label": "m", "inputs": ("pet",), **options}
    config = TrainingConfig(**given)  # type: ignore[arg-type]
    profile = {"heights": [0.0], "log_gain": [0.0], "log_step": [0.0]}
    return ModelCard(
        label=config.label,
        inputs=config.inputs,
        target="interictal",
        space=config.space,
        voxel_size=4.0,
        grid_shape=(8, 8, 8),
        scaling=config.scaling,
        architecture={"levels": 3, "base_filters": 4, "input_channels": len(config.inputs), "output_channels": 1},
        losses={"adversarial": config.adversarial_weight, "l1": config.l1_weight, "ssim": config.ssim_weight},
        training={},
        versions={},
        target_statistics={"mean_in_brain": 1.0, "units": "arbitrary", **profile},
        validation={},
        config=config.as_json(),
        salt="",
        participants=(),
        selection_participants=(),
        weights_sha256="0" * 64,
        created="",
    )


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({}, "L1+BCE"),
        ({"ssim_weight": 1.0}, "L1+BCE+SSIM"),
        ({"adversarial_weight": 0.1}, "L1+BCE(0.1)"),
        ({"ssim_weight": 2.0, "adversarial_loss": "lsgan"}, "L1+LSGAN+SSIM(2)"),
        ({"adversarial_weight": 0.0, "adversarial_loss": "lsgan"}, "L1"),
        ({"adversarial_weight": 0.0, "l1_weight": 1.0}, "L1(1)"),
    ],
)
def test_losses_are_named_where_they_weigh_and_weights_where_they_are_unusual(
    options: dict[str, object], label: str
) -> None:
    assert losses_label(card_of(**options)) == label


def test_without_weights_the_losses_are_unknown() -> None:
    assert losses_label(dataclasses.replace(card_of(), losses={})) == "n/a"


@pytest.mark.parametrize(
    "options",
    [
        {"label": "other", "configuration": "other", "seed": 7, "data": "abc", "checkpoint_every": 3},
        {"inputs": ("T1w", "pet")},
        {"space": "Tpl"},
        {"orientation": "coronal"},
        {"adversarial_weight": 0.0, "adversarial_loss": "lsgan", "l1_weight": 1.0, "ssim_weight": 1.0},
        {"precision": "float32", "memory_format": "channels_last", "compile": "on"},
    ],
)
def test_what_has_its_own_column_is_no_part_of_the_fingerprint(options: dict[str, object], tmp_path: Path) -> None:
    plain = training_fingerprint(card_of(), tmp_path)
    assert re.fullmatch("t[0-9a-f]{8}", plain), "text to every reader of tables"
    assert training_fingerprint(card_of(**options), tmp_path) == plain


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 5}, {"base_filters": 8}, {"learning_rate": 1e-3}, {"batch_size": 2},
        {"slices_per_subject": 7}, {"orientations": "three"}, {"scaling": "volume"}, {"augmentation": ("flip",)},
        {"crop": "brain"},
        {"ema_decay": 0.99}, {"cohort_prior": "residual"}, {"learning_rate_decay_epochs": 4}, {"voxel_size": 2.0},
    ],
)  # fmt: skip
def test_other_options_are(options: dict[str, object], tmp_path: Path) -> None:
    assert training_fingerprint(card_of(**options), tmp_path) != training_fingerprint(card_of(), tmp_path)


def test_an_earlier_model_was_trained_like_one_of_whole_slices(tmp_path: Path) -> None:
    new = card_of()
    old = dataclasses.replace(new, config={name: value for name, value in new.config.items() if name != "crop"})
    assert training_fingerprint(old, tmp_path) == training_fingerprint(new, tmp_path)


def test_networks_and_folds_are_counted(tmp_path: Path) -> None:
    found = {training_fingerprint(card_of(), tmp_path)}
    for name, folds in (("a", (0, 0)), ("b", (1, 2)), ("c", (0, 0, 0))):
        members = [(f"member-{number}", fold) for number, fold in enumerate(folds)]
        for folder, _ in members:
            (tmp_path / name / folder).mkdir(parents=True)
            write_json(tmp_path / name / folder / CARD_FILE, dataclasses.asdict(card_of()))
        write_ensemble(tmp_path / name, name, members)
        own = {training_fingerprint(card_of(seed=n), tmp_path / name / folder) for n, (folder, _) in enumerate(members)}
        assert len(own) == 1, "the members of a model share it"
        found |= own
    assert len(found) == 4


def test_a_member_without_its_siblings_stands_for_itself(tmp_path: Path) -> None:
    write_ensemble(tmp_path / "a", "a", [("member-1", 0), ("member-2", 0)])
    assert training_fingerprint(card_of(), tmp_path / "a" / "member-1") == training_fingerprint(card_of(), tmp_path)
