"""An asymmetric head, and DICOM files of it as scanners and this package write them."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from bids_spectsynth.dicom.export.headers import Series, Subject, own_subject
from bids_spectsynth.dicom.export.nuclear import Image, nuclear_file
from bids_spectsynth.dicom.export.slices import magnetic_files
from bids_spectsynth.dicom.geometry import frames_of, placement_of

SHAPE = (10, 12, 8)


def oblique(degrees: tuple[float, float, float] = (10.0, 5.0, -7.0)) -> np.ndarray:
    """An affine without any symmetry."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() @ np.diag([2.0, 2.5, 3.0])
    affine[:3, 3] = (-11.0, -20.0, 5.0)
    return affine


@pytest.fixture
def affine() -> np.ndarray:
    return oblique()


@pytest.fixture
def head() -> np.ndarray:
    """Another value in every voxel; brightest to the left, to the front and at the top of a RAS grid."""
    i, j, k = np.indices(SHAPE)
    noise = np.random.default_rng(0).uniform(0, 0.4, SHAPE)
    return (noise + 5.0 * (i < 2) + 20.0 * (j > 8) + 40.0 * (k > 5)).astype(np.float32)


@pytest.fixture
def subject() -> Subject:
    return own_subject("01", "somewhere")


@pytest.fixture
def series() -> Callable[..., Series]:
    def make(**more: object) -> Series:
        facts = {"title": "SPECT", "synthetic": True, "derivation": "Made.", "number": 9001, "key": "k", **more}
        return Series(**facts)

    return make


def image_of(values: np.ndarray, affine: np.ndarray) -> Image:
    return Image(frames_of(values), placement_of(affine), "counts", (0.0, float(values.max())))


@pytest.fixture
def nuclear(head: np.ndarray, affine: np.ndarray, subject: Subject, series: Callable[..., Series]) -> Callable:
    """A scanner's NM image; attributes may be changed."""

    def make(values: np.ndarray = head, affine: np.ndarray = affine, **more: object) -> Dataset:
        facts = {"synthetic": False, "acquired": True, "number": 4, "key": "nm", "title": "ictal HMPAO"}
        file = nuclear_file(image_of(values, affine), subject, series(**facts))
        del file.SyntheticData
        for keyword, value in more.items():
            setattr(file, keyword, value)
        return file

    return make


@pytest.fixture
def slices(head: np.ndarray, affine: np.ndarray, subject: Subject, series: Callable[..., Series]) -> Callable:
    """A scanner's single slices of MR."""

    def make(values: np.ndarray = head, affine: np.ndarray = affine, **more: object) -> list[Dataset]:
        facts = {"synthetic": False, "acquired": True, "number": 2, "key": "mr", "title": "T1 MPRAGE", **more}
        files = list(magnetic_files(image_of(values, affine), subject, series(**facts)))
        for file in files:
            del file.SyntheticData
            file.SeriesDescription = facts["title"]
        return files

    return make


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def write(files: list[Dataset], name: str = "dicom", folder: Path | None = None) -> Path:
        place = (folder or tmp_path) / name
        place.mkdir(parents=True)
        for number, file in enumerate(files):
            file.save_as(place / f"{number:04d}.dcm", enforce_file_format=True)
        return place

    return write


def same_places(values: np.ndarray, affine: np.ndarray, other: np.ndarray, other_affine: np.ndarray) -> float:
    """Largest difference of values at the same places; the two orders of voxels may differ."""
    points = np.argwhere(np.ones(values.shape, bool))
    world = points @ affine[:3, :3].T + affine[:3, 3]
    there = (world - other_affine[:3, 3]) @ np.linalg.inv(other_affine[:3, :3]).T
    nearest = np.rint(there).astype(int)
    # A voxel that is 0.01 mm off its place.
    assert np.abs((nearest - there) @ other_affine[:3, :3].T).max() < 0.01
    return float(np.abs(values[tuple(points.T)] - other[tuple(nearest.T)]).max())


@pytest.fixture(name="same_places")
def same_places_fixture() -> Callable[..., float]:
    return same_places


@pytest.fixture
def dciodvfy() -> Callable[[Path], list[str]]:
    """Errors of the validator of dicom3tools, but for Synthetic Data, which is younger than Debian's version of it."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not installed")

    def errors(path: Path) -> list[str]:
        done = subprocess.run([program, path], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        return [line for line in lines if line.startswith("Error") and "(0x0008,0x001c)" not in line]

    return errors
