"""The example ``dicom.sh``, whose commands the quick start shows: exported series lie on those that were imported."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "bids_spectsynth": "bids_spectsynth.cli",
    "bids_spectsynth-phantom": "bids_spectsynth.phantom.cli",
    "bids_spectsynth-import": "bids_spectsynth.dicom.importer.cli",
}


@pytest.fixture(scope="module")
def circle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder after the example's commands."""
    folder = tmp_path_factory.mktemp("circle")
    programs = folder / "bin"
    programs.mkdir()
    for name, module in PROGRAMS.items():
        program = programs / name
        # Guarded, because the preparation's processes are spawned.
        program.write_text(
            f"#!{sys.executable}\nfrom {module} import entry_point\nif __name__ == '__main__':\n    entry_point()\n"
        )
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    command = ["bash", str(ROOT / "examples" / "dicom.sh"), str(folder / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def _points(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """World coordinates, LPS+, of all corners of a NIfTI image, sorted."""
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shape])).reshape(3, -1).T
    world = (corners @ affine[:3, :3].T + affine[:3, 3]) * [-1, -1, 1]
    return world[np.lexsort(world.round(1).T)]


def _corners(image: SimpleITK.Image) -> np.ndarray:
    sizes = [(0, size - 1) for size in image.GetSize()]
    corners = np.array(np.meshgrid(*sizes)).reshape(3, -1).T
    world = np.array([image.TransformIndexToPhysicalPoint([int(n) for n in corner]) for corner in corners])
    return world[np.lexsort(world.round(1).T)]


def test_circle__exported_and_imported_series_share_the_coordinates_of_the_t1w(circle: Path) -> None:
    for label in ("01", "02"):
        subject = f"sub-{label}"
        files = sorted((circle / "patients-dicom" / subject / f"{subject}_T1w").glob("*.dcm"))
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames([str(path) for path in files])
        t1w, imported = reader.Execute(), nib.load(circle / f"bids/{subject}/anat/{subject}_T1w.nii.gz")
        # The T1w of the dataset lies where its DICOM series does ...
        np.testing.assert_allclose(_corners(t1w), _points(imported.affine, imported.shape), atol=0.1)
        name = f"{subject}_task-interictal_trc-HMPAO"
        path = circle / "out" / subject / "dicom" / name / f"{name}_0001.dcm"
        exported = SimpleITK.ReadImage(str(path))
        made = nib.load(circle / f"out/{subject}/spect/{name}_space-T1w_desc-preproc_spect.nii.gz")
        # ... and the exported series where the results on the T1w do, voxel by voxel,
        shown, values = SimpleITK.GetArrayFromImage(exported).T, made.get_fdata()
        voxels = np.argwhere(np.ones(shown.shape, bool))
        world = np.array([exported.TransformIndexToPhysicalPoint([int(n) for n in voxel]) for voxel in voxels])
        there = np.linalg.solve(made.affine[:3, :3], (world * [-1, -1, 1] - made.affine[:3, 3]).T).T
        assert np.abs(there - np.rint(there)).max() * 4 < 0.1
        found = values[tuple(np.rint(there).astype(int).T)]
        np.testing.assert_allclose(shown.ravel(), found, atol=values.max() / 65000)
        # all of it, because the rest is 0,
        assert found.sum() == pytest.approx(values.sum())
        # so that a viewer may lay one on the other, as its one frame of reference says.
        ours, theirs = pydicom.dcmread(path), pydicom.dcmread(files[0])
        for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
            assert ours[keyword].value == theirs[keyword].value, keyword
        assert ours.SeriesInstanceUID != theirs.SeriesInstanceUID
        assert ours.SyntheticData == "YES"


def test_circle__the_seizure_of_the_first_patient_is_exported_in_all_forms(circle: Path) -> None:
    kinds = {path.name.rpartition("_")[2] for path in (circle / "out/sub-01/dicom").glob("*_siscomReal_*")}
    assert {"difference", "z", "pages", "parametric", "summary"} <= kinds


def test_circle__validator_finds_no_error_in_what_the_simulated_scanners_wrote(circle: Path, dciodvfy) -> None:
    paths = sorted((circle / "patients-dicom").rglob("0001.dcm"))
    assert len(paths) == 7
    assert {path.parent.name: dciodvfy(path) for path in paths} == {path.parent.name: [] for path in paths}


def test_circle__the_quick_start_shows_the_commands_of_the_example() -> None:
    lines = [line for line in (ROOT / "examples/dicom.sh").read_text().splitlines() if line.startswith("bids_")]
    page = (ROOT / "docs/quickstart.md").read_text()
    assert [line for line in lines if line not in page] == []
    assert len(lines) == 4
    assert re.search(r"dicom\.sh", (ROOT / "docs/examples.md").read_text())
