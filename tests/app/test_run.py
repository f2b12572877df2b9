"""Both levels through ``main``: what a run leaves, what the modes do, and what each option changes."""

import json
import os
import re
import shutil
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.evaluation.figures import violins as figures
from bids_spectsynth.logs import console_logging
from bids_spectsynth.options.settings import option_names
from bids_spectsynth.preprocess.plugins import pool as plugins
from bids_spectsynth.reports.subject import all_pages as subjects
from bids_spectsynth.synthesis.computing import computation
from bids_spectsynth.synthesis.models.card import load_card
from bids_spectsynth.synthesis.models.folder import weights_checksum
from bids_spectsynth.synthesis.models.tensors import load_tensors
from bids_spectsynth.synthesis.training import loop as training
from bids_spectsynth.synthesis.training.steps import Stepper
from tests.packed import unpacked

COHORT = ("01", "03", "04", "05", "06", "07", "08")
HELD_OUT = ("sub-04", "sub-05/ses-a")
LABELS = ("pix2pixT1wPet", "pix2pixT1w")
KEPT = ("models/**/*", "sub-*/**/*", "sub-*.html")


@pytest.fixture
def copied(finished: Any, tmp_path: Path) -> Any:
    """A finished run whose output may be changed."""
    return finished.copy(tmp_path)


@pytest.fixture(scope="module")
def workshop(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Prepared participants on which several tests train models of their own labels."""
    return finished.copy(tmp_path_factory.mktemp("workshop"))


def weights(app: Any, label: str) -> str:
    """Checksum of a model's weights; the file itself also holds the label."""
    tensors, _ = load_tensors(app.output_dir / "models" / label / "model.safetensors")
    return weights_checksum(tensors)


# The whole flow


def test_each_participant_has_what_its_images_allow(finished: Any) -> None:
    files = finished.files()
    for stem in ("sub-04/{}/sub-04", "sub-05/ses-a/{}/sub-05_ses-a"):
        anat, pet, spect = (stem.format(datatype) for datatype in ("anat", "pet", "spect"))
        wanted = {
            f"{anat}_space-T1w_desc-preproc_T1w.nii.gz",
            f"{anat}_space-T1w_desc-brain_mask.nii.gz",
            f"{anat}_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.txt",
            f"{pet}_trc-FDG_space-T1w_desc-preproc_pet.nii.gz",
            f"{pet}_trc-FDG_from-pet_to-T1w_mode-image_xfm.txt",
            f"{spect}_task-interictal_trc-HMPAO_space-T1w_desc-preproc_spect.nii.gz",
            *(f"{spect}_task-interictal_space-{s}_desc-{m}_spect.nii.gz" for s in ("T1w", "orig") for m in LABELS),
            *(f"{spect}_task-interictal_space-T1w_desc-{m}_metrics.tsv" for m in LABELS),
        }
        assert wanted <= files
        assert {re.sub(r"\.(nii\.gz|txt|tsv)$", ".json", name) for name in wanted} <= files
    synthetic = {name for name in files if "desc-pix2pix" in name and name.endswith("_spect.nii.gz")}
    assert not any(name.startswith("sub-06") and "T1wPet" in name for name in synthetic)
    assert any(name.startswith("sub-07") and "T1wPet" in name for name in synthetic)
    assert not any(name.startswith("sub-08") for name in files)
    top = {
        "dataset_description.json",
        ".bidsignore",
        "descriptions.tsv",
        "CITATION.md",
        "README.md",
        "participants.tsv",
    }
    reports = {f"sub-0{n}.html" for n in (1, 3, 4, 5, 6, 7)} | {"group.html"}
    tables = {f"group_{name}.{kind}" for name in ("metrics", "summary", "ttests") for kind in ("tsv", "json")}
    assert top | reports | tables <= files
    assert all({"sub-01.log", "settings.toml", "run.log"} <= {p.name for p in folder.iterdir()}
               for folder in (finished.output_dir / "logs").glob("*-participant-*"))  # fmt: skip


def test_only_held_out_participants_are_rated(finished: Any) -> None:
    assert finished.files("sub-*/**/*_metrics.tsv") == {
        f"{folder}/spect/{folder.replace('/', '_')}_task-interictal_space-T1w_desc-{label}_metrics.tsv"
        for folder in HELD_OUT
        for label in LABELS
    }
    table = pd.read_csv(finished.output_dir / "group_metrics.tsv", sep="\t")
    assert set(table["participant_id"]) == {"sub-04", "sub-05"}
    assert set(table["split"]) == {"test"}
    summary = pd.read_csv(finished.output_dir / "group_summary.tsv", sep="\t")
    assert set(summary["n_subjects"]) == {2}
    for label in LABELS:
        rows = table[(table["model"] == label) & (table["method"] == "pix2pix") & table["in_block"]]
        rows = rows[rows["scale"] == rows["scaling"]]
        assert set(summary.loc[(summary["model"] == label) & (summary["metric"] == "rmse"), "n_slices"]) == {len(rows)}
    assert {"constant", "regression", "petCopy", "meanSpect", "meanSpectPetRatio"} <= set(table["method"])


def test_participants_table_tells_split_status_and_reason(finished: Any) -> None:
    rows = finished.participants()
    parts = {"sub-01": "train", "sub-03": "validation", "sub-04": "test", "sub-05": "test"}
    assert {name: row["split"] for name, row in rows.items()} == {
        **parts, "sub-06": "train", "sub-07": "n/a", "sub-08": "n/a"
    }  # fmt: skip
    assert [name for name, row in rows.items() if row["status"] != "ok"] == ["sub-08"]
    assert rows["sub-08"] == {**rows["sub-08"], "status": "skipped", "reason": "no T1w image"}
    assert "no pet" in rows["sub-06"]["reason"]


def test_a_second_run_leaves_everything_as_it_is(copied: Any, two_models: tuple[str, ...]) -> None:
    before = copied.stamps(*KEPT)
    result = copied(*two_models, "--split-file", copied.split_file)
    assert result.code == 0
    assert copied.stamps(*KEPT) == before
    assert copied.calls == []
    assert len(before) > 100


def test_a_lost_synthetic_image_and_an_outdated_table_are_made_again(copied: Any) -> None:
    before = copied.stamps(*KEPT)
    lost = copied.output_dir / "sub-04/spect/sub-04_task-interictal_space-T1w_desc-pix2pixT1w_spect.nii.gz"
    lost.unlink()
    assert copied("--mode", "apply", "--participant-label", "04", "03").code == 0
    after = copied.stamps(*KEPT)
    changed = {name for name in after if after[name] != before.get(name)}
    stem = "sub-04/spect/sub-04_task-interictal_space-{}_desc-pix2pixT1w_{}"
    images = {stem.format(space, f"spect.{kind}") for space in ("T1w", "orig") for kind in ("nii.gz", "json")}
    kinds = [f"{table}.{kind}" for table in ("metrics", "regions", "volume") for kind in ("tsv", "json")]
    # The report shows what it showed before: it stays.
    assert changed == images | {stem.format("T1w", kind) for kind in kinds}


def test_the_report_shows_the_models(copied: Any) -> None:
    (copied.output_dir / "sub-04.html").unlink()
    copied.reports = True
    assert copied("--mode", "apply", "--participant-label", "04").code == 0
    text = (copied.output_dir / "sub-04.html").read_text()
    assert all(label in text for label in LABELS)
    assert {part[:5] for part in text.split('src="')[1:]} == {"data:"}


def test_a_report_that_cannot_be_written_fails_its_participant(copied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(output_dir: Path, participant: str, heads: Any) -> Path:
        raise OSError("disk full")

    (copied.output_dir / "sub-04.html").unlink()
    monkeypatch.setattr(subjects, "subject_report", broken)
    copied.reports = True
    result = copied("--mode", "apply", "--participant-label", "03", "04")
    assert result.code == 1
    assert len(result.says("sub-04 failed", "report", "disk full")) == 1
    assert copied.participants()["sub-04"]["status"] == "failed"
    assert copied.participants()["sub-03"]["status"] == "ok"


def test_a_report_tells_what_became_of_its_participant_in_the_same_run(copied: Any) -> None:
    for name in ("participants.tsv", "sub-04.html"):
        (copied.output_dir / name).unlink()
    copied.reports = True
    assert copied("--mode", "apply", "--participant-label", "04").code == 0
    text = " ".join(re.sub(r"<[^>]*>", " ", (copied.output_dir / "sub-04.html").read_text()).split())
    assert "Status of the last run ok" in text
    # It is current by what it shows: what was in the table in between does not matter, but what it was made with.
    page = copied.output_dir / "sub-04.html"
    for made_with, runs in ((False, 0), (True, 1)):
        update_participants(copied.output_dir, {"04": {"status": "failed"}})
        assert copied("--reports-only", "--participant-label", "04").code == 0 if made_with else True
        before = page.stat().st_mtime_ns
        assert copied("--mode", "apply", "--participant-label", "04").code == 0
        assert (page.stat().st_mtime_ns > before) is bool(runs)
        assert "Status of the last run ok" in " ".join(re.sub(r"<[^>]*>", " ", page.read_text()).split())


def test_the_group_level_needs_no_dataset(copied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "write_figures", lambda tables, output_dir: None)
    before = (copied.output_dir / "group_summary.tsv").read_text()
    (copied.output_dir / "group_summary.tsv").unlink()
    copied.bids_dir = copied.bids_dir.parent / "deleted"
    result = copied(level="group")
    assert result.code == 0, result.err
    assert (copied.output_dir / "group_summary.tsv").read_text() == before


def test_the_group_level_of_nothing(make_app: Callable[..., Any], tmp_path: Path) -> None:
    app = make_app(["01"])
    assert app(level="group").code == 3
    app.output_dir.mkdir()
    result = app(level="group")
    assert result.code == 3
    assert "run the participant level first" in result.errors[0]


# Modes


def test_a_cluster_gives_what_one_run_gives(finished: Any, tmp_path: Path, two_models: tuple[str, ...]) -> None:
    cluster = finished.__class__(finished.bids_dir, tmp_path / "out")
    labels = [f"0{n}" for n in (1, 3, 4, 5, 6, 7)]
    for label in labels:
        assert cluster("--mode", "preprocess", "--participant-label", label, *two_models).code == 0
    assert cluster("--mode", "preprocess", "--participant-label", "08").code == 4
    assert not cluster.files("models/**/*")
    assert cluster("--mode", "train", "--split-file", cluster.split_file, *two_models).code == 0
    assert not cluster.files("sub-*/**/*desc-pix2pix*")
    for label in labels:
        result = cluster("--mode", "apply", "--participant-label", label, *two_models)
        assert (result.code, result.errors) == (0, [])
    for name in finished.files("sub-*/**/*"):
        if not name.startswith("sub-") or "/figures/" in name:
            continue
        if "_stat-zcohort_" in name:
            # What others' scans are off by is summed up again: the last digits of a regression are the machine's.
            if name.endswith(".nii.gz"):
                values = [np.asarray(nib.load(one.output_dir / name).dataobj) for one in (cluster, finished)]
                np.testing.assert_allclose(*values, atol=1e-3, err_msg=name)
        elif name.endswith((".nii.gz", "_metrics.tsv", "_xfm.txt")):
            assert unpacked(cluster.output_dir / name) == unpacked(finished.output_dir / name), name
    assert all(weights(cluster, label) == weights(finished, label) for label in LABELS)
    mine, theirs = cluster.participants(), finished.participants()
    assert {name: row["split"] for name, row in mine.items()} == {name: row["split"] for name, row in theirs.items()}
    assert {name: row["status"] for name, row in mine.items()} == {name: row["status"] for name, row in theirs.items()}


def test_one_split_serves_all_models(finished: Any) -> None:
    pet, plain = (finished.card(label) for label in LABELS)
    assert (pet["inputs"], plain["inputs"]) == (["T1w", "pet"], ["T1w"])
    # 06, without PET, trains the other model only.
    assert (len(pet["participants"]), len(plain["participants"])) == (1, 2)
    assert len(pet["selection_participants"]) == len(plain["selection_participants"]) == 1


@pytest.mark.parametrize("mode", ["auto", "train"])
def test_too_few_to_train_names_the_ways_out(make_app: Callable[..., Any], mode: str) -> None:
    app = make_app(["01", "02"])
    if mode == "train":
        assert app("--mode", "preprocess").code == 0
    result = app("--mode", mode)
    assert result.code == 5
    assert len(result.errors) == 1
    assert all(word in result.errors[0] for word in ("2 participant(s)", "--mode preprocess", "--model"))
    # That is known before hours of preparation.
    assert bool(app.files("sub-01/**/*_desc-preproc_T1w.nii.gz")) is (mode == "train")


def test_no_spect_anywhere(make_app: Callable[..., Any]) -> None:
    app = make_app({"01": ("T1w", "pet"), "02": ("T1w", "pet", "ictal")})
    assert app("--mode", "preprocess").code == 0
    result = app("--mode", "train")
    assert result.code == 5
    assert len(result.errors) == 1
    assert "interictal SPECT" in result.errors[0]
    assert not app.files("models/**/*")


def test_training_before_preparing(make_app: Callable[..., Any]) -> None:
    result = make_app(["01", "02", "03"])("--mode", "train")
    assert result.code == 5
    assert "run --mode preprocess first" in result.errors[0]


def test_a_model_of_elsewhere_knows_whom_it_has_seen(finished: Any, tmp_path: Path) -> None:
    model = shutil.copytree(finished.output_dir / "models" / "pix2pixT1wPet", tmp_path / "copied-model")
    app = finished.__class__(finished.bids_dir, tmp_path / "elsewhere")
    result = app("--model", model, "--participant-label", "01", "03", "04", "06", "07")
    assert result.code == 0, result.err
    assert app.files("sub-*/**/*_metrics.tsv") == {
        "sub-04/spect/sub-04_task-interictal_space-T1w_desc-pix2pixT1wPet_metrics.tsv"
    }
    table = pd.read_csv(app.output_dir / next(iter(app.files("sub-*/**/*_metrics.tsv"))), sep="\t")
    assert set(table["split"]) == {"external"}
    made = {name.split("/")[0] for name in app.files("sub-*/**/*space-T1w_desc-pix2pixT1wPet_spect.nii.gz")}
    assert made == {"sub-01", "sub-03", "sub-04", "sub-07"}
    assert not app.files("models/**/*")
    image = "sub-01/spect/sub-01_task-interictal_space-T1w_desc-pix2pixT1wPet_spect.nii.gz"
    assert unpacked(app.output_dir / image) == unpacked(finished.output_dir / image)


def test_a_participant_that_no_model_of_the_folder_fits(copied: Any) -> None:
    shutil.rmtree(copied.output_dir / "models" / "pix2pixT1w")
    result = copied("--mode", "apply", "--participant-label", "06")
    assert result.code == 5
    assert "has no pet" in result.errors[0]
    assert "has no pet" in copied.participants()["sub-06"]["reason"]


def test_a_model_trained_otherwise_is_not_overwritten(copied: Any) -> None:
    before = copied.stamps("models/**/*")
    split = ("--split-file", copied.split_file)
    result = copied("--mode", "train", "--learning-rate", "0.01", *split)
    assert result.code == 5
    assert all(word in result.errors[0] for word in ("learning_rate", "--model-label", "pix2pixT1wPet"))
    assert copied.stamps("models/**/*") == before
    assert copied("--mode", "train", "--learning-rate", "0.01", "--model-label", "other", *split).code == 0
    assert {name: copied.stamps("models/**/*")[name] for name in before} == before


def test_sigterm_keeps_the_training(finished: Any, copied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(copied.output_dir / "models")
    options = ("--mode", "train", "--split-file", copied.split_file)
    step, count = Stepper.step, [0]

    def stopped(self: Stepper, *args: Any) -> torch.Tensor:
        losses = step(self, *args)
        count[0] += 1
        if count[0] == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return losses

    monkeypatch.setattr(Stepper, "step", stopped)
    result = copied(*options)
    assert result.code == 143
    assert len(result.says("stopped by SIGTERM; the next run goes on")) == 1
    assert not copied.files("models/*/model.json")
    assert copied(*options).code == 0
    assert weights(copied, "pix2pixT1wPet") == weights(finished, "pix2pixT1wPet")


# What each option changes

ModelOption = tuple[tuple[str, ...], str, Any]
MODEL_OPTIONS: dict[str, ModelOption] = {
    "random_seed": (("--random-seed", "5"), "seed", 5),
    "intensity_scaling": (("--intensity-scaling", "volume"), "scaling", "volume"),
    "adversarial_weight": (("--adversarial-weight", "0"), "adversarial_weight", 0.0),
    "l1_weight": (("--l1-weight", "1"), "l1_weight", 1.0),
    "ssim_weight": (("--ssim-weight", "50"), "ssim_weight", 50.0),
    "batch_size": (("--batch-size", "3"), "batch_size", 3),
    "learning_rate": (("--learning-rate", "0.01"), "learning_rate", 0.01),
    "learning_rate_decay_epochs": (("--learning-rate-decay-epochs", "3"), "learning_rate_decay_epochs", 3),
    "warmup_epochs": (("--warmup-epochs", "1", "--epochs", "2"), "warmup_epochs", 1),
    "base_filters": (("--base-filters", "3"), "base_filters", 3),
    "slices_per_subject": (("--slices-per-subject", "7"), "slices_per_subject", 7),
    "inputs": (("--inputs", "pet"), "inputs", ["pet"]),
    "preset": (("--preset", "best", "--cohort-prior", "none"), "scaling", "volume"),
    "adversarial_loss": (("--adversarial-loss", "lsgan"), "adversarial_loss", "lsgan"),
    "neighbour_slices": (("--neighbour-slices", "1"), "neighbour_slices", 1),
    "cohort_prior": (("--cohort-prior", "channel", "--inputs", "T1w"), "cohort_prior", "channel"),
    "augmentation": (("--augmentation", "flip"), "augmentation", ["flip"]),
    "ema_decay": (("--ema-decay", "0.5"), "ema_decay", 0.5),
}


@pytest.mark.parametrize("name", MODEL_OPTIONS)
def test_an_option_of_training_changes_the_weights(workshop: Any, name: str) -> None:
    options, key, value = MODEL_OPTIONS[name]
    label = name.replace("_", "")
    split = ("--split-file", workshop.split_file)
    assert workshop("--mode", "train", "--model-label", label, *split, *options).code == 0
    assert workshop.card(label)["config"][key] == value
    assert weights(workshop, label) != weights(workshop, "pix2pixT1wPet")


def test_training_needs_no_dataset(workshop: Any, tmp_path: Path) -> None:
    gone = workshop.__class__(tmp_path / "deleted", workshop.output_dir)
    assert gone("--mode", "train", "--model-label", "nodataset", "--split-file", workshop.split_file).code == 0
    assert weights(workshop, "nodataset") == weights(workshop, "pix2pixT1wPet")


def test_epochs_and_checkpoints(workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    monkeypatch.setattr(training.TrainingLoop, "save", lambda self: saved.append(self.state.epoch))
    for every in ("2", "10"):
        options = ("--epochs", "5", "--checkpoint-every", every, "--model-label", f"every{every}")
        assert workshop("--mode", "train", *options, "--split-file", workshop.split_file).code == 0
    assert saved == [2, 4, 5, 5]
    assert len(pd.read_csv(workshop.output_dir / "models" / "every2" / "history.tsv", sep="\t")) == 5


def test_split_proportions_and_seed(workshop: Any) -> None:
    splits = []
    for number, options in enumerate((("2", "2", "2"), ("4", "1", "0"))):
        label = f"split{number}"
        assert workshop("--mode", "train", "--inputs", "T1w", "--model-label", label, "--split", *options).code == 0
        splits.append(sorted(row["split"] for row in workshop.participants().values() if row["split"] != "n/a"))
    assert splits == [
        ["test", "train", "train", "validation", "validation"],
        ["train"] * 4 + ["validation"],
    ]


def test_what_cannot_be_trained_is_refused_before_preparing(workshop: Any, tmp_path: Path) -> None:
    split = tmp_path / "split.tsv"
    with_spect = ("01", "03", "04", "05", "06")
    lines = [f"sub-{label}\t{'train' if label == '01' else 'test'}" for label in with_spect]
    split.write_text("\n".join(["participant_id\tsplit", *lines]) + "\n")
    fresh = type(workshop)(workshop.bids_dir, tmp_path / "out")
    result = fresh("--inputs", "T1w", "--split-file", split)
    assert result.code not in (0, 1)
    assert len(result.errors) == 1
    assert "no usable participant is in validation" in result.errors[0]
    assert fresh.calls == []
    assert not fresh.output_dir.exists(), "refused before anything is made"


def test_a_model_of_cropped_slices_from_training_to_its_image(copied: Any) -> None:
    options = ("--model-label", "cropped", "--crop", "brain", "--split-file", copied.split_file)
    assert copied("--mode", "train", *options).code == 0
    folder = copied.output_dir / "models" / "cropped"
    card = json.loads((folder / "model.json").read_text())
    height, width = card["architecture"]["slice_shape"]
    assert (height, width) == (32, 64) < tuple(card["grid_shape"][:2])
    copied.reports = True
    assert copied("--mode", "apply", "--model", folder, "--participant-label", "04").code == 0
    path = next(copied.output_dir.glob("sub-04/spect/*_space-T1w_desc-cropped_spect.nii.gz"))
    image = nib.load(path).get_fdata()
    margin = (image.shape[0] - height) // 2
    assert (image[margin:-margin] > 0).any()
    assert (image[:margin] == 0).all()
    assert (image[-margin:] == 0).all()
    assert len(copied.files("sub-04/spect/*_desc-cropped_metrics.tsv")) == 1
    assert "of slices cropped to the brain" in (copied.output_dir / "sub-04.html").read_text()


def test_exact_counts_and_who_is_held_out(workshop: Any) -> None:
    lines = [f"sub-{label}\t{'yes' if label == '03' else 'no'}" for label in COHORT]
    table = workshop.bids_dir / "participants.tsv"
    table.write_text("\n".join(["participant_id\tresection", *lines]) + "\n")
    try:
        options = ("--inputs", "T1w", "--split-counts", "1", "1", "0", "--hold-out", "resection=yes")
        assert workshop("--mode", "train", *options, "--model-label", "heldout").code == 0
        wrong = workshop("--mode", "train", "--inputs", "T1w", "--hold-out", "resection=left")
    finally:
        table.unlink()
    parts = {name: row["split"] for name, row in workshop.participants().items()}
    assert parts["sub-03"] == "test"
    assert sorted(parts.values()) == ["excluded", "excluded", "n/a", "n/a", "test", "train", "validation"]
    assert wrong.code == 2
    assert "there are no, yes" in wrong.errors[0]


def test_a_cross_validated_study_from_training_to_tables(copied: Any, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text('inputs = [["T1w"]]\n[[losses]]\nname = "A"\n[[losses]]\nname = "B"\nadversarial_weight = 0\n')
    options = ("--study", study, "--cross-validate", "3")
    labels = ("pix2pixT1wA", "pix2pixT1wB")
    shutil.rmtree(copied.output_dir / "models")
    assert copied("--mode", "train", *options).code == 0
    assert copied.files("models/**/model.json") == {
        f"models/{label}/fold-{fold}/model.json" for label in labels for fold in (1, 2, 3)
    }
    before = copied.stamps("models/**/*")
    assert copied("--mode", "apply", *options).code == 0
    parts = {name: row["split"] for name, row in copied.participants().items()}
    assert [name for name, part in parts.items() if part == "cross-validated"] == [f"sub-0{n}" for n in (1, 3, 4, 5, 6)]
    for label in labels:
        tables = copied.files(f"sub-*/**/*desc-{label}_metrics.tsv")
        assert len(tables) == 5
        assert {split for name in tables for split in pd.read_csv(copied.output_dir / name, sep="\t")["split"]} == {
            "test"
        }
    assert copied("--mode", "train", *options).code == 0
    # Models have learned what they get wrong on held-out participants, and nothing else.
    after = copied.stamps("models/**/*")
    assert {name: after[name] for name in before} == before
    assert {Path(name).stem for name in set(after) - set(before)} <= {"siscom_error"}


def test_members_and_orientations_make_one_image(workshop: Any) -> None:
    options = ("--inputs", "T1w", "--intensity-scaling", "volume", "--split-file", workshop.split_file)
    assert workshop("--mode", "train", *options, "--model-label", "plain").code == 0
    assert workshop("--mode", "train", *options, "--model-label", "flipped", "--flip-average", "on").code == 0
    assert workshop("--mode", "train", *options, "--model-label", "two", "--ensemble-members", "2").code == 0
    assert workshop("--mode", "train", *options, "--model-label", "three", "--orientations", "three").code == 0
    images = {}
    for label in ("plain", "flipped", "two", "three"):
        model = workshop.output_dir / "models" / label
        assert (
            workshop("--mode", "apply", "--participant-label", "04", "--model", model, "--uncertainty", "2").code == 0
        )
        stem = f"sub-04/spect/sub-04_task-interictal_space-T1w_desc-{label}"
        images[label] = nib.load(workshop.output_dir / f"{stem}_spect.nii.gz").get_fdata()
        assert workshop.files(f"{stem}Sd_spect.nii.gz")
    assert weights(workshop, "flipped") == weights(workshop, "plain")
    assert weights(workshop, "two/member-1") == weights(workshop, "plain")
    distinct = {image.tobytes() for image in images.values()}
    assert len(distinct) == 4


def test_threads_of_the_network(workshop: Any) -> None:
    apply = (
        "-v",
        "--mode",
        "apply",
        "--participant-label",
        "04",
        "--model",
        workshop.output_dir / "models" / LABELS[1],
    )
    assert workshop(*apply).says("CPU (1 threads)")
    assert workshop(*apply, "--nprocs", "2").says("CPU (2 threads)")


def test_device(copied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = copied("--mode", "apply", "--device", "cuda")
    assert result.code != 0
    assert len(result.errors) == 1
    assert "--device" in result.errors[0]


def test_how_the_network_is_computed(workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[bool] = []
    save = training.TrainingLoop.save
    slices = workshop.output_dir / "work" / "slices"

    def spied(self: training.TrainingLoop) -> None:
        stored.append(slices.exists() and bool(list(slices.rglob("images"))))
        save(self)

    monkeypatch.setattr(training.TrainingLoop, "save", spied)
    options = ("--precision", "bfloat16", "--memory-format", "channels_last", "--slice-storage", "disk")
    plain = ("--epochs", "1", "--split-file", workshop.split_file, "--model-label", "fast")
    assert workshop("--mode", "train", *plain, *options).code == 0
    card = load_card(workshop.output_dir / "models" / "fast")
    assert [card.training[name] for name in ("precision", "memory_format", "compiled")] == [
        "bfloat16", "channels_last", False,
    ]  # fmt: skip
    assert stored == [True]
    assert not list(slices.glob("*"))
    # Another way of computing is no other model.
    assert workshop("--mode", "train", *plain).code == 0
    assert load_card(workshop.output_dir / "models" / "fast") == card


def test_compiling_without_a_compiler(copied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computation, "can_compile", lambda device: False)
    result = copied("--mode", "train", "--compile", "on")
    assert result.code == 5
    assert len(result.errors) == 1
    assert "--compile" in result.errors[0]


def test_data_range(copied: Any) -> None:
    options = ("--mode", "apply", "--participant-label", "04", "--model", copied.output_dir / "models" / LABELS[1])
    path = copied.output_dir / f"sub-04/spect/sub-04_task-interictal_space-T1w_desc-{LABELS[1]}_metrics.tsv"
    before = pd.read_csv(path, sep="\t")
    assert copied(*options, "--data-range", "4").code == 0
    after = pd.read_csv(path, sep="\t")
    assert set(after["data_range"]) == {4}
    assert ((after["psnr"] - before["psnr"] - 6.0206).abs() < 1e-3).all()


@pytest.fixture
def alone(make_app: Callable[..., Any]) -> Any:
    """The app on a dataset of one participant."""
    return make_app({"01": (*("T1w", "T2w"), "pet", "interictal")})


def test_options_of_the_preparation(alone: Any, tmp_path: Path) -> None:
    options = ("--coreg-init", "identity", "--omp-nthreads", "3", "--random-seed", "9", "--inputs", "T1w", "T2w")
    spaces = ("--output-spaces", "T1w", "MNI152NLin2009aSym")
    assert alone("--mode", "preprocess", *options, *spaces, "-w", tmp_path / "elsewhere").code == 0
    assert "register interictal 6 identity" in alone.calls
    assert "register T2w 6 identity" in alone.calls
    assert 3 in alone.made_with
    images = alone.files("sub-01/**/*_desc-preproc_*.nii.gz")
    assert {name.split("space-")[1].split("_")[0] for name in images} == {"T1w", "MNI152NLin2009aSym"}
    assert any("T2w" in name for name in images)
    assert nib.load(alone.output_dir / sorted(images)[0]).shape == (64, 64, 48)
    assert (tmp_path / "elsewhere" / "status").is_dir()
    assert not alone.files("work/**/*")


def test_a_study_is_prepared_once_in_all_its_spaces(alone: Any) -> None:
    assert alone("--mode", "preprocess", "--study", "fard2024").code == 0
    images = alone.files("sub-01/**/*_desc-preproc_*.nii.gz")
    assert {(name.split("space-")[1].split("_")[0], name.rsplit("_", 1)[1]) for name in images} == {
        (space, f"{suffix}.nii.gz") for space in ("T1w", "MNI152NLin2009aSym") for suffix in ("T1w", "pet", "spect")
    }
    # What is recorded is what was given, and can be given again.
    recorded = next(alone.output_dir.glob("logs/*/settings.toml"))
    assert tomllib.loads(recorded.read_text())["output_spaces"] == ["T1w"]
    result = alone("--config-file", recorded, "--mode", "auto", "--dry-run")
    assert result.code == 5
    assert result.says("models to train: 12")
    assert result.says("split: not possible", "1 participant(s)")


def test_a_study_that_does_not_exist(alone: Any) -> None:
    result = alone("--mode", "preprocess", "--study", "fard2023")
    assert result.code == 2
    assert "fard2023" in result.errors[0]
    assert not alone.files("sub-*/**/*")


def test_verbose(alone: Any) -> None:
    assert not alone("--mode", "preprocess").says(" D ")
    shutil.rmtree(alone.output_dir)
    assert alone("--mode", "preprocess", "-v").says(" D ", "sub-01", "started")


def test_verbose__twice_shows_nipype(alone: Any) -> None:
    try:
        assert not alone("--mode", "preprocess", "-v").says("nipype.workflow: ")
        shutil.rmtree(alone.output_dir)
        assert alone("--mode", "preprocess", "-vv").says(" D nipype.workflow: ")
    finally:
        console_logging(0)


def test_backend_that_is_not_installed(alone: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("FSLDIR", raising=False)
    result = alone("--mode", "preprocess", "--backend", "fsl")
    assert result.code == 2
    assert len(result.errors) == 1
    assert "FSL" in result.errors[0]
    for options, line in (
        (("--backend", "fsl", "--fsl-runner", "docker"), "--fsl-runner docker: docker not found on PATH"),
        (("--fsl-runner", "singularity"), "--backend embedded does not use FSL"),
        (("--backend", "auto", "--bet-robust", "off"), "--bet-robust: FSL is not installed"),
        (("--backend", "auto", "--fsl-image", "me/fsl:1"), "--fsl-image: needs --fsl-runner docker"),
    ):
        result = alone("--mode", "preprocess", *options)
        assert (result.code, len(result.errors)) == (2, 1)
        assert line in result.errors[0]
    assert not alone.files("sub-*/**/*")
    assert not alone.output_dir.exists(), "refused before anything is made"


def test_plugin_file(alone: Any, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.yml"
    plugin.write_text("plugin: Nonsense\n")
    result = alone("--mode", "preprocess", "--use-plugin", plugin)
    assert result.code == 2
    assert "Nonsense" in result.errors[0]
    assert not alone.output_dir.exists(), "refused before anything is made"
    plugin.write_text("plugin: Linear\n")
    assert alone("--mode", "preprocess", "--use-plugin", plugin).code == 0


def test_memory_reaches_the_process_pool(alone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    class Pool(plugins.LinearPlugin):  # type: ignore[misc, name-defined]
        def __init__(self, plugin_args: dict[str, Any]) -> None:
            seen.append(plugin_args)
            super().__init__(plugin_args)

    monkeypatch.setattr(plugins, "ResilientMultiProcPlugin", Pool)
    assert alone("--mode", "preprocess", "--nprocs", "2", "--mem-mb", "3072").code == 0
    assert (seen[0]["n_procs"], seen[0]["memory_gb"]) == (2, 3)


def test_sessions_and_filters_choose(finished: Any, tmp_path: Path) -> None:
    app = finished.__class__(finished.bids_dir, tmp_path / "out")
    assert app("--mode", "preprocess", "--participant-label", "05", "--session-label", "b").code == 3
    assert app("--mode", "preprocess", "--participant-label", "05", "--session-label", "a").code == 0
    assert {name.split("/")[1] for name in app.files("sub-05/**/*")} == {"ses-a"}
    filters = tmp_path / "filters.json"
    filters.write_text(json.dumps({"pet": {"tracer": "other"}}))
    app.output_dir = tmp_path / "filtered"
    assert app("--mode", "preprocess", "--participant-label", "01", "--bids-filter-file", filters).code == 0
    assert not app.files("sub-01/pet/*")


def test_validation_can_be_left_out(alone: Any) -> None:
    (alone.bids_dir / "dataset_description.json").write_text('{"BIDSVersion": "1.10.1"}')
    result = alone("--mode", "preprocess", validate=True)
    assert result.code == 3
    assert "--skip-bids-validation" in result.errors[0]
    assert alone.calls == []
    assert alone("--mode", "preprocess").code == 0


def test_a_dry_run_writes_nothing(make_app: Callable[..., Any], tmp_path: Path) -> None:
    whole = ("T1w", "pet", "interictal")
    app = make_app({"01": whole, "02": ("pet",), "03": whole, "04": whole})
    before = sorted(tmp_path.rglob("*"))
    result = app("--dry-run")
    assert result.code == 0
    assert sorted(tmp_path.rglob("*")) == before
    # What could not be trained ends as the run would.
    refused = app("--dry-run", "--inputs", "T2w", "pet")
    assert refused.code == 5
    assert refused.says("then: train pix2pixT2wPet")
    assert sorted(tmp_path.rglob("*")) == before
    assert result.says("sub-02: skipped: no T1w image")
    assert result.says("then: train pix2pixT1wPet")


def test_a_dry_run_of_the_group_level_writes_nothing(copied: Any) -> None:
    before = copied.stamps("**/*")
    assert copied("--dry-run", level="group").code == 0
    assert copied.stamps("**/*") == before


def test_stop_on_first_crash(make_app: Callable[..., Any]) -> None:
    app = make_app(["01", "02", "03", "04"])
    (app.bids_dir / "sub-01/anat/sub-01_T1w.nii.gz").write_bytes(b"")
    stopped = app("--stop-on-first-crash", "--mode", "preprocess")
    assert stopped.code == 4
    assert "--stop-on-first-crash" in app.participants()["sub-04"]["reason"]
    assert not app.files("sub-04/**/*")
    assert app("--mode", "preprocess").code == 1
    assert app.participants()["sub-04"]["status"] == "ok"


def test_a_label_for_several_models(alone: Any, two_models: tuple[str, ...]) -> None:
    result = alone(*two_models, "--model-label", "mine")
    assert result.code == 2
    assert "--model-label" in result.errors[0]
    assert alone.calls == []


def test_options_from_a_file(alone: Any, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('mode = "preprocess"\ncoreg-init = "header"\n')
    assert alone("--config-file", config).code == 0
    assert "register pet 6 header" in alone.calls


def test_cleaning_the_work_folder(make_app: Callable[..., Any]) -> None:
    """Intermediate results go, those of a participant that failed stay, and nothing is prepared twice."""
    app = make_app(["01", "02"])
    image = next((app.bids_dir / "sub-02" / "pet").glob("*.nii.gz"))
    good = image.read_bytes()
    image.write_bytes(b"no image")
    assert app("--mode", "preprocess", "--clean-workdir").code == 1
    folder = app.output_dir / "work" / "bids_spectsynth_wf"
    assert {path.name[:6] for path in folder.iterdir()} == {"sub_02"}
    image.write_bytes(good)
    app.calls.clear()
    assert app("--mode", "preprocess", "--clean-workdir").code == 0
    # The T1w of the second had been done, the first is not touched.
    assert "brain T1w" not in app.calls
    assert not list(folder.iterdir())
    app.calls.clear()
    assert app("--mode", "preprocess").code == 0
    assert app.calls == []


#: Options whose effect a test named after something else shows.
SHOWN_ELSEWHERE = {
    "participant_label": "test_a_cluster_gives_what_one_run_gives",
    "mode": "test_a_cluster_gives_what_one_run_gives",
    "model": "test_a_model_of_elsewhere_knows_whom_it_has_seen",
    "model_label": "test_a_model_trained_otherwise_is_not_overwritten",
    "session_label": "test_sessions_and_filters_choose",
    "bids_filter_file": "test_sessions_and_filters_choose",
    "skip_bids_validation": "test_validation_can_be_left_out",
    "stop_on_first_crash": "test_stop_on_first_crash",
    "clean_workdir": "test_cleaning_the_work_folder",
    "dry_run": "test_a_dry_run_writes_nothing",
    "verbose": "test_verbose",
    "nprocs": "test_threads_of_the_network",
    "mem_mb": "test_memory_reaches_the_process_pool",
    "use_plugin": "test_plugin_file",
    "device": "test_device",
    **dict.fromkeys(("precision", "memory_format", "slice_storage"), "test_how_the_network_is_computed"),
    "compile": "test_compiling_without_a_compiler",
    "data_range": "test_data_range",
    "backend": "test_backend_that_is_not_installed",
    "epochs": "test_epochs_and_checkpoints",
    "checkpoint_every": "test_epochs_and_checkpoints",
    "split": "test_split_proportions_and_seed",
    "split_file": "test_participants_table_tells_split_status_and_reason",
    "split_counts": "test_exact_counts_and_who_is_held_out",
    "hold_out": "test_exact_counts_and_who_is_held_out",
    "study": "test_a_cross_validated_study_from_training_to_tables",
    "cross_validate": "test_a_cross_validated_study_from_training_to_tables",
    **dict.fromkeys(
        ("ensemble_members", "orientations", "flip_average", "uncertainty"),
        "test_members_and_orientations_make_one_image",
    ),
    **dict.fromkeys(
        ("work_dir", "omp_nthreads", "coreg_init", "output_spaces", "voxel_size"), "test_options_of_the_preparation"
    ),
}


#: Options of the group level and of FSL, whose effect tests of those modules show.
SHOWN_BY_MODULES = {
    **dict.fromkeys(("reports_only", "boilerplate_only"), "app/reporting/test_pages.py"),
    "bids_database_dir": "bids/finding/test_database.py",
    **dict.fromkeys(("strict", "include_flagged"), "quality/test_cohort.py"),
    "bootstrap_samples": "evaluation/group/test_comparisons.py",
    "equivalence_margins": "evaluation/group/test_comparisons.py",
    "crop": "synthesis/data/test_cropping.py",
    "patience": "synthesis/training/test_loop.py",
    # Of one epoch, as these tests train, it changes nothing.
    "learning_rate_schedule": "synthesis/training/test_config.py",
    "site_column": "synthesis/cohort/test_sites.py",
    "harmonise": "test_several_scanners.py",
    **dict.fromkeys(("initial_model", "freeze"), "synthesis/models/test_initial_model.py"),
    "loss": "synthesis/network/test_losses.py",
    **dict.fromkeys(
        ("bet_fractional_intensity", "bet_robust", "fsl_runner", "fsl_image"), "preprocess/backends/fsl/test_runners.py"
    ),
    **dict.fromkeys(("flirt_cost", "flirt_spect", "bet_pet"), "preprocess/backends/fsl/test_backend.py"),
    "template_affine": "preprocess/workflow/test_case.py",
    **dict.fromkeys(
        (
            "siscom",
            "siscom_baselines",
            "siscom_fwhm",
            "siscom_threshold",
            "siscom_extent",
            "siscom_level",
            "siscom_gain",
            "siscom_trend",
        ),
        "app/test_siscom.py",
    ),
    "siscom_gain": "app/test_siscom.py",
    "siscom_trend": "app/test_siscom.py",
    **dict.fromkeys(("reader_study", "reader_results"), "siscom/group/test_write.py"),
    "ratings": "evaluation/group/test_page_ratings.py",
    **dict.fromkeys(("export", "dicom_class", "dicom_donor", "force"), "app/test_participant.py"),
    "normals": "siscom/baselines/test_normals.py",
    "make_normals": "siscom/baselines/test_make_normals.py",
    "derivatives": "siscom/foci/test_segmentations.py",
    "lesion_mask": "app/preparation/test_lesions.py",
}


def test_every_option_has_a_test_of_its_effect() -> None:
    assert {*MODEL_OPTIONS, *SHOWN_ELSEWHERE, *SHOWN_BY_MODULES} == set(option_names())
    assert all(callable(globals().get(name)) for name in SHOWN_ELSEWHERE.values())
    assert all(name in (Path(__file__).parents[1] / file).read_text() for name, file in SHOWN_BY_MODULES.items())
