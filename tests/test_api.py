"""What a Python user calls: names at the top of the package, models with all their networks, registration."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

import bids_spectsynth as bs
from bids_spectsynth import api
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import ImageError, ModelError
from bids_spectsynth.preprocess.registration.result import Registration
from bids_spectsynth.synthesis.data.slices import load_case
from bids_spectsynth.synthesis.data.through_slice import NODES
from bids_spectsynth.synthesis.models.card import participant_hash
from bids_spectsynth.synthesis.models.ensemble import write_ensemble
from bids_spectsynth.synthesis.prediction.predict import predict as network_output
from tests.conftest import QuickBackend, volume
from tests.synthesis.conftest import write_prepared
from tests.synthesis.models.conftest import make_model

PACKAGE = Path(bs.__file__).parent


def _shift(x: float, y: float, z: float) -> np.ndarray:
    return nib.affines.from_matvec(np.eye(3), [x, y, z])


def _folds(folder: Path) -> Path:
    """An untrained model of two folds: 01 is unknown to the first one, 02 to the second."""
    flat = {"heights": NODES.tolist(), "log_gain": [0.0] * len(NODES), "log_step": [0.0] * len(NODES)}
    for number, seen in ((1, "02"), (2, "01")):
        make_model(
            folder / f"fold-{number}",
            label=f"m{number}",
            participants=(participant_hash("salt", seen),),
            selection_participants=(),
            target_statistics={"mean_in_brain": 10.0 * number, "units": "counts", **flat},
        )
    write_ensemble(folder, "both", [("fold-1", 1), ("fold-2", 2)])
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _folds(tmp_path_factory.mktemp("models") / "both")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> PreparedCase:
    return write_prepared(tmp_path_factory.mktemp("out"), "01", 1)


def test_top__names_are_those_of_the_stub_and_of_their_homes() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    homes = {
        alias.asname: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert {name: f"bids_spectsynth.{home}" for name, home in bs._HOMES.items()} == homes
    assert set(homes) < set(dir(bs))
    assert all(getattr(bs, name) is getattr(importlib.import_module(home), name) for name, home in homes.items())
    with pytest.raises(AttributeError, match="no attribute 'load'"):
        bs.load  # noqa: B018


def test_top__nothing_in_the_package_imports_from_it_but_the_version() -> None:
    sources = [path.read_text() for path in PACKAGE.rglob("*.py")]
    found = {name for text in sources for name in re.findall(r"from bids_spectsynth import (.*)", text)}
    assert found == {"__version__"}


def test_top__import_loads_no_module_of_the_package() -> None:
    code = "import sys, bids_spectsynth; print(*(name for name in sys.modules if name.startswith('bids_spectsynth')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["bids_spectsynth"]


@pytest.mark.parametrize("kind", [str, Path])
def test_load_model__all_networks_on_the_default_device(folder: Path, kind: Any) -> None:
    model = bs.load_model(kind(folder))
    assert (model.label, model.inputs, model.space, model.scaling) == ("both", ("T1w", "pet"), "T1w", "slice")
    assert [network.card.label for network in model.networks] == ["m1", "m2"]
    assert model.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert bs.find_models(str(folder.parents[1])) == []


def test_load_model__what_is_wrong_is_one_line(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(bs.SpectSynthError, match="absent: no such model folder"):
        bs.load_model(tmp_path / "absent")
    with pytest.raises(ModelError, match="device 'gpu': torch knows none of this name"):
        bs.load_model(folder, "gpu")


def test_load_model__of_simulated_heads_alone_is_a_start_and_no_model(tmp_path: Path) -> None:
    make_model(tmp_path / "start", participants=(), selection_participants=(), phantom=True)
    with pytest.raises(ModelError, match=r"learned from simulated heads alone.*--initial-model"):
        bs.load_model(tmp_path / "start", "cpu")


def test_find_prepared__folder_and_participants_as_text(case: PreparedCase, tmp_path: Path) -> None:
    out = case.images["T1w"].parents[2]
    for found in (
        bs.find_prepared(str(out)),
        bs.find_prepared(out, "T1w", "01"),
        bs.find_prepared(out, "T1w", ["sub-01"]),
    ):
        assert [(one.name, one.images) for one in found] == [("sub-01", case.images)]
    assert bs.find_prepared(out, "MNI152NLin6Asym") == bs.find_prepared(out, participants="0") == []
    with pytest.raises(bs.SpectSynthError, match="elsewhere: no such output folder"):
        bs.find_prepared(tmp_path / "elsewhere")


def test_predict__only_networks_that_have_not_seen_the_participant(folder: Path, case: PreparedCase) -> None:
    model = bs.load_model(folder, device="cpu")
    arrays = load_case(case, model.inputs, model.scaling)
    prediction = bs.predict(model, case)
    np.testing.assert_allclose(prediction.scaled, network_output(model.networks[0], arrays), atol=1e-6)
    assert prediction.values[prediction.mask].mean() == pytest.approx(10)
    # Somebody from elsewhere is served by all.
    stranger = PreparedCase("09", None, "T1w", case.images, case.masks, None, None)
    both = bs.predict(model, stranger, samples=2)
    outputs = [network_output(network, arrays) for network in model.networks]
    np.testing.assert_allclose(both.scaled, np.mean(outputs, axis=0), atol=1e-6)
    assert both.values[both.mask].mean() == pytest.approx(15)
    deviation = np.std(outputs, axis=0, ddof=1) * both.slope * both.mask
    np.testing.assert_allclose(both.standard_deviation, deviation, atol=1e-4)
    assert prediction.standard_deviation is None


def test_predict__says_what_does_not_fit(folder: Path, case: PreparedCase) -> None:
    model = bs.load_model(folder, device="cpu")
    without = PreparedCase("01", None, "T1w", {"T1w": case.images["T1w"]}, case.masks, None, None)
    with pytest.raises(ModelError, match="needs T1w and pet, sub-01 has no pet"):
        bs.predict(model, without)
    with pytest.raises(ValueError, match="samples: 1"):
        bs.predict(model, case, samples=1)


def test_has_seen__by_the_networks_that_would_serve(folder: Path, tmp_path: Path) -> None:
    assert not any(bs.load_model(folder, "cpu").has_seen(label) for label in ("01", "sub-02", "09"))
    make_model(tmp_path / "single")
    single = bs.load_model(tmp_path / "single", "cpu")
    assert [single.has_seen(label) for label in ("01", "sub-02", "03")] == [True, True, False]


def test_register__a_known_shift_of_images_and_of_paths(tmp_path: Path) -> None:
    t1w, pet = volume(4, 1.0, 0.2), volume(4, 60.0, 0.4)
    mask = QuickBackend().extract_brain(t1w, "T1w")
    shift = _shift(12, -9, 6)
    moved = nib.Nifti1Image(pet.dataobj, shift @ pet.affine)
    found = bs.register(moved, t1w, mask, role="pet", init="header")
    np.testing.assert_allclose(found.matrix, shift, atol=0.5)  # of voxels of 8 mm
    assert not found.poor
    back = bs.resample(moved, t1w, found)
    assert np.corrcoef(back.get_fdata().ravel(), pet.get_fdata().ravel())[0, 1] > 0.99
    paths = [tmp_path / name for name in ("pet.nii.gz", "t1w.nii.gz", "mask.nii.gz")]
    for path, image in zip(paths, (moved, t1w, mask), strict=True):
        nib.save(image, path)
    again = bs.register(str(paths[0]), paths[1], str(paths[2]), role="pet", init="header")
    np.testing.assert_allclose(again.matrix, found.matrix, atol=1e-3)
    np.testing.assert_allclose(bs.resample(str(paths[0]), paths[1], again.matrix).get_fdata(), back.get_fdata(), atol=5)


def test_register__brain_of_the_t1w_is_extracted_and_frames_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    t1w, pet = volume(4, 1.0, 0.2), volume(4, 60.0, 0.4)
    monkeypatch.setattr(api, "extract_t1w_brain", lambda image: QuickBackend().extract_brain(image, "T1w"))
    series = nib.Nifti1Image(np.stack([pet.get_fdata(), 3 * pet.get_fdata()], -1), pet.affine)
    found = bs.register(series, t1w, role="pet", init="header")
    np.testing.assert_allclose(found.matrix, np.eye(4), atol=0.2)
    assert "2 frames averaged, all weighted alike" in found.notes
    assert bs.resample(series, t1w, np.eye(4), order=1).get_fdata().max() == pytest.approx(2 * pet.get_fdata().max())


@pytest.mark.parametrize(("role", "taken"), [("PET", "pet"), ("SPECT", "interictal"), ("T2w", "T2w")])
def test_register__role_in_any_spelling(monkeypatch: pytest.MonkeyPatch, role: str, taken: str) -> None:
    t1w, seen = volume(4, 1.0, 0.2), []

    def note(*images: nib.Nifti1Image, role: str, **_: Any) -> Registration:
        seen.append(role)
        return Registration(np.eye(4), 0.9, "none", 0.9, False)

    monkeypatch.setattr(api, "register_images", note)
    bs.register(t1w, t1w, QuickBackend().extract_brain(t1w, "T1w"), role=role)
    assert seen == [taken]
    with pytest.raises(ValueError, match="init 'headers': one of auto, header, identity"):
        bs.register(t1w, t1w, role=role, init="headers")


def test_register__says_which_image_is_wrong(tmp_path: Path) -> None:
    t1w = volume(4, 1.0, 0.2)
    mask = QuickBackend().extract_brain(t1w, "T1w")
    with pytest.raises(ImageError, match=r"absent\.nii\.gz"):
        bs.register(tmp_path / "absent.nii.gz", t1w, mask, role="pet")
    with pytest.raises(ImageError, match="the moving image: all voxels are zero"):
        bs.register(nib.Nifti1Image(np.zeros((8, 8, 8)), np.eye(4)), t1w, mask, role="pet")
    other = nib.Nifti1Image(mask.dataobj, _shift(1, 0, 0) @ mask.affine)
    with pytest.raises(ImageError, match="the brain mask: not on the voxels of the fixed image"):
        bs.register(t1w, t1w, other, role="T1w")


def test_register__no_brain_is_said_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(image: nib.Nifti1Image) -> nib.Nifti1Image:
        raise ImageError("no brain was found in the T1w")

    monkeypatch.setattr(api, "extract_t1w_brain", none)
    nib.save(volume(4, 1.0, 0.2), tmp_path / "t1w.nii.gz")
    with pytest.raises(ImageError, match=r"t1w\.nii\.gz: no brain was found"):
        bs.register(volume(4, 60.0, 0.4), tmp_path / "t1w.nii.gz", role="pet")


def test_resample__labels_stay_labels() -> None:
    labels = nib.Nifti1Image(np.arange(64, dtype=np.int16).reshape(4, 4, 4), np.eye(4))
    moved = bs.resample(labels, labels, _shift(0, 0, 1), order=0).get_fdata()
    np.testing.assert_array_equal(moved[..., :3], np.asarray(labels.dataobj)[..., 1:])
    assert (moved[..., 3] == 0).all()
