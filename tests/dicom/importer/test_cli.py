"""The command from files to files: what is written, and one line for each bad input."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset

from bids_spectsynth.dicom.export.headers import own_subject
from bids_spectsynth.dicom.importer import converter, run
from bids_spectsynth.dicom.importer.cli import main
from bids_spectsynth.dicom.importer.dataset import write_dataset
from bids_spectsynth.errors import ExitCode


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    return tmp_path / "bids"


@pytest.fixture
def call(tmp_path: Path, bids: Path) -> Callable[..., int]:
    def run_command(*more: str, place: Path = tmp_path / "in") -> int:
        return main([str(place), str(bids), "--participant-label", "sub-01", *more])

    return run_command


@pytest.fixture
def put(save: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    def write(files: list[Dataset], name: str = "a") -> Path:
        return save(files, name, tmp_path / "in")

    return write


@pytest.fixture(params=[True, False], ids=["dcm2niix", "pydicom"])
def either_way(request, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(converter.shutil, "which", lambda name: None)
    elif converter.shutil.which("dcm2niix") is None:
        pytest.skip("dcm2niix is not installed")


@pytest.mark.usefixtures("either_way")
def test_import__spect_and_t1w_lie_where_they_lay(call, put, bids, nuclear, slices, head, affine, same_places) -> None:
    large = np.kron(head, np.ones((1, 1, 5), np.float32))
    put([nuclear()], "nm")
    put(slices(large), "mr")
    assert call() == ExitCode.OK
    spect = bids / "sub-01" / "spect" / "sub-01_task-ictal_trc-HMPAO_spect.nii.gz"
    for path, values in ((spect, head), (bids / "sub-01" / "anat" / "sub-01_T1w.nii.gz", large)):
        image = nib.load(path)
        assert same_places(image.get_fdata(), image.affine, values, affine) < 0.001
    facts = json.loads(spect.with_name("sub-01_task-ictal_trc-HMPAO_spect.json").read_text())
    assert facts["TaskName"] == "ictal"
    assert any("Left and right" in note for note in facts["Notes"])
    assert (bids / "participants.tsv").read_text() == "participant_id\nsub-01\n"
    assert "**/spect" in (bids / ".bidsignore").read_text()


def test_import__session_task_and_a_second_patient(call, put, bids, nuclear, tmp_path) -> None:
    put([nuclear(SeriesDescription="brain")])
    assert call("--session-label", "ses-a", "--task", "interictal") == ExitCode.OK
    assert (bids / "sub-01/ses-a/spect/sub-01_ses-a_task-interictal_spect.nii.gz").exists()
    assert main([str(tmp_path / "in"), str(bids), "--participant-label", "02", "--task", "ictal"]) == ExitCode.OK
    assert (bids / "participants.tsv").read_text() == "participant_id\nsub-01\nsub-02\n"


def test_import__files_are_written_over_only_with_force(call, put, nuclear, capsys) -> None:
    put([nuclear()])
    assert call() == ExitCode.OK
    assert call() == ExitCode.USAGE
    assert "exists already; add --force" in capsys.readouterr().err
    assert call("--force") == ExitCode.OK


def test_import__volumes_of_one_series_become_runs(call, put, bids, nuclear, head) -> None:
    second = nuclear(head + 1, SOPInstanceUID="1.2.3")
    put([nuclear(), second])
    assert call() == ExitCode.OK
    names = sorted(path.name for path in bids.rglob("*_spect.nii.gz"))
    assert names == [f"sub-01_task-ictal_trc-HMPAO_run-{n}_spect.nii.gz" for n in (1, 2)]


def _planar(nuclear, slices) -> list[Dataset]:
    return [nuclear(ImageType=["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"])]


def _unknown_state(nuclear, slices) -> list[Dataset]:
    return [nuclear(SeriesDescription="brain")]


def _two_patients(nuclear, slices) -> list[Dataset]:
    return [nuclear(), nuclear(PatientID="02", SeriesInstanceUID="1.2.3")]


def _without_orientation(nuclear, slices) -> list[Dataset]:
    file = nuclear(DetectorInformationSequence=[])
    del file.ImageOrientationPatient
    return [file]


def _missing_slice(nuclear, slices) -> list[Dataset]:
    files = slices(np.ones((4, 4, 40), np.float32))
    return files[:20] + files[21:]


BAD = [
    (_planar, ExitCode.USAGE, "none of 1 series is a T1w, PET or SPECT"),
    (_unknown_state, ExitCode.USAGE, "ictal or interictal?"),
    (_two_patients, ExitCode.DATASET, "series of 2 patients"),
    (_without_orientation, ExitCode.NOBODY_LEFT, "does not say how it lies"),
    (_missing_slice, ExitCode.NOBODY_LEFT, "1 missing after number 20 of 39"),
]


@pytest.mark.parametrize(("make", "code", "line"), BAD, ids=[row[0].__name__.strip("_") for row in BAD])
def test_import__bad_input_is_a_line_and_leaves_nothing(
    make, code, line, call, put, bids, nuclear, slices, capfd
) -> None:
    put(make(nuclear, slices))
    assert call() == code
    assert line in capfd.readouterr().err
    assert not bids.exists()


def test_import__what_is_left_out_is_named(call, put, nuclear, capfd) -> None:
    put([nuclear()], "a")
    put(
        [nuclear(ImageType=["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"], SeriesNumber=7, SeriesInstanceUID="1.2.3")], "b"
    )
    assert call() == ExitCode.OK
    assert "left out: series 7 (NM, RESEARCH ictal HMPAO): raw projections" in capfd.readouterr().err


def test_import__one_that_cannot_be_read_costs_itself_alone(call, put, bids, nuclear, slices) -> None:
    put([nuclear()], "nm")
    put(_missing_slice(nuclear, slices), "mr")
    assert call() == ExitCode.SOME_FAILED
    assert [path.name for path in bids.rglob("*.nii.gz")] == ["sub-01_task-ictal_trc-HMPAO_spect.nii.gz"]


@pytest.mark.parametrize("more", [["--series", "x=1"], ["--series", "ictal"], ["--session-label", "a_b"]])
def test_import__options_that_make_no_sense(more, call, put, nuclear) -> None:
    put([nuclear()])
    assert call(*more) == ExitCode.USAGE


def test_import__a_folder_without_dicom(call, tmp_path, capsys) -> None:
    (tmp_path / "in").mkdir()
    assert call() == ExitCode.DATASET
    assert capsys.readouterr().err.count("\n") == 1


def test_import__dynamic_pet_needs_the_converter(monkeypatch, put, call, slices, capfd) -> None:
    monkeypatch.setattr(run, "convert", lambda series: None)
    files = slices()
    for file in files:
        file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
        file.NumberOfTimeSlices = 4
    put(files)
    assert call() == ExitCode.NOBODY_LEFT
    assert "a dynamic PET needs dcm2niix" in capfd.readouterr().err


def test_write_dataset__files_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("mine")
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-00\t7\n")
    write_dataset(tmp_path, own_subject("01", "x").patient.PatientID, simulated=True)
    assert (tmp_path / "README").read_text() == "mine"
    assert (tmp_path / "participants.tsv").read_text() == "participant_id\tage\nsub-00\t7\nsub-01\tn/a\n"
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert [one["Name"] for one in description["GeneratedBy"]] == ["bids_spectsynth-phantom", "bids_spectsynth-import"]
