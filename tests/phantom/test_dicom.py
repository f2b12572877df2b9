from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom

from bids_spectsynth.dicom.reading.files import check_one_patient, group_series, read_headers
from bids_spectsynth.dicom.reading.kinds import kind_of
from bids_spectsynth.dicom.reading.volumes import read_volumes
from bids_spectsynth.phantom.dicom import write_dicom
from bids_spectsynth.phantom.participants import dicom_folder


def test_write_dicom__scans_of_each_patient_lie_where_they_lay(cohort: Path, tmp_path: Path) -> None:
    write_dicom(cohort, tmp_path)
    signs = set()
    for subject in ("sub-01", "sub-02"):
        headers = read_headers(tmp_path / subject)
        check_one_patient(headers, tmp_path)
        assert {header.SyntheticData for header in headers} == {"YES"}
        assert all(header.SeriesDescription.startswith("SYNTHETIC ") for header in headers)
        for series in group_series(headers):
            name = Path(series.first.filename).parent.name
            image = nib.as_closest_canonical(nib.load(next(cohort.rglob(f"{name}.nii.gz"))))
            (volume,) = read_volumes(series)
            found = nib.as_closest_canonical(nib.Nifti1Image(volume.values, volume.affine))
            np.testing.assert_allclose(found.affine, image.affine, atol=1e-3)
            wanted = image.get_fdata()
            wanted = wanted.mean(axis=3) if wanted.ndim == 4 else wanted
            np.testing.assert_allclose(found.get_fdata(), wanted, atol=wanted.max() / 65000)
            assert kind_of(series).datatype == {"T1w": "anat", "pet": "pet", "spect": "spect"}[name.rpartition("_")[2]]
            if series.modality == "NM":
                signs.add(np.sign(float(series.first.SpacingBetweenSlices)))
    # Vendors write either.
    assert signs == {-1, 1}


def test_write_dicom__equal_cohorts_give_equal_files(cohort: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_dicom(cohort, tmp_path / name)
    first, second = ((tmp_path / name / "sub-02/sub-02_T1w/0003.dcm").read_bytes() for name in ("a", "b"))
    assert first == second
    assert pydicom.dcmread(tmp_path / "a/sub-02/sub-02_T1w/0003.dcm").PatientID == "02"


def test_dicom_folder__beside_the_dataset() -> None:
    assert dicom_folder(Path("/x/data")) == Path("/x/data-dicom")
