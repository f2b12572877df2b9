"""Small BIDS trees: tiny images with the full sidecars that the schema asks for."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.dataset import write_dataset_files
from bids_spectsynth.bids.names import output_path, source_uri
from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.writing import write_image, write_matrix, write_table, write_text
from bids_spectsynth.options.settings import Settings, make_settings

PET_SIDECAR: dict[str, Any] = {
    "Manufacturer": "Siemens",
    "ManufacturersModelName": "Biograph",
    "Units": "Bq/mL",
    "TracerName": "FDG",
    "TracerRadionuclide": "F18",
    "InjectedRadioactivity": 200,
    "InjectedRadioactivityUnits": "MBq",
    "InjectedMass": 1,
    "InjectedMassUnits": "ug",
    "SpecificRadioactivity": 100,
    "SpecificRadioactivityUnits": "MBq/ug",
    "ModeOfAdministration": "bolus",
    "TimeZero": "10:00:00",
    "ScanStart": 0,
    "InjectionStart": 0,
    "FrameTimesStart": [0],
    "FrameDuration": [600],
    "AcquisitionMode": "list mode",
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 0,
    "ReconMethodName": "OSEM",
    "ReconMethodParameterLabels": ["iterations"],
    "ReconMethodParameterUnits": ["none"],
    "ReconMethodParameterValues": [4],
    "ReconFilterType": "none",
    "AttenuationCorrection": "CT",
}
SPECT_SIDECAR = {"TracerName": "HMPAO", "TracerRadionuclide": "Tc99m", "Units": "counts"}
T1W_SIDECAR = {"NonlinearGradientCorrection": True, "MagneticFieldStrength": 3}
SIDECARS: dict[str, dict[str, Any]] = {"pet": PET_SIDECAR, "spect": SPECT_SIDECAR}

Dataset = Callable[..., Path]


def tiny_image(value: float = 1.0) -> nib.Nifti1Image:
    data = np.full((8, 8, 8), value, dtype=np.float32)
    image = nib.Nifti1Image(data, np.diag([4.0, 4.0, 4.0, 1.0]))
    image.header.set_xyzt_units("mm")
    return image


@pytest.fixture(scope="session")
def image_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("image") / "tiny.nii.gz"
    tiny_image().to_filename(path)
    return path.read_bytes()


@pytest.fixture
def dataset(tmp_path: Path, image_bytes: bytes) -> Dataset:
    """Make a dataset from relative image paths; a mapping gives sidecars, None leaves the sidecar out."""

    def make(*images: str, sidecars: Mapping[str, Mapping[str, Any] | None] | None = None, name: str = "raw") -> Path:
        root = tmp_path / name
        root.mkdir()
        description = {"Name": "test", "BIDSVersion": "1.10.1", "DatasetType": "raw"}
        (root / "dataset_description.json").write_text(json.dumps(description))
        (root / "README.md").write_text("A dataset of a test.\n")
        for relative in images:
            path = root / f"{relative}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image_bytes)
            sidecar = (sidecars or {}).get(relative, SIDECARS.get(relative.rpartition("_")[2], T1W_SIDECAR))
            if sidecar is not None:
                (root / f"{relative}.json").write_text(json.dumps(dict(sidecar)))
        return root

    return make


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., Settings]:
    def make(bids_dir: Path, **options: Any) -> Settings:
        values = {"bids_dir": bids_dir, "output_dir": tmp_path / "out", "analysis_level": "participant"}
        return make_settings({**values, **options})

    return make


@pytest.fixture
def image() -> nib.Nifti1Image:
    return tiny_image()


@pytest.fixture
def pet_sidecar() -> dict[str, Any]:
    return dict(PET_SIDECAR)


IMAGE_SIDECAR = {"SkullStripped": True, "Description": "test"}


def write_case(output_dir: Path, bids_dir: Path, participant: str, session: str | None, template: str) -> None:
    """Every kind of file that the stages write for one case, in T1w space and in a template."""
    pet, spect = {"trc": "FDG"}, {"task": "interictal", "trc": "HMPAO"}
    ictal = {"task": "ictal", "trc": "HMPAO", "rec": "fbp", "run": "1"}

    def path(datatype: str, entities: Mapping[str, str], suffix: str, extension: str = ".nii.gz") -> Path:
        return output_path(output_dir, participant, session, datatype, entities, suffix, extension)

    source = bids_dir / f"sub-{participant}" / "anat" / f"sub-{participant}_T1w.nii.gz"
    for space in ("T1w", template):
        reference = source_uri(path("anat", {"space": space, "desc": "preproc"}, "T1w"), bids_dir, output_dir)
        sidecar = {
            **IMAGE_SIDECAR,
            "SpatialReference": reference,
            "Sources": [source_uri(source, bids_dir, output_dir)],
        }
        mask = {key: value for key, value in sidecar.items() if key != "SkullStripped"} | {"Type": "Brain"}
        for datatype, own, suffix in (
            ("anat", {}, "T1w"),
            ("anat", {}, "T2w"),
            ("anat", {}, "FLAIR"),
            ("pet", pet, "pet"),
            ("spect", spect, "spect"),
            ("spect", ictal, "spect"),
        ):
            write_image(path(datatype, {**own, "space": space, "desc": "preproc"}, suffix), tiny_image(), sidecar)
            if suffix not in ("T2w", "FLAIR"):
                write_image(path(datatype, {**own, "space": space, "desc": "brain"}, "mask"), tiny_image(), mask)
        synthetic = {"task": "interictal", "space": space, "desc": "pix2pixT1wPet"}
        write_image(path("spect", synthetic, "spect"), tiny_image(), {**sidecar, "Synthetic": True})
        frame = pd.DataFrame({"slice": [1], "rmse": [0.5]})
        columns = {"slice": {"Description": "Axial slice."}, "rmse": {"Description": "Error.", "Units": "1"}}
        write_table(path("spect", synthetic, "metrics", ".tsv"), frame, columns)
    orig = {"task": "interictal", "space": "orig", "desc": "pix2pixT1wPet"}
    write_image(path("spect", orig, "spect"), tiny_image(), {**IMAGE_SIDECAR, "SpatialReference": "orig"})
    _write_transforms(path, template, pet, spect, ictal)


def _write_transforms(path: Callable[..., Path], template: str, *owners: Mapping[str, str]) -> None:
    pairs = [("anat", {}, "T1w", template), ("anat", {}, "T2w", "T1w")]
    pairs += [
        ("pet" if "task" not in own else "spect", own, "spect" if "task" in own else "pet", "T1w") for own in owners
    ]
    for datatype, own, one, other in pairs:
        for a, b in ((one, other), (other, one)):
            entities = {**own, "from": a, "to": b, "mode": "image"}
            write_matrix(path(datatype, entities, "xfm", ".txt"), np.eye(4), {"Type": "rigid", "Units": "mm"})


@pytest.fixture
def derivative(dataset: Dataset, settings_for: Callable[..., Settings]) -> tuple[Path, Path]:
    """A raw dataset and the output folder of a run on it, complete to the last kind of file."""
    bids_dir = dataset("sub-01/anat/sub-01_T1w")
    settings = settings_for(bids_dir)
    out = settings.output_dir
    write_dataset_files(settings, {"SimpleITK": "2.4.0"})
    write_case(out, bids_dir, "01", None, "MNI152NLin2009aSym")
    write_case(out, bids_dir, "02", "post", "MNIPediatricAsym+3")
    update_participants(out, {"01": {"split": "train", "status": "ok"}, "02": {"status": "failed", "reason": "no PET"}})
    files = ["sub-01.html", "sub-01/figures/a.svg", "sub-02/ses-post/figures/b.svg", "group.html", "figures/violin.svg"]
    for relative in (*files, "models/m/model.json", "logs/run/settings.toml", "work/node/x.nii"):
        write_text(out / relative, "x")
    frame = pd.DataFrame({"model": ["m"]})
    for name in ("group_metrics", "group_summary", "group_ttests"):
        write_table(out / f"{name}.tsv", frame, {"model": {"Description": "Model label."}})
    return bids_dir, out
