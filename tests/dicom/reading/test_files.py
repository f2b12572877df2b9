from pathlib import Path

import pytest

from bids_spectsynth.dicom.reading.files import check_one_patient, group_series, read_headers
from bids_spectsynth.errors import DatasetError


def test_read_headers__other_files_are_passed_over_and_folders_entered(nuclear, save, tmp_path: Path) -> None:
    save([nuclear()], "a/b")
    (tmp_path / "notes.txt").write_text("no DICOM")
    (tmp_path / "a" / "empty.dcm").touch()
    assert [Path(header.filename).name for header in read_headers(tmp_path)] == ["0000.dcm"]


def test_read_headers__a_folder_without_dicom_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(DatasetError, match="holds no DICOM file among 1; name the folder of the scans"):
        read_headers(tmp_path)
    with pytest.raises(DatasetError, match="no such file or folder"):
        read_headers(tmp_path / "absent")


def test_group_series__by_number_with_their_files(nuclear, slices, save, tmp_path: Path) -> None:
    save([nuclear()], "nm")
    save(slices(), "mr")
    found = group_series(read_headers(tmp_path))
    assert [(one.title, len(one.headers)) for one in found] == [
        ("series 2 (MR, T1 MPRAGE)", 8),
        ("series 4 (NM, RESEARCH ictal HMPAO)", 1),
    ]


@pytest.mark.parametrize(("keyword", "value"), [("PatientID", "77"), ("PatientBirthDate", "19700101")])
def test_check_one_patient__two_patients_are_refused_and_nobody_is_named(
    keyword, value, nuclear, slices, save, tmp_path
):
    save([nuclear(PatientBirthDate="19600101")], "nm")
    files = slices()
    for file in files:
        setattr(file, keyword, value)
    save(files, "mr")
    with pytest.raises(DatasetError, match=f"series of 2 patients .{keyword} differs: 1 and 1 series") as caught:
        check_one_patient(read_headers(tmp_path), tmp_path)
    assert value not in str(caught.value)
    check_one_patient(read_headers(tmp_path / "nm"), tmp_path)


@pytest.mark.parametrize("own", ["", "H77"])
def test_check_one_patient__without_an_identifier_the_names_decide(own, nuclear, slices, save, tmp_path) -> None:
    save([nuclear(PatientID=own, PatientName="DOE^JANE")], "nm")
    files = slices()
    for file in files:
        file.PatientID, file.PatientName = "", "Doe Jane"
    save(files, "mr")
    check_one_patient(read_headers(tmp_path), tmp_path)
    for file in files:
        file.PatientName = "Roe^Bob"
    save(files, "other")
    with pytest.raises(DatasetError, match=r"series of 2 patients .not all have a PatientID") as caught:
        check_one_patient(read_headers(tmp_path), tmp_path)
    assert not {"Roe", "Bob", "DOE", "JANE"} & set(str(caught.value).replace("^", " ").split())


def test_check_one_patient__one_identifier_and_a_name_that_changed(nuclear, slices, save, tmp_path) -> None:
    save([nuclear(PatientID="H77", PatientName="Doe^Jane")], "nm")
    files = slices()
    for file in files:
        file.PatientID, file.PatientName = "H77", "Roe^Jane"
    save(files, "mr")
    check_one_patient(read_headers(tmp_path), tmp_path)


def test_group_series__a_damaged_number_is_none(nuclear, save) -> None:
    place = save([nuclear(SeriesNumber="77")])
    path = place / "0000.dcm"
    path.write_bytes(path.read_bytes().replace(b"IS\x02\x0077", b"IS\x02\x001a"))
    assert [one.number for one in group_series(read_headers(place))] == [0]


def test_series__a_title_has_no_name_in_it(nuclear, save) -> None:
    file = nuclear(PatientName="Doe^Jane", InstitutionName="Elsewhere", SeriesDescription="Jane DOE_2 ictal ELSEWHERES")
    (one,) = group_series(read_headers(save([file])))
    assert one.title == "series 4 (NM, ... ..._2 ictal ...)"
