from pathlib import Path

import pydicom
import pytest

from bids_spectsynth.dicom.export.cli import main
from bids_spectsynth.dicom.export.participant import Request, export_case
from bids_spectsynth.errors import ExitCode


def _times(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in out.rglob("*.dcm")}


def test_main__writes_once_and_again_when_something_changed(out: Path) -> None:
    arguments = [str(out), "--participant-label", "sub-01"]
    assert main(arguments) == ExitCode.OK
    first = _times(out)
    assert len(first) == 17
    assert main(arguments) == ExitCode.OK
    assert _times(out) == first
    next(out.rglob("*_z_0001.dcm")).unlink()
    assert main(arguments) == ExitCode.OK
    assert set(_times(out)) == set(first)


def test_main__what_is_gone_goes_from_the_export(out: Path) -> None:
    assert main([str(out)]) == ExitCode.OK
    for path in out.rglob("*siscomReal*"):
        if path.is_file() and "dicom" not in path.parts:
            path.unlink()
    assert main([str(out)]) == ExitCode.OK
    assert not [name for name in _times(out) if "siscomReal" in name]


def test_main__a_donor_names_the_patient(out: Path, t1w_files, save, tmp_path: Path) -> None:
    save(t1w_files(), "donors/sub-01")
    assert main([str(out), "--dicom-donor", str(tmp_path / "donors")]) == ExitCode.OK
    assert {pydicom.dcmread(path).PatientID for path in out.rglob("*.dcm")} == {"H77"}


def test_main__another_patients_donor_is_one_line_and_leaves_nothing(out, t1w, t1w_files, save, capsys) -> None:
    place = save(t1w_files(t1w[::-1, :, ::-1].copy()))
    assert main([str(out), "--dicom-donor", str(place)]) == ExitCode.NOBODY_LEFT
    assert "another patient's" in capsys.readouterr().err
    assert _times(out) == {}
    assert main([str(out), "--dicom-donor", str(place), "--force"]) == ExitCode.OK


@pytest.mark.parametrize(
    ("more", "code", "line"),
    [
        (["--participant-label", "02"], ExitCode.DATASET, "holds no images of sub-02 in T1w space"),
        (["--force"], ExitCode.USAGE, "--force: is for a donor"),
        (["--dicom-donor", "/absent"], ExitCode.USAGE, "/absent does not exist"),
    ],
)
def test_main__bad_input_is_one_line(more, code, line, out, capsys) -> None:
    assert main([str(out), *more]) == code
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_main__an_empty_folder(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path)]) == ExitCode.DATASET
    assert "no participant's images" in capsys.readouterr().err


def test_export_case__a_damaged_map_costs_its_own_series_and_is_tried_again(out, case) -> None:
    path = next(out.rglob("*siscomReal_stat-z_statmap.nii.gz"))
    path.write_bytes(b"damaged")
    outcome = export_case(case, Request(output_dir=out))
    assert outcome.status == "failed"
    assert path.name in outcome.reason
    assert any("siscomPix2pixPet_z" in name for name in _times(out))
    # What is incomplete does not count as made.
    assert export_case(case, Request(output_dir=out)).status == "failed"
