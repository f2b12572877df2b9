"""The way of a correction: what the page says can be done, and leads to the same output as from the start."""

import html
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.reports.subject.correction import rerun_command
from tests.packed import unpacked

MASK = "sub-01/anat/sub-01_space-T1w_desc-brain_mask.nii.gz"
PET = "sub-01/pet/sub-01_trc-FDG_from-pet_to-T1w_mode-image_xfm.txt"


@pytest.fixture
def prepared(make_app: Callable[..., Any]) -> Any:
    app = make_app(("01", "02"))
    app.reports = True
    assert app("--mode", "preprocess").code == 0
    app.calls.clear()
    return app


def page_of(app: Any) -> str:
    return html.unescape((app.output_dir / "sub-01.html").read_text())


def images(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): unpacked(path) for path in sorted(folder.rglob("sub-*/**/*.nii.gz"))}


def test_correction_section__files_places_and_command_lead_to_the_corrected_output(
    prepared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(prepared)
    for name in (MASK, PET):
        assert name in page
        assert f"../corrections/{name}" in page
    assert str(tmp_path) not in page
    command = rerun_command(prepared.output_dir, "01")
    assert command is not None
    assert command in page
    program, *arguments = shlex.split(command)
    assert program == "bids_spectsynth"
    assert arguments[:3] == ["../data", ".", "participant"]

    before = images(prepared.output_dir)
    corrected = tmp_path / "corrections" / MASK
    corrected.parent.mkdir(parents=True)
    image = nib.load(prepared.output_dir / MASK)
    data = np.asanyarray(image.dataobj).copy()
    data[:, :, : int(np.argwhere(data)[:, 2].min()) + 4] = 0
    nib.save(nib.Nifti1Image(data, image.affine), corrected)

    monkeypatch.chdir(prepared.output_dir)
    bids_dir, output_dir = prepared.bids_dir, prepared.output_dir
    prepared.bids_dir, prepared.output_dir = Path("../data"), Path()
    result = prepared(*arguments[3:])
    prepared.bids_dir, prepared.output_dir = bids_dir, output_dir
    assert result.code == 0, result.err
    # The mask is not made, all that looks at it is; nobody else's.
    assert sorted(prepared.calls) == ["brain interictal", "register T1w 12 auto", "register interictal 6 auto",
                                      "register pet 6 auto"]  # fmt: skip
    after = images(output_dir)
    assert {name for name in after if after[name] != before[name]}
    assert all(after[name] == before[name] for name in after if name.startswith("sub-02"))
    page = page_of(prepared)
    assert str(tmp_path) not in page, "neither in the settings of the run"
    assert f"bids:corrections:{MASK}, in place of our own" in page
    assert f"by a mask that was made elsewhere (bids:corrections:{MASK})" in page
    links = json.loads((output_dir / "dataset_description.json").read_text())["DatasetLinks"]
    assert links == {"raw": "../data", "corrections": "../corrections"}

    prepared.output_dir = tmp_path / "fresh"
    assert prepared("--mode", "preprocess", "--derivatives", tmp_path / "corrections").code == 0
    assert images(tmp_path / "fresh") == after


def test_run__transform_of_another_head_fails_alone_and_in_one_line(prepared: Any, tmp_path: Path) -> None:
    path = tmp_path / "hand" / PET
    path.parent.mkdir(parents=True)
    np.savetxt(path, np.array([[1, 0, 0, 70], [0, 1, 0, 50], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    result = prepared("--mode", "preprocess", "--derivatives", f"by-hand={tmp_path / 'hand'}")
    assert result.code == 1
    (line,) = result.says("sub-01 failed")
    assert f"{PET}: a poor registration" in line
    rows = prepared.participants()
    assert (rows["sub-01"]["status"], rows["sub-02"]["status"]) == ("failed", "ok")
    assert f"hand/{PET}: a poor registration" in rows["sub-01"]["reason"]
    assert str(tmp_path) not in rows["sub-01"]["reason"]


def test_rerun_command__earlier_folders_come_behind_the_corrections(prepared: Any, tmp_path: Path) -> None:
    (tmp_path / "fmri prep").mkdir()
    assert prepared("--mode", "preprocess", "--derivatives", f"fp={tmp_path / 'fmri prep'}").code == 0
    command = rerun_command(prepared.output_dir, "01")
    assert command is not None
    assert command.endswith("--derivatives corrections=../corrections 'fp=../fmri prep'")
    assert prepared("--reports-only").code == 0
    assert rerun_command(prepared.output_dir, "01") == command, "that of a run that prepares"
    assert re.search(r"--config-file logs/\S+-participant-\w+/settings.toml", command)


def test_rerun_command__none_without_a_record(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    assert rerun_command(tmp_path, "01") is None


@pytest.mark.parametrize(
    ("raw", "other", "expected"),
    [
        ("../data", "../fmri prep", ("../data", "'fp=../fmri prep'")),
        ("../..", "../fp", ("../..", "fp=../fp")),
        ("../home/anna.smith/my study", "../../home/anna.smith/f p", ("DATASET", "fp=FOLDER")),
        ("file:///home/anna.smith/study", "file:///home/anna.smith/fp", ("DATASET", "fp=FOLDER")),
        ("/home/anna.smith/study", "../home/anna.smith", ("DATASET", "fp=FOLDER")),
    ],
)
def test_rerun_command__names_no_folder_of_this_machine(
    raw: str, other: str, expected: tuple[str, str], tmp_path: Path
) -> None:
    links = {"raw": raw, "fp": other}
    (tmp_path / "dataset_description.json").write_text(json.dumps({"DatasetLinks": links}))
    run = tmp_path / "logs" / "20260101T000000Z-participant-aa"
    run.mkdir(parents=True)
    (run / "settings.toml").write_text('mode = "auto"\nderivatives = ["fp=/x"]\n')
    command = rerun_command(tmp_path, "01")
    assert command is not None
    dataset, folder = expected
    assert command.startswith(f"bids_spectsynth {dataset} . participant ")
    assert command.endswith(f" {folder}")
    assert "anna.smith" not in command
