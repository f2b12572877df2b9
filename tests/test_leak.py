"""A held-out participant whose images are a unique pattern leaves no trace in what was trained without it.

Every test trains the same cohort twice, with and without the pattern, and compares all that the models folder holds.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.app.apply import NetworkLoader, synthesise_case
from bids_spectsynth.app.model_choice import load_models
from bids_spectsynth.bids.output_files import synthetic_path
from bids_spectsynth.bids.participants import read_participants
from bids_spectsynth.bids.prepared import find_prepared
from bids_spectsynth.bids.writing import write_matrix
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.synthesis.models.card import ModelCard, is_selection_participant, is_training_participant
from bids_spectsynth.synthesis.models.ensemble import load_members
from bids_spectsynth.synthesis.models.tensors import load_tensors
from bids_spectsynth.synthesis.prediction.sidecar import model_checksum
from bids_spectsynth.synthesis.training.train_models import train_models
from tests.synthesis.conftest import write_prepared

LABELS = [f"{n:02d}" for n in range(1, 7)]
TEMPLATE = "MNI152NLin2009aSym"
PRESETS = ("fard2024", "best")
FOLDS = (1, 2, 3)
QUICK = {"voxel_size": 2, "base_filters": 2, "epochs": 2, "slices_per_subject": 3, "nprocs": 1, "device": "cpu"}
#: Facts of a card that no two trainings share; who took part is compared by label.
OWN = ("created", "salt", "participants", "selection_participants")
#: What the choice of the epoch decides in a card; ``config`` holds the digest of all images that were read.
OF_THE_CHOICE = ("training", "validation", "weights_sha256", "config")
#: Outside of all that the other images hold.
BRIGHT = {"T1w": 3e5, "pet": 5e6, "interictal": 7e7}

Trace = dict[str, Any]
Train = Callable[..., tuple[Settings, Path]]


def settings_of(folder: Path, **values: Any) -> Settings:
    plain = {"bids_dir": folder / "data", "output_dir": folder / "out", "analysis_level": "participant"}
    return make_settings({**plain, **QUICK, **values})


def pattern(shape: tuple[int, int, int], role: str) -> np.ndarray:
    """A checkerboard of 0 and a value that no other image reaches, of another width in every kind of image."""
    width = 1 + list(BRIGHT).index(role)
    black = np.indices(shape).sum(axis=0) // width % 2 == 0
    return np.where(black, BRIGHT[role], 0).astype(np.float32)


def mark(output_dir: Path, label: str, *roles: str) -> None:
    """Replace images of a participant by the pattern; with all of them also its mask, transform and unit."""
    (case,) = find_prepared(output_dir, "T1w", (label,))
    for role in roles or BRIGHT:
        image = nib.Nifti1Image.from_filename(case.images[role])
        nib.Nifti1Image(pattern(image.shape, role), image.affine).to_filename(case.images[role])
    if not roles:
        mask = nib.Nifti1Image.from_filename(case.masks["T1w"])
        box = np.pad(np.ones([n - 2 for n in mask.shape], np.uint8), 1)
        nib.Nifti1Image(box, mask.affine).to_filename(case.masks["T1w"])
        write_matrix(case.template_xfm, np.diag([1.5, 0.5, 1.0, 1.0]), {})
        sidecar = case.images["interictal"].with_name(f"sub-{label}_task-interictal_space-T1w_desc-preproc_spect.json")
        sidecar.write_text('{"Units": "pattern"}')


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six participants with a transform to the template, which the cohort prior needs, and a column to hold out by."""
    folder = tmp_path_factory.mktemp("prepared")
    for seed, label in enumerate(LABELS):
        write_prepared(folder / "out", label, seed, (32, 32, 10))
        matrix = np.eye(4)
        matrix[:3, 3] = seed - 2
        transform = f"sub-{label}_from-T1w_to-{TEMPLATE}_mode-image_xfm.txt"
        write_matrix(folder / "out" / f"sub-{label}" / "anat" / transform, matrix, {})
    (folder / "data").mkdir()
    (folder / "data" / "participants.tsv").write_text("participant_id\tresection\nsub-02\tyes\nsub-05\tno\n")
    return folder


@pytest.fixture(scope="module")
def train(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Trains the cohort, one participant of it marked; returns the settings and the model. Equal calls train once."""
    done: dict[tuple[Any, ...], tuple[Settings, Path]] = {}

    def make(marked: str | None = None, *roles: str, **values: Any) -> tuple[Settings, Path]:
        key = (marked, roles, *values.items())
        if key not in done:
            folder = tmp_path_factory.mktemp("run")
            shutil.copytree(prepared, folder, dirs_exist_ok=True)
            if marked:
                mark(folder / "out", marked, *roles)
            settings = settings_of(folder, **values)
            (model,), _ = train_models(settings, None)
            done[key] = settings, model
        return done[key]

    return make


def split(settings: Settings) -> dict[str, str]:
    table = read_participants(settings.output_dir)
    return dict(zip(table["participant_id"].str.removeprefix("sub-"), table["split"], strict=True))


def part(card: ModelCard, label: str) -> str:
    """On which side of a network's split a participant was."""
    if is_training_participant(card, label):
        return "train"
    return "validation" if is_selection_participant(card, label) else "test"


def trace(folder: Path) -> Trace:
    """All that a models folder holds, by file; without times, salts and what these decide."""
    found: Trace = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        match path.name:
            case "model.json":
                card = json.loads(path.read_text())
                found[name] = {key: value for key, value in card.items() if key not in OWN}
                found[f"{name} parts"] = {
                    label: part(member.card, label) for member in load_members(path.parent) for label in LABELS
                }
            case "history.tsv":
                table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
                found[name] = table.drop(columns="seconds").to_dict("list")
            case "state.safetensors":
                tensors, header = load_tensors(path)
                found[name] = {key: tensor.numpy().tobytes() for key, tensor in tensors.items()}
                found[f"{name} header"] = {key: header[key] for key in ("config", "epoch", "best_epoch", "best")}
            case _:
                found[name] = path.read_bytes()
    return found


def differing(one: Trace, other: Trace) -> set[str]:
    return {name for name in {*one, *other} if one.get(name) != other.get(name)}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_held_out_participant_leaves_no_trace(train: Train, preset: str) -> None:
    settings, model = train(preset=preset)
    parts = split(settings)
    held_out = next(label for label, word in parts.items() if word == "test")
    marked_settings, marked_model = train(held_out, preset=preset)
    plain, marked = trace(model), trace(marked_model)
    assert {"model.json", "model.safetensors", "history.tsv", "baselines.json", "baselines.safetensors"} <= set(plain)
    assert "checkpoint/state.safetensors" in plain
    assert split(marked_settings) == parts
    assert differing(plain, marked) == set()


@pytest.mark.parametrize("preset", PRESETS)
def test_the_pattern_would_be_seen(train: Train, preset: str) -> None:
    settings, model = train(preset=preset)
    trained = next(label for label, word in split(settings).items() if word == "train")
    _, marked = train(trained, preset=preset)
    changed = differing(trace(model), trace(marked))
    assert {"model.json", "model.safetensors", "history.tsv", "baselines.json", "baselines.safetensors"} <= changed


# Each of the three folds holds out one of them; two of them choose the epoch of another fold.
@pytest.mark.parametrize(("preset", "marked"), [("best", "05"), ("best", "03"), ("fard2024", "06")])
def test_each_fold_knows_its_own_participants_only(train: Train, preset: str, marked: str) -> None:
    settings, model = train(preset=preset, cross_validate=3)
    marked_settings, marked_model = train(marked, preset=preset, cross_validate=3)
    assert split(settings) == split(marked_settings) == dict.fromkeys(LABELS, "cross-validated")
    parts = {}
    for fold in FOLDS:
        plain, other = trace(model / f"fold-{fold}"), trace(marked_model / f"fold-{fold}")
        changed = differing(plain, other)
        parts[fold] = plain["model.json parts"][marked]
        match parts[fold]:
            case "test":
                assert changed == set()
            case "train":
                assert {"model.safetensors", "baselines.safetensors", "baselines.json", "history.tsv"} <= changed
            case "validation":
                check_choice_only(plain, other, changed)
    assert list(parts.values()).count("test") == 1
    assert "train" in parts.values()


@pytest.mark.parametrize("preset", PRESETS)
def test_validation_decides_on_the_epoch_only(train: Train, preset: str) -> None:
    settings, model = train(preset=preset)
    chooses = next(label for label, word in split(settings).items() if word == "validation")
    plain, other = trace(model), trace(train(chooses, preset=preset)[1])
    check_choice_only(plain, other, differing(plain, other))


def check_choice_only(plain: Trace, other: Trace, changed: set[str]) -> None:
    """The epochs' weights are the same, whichever of them was kept."""
    state = "checkpoint/state.safetensors"
    assert changed <= {"model.json", "model.safetensors", "history.tsv", state, f"{state} header"}
    seen = {name for name in plain["history.tsv"] if plain["history.tsv"][name] != other["history.tsv"][name]}
    assert seen
    assert seen <= {"validation_rmse", "validation_ssim"}
    assert differing(plain["model.json"], other["model.json"]) <= set(OF_THE_CHOICE)
    assert differing(plain["model.json"]["training"], other["model.json"]["training"]) <= {"best_epoch"}
    assert differing(plain["model.json"]["config"], other["model.json"]["config"]) == {"data"}
    # Networks and optimisers after the last epoch; only the copy of the best epoch may be of another one.
    assert all(name.startswith("best.") for name in differing(plain[state], other[state]))
    if plain["model.json"]["training"]["best_epoch"] == other["model.json"]["training"]["best_epoch"]:
        assert plain["model.safetensors"] == other["model.safetensors"]


def test_a_held_out_image_does_not_depend_on_its_own_spect(train: Train) -> None:
    values = {"preset": "best", "cross_validate": 3}
    settings, model = train(**values)
    label = LABELS[2]
    images = []
    for run_settings, folder in ((settings, model), train(label, "interictal", **values)):
        (applied,) = load_models([folder])
        (case,) = find_prepared(run_settings.output_dir, "T1w", (label,))
        outcome = synthesise_case(applied, case, run_settings, NetworkLoader(run_settings))
        assert outcome.status == "ok", outcome.reason
        path = synthetic_path(run_settings.output_dir, case, folder.name)
        images.append(np.asarray(nib.Nifti1Image.from_filename(path).dataobj))
        made_by = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())["ModelChecksum"]
        serving = [one.card for one in load_members(folder) if part(one.card, label) == "test"]
        assert len(serving) == 1
        assert made_by == model_checksum(serving)
    assert np.ptp(images[0]) > 0
    assert np.array_equal(*images)


def test_who_is_held_out_by_a_column_is_in_no_fold(train: Train) -> None:
    values = {"preset": "best", "cross_validate": 3, "hold_out": "resection=yes"}
    settings, model = train(**values)
    assert split(settings) == {**dict.fromkeys(LABELS, "cross-validated"), "02": "test"}
    assert [part(member.card, "02") for member in load_members(model)] == ["test"] * 3
    assert differing(trace(model), trace(train("02", **values)[1])) == set()
