from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from bids_spectsynth.dicom.export.nuclear import Image
from bids_spectsynth.dicom.export.slices import magnetic_files
from bids_spectsynth.dicom.geometry import frames_of, placement_of


@pytest.fixture
def folder(head, affine, subject, series, save) -> Path:
    # A left-handed order, as sagittal T1w have it.
    turned = affine @ np.diag([1.0, 1.0, -1.0, 1.0])
    turned[:3, 3] = affine[:3, 3] + affine[:3, 2] * 7
    image = Image(frames_of(head[:, :, ::-1]), placement_of(turned), "counts", (0.0, 70.0))
    assert image.placement.spacing < 0
    return save(list(magnetic_files(image, subject, series())))


def test_magnetic_files__simpleitk_finds_values_and_places(folder: Path, head, affine, same_places) -> None:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) @ np.diag(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    values = SimpleITK.GetArrayFromImage(image).T
    assert same_places(values, np.diag([-1.0, -1, 1, 1]) @ matrix, head, affine) <= head.max() / 65535 * 0.51


def test_magnetic_files__one_slope_and_one_series_of_numbered_instances(subject, series, head, affine) -> None:
    image = Image(frames_of(head), placement_of(affine), "counts", (0.0, 70.0))
    files = list(magnetic_files(image, subject, series()))
    assert len({file.RescaleSlope for file in files}) == len({file.SeriesInstanceUID for file in files}) == 1
    assert [file.InstanceNumber for file in files] == list(range(1, 9))
    assert len({file.SOPInstanceUID for file in files}) == 8


def test_magnetic_files__validator_finds_no_error(folder: Path, dciodvfy) -> None:
    assert dciodvfy(folder / "0003.dcm") == []
