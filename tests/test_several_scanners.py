"""Several scanners: a model that has learned from PETs of one, and a PET of another."""

import functools
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth import api
from bids_spectsynth.bids.names import BIDS_VERSION
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.phantom.sidecars import pet_sidecar, spect_sidecar, t1w_sidecar
from tests.conftest import App

SIZE, SHAPE = 4.0, (48, 54, 44)
AFFINE = np.diag([SIZE, SIZE, SIZE, 1.0])
AFFINE[:3, 3] = [-SIZE * (n - 1) / 2 for n in SHAPE]
LEARNED_MM = 6.0
#: Nobody moves on: one training and one validation participant suffice.
SPLIT = {"01": "train", "02": "train", "03": "train", "04": "validation", "05": "test"}
#: What sidecars of real scanners hold beside.
IDENTIFYING = {
    "InstitutionName": "Klinikum Nordheim", "InstitutionAddress": "Seestrasse 9", "StationName": "PETCT0815",
    "DeviceSerialNumber": "48151623", "PatientName": "Doe^Joan", "PatientID": "MRN4242", "OperatorsName": "Jo Roe",
}  # fmt: skip
OPTIONS = ("--inputs", "T1w", "pet", "--model-label", "own", "--intensity-scaling", "volume", "--epochs", "2")


@functools.cache
def head(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """T1w, and uptake before any blur, of a brain with folds of its own, drawn on voxels of half the size."""
    shape = tuple(2 * n for n in SHAPE)
    x, y, z = ((np.indices(shape).T - (np.array(shape) - 1) / 2) * SIZE / 2 / (64, 78, 58)).T
    radius = np.sqrt(x**2 + y**2 + z**2)
    a, b, c = np.random.default_rng(seed).uniform(0, 6, 3)
    folds = 0.12 * (np.sin(9 * x + 4 * y + a) + np.sin(11 * y - 5 * z + b) + np.sin(10 * z + 6 * x + c))
    grey, mask = radius + folds > 0.75, radius < 1
    t1w = np.where(mask, np.where(grey, 65.0, 100.0), 0) + np.random.default_rng(seed).normal(0, 2, shape) * mask
    return halved(t1w.clip(0)), np.where(mask, np.where(grey, 100.0, 30.0) * (1 + 0.1 * x), 0)


def halved(volume: np.ndarray) -> np.ndarray:
    return np.asarray(volume.reshape(SHAPE[0], 2, SHAPE[1], 2, SHAPE[2], 2).mean(axis=(1, 3, 5)))


def write(folder: Path, stem: str, volume: np.ndarray, sidecar: dict[str, Any]) -> None:
    image = nib.Nifti1Image(volume.astype(np.float32), AFFINE)
    image.header.set_xyzt_units("mm")
    write_image(folder / f"{stem}.nii.gz", image, sidecar)


def scan(seed: int, fwhm: float) -> np.ndarray:
    return halved(ndimage.gaussian_filter(head(seed)[1], fwhm / 2.3548 / (SIZE / 2)))


def participant(bids_dir: Path, label: str, pet: float, seed: int, **camera: str) -> None:
    """A participant whose PET has a resolution of so many mm, and further entries in its sidecar."""
    folder, stem = bids_dir / f"sub-{label}", f"sub-{label}"
    write(folder / "anat", f"{stem}_T1w", head(seed)[0], t1w_sidecar())
    write(folder / "pet", f"{stem}_trc-FDG_pet", 50 * scan(seed, pet), pet_sidecar(1, False, 5) | camera)
    facts = spect_sidecar("interictal", False, 7)
    write(folder / "spect", f"{stem}_task-interictal_trc-HMPAO_spect", scan(seed, 9.0), facts)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> App:
    """A model of PETs of one scanner, and a dataset with other participants; not to be changed."""
    folder = tmp_path_factory.mktemp("scanners")
    bids_dir = folder / "data"
    for number, label in enumerate(SPLIT):
        participant(bids_dir, label, LEARNED_MM, number, **(IDENTIFYING if label == "01" else {}))
    # One head with PETs of four scanners.
    participant(bids_dir, "11", LEARNED_MM, 9)
    participant(bids_dir, "12", 9.5, 9)
    participant(bids_dir, "13", 3.0, 9)
    participant(bids_dir, "14", LEARNED_MM, 9, ManufacturersModelName="Phantom 2", AttenuationCorrection="none")
    description = {"Name": "test", "BIDSVersion": BIDS_VERSION, "DatasetType": "raw"}
    (bids_dir / "dataset_description.json").write_text(json.dumps(description))
    app = App(bids_dir, folder / "out")
    lines = [f"sub-{label}\t{part}" for label, part in SPLIT.items()]
    app.split_file.write_text("\n".join(["participant_id\tsplit", *lines]) + "\n")
    result = app(*OPTIONS, "--split-file", str(app.split_file), "--participant-label", *SPLIT)
    assert result.code == 0, result.err
    return app


def facts(app: App, label: str) -> dict[str, Any]:
    (path,) = app.output_dir.glob(f"sub-{label}/spect/*_space-T1w_desc-own_spect.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def values(app: App, label: str) -> np.ndarray:
    (path,) = app.output_dir.glob(f"sub-{label}/spect/*_space-T1w_desc-own_spect.nii.gz")
    return np.asarray(nib.load(path).dataobj)


def apply(app: App, *options: str) -> Any:
    return app("--mode", "apply", "--participant-label", "11", "12", "13", "14", *options)


def test_the_card_records_the_training_scans_and_nothing_that_identifies(trained: App) -> None:
    scans = trained.card("own")["scans"]
    assert {role: one["scans"] for role, one in scans.items()} == {"T1w": 3, "pet": 3, "interictal": 3}
    assert scans["pet"]["camera"] == {"Simulated Phantom PET": 3}
    assert scans["pet"]["tracer"] == {"FDG": 3}
    assert scans["pet"]["fwhm_mm"]["median"] == pytest.approx(LEARNED_MM, abs=1.2)
    assert scans["interictal"]["fwhm_mm"]["median"] == pytest.approx(9, abs=1.2)
    assert "fwhm_mm" not in scans["T1w"]
    assert trained.card("own")["format_version"] == 3
    given = json.loads((trained.bids_dir / "sub-01/pet/sub-01_trc-FDG_pet.json").read_text())
    assert given.items() >= IDENTIFYING.items()
    written = sorted(trained.output_dir.rglob("*.json"))
    assert {"model.json", "sub-01_trc-FDG_space-T1w_desc-preproc_pet.json"} <= {path.name for path in written}
    found = [(path.name, word) for path in written for word in IDENTIFYING.values() if word in path.read_text()]
    assert found == []


def test_a_pet_of_another_resolution_or_camera_is_said_everywhere(trained: App, tmp_path: Path) -> None:
    app = trained.copy(tmp_path)
    app.reports = True
    first = apply(app)
    assert first.code == 0, first.err
    assert not first.says("learned from", "sub-11,")
    (line,) = first.says("sub-12,", "more blurred", "sub-12_trc-FDG_space-T1w_desc-preproc_pet.nii.gz")
    assert "cannot be sharpened" in line
    assert len(first.says("sub-14,", "camera", "Phantom 2")) == 1
    assert len(first.says("sub-14,", "attenuation correction", "none")) == 1
    assert [one["name"] for one in facts(app, "12")["OutsideTraining"]] == ["resolution"]
    assert "OutsideTraining" not in facts(app, "11")
    page = (app.output_dir / "sub-12.html").read_text()
    assert page.count("more blurred than those that the model learned from") >= 2, "verdict and note"
    # It informs: ratings are as without it.
    assert app.files("sub-12/**/*_metrics.tsv")
    # An image that is current is not made again, and what is to be known of it is said again.
    stamps = app.stamps("sub-1*/spect/*_spect.nii.gz")
    assert apply(app).says("sub-12,", "more blurred")
    assert app.stamps("sub-1*/spect/*_spect.nii.gz") == stamps


def test_a_corrected_sidecar_or_card_corrects_what_is_said(trained: App, tmp_path: Path) -> None:
    app = trained.copy(tmp_path)
    one = ("--mode", "apply", "--participant-label", "11")
    assert app(*one).code == 0
    assert "OutsideTraining" not in facts(app, "11")
    image = values(app, "11")
    (prepared,) = app.output_dir.glob("sub-11/pet/*_space-T1w_desc-preproc_pet.json")
    before = json.loads(prepared.read_text())
    prepared.write_text(json.dumps(before | {"TracerName": "PIB"}))
    assert app(*one).says("sub-11,", "tracer", "PiB")
    assert [found["name"] for found in facts(app, "11")["OutsideTraining"]] == ["tracer"]
    # In the card that tracer is added to those of the training.
    path = app.output_dir / "models" / "own" / "model.json"
    card = app.card("own")
    card["scans"]["pet"]["tracer"]["PiB"] = 1
    path.write_text(json.dumps(card))
    assert not app(*one).says("sub-11,", "tracer")
    assert "OutsideTraining" not in facts(app, "11")
    np.testing.assert_array_equal(values(app, "11"), image)
    stamps = app.stamps("sub-11/spect/*_spect.nii.gz")
    assert app(*one).code == 0
    assert app.stamps("sub-11/spect/*_spect.nii.gz") == stamps


def test_harmonise__a_sharper_pet_gives_nearly_the_image_of_the_trainings_resolution(
    trained: App, tmp_path: Path
) -> None:
    app = trained.copy(tmp_path)
    assert apply(app).code == 0
    wanted, plain = values(app, "11"), values(app, "13")
    result = apply(app, "--harmonise", "resolution")
    assert result.code == 0, result.err
    assert result.says("sub-13,", "PET of", "smoothed by")
    assert result.says("sub-12,", "more blurred than", "stays as it is")
    harmonised = values(app, "13")
    mask = wanted > 0
    before, after = (float(np.sqrt(np.square(one - wanted)[mask].mean())) for one in (plain, harmonised))
    assert after < 0.6 * before
    content, card = facts(app, "13"), trained.card("own")
    width, kernel = content["InputFWHM"]["pet"], content["HarmonisingFWHM"]["pet"]
    assert content["HarmonisedFWHM"] == {"pet": card["scans"]["pet"]["fwhm_mm"]["median"]}
    assert np.hypot(width, kernel) == pytest.approx(content["HarmonisedFWHM"]["pet"], abs=0.02)
    assert facts(app, "12")["HarmonisingFWHM"] == {"pet": 0.0}
    np.testing.assert_array_equal(values(app, "11"), wanted)
    # Without the option it is made again as it was.
    assert apply(app).code == 0
    np.testing.assert_array_equal(values(app, "13"), plain)
    assert "HarmonisedFWHM" not in facts(app, "13")


def test_harmonise__needs_a_card_that_records_the_training_scans(trained: App, tmp_path: Path) -> None:
    app = trained.copy(tmp_path)
    path = app.output_dir / "models" / "own" / "model.json"
    path.write_text(json.dumps({name: value for name, value in app.card("own").items() if name != "scans"}))
    refused = apply(app, "--harmonise", "resolution")
    assert refused.code != 0
    assert "model own: --harmonise resolution needs the resolution" in refused.errors[0]
    result = apply(app)
    assert result.code == 0, result.err
    assert result.says("Model own", "not recorded")
    assert facts(app, "12")["ComparedWithTraining"] is False


def test_harmonise__a_model_that_was_trained_so_is_applied_so(trained: App, tmp_path: Path) -> None:
    app = App(trained.bids_dir, tmp_path / "out")
    split = tmp_path / "split.tsv"
    # Two scanners in training: 12 is blurred, 13 is sharp.
    parts = {"01": "train", "12": "train", "13": "train", "04": "validation", "05": "test"}
    split.write_text("\n".join(["participant_id\tsplit", *(f"sub-{k}\t{part}" for k, part in parts.items())]) + "\n")
    chosen = ("--participant-label", *parts, "--split-file", str(split))
    result = app(*OPTIONS, *chosen, "--harmonise", "resolution")
    assert result.code == 0, result.err
    card = app.card("own")
    assert card["format_version"] == 5
    assert card["harmonised"]["pet"] == pytest.approx(9.5, abs=1)
    assert card["scans"]["pet"]["fwhm_mm"]["min"] < 6, "as they were, before they were smoothed"
    assert result.says("inputs brought to pet", "3 of 4 smoothed"), "01, 13 and 04; 05 is not learned from"
    assert facts(app, "05")["HarmonisedFWHM"] == card["harmonised"]
    assert facts(app, "05")["HarmonisingFWHM"]["pet"] > 3
    # A new participant of the sharp scanner: by the card alone.
    again = app("--mode", "apply", "--participant-label", "11")
    assert again.code == 0, again.err
    assert again.says("sub-11,", "smoothed by")
    (case,) = api.find_prepared(app.output_dir, participants="11")
    found = api.predict(api.load_model(app.output_dir / "models" / "own", "cpu"), case)
    np.testing.assert_allclose(found.values, values(app, "11"), rtol=1e-4)
    refused = app(*OPTIONS, *chosen)
    assert refused.code != 0
    assert "harmonise differ" in refused.errors[0]
