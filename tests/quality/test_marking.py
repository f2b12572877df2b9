"""Flags in the sidecars of synthetic images; the images stay current."""

import json
from pathlib import Path

import pytest

from bids_spectsynth.bids.manifests import Manifest, file_record, manifest_path, read_manifest, write_manifest
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.quality.files import quality_path
from bids_spectsynth.quality.judge import Flag
from bids_spectsynth.quality.marking import mark_as_judged, mark_images

FLAG = Flag("pet-flat", 0.05, 0.12, "the PET hardly varies")
SPACES = ("space-T1w_desc-m", "space-orig_desc-m", "space-T1w_desc-mSd")
NAMES = [f"sub-01_task-interictal_{rest}_spect" for rest in SPACES]


@pytest.fixture
def case(tmp_path: Path) -> PreparedCase:
    folder = tmp_path / "sub-01" / "spect"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / f"{name}.json").write_text(json.dumps({"Synthetic": True, "Units": "a"}))
    (folder / "sub-01_task-interictal_space-T1w_desc-preproc_spect.json").write_text("{}")
    write(tmp_path)
    return PreparedCase("01", None, "T1w", {}, {}, None, None)


def manifest_file(output_dir: Path) -> Path:
    return manifest_path(output_dir, output_dir / "sub-01" / "spect" / f"{NAMES[0]}.nii.gz")


def write(output_dir: Path) -> None:
    outputs = {f"{name}.json": file_record(output_dir / "sub-01" / "spect" / f"{name}.json") for name in NAMES}
    write_manifest(manifest_file(output_dir), Manifest({}, {}, outputs))


def facts(output_dir: Path) -> list[object]:
    return [json.loads((output_dir / "sub-01" / "spect" / f"{name}.json").read_text()).get("QC") for name in NAMES]


def is_current(output_dir: Path) -> bool:
    manifest = read_manifest(manifest_file(output_dir))
    assert manifest is not None
    folder = output_dir / "sub-01" / "spect"
    return all(file_record(folder / name).sha256 == record.sha256 for name, record in manifest.outputs.items())


def test_mark_images__all_images_of_the_case_and_back(tmp_path: Path, case: PreparedCase) -> None:
    mark_images(tmp_path, case, [FLAG])
    assert facts(tmp_path) == [[FLAG.as_json()]] * 3
    assert is_current(tmp_path)
    real = tmp_path / "sub-01" / "spect" / "sub-01_task-interictal_space-T1w_desc-preproc_spect.json"
    assert real.read_text() == "{}"
    mark_images(tmp_path, case, [])
    assert facts(tmp_path) == [None] * 3
    assert is_current(tmp_path)


def test_mark_images__what_is_right_is_not_written(tmp_path: Path, case: PreparedCase) -> None:
    mark_images(tmp_path, case, [FLAG])
    path = tmp_path / "sub-01" / "spect" / f"{NAMES[0]}.json"
    before = path.stat().st_mtime_ns
    mark_images(tmp_path, case, [FLAG])
    assert path.stat().st_mtime_ns == before


def test_mark_images__a_sidecar_that_somebody_changed_stays_outdated(tmp_path: Path, case: PreparedCase) -> None:
    path = tmp_path / "sub-01" / "spect" / f"{NAMES[0]}.json"
    path.write_text(json.dumps({"Synthetic": True, "Units": "changed"}))
    mark_images(tmp_path, case, [FLAG])
    assert not is_current(tmp_path)


def test_mark_as_judged__as_the_file_of_the_case_says(tmp_path: Path, case: PreparedCase) -> None:
    quality_path(tmp_path, case).write_text(json.dumps({"QC": [FLAG.as_json()]}))
    mark_as_judged(tmp_path, case)
    assert facts(tmp_path) == [[FLAG.as_json()]] * 3
