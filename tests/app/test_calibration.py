"""Calibrated uncertainty through the program: from training to tables, and what cannot be calibrated."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.app import calibration
from bids_spectsynth.app.calibration import provide_calibrations
from bids_spectsynth.app.model_choice import load_models
from bids_spectsynth.evaluation.uncertainty.files import StoredCalibrations
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.prediction.sidecar import model_checksum
from tests.conftest import write_participant
from tests.synthesis.models.conftest import make_model

LABELS = [f"{number:02d}" for number in range(1, 9)]
CALIBRATED = ("--cross-validate", "3", "--uncertainty", "calibrated")
STEM = "sub-{0}/spect/sub-{0}_task-interictal_space-T1w_desc-pix2pixT1wPet{1}"


def values(path: Path) -> np.ndarray:
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)


def test_calibrated__cohort_then_participants_from_elsewhere(make_app: Callable[..., Any], tmp_path: Path) -> None:
    app = make_app(LABELS)
    result = app(*CALIBRATED)
    assert result.code == 0, result.err
    folder = app.output_dir / "models" / "pix2pixT1wPet"
    assert len(json.loads((folder / "calibration_heldout.json").read_text())["Calibrations"]) == 8
    # The network learned it, but the model keeps its name, and its losses theirs.
    assert json.loads((folder / "fold-1" / "model.json").read_text())["architecture"]["output_channels"] == 2
    image, sd, lower, upper = (
        values(app.output_dir / (STEM.format("03", part) + "_spect.nii.gz")) for part in ("", "Sd", "Lower", "Upper")
    )
    brain = sd > 0
    assert (lower[brain] <= image[brain]).all()
    assert (image[brain] < upper[brain]).all()
    table = pd.read_csv(app.output_dir / (STEM.format("03", "") + "_calibration.tsv"), sep="\t", dtype={"bin": str})
    assert set(table["sampled_by"]) == {"calibration"}
    assert set(table["samples"]) == {7}
    assert {"voxels", "uptake", "asymmetry"} == set(table["measure"])
    assert app(level="group").code == 0
    group = pd.read_csv(app.output_dir / "group_calibration.tsv", sep="\t")
    whole = group[(group["bin"] == "all") & (group["measure"] == "voxels")].iloc[0]
    assert whole["coverage_90"] == pytest.approx(90, abs=5)
    assert "Coverage of intervals" in (app.output_dir / "group.html").read_text()
    _run_again_makes_nothing(app)
    _another_output(app, folder, tmp_path)
    _damaged(app, folder)
    _a_newcomer(app, folder)


def _run_again_makes_nothing(app: Any) -> None:
    before = app.stamps("sub-*/spect/*", "models/**/*")
    assert app(*CALIBRATED).code == 0
    assert app.stamps("sub-*/spect/*", "models/**/*") == before
    # Without the option nothing is lost, and the finished networks serve.
    assert app("--cross-validate", "3").code == 0
    assert app.stamps("sub-*/spect/*", "models/**/*") == before


def _another_output(app: Any, folder: Path, tmp_path: Path) -> None:
    """Who is new to the model gets the calibration of everybody; without its file there is a line."""
    model = tmp_path / "copied" / folder.name
    shutil.copytree(folder, model)
    for path in model.glob("calibration_heldout*"):
        path.unlink()
    other = type(app)(app.bids_dir, tmp_path / "other")
    options = ("--mode", "apply", "--participant-label", "02", "--model", model, "--uncertainty", "calibrated")
    assert other(*options).code == 0
    sidecar = json.loads((other.output_dir / (STEM.format("02", "Sd") + "_spect.json")).read_text())
    assert sidecar["Samples"] == 8
    for path in model.glob("calibration*"):
        path.unlink()
    bare = type(app)(app.bids_dir, tmp_path / "bare")
    result = bare(*options)
    assert result.code == 0
    assert len(result.says("no calibrated uncertainty", "has no calibration.json")) == 1
    assert not list(bare.output_dir.rglob("*Sd_spect*"))
    assert list(bare.output_dir.rglob("*pix2pixT1wPet_spect*"))


def _damaged(app: Any, folder: Path) -> None:
    """A damaged calibration of the folder's own model is made again."""
    path = folder / "calibration.json"
    path.write_text("{")
    assert app(*CALIBRATED).code == 0
    assert json.loads(path.read_text())["FormatVersion"] == 1


def _a_newcomer(app: Any, folder: Path) -> None:
    """Who is prepared later takes no part, a damaged image of a third one stops nobody, and a link is a way too."""
    before = app.stamps("models/**/*")
    write_participant(app.bids_dir, "20")
    link = folder.parents[2] / "link"
    link.symlink_to(folder.parent)
    next(app.output_dir.glob("sub-05/spect/*interictal*preproc_spect.nii.gz")).write_bytes(b"none")
    options = ("--mode", "apply", "--participant-label", "20", "--model", link / folder.name)
    result = app(*options, "--uncertainty", "calibrated")
    assert result.code == 0, result.err
    assert len(result.says("sub-05: left out of the calibration")) == 1
    card = json.loads((folder / "calibration_heldout.json").read_text())
    assert len(card["Calibrations"]) == 7
    sidecar = json.loads((app.output_dir / (STEM.format("20", "Sd") + "_spect.json")).read_text())
    assert sidecar["Samples"] == 7
    changed = {name for name, stamp in app.stamps("models/**/*").items() if before.get(name) != stamp}
    assert changed <= {f"models/{folder.name}/{path.name}" for path in folder.glob("*calib*")}


def test_training_goes_on_with_and_without_the_option(make_app: Callable[..., Any]) -> None:
    app = make_app(LABELS)
    assert app("--mode", "preprocess").code == 0
    train = ("--mode", "train", "--cross-validate", "3")
    assert app(*train).code == 0
    weights = app.stamps("models/**/model.safetensors")
    # Finished without the head: calibrated by what remains, at the end of the training.
    assert app(*train, "--uncertainty", "calibrated").code == 0
    assert app.stamps("models/**/model.safetensors") == weights
    card = json.loads((app.output_dir / "models" / "pix2pixT1wPet" / "calibration.json").read_text())
    assert card["Calibrations"][""]["Predictors"] == ["edges", "uptake", "place"]
    # For longer, with the option that is no option of the network: not refused, and still without the head.
    assert app(*train, "--uncertainty", "calibrated", "--epochs", "3").code == 0
    card = json.loads((app.output_dir / "models" / "pix2pixT1wPet" / "fold-1" / "model.json").read_text())
    assert card["architecture"]["output_channels"] == 1
    assert card["training"]["epochs"] == 3


def test_too_few_held_out_participants_are_one_line(make_app: Callable[..., Any]) -> None:
    app = make_app(LABELS[:5])
    result = app(*CALIBRATED)
    assert result.code == 0
    assert len(result.says("no calibrated uncertainty", "5 held-out participants", "6 at least")) == 1
    assert not list(app.output_dir.rglob("*Sd_spect*"))
    assert list(app.output_dir.rglob("*pix2pixT1wPet_spect.nii.gz"))


@pytest.mark.parametrize("is_own", [True, False], ids=["of the output folder, too few held out", "from elsewhere"])
def test_provide_calibrations__of_images_from_other_inputs_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, is_own: bool
) -> None:
    folder = tmp_path / ("out" if is_own else "other") / "models" / "m"
    widths = {"min": 5, "p5": 5, "median": 6, "p95": 7, "max": 7, "n": 2}
    make_model(folder, scans={"pet": {"scans": 2, "fwhm_mm": widths}})
    (model,) = load_models([folder])
    (folder / "calibration.json").write_text("{}")
    found = StoredCalibrations(Mock(), {}, "salt", model_checksum([model.card]))
    monkeypatch.setattr(calibration, "load_calibrations", lambda folder: found)
    own = {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
    plain = make_settings({**own, "uncertainty": "calibrated", "device": "cpu"})
    harmonised = replace(plain, harmonise="resolution")
    assert provide_calibrations(model, plain, Mock()) is found
    assert not caplog.records
    assert provide_calibrations(model, harmonised, Mock()) is None
    assert (
        "calibration is of images from inputs as they are, not from inputs of one resolution (pet 6 mm)" in caplog.text
    )
    found = replace(found, widths={"pet": 6.0})
    assert provide_calibrations(model, harmonised, Mock()) is found
    assert provide_calibrations(model, plain, Mock()) is None
