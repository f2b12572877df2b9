"""NM out and back: by pydicom, SimpleITK, dcm2niix, and this package's own reading."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from bids_spectsynth.dicom.export.headers import uid_of
from bids_spectsynth.dicom.export.nuclear import Image, nuclear_file
from bids_spectsynth.dicom.export.pixels import unit_code
from bids_spectsynth.dicom.geometry import axial
from bids_spectsynth.dicom.reading.files import group_series, read_headers
from bids_spectsynth.dicom.reading.volumes import read_volumes

_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def exported(head, affine, subject, series, save) -> Path:
    frames, placement = axial(head, affine)
    file = nuclear_file(Image(frames, placement, "counts", (0.0, 70.0)), subject, series())
    return save([file]) / "0000.dcm"


def test_nuclear_file__geometry_stands_in_the_detector_and_at_the_top_with_positive_spacing(exported: Path) -> None:
    file = pydicom.dcmread(exported)
    detector = file.DetectorInformationSequence[0]
    assert file.ImageType == ["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"]
    assert detector.ImagePositionPatient == file.ImagePositionPatient
    assert detector.ImageOrientationPatient == file.ImageOrientationPatient
    assert file.SpacingBetweenSlices == pytest.approx(3)
    assert file.PixelSpacing == pytest.approx([2.5, 2])
    assert file.SliceVector == list(range(1, 9))
    assert file.FrameIncrementPointer == 0x00540080


def test_nuclear_file__pydicom_finds_values_and_places(exported: Path, head, affine, same_places) -> None:
    file = pydicom.dcmread(exported)
    matrix = np.eye(4)
    row, column = np.reshape(file.ImageOrientationPatient, (2, 3)).astype(float)
    matrix[:3, 0], matrix[:3, 1] = row * file.PixelSpacing[1], column * file.PixelSpacing[0]
    matrix[:3, 2] = np.cross(row, column) * float(file.SpacingBetweenSlices)
    matrix[:3, 3] = file.ImagePositionPatient
    values = (file.pixel_array * float(file.RescaleSlope)).T
    assert same_places(values, _TO_LPS @ matrix, head, affine) <= float(file.RescaleSlope) * 0.501


def test_nuclear_file__simpleitk_finds_values_and_places(exported: Path, head, affine, same_places) -> None:
    image = SimpleITK.ReadImage(str(exported))
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) @ np.diag(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    values = SimpleITK.GetArrayFromImage(image).T
    assert same_places(values, _TO_LPS @ matrix, head, affine) <= head.max() / 65535 * 0.51


def test_nuclear_file__dcm2niix_finds_values_and_places(exported: Path, head, affine, same_places, tmp_path) -> None:
    if shutil.which("dcm2niix") is None:
        pytest.skip("dcm2niix is not installed")
    command = ["dcm2niix", "-b", "n", "-f", "out", "-o", str(tmp_path), str(exported.parent)]
    subprocess.run(command, check=True, capture_output=True)
    image = nib.load(tmp_path / "out.nii")
    assert same_places(image.get_fdata(), image.affine, head, affine) <= head.max() / 65535 * 0.51


def test_nuclear_file__left_is_left(exported: Path, head, affine) -> None:
    file = pydicom.dcmread(exported)
    # The brightest columns are those of the left, where x of LPS+ is largest.
    profile = file.pixel_array[:5, 3:].mean(axis=(0, 1))
    assert file.ImageOrientationPatient[0] > 0.9
    assert profile[-2:].min() > profile[:-2].max()


def test_nuclear_file__signed_values_keep_their_sign(head, affine, subject, series, save) -> None:
    frames, placement = axial(head - 30, affine)
    path = save([nuclear_file(Image(frames, placement, "percent", (-30.0, 30.0)), subject, series())]) / "0000.dcm"
    image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    np.testing.assert_allclose(image, frames, atol=40 / 32767)
    mapping = pydicom.dcmread(path).RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "%"


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    sizes=st.tuples(*[st.floats(0.5, 9)] * 3),
)
def test_nuclear_file__any_orientation_comes_back(angles, flips, sizes, subject, series, tmp_path_factory) -> None:
    values = np.random.default_rng(0).uniform(0, 9, (5, 6, 4)).astype(np.float32)
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(np.array(sizes) * flips)
    frames, placement = axial(values, affine)
    file = nuclear_file(Image(frames, placement, "counts", (0.0, 9.0)), subject, series(acquired=True))
    path = tmp_path_factory.mktemp("any") / "0.dcm"
    file.save_as(path, enforce_file_format=True)
    (volume,) = read_volumes(group_series(read_headers(path))[0])
    world = np.argwhere(np.ones(volume.values.shape, bool)) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    there = np.linalg.solve(affine[:3, :3], (world - affine[:3, 3]).T).T
    assert np.abs((there - np.rint(there)) * sizes).max() < 0.01
    source = values[tuple(np.rint(there).astype(int).T)]
    assert np.abs(source - volume.values.ravel()).max() <= 9 / 65535


def test_nuclear_file__validator_finds_no_error(exported: Path, dciodvfy: Callable[[Path], list[str]]) -> None:
    assert dciodvfy(exported) == []


@pytest.mark.parametrize(("synthetic", "word"), [(True, "SYNTHETIC"), (False, "RESEARCH")])
def test_nuclear_file__says_what_it_is_and_what_made_it(synthetic, word, head, affine, subject, series) -> None:
    frames, placement = axial(head, affine)
    file = nuclear_file(
        Image(frames, placement, "counts", (0.0, 1.0)), subject, series(synthetic=synthetic, title="x" * 99)
    )
    assert file.SeriesDescription.startswith(f"{word} x")
    assert len(file.SeriesDescription) == 64
    assert file["SyntheticData"].tag == 0x0008001C
    assert file.SyntheticData == ("YES" if synthetic else "NO")
    assert file.BurnedInAnnotation == "NO"
    assert file.DerivationDescription == "Made."
    purposes = [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in file.ContributingEquipmentSequence]
    assert purposes == (["109100", "109102"] if synthetic else ["109102"])
    assert file.Manufacturer == "bids_spectsynth"


def test_own_subject__nobody_is_named_and_nothing_is_dated(exported: Path) -> None:
    file: Dataset = pydicom.dcmread(exported)
    assert (file.PatientID, str(file.PatientName)) == ("01", "sub-01^")
    empty = ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
             "StudyID", "InstitutionName")  # fmt: skip
    assert [keyword for keyword in empty if file[keyword].value] == []
    assert [element.keyword for element in file if element.VR in ("DA", "DT", "TM") and element.value] == []
    uids = (file.StudyInstanceUID, file.SeriesInstanceUID, file.SOPInstanceUID, file.FrameOfReferenceUID)
    assert len(set(uids)) == 4
    assert all(uid.startswith("2.25.") and uid.is_valid for uid in uids)


def test_uid_of__same_texts_give_the_same_and_others_another() -> None:
    assert uid_of("a", "b") == uid_of("a", "b") != uid_of("ab") != uid_of("b", "a")


def test_unit_code__of_sidecars_and_of_what_is_unknown() -> None:
    assert [unit_code(name).value for name in ("Bq/mL", "percent", "1", "x")] == ["Bq/ml", "%", "1", "[arb'U]"]
