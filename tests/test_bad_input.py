"""Input that cannot be used: one clear line, the right exit code, and the others finish."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.app.apply import STATE_ASSUMED
from bids_spectsynth.synthesis.models.card import FORMAT_VERSION

# Damaged participants: which file, what is done to it, and words of the reason.

Damage = Callable[[Path], object]


def truncated(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def changed(function: Callable[[Any], Any]) -> Damage:
    def damage(path: Path) -> None:
        image = nib.load(path)
        nib.save(nib.Nifti1Image(function(np.asarray(image.dataobj, dtype=np.float32)), image.affine), path)

    return damage


def doubled(path: Path) -> None:
    for run in "12":
        shutil.copy(path, path.with_name(path.name.replace("_T1w", f"_run-{run}_T1w")))
    path.unlink()


T1W, PET = "anat/sub-{}_T1w.nii.gz", "pet/sub-{}_trc-FDG_pet.nii.gz"
SPECT = "spect/sub-{}_task-interictal_trc-HMPAO_spect.nii.gz"
FAILED: dict[str, tuple[str, str, Damage, tuple[str, ...]]] = {
    "truncated": ("11", T1W, truncated, ("truncated",)),
    "0 bytes": ("12", PET, lambda path: path.write_bytes(b""), ("0 bytes",)),
    "all zero": ("13", PET, changed(np.zeros_like), ("zero",)),
    "NaN": ("14", SPECT, changed(lambda data: np.full_like(data, np.nan)), ("NaN",)),
    "single slice": ("15", T1W, changed(lambda data: data[:, :, 10:11]), ("24 x 24 x 1 voxels",)),
    "no NIfTI": ("16", SPECT, lambda path: path.write_bytes(b"no image" * 100), ("Not a gzipped file",)),
    "two T1w": ("17", T1W, doubled, ("run-1_T1w", "run-2_T1w", "--bids-filter-file")),
    "sidecar": ("18", PET, lambda path: path.with_name("sub-18_trc-FDG_pet.json").write_text("{"), ("_pet.json",)),
}
GOOD = ("01", "02", "03")
BARE = "19"


@pytest.fixture(scope="module")
def run_with_damage(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The app and the result of one run, validator included, on good, damaged and incomplete participants."""
    folder = tmp_path_factory.mktemp("damaged")
    data = folder / "data"
    source = finished.bids_dir / "sub-01"
    data.mkdir()
    for name in ("dataset_description.json", "README"):
        shutil.copy(finished.bids_dir / name, data / name)
    for label in (*GOOD, *(row[0] for row in FAILED.values()), BARE):
        for path in source.rglob("*.*"):
            copy = data / f"sub-{label}" / path.parent.name / path.name.replace("sub-01", f"sub-{label}")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    for label, name, damage, _ in FAILED.values():
        damage(data / f"sub-{label}" / name.format(label))
    (data / f"sub-{BARE}/pet/sub-{BARE}_trc-FDG_pet.json").unlink()
    app = finished.__class__(data, folder / "out")
    return app, app(validate=True)


def test_the_others_finish(run_with_damage: tuple[Any, Any]) -> None:
    app, result = run_with_damage
    assert result.code == 1
    assert "Traceback" not in result.err
    rows = app.participants()
    assert all(rows[f"sub-{label}"]["status"] == "ok" for label in (*GOOD, BARE))
    made = {name.split("/")[0] for name in app.files("sub-*/**/*space-T1w_desc-pix2pixT1wPet_spect.nii.gz")}
    assert made == {f"sub-{label}" for label in (*GOOD, BARE)} == {n[:-5] for n in app.files("sub-*.html")}
    assert result.says("4 ok, 0 skipped, 8 failed")


@pytest.mark.parametrize("kind", FAILED)
def test_a_damaged_participant_is_one_clear_line(run_with_damage: tuple[Any, Any], kind: str) -> None:
    app, result = run_with_damage
    label, name, _, words = FAILED[kind]
    (line,) = result.says(f"sub-{label} failed: ")
    row = app.participants()[f"sub-{label}"]
    assert (row["status"], row["split"]) == ("failed", "n/a")
    for text in (line, row["reason"]):
        assert all(word in text for word in words), text
        assert Path(name).name.format(label).split("_")[0] in text
    assert str(app.bids_dir) not in row["reason"]
    assert any(words[0] in log.read_text() for log in app.output_dir.glob(f"logs/*/sub-{label}.log"))


def test_a_pet_without_sidecar_is_used_and_warned_of_once(run_with_damage: tuple[Any, Any]) -> None:
    app, result = run_with_damage
    assert len(result.says(f"sub-{BARE}_trc-FDG_pet.nii.gz: no JSON sidecar")) == 1
    assert app.files(f"sub-{BARE}/pet/*_desc-preproc_pet.nii.gz")
    assert result.says(f"sub-{BARE}: not valid BIDS", "SIDECAR_KEY_REQUIRED")


def test_the_run_log_tells_what_the_console_told(run_with_damage: tuple[Any, Any]) -> None:
    app, result = run_with_damage
    (log,) = app.output_dir.glob("logs/*/run.log")
    text = log.read_text()
    lines = [line[11:] for line in result.err.splitlines() if line[9:11] in ("W ", "E ")]
    assert lines
    # Where folders lie is on the console alone.
    folders = [f"{folder}/" for folder in (app.bids_dir, app.output_dir)]
    assert all(line.replace(folders[0], "").replace(folders[1], "") in text for line in lines)


def test_nobody_is_left(make_app: Callable[..., Any]) -> None:
    app = make_app(["01", "02", "03"])
    for path in app.bids_dir.rglob("*_T1w.nii.gz"):
        truncated(path)
    result = app()
    assert result.code == 4
    assert result.errors == []
    assert len(result.says("failed: ", "truncated")) == 3
    assert not app.files("models/**/*")


# Datasets and folders


def refused(result: Any, code: int, *words: str) -> None:
    """One line, no traceback, this exit code, and these words."""
    assert result.code == code, result.err
    assert len(result.errors) == 1, result.err
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.errors[0]


def test_no_such_dataset(make_app: Callable[..., Any], tmp_path: Path) -> None:
    app = make_app({})
    app.bids_dir = tmp_path / "nowhere"
    refused(app(), 3, "nowhere", "no such folder")


def test_a_folder_that_is_not_bids(make_app: Callable[..., Any], tmp_path: Path) -> None:
    app = make_app({})
    app.bids_dir = tmp_path / "photos"
    app.bids_dir.mkdir()
    refused(app(), 3, "not a BIDS dataset", "dataset_description.json")


def test_a_dataset_of_nobody(make_app: Callable[..., Any]) -> None:
    app = make_app({})
    refused(app(), 3, "no sub-* folder")
    assert not app.output_dir.exists(), "nothing is made before the dataset is known to be one"


def test_an_unknown_participant(make_app: Callable[..., Any]) -> None:
    refused(make_app(["01", "02"])("--participant-label", "99"), 3, "no participant 99", "01, 02")


def test_output_inside_the_input(make_app: Callable[..., Any]) -> None:
    app = make_app(["01"])
    app.output_dir = app.bids_dir / "results"
    refused(app(), 3, "inside the dataset", "derivatives")
    assert not app.output_dir.exists()


@pytest.mark.parametrize("which", ["bids_dir", "output_dir"])
def test_a_path_that_is_not_utf8(make_app: Callable[..., Any], which: str) -> None:
    app = make_app(["01"])
    odd = app.bids_dir.parent / os.fsdecode(b"caf\xe9")
    if which == "bids_dir":
        app.bids_dir.rename(odd)
    setattr(app, which, odd)
    refused(app(), 3, r"caf\udce9: the path is not UTF-8")


@pytest.mark.usefixtures("no_privileges")
def test_a_dataset_in_a_folder_without_permission(make_app: Callable[..., Any]) -> None:
    app = make_app(["01"])
    parent = app.bids_dir.parent / "closed"
    parent.mkdir()
    app.bids_dir = app.bids_dir.rename(parent / "data")
    parent.chmod(0)
    result = app("--dry-run")
    parent.chmod(0o700)
    refused(result, 3, "permission denied")


def test_a_spect_that_does_not_say_what_it_is_trains_nobody_and_rates_nothing(make_app: Callable[..., Any]) -> None:
    app = make_app(["01", "02", "03", "04"])
    for path in app.bids_dir.glob("sub-04/spect/*"):
        path.rename(path.with_name(path.name.replace("_task-interictal", "")))
    result = app()
    assert result.code == 0, result.err
    assert len(result.says("W sub-04", "not used for training", "task-interictal", "--bids-filter-file")) == 1
    rows = app.participants()
    assert {row["split"] for name, row in rows.items() if name != "sub-04"} == {"train", "validation", "test"}
    assert rows["sub-04"]["split"] == "n/a"
    # Nobody saw it in training, and yet it is no reference.
    assert not app.files("sub-04/**/*_metrics.tsv")
    assert app.files("sub-04/spect/*desc-pix2pixT1wPet_spect.nii.gz")
    assert (rows["sub-04"]["status"], rows["sub-04"]["reason"]) == ("ok", STATE_ASSUMED)
    assert app.files("sub-04/spect/*_task-interictal_*_desc-preproc_spect.nii.gz")
    others = app("--participant-label", "04")
    refused(others, 5, "1 with a SPECT whose name lacks task-interictal")


@pytest.mark.parametrize("level", ["participant", "group"])
def test_output_that_cannot_be_written(make_app: Callable[..., Any], tmp_path: Path, level: str) -> None:
    app = make_app(["01"])
    (tmp_path / "file").write_text("")
    app.output_dir = tmp_path / "file" / "out"
    refused(app(level=level), 3, str(app.output_dir))


def test_a_work_folder_that_cannot_be_written(make_app: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(make_app(["01"])("--work-dir", tmp_path / "file" / "work"), 3, "cannot write there")


# Files that options name


@pytest.mark.parametrize("option", ["--model", "--bids-filter-file", "--split-file", "--use-plugin", "--config-file"])
def test_a_file_that_does_not_exist(make_app: Callable[..., Any], option: str) -> None:
    app = make_app(["01"])
    refused(app(option, "/nowhere/file"), 2, "/nowhere/file")
    assert not app.output_dir.exists()


@pytest.mark.parametrize(
    ("option", "content", "words"),
    [
        ("--config-file", "colour = 1\n", ("unknown option colour",)),
        ("--config-file", "epochs = \n", ("TOML",)),
        ("--bids-filter-file", '{"pet": ', ("JSON",)),
        ("--bids-filter-file", '{"photo": {}}', ("photo",)),
        ("--bids-filter-file", "[]", ("file.txt",)),
        ("--use-plugin", "a: [", ("YAML",)),
        ("--output-spaces", "MNI152", ("MNI152: unknown template", "MNI152NLin2009aSym", "python -c")),
        ("--output-spaces", "MNI152+3", ("MNI152:cohort-3",)),
    ],
)
def test_a_file_or_value_that_is_wrong(
    make_app: Callable[..., Any], tmp_path: Path, option: str, content: str, words: tuple[str, ...]
) -> None:
    path = tmp_path / "file.txt"
    path.write_text(content)
    value = content if option == "--output-spaces" else str(path)
    app = make_app(["01"])
    refused(app("--mode", "preprocess", option, value), 2, *words)
    assert app.calls == []


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("participant_id\tsplit\nsub-01\ttrain\n", "no split for participant"),
        ("participant_id\tsplit\nsub-77\ttrain\n", "unknown participant 77"),
        ("who\n", "participant_id"),
    ],
)
def test_a_split_file_that_does_not_fit(finished: Any, tmp_path: Path, content: str, word: str) -> None:
    app = finished.copy(tmp_path)
    (tmp_path / "split.tsv").write_text(content)
    refused(app("--mode", "train", "--split-file", tmp_path / "split.tsv"), 2, word)


# Models


@pytest.fixture
def model(finished: Any, tmp_path: Path) -> Path:
    """A copy of the T1w+PET model."""
    return Path(shutil.copytree(finished.output_dir / "models" / "pix2pixT1wPet", tmp_path / "model"))


def change_card(folder: Path, **values: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_model_of_another_input_set(make_app: Callable[..., Any], model: Path) -> None:
    app = make_app({"01": ("T1w", "interictal"), "02": ("T1w",)})
    refused(app("--model", model), 5, "pix2pixT1wPet needs T1w and pet", "no pet")
    assert app.files("sub-01/**/*_desc-preproc_T1w.nii.gz")
    assert "no pet" in app.participants()["sub-01"]["reason"]


def test_a_card_of_a_newer_version(make_app: Callable[..., Any], model: Path) -> None:
    change_card(model, format_version=FORMAT_VERSION + 1)
    app = make_app(["01"])
    refused(app("--model", model), 5, f"version {FORMAT_VERSION + 1}", "update bids_spectsynth")
    assert app.calls == []


def test_a_folder_that_is_no_model(make_app: Callable[..., Any], tmp_path: Path) -> None:
    refused(make_app(["01"])("--model", tmp_path), 5, "not a model folder")


def test_damaged_weights(make_app: Callable[..., Any], model: Path) -> None:
    truncated(model / "model.safetensors")
    app = make_app(["01"])
    refused(app("--model", model), 5, "model.safetensors")
    assert app.calls == []


def test_a_model_of_another_grid(finished: Any, model: Path, tmp_path: Path) -> None:
    app = finished.copy(tmp_path)
    change_card(model, voxel_size=2.0)
    refused(app("--mode", "apply", "--model", model, "--participant-label", "04"), 5, "--voxel-size 2")


def test_a_model_of_another_space(finished: Any, model: Path, tmp_path: Path) -> None:
    app = finished.copy(tmp_path)
    change_card(model, space="MNI152NLin6Sym")
    options = ("--mode", "apply", "--model", model, "--participant-label", "04", "--output-spaces", "T1w")
    refused(app(*options), 5, "--output-spaces MNI152NLin6Sym")


def test_damaged_participants_table(finished: Any, tmp_path: Path) -> None:
    app = finished.copy(tmp_path)
    (app.output_dir / "participants.tsv").write_text("nothing\nhere\n")
    refused(app("--mode", "apply", "--participant-label", "04"), 3, "participants.tsv", "remove the file")
