import numpy as np
import pytest

from bids_spectsynth.dicom.export.donor import donor_place, owner_of, read_donors
from bids_spectsynth.errors import DatasetError, ImageError, UsageError
from bids_spectsynth.reports.reading import read_volume


def test_owner_of__without_a_donor_nobody_is_named(case, out) -> None:
    owner = owner_of(case, out, None)
    assert sorted(element.keyword for element in owner.subject.patient) == [
        "PatientID", "PatientName", "StudyDescription", "StudyInstanceUID"]  # fmt: skip
    assert (owner.subject.patient.PatientID, owner.subject.sources, owner.t1w) == ("01", (), None)


def test_owner_of__the_t1w_gives_patient_study_frame_and_sources(case, out, t1w_files, save) -> None:
    files = t1w_files(PatientBirthDate="19600101", StudyDate="20240101")
    owner = owner_of(case, out, save(files))
    patient = owner.subject.patient
    assert (patient.PatientID, patient.PatientBirthDate, patient.StudyDate) == ("H77", "19600101", "20240101")
    assert patient.StudyInstanceUID == files[0].StudyInstanceUID
    assert owner.subject.frame_of_reference == files[0].FrameOfReferenceUID
    assert {uid for _, uid in owner.subject.sources} == {file.SOPInstanceUID for file in files}
    assert owner.t1w is not None


def test_owner_of__one_file_of_it_is_enough(case, out, t1w_files, save) -> None:
    files = t1w_files()
    owner = owner_of(case, out, save(files) / "0011.dcm")
    assert owner.subject.frame_of_reference == files[0].FrameOfReferenceUID
    assert len(owner.subject.sources) == 1
    assert owner.t1w is None


def test_owner_of__spect_gives_patient_and_study_but_not_its_frame(case, out, nuclear, save) -> None:
    values, affine = read_volume(case.images["ictal"])
    file = nuclear(values, affine, PatientID="H77", FrameOfReferenceUID="1.2.3")
    owner = owner_of(case, out, save([file]))
    assert owner.subject.patient.PatientID == "H77"
    assert owner.subject.frame_of_reference.startswith("2.25.")
    assert owner.t1w is None


def test_owner_of__another_patients_scan_is_refused_unless_forced(case, out, t1w, t1w_files, save) -> None:
    place = save(t1w_files(t1w[::-1, :, ::-1].copy()))
    with pytest.raises(UsageError, match=r"another scan or another patient's; give that one, or --force"):
        owner_of(case, out, place)
    owner = owner_of(case, out, place, force=True)
    assert owner.subject.patient.PatientID == "H77"
    assert owner.subject.frame_of_reference.startswith("2.25.")
    assert owner.subject.sources == ()


def test_owner_of__among_several_series_the_t1w_is_taken(case, out, nuclear, t1w_files, save, tmp_path) -> None:
    values, affine = read_volume(case.images["ictal"])
    save([nuclear(values, affine, PatientID="H77")], "all/a")
    files = t1w_files()
    save(files, "all/b")
    assert owner_of(case, out, tmp_path / "all").subject.frame_of_reference == files[0].FrameOfReferenceUID


def test_read_donors__two_patients_and_what_is_no_scan_are_refused(t1w_files, nuclear, save, tmp_path) -> None:
    save(t1w_files(), "two/a")
    save([nuclear()], "two/b")
    with pytest.raises(DatasetError, match="series of 2 patients"):
        read_donors(tmp_path / "two")
    derived = nuclear(SyntheticData="YES", ImageType=["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"])
    with pytest.raises(ImageError, match=r"--dicom-donor: .*synthetic: it was computed"):
        read_donors(save([derived], "own"))


def test_donor_place__a_folder_with_the_label_or_the_whole(tmp_path) -> None:
    assert donor_place(tmp_path, "01") == tmp_path
    (tmp_path / "sub-01").mkdir()
    assert donor_place(tmp_path, "01") == tmp_path / "sub-01"


def test_owner_of__a_noisy_copy_is_recognised(case, out, t1w, t1w_files, save) -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, t1w.shape).astype(np.float32)
    assert owner_of(case, out, save(t1w_files(np.clip(t1w + noise, 0, None)))).t1w is not None


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192"])
def test_owner_of__names_are_text_whatever_the_donors_character_set(charset, case, out, t1w_files, save) -> None:
    files = t1w_files(SpecificCharacterSet=charset, PatientName="Müller^Jörg", StudyDescription="Schädel")
    patient = owner_of(case, out, save(files)).subject.patient
    assert (str(patient.PatientName), patient.StudyDescription) == ("Müller^Jörg", "Schädel")
    assert "SpecificCharacterSet" not in patient
