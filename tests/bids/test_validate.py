"""The validator's verdict on raw and derivative datasets."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bids_spectsynth.bids import validate
from bids_spectsynth.bids.validate import (
    ValidationIssue,
    check_dataset,
    find_validator,
    participant_lines,
    raise_on_errors,
    validate_dataset,
)
from bids_spectsynth.errors import DatasetError


def errors(issues: list[ValidationIssue]) -> list[str]:
    return [str(issue) for issue in issues if issue.severity == "error"]


def test_correct_spect_is_valid_and_really_looked_at(dataset: Callable[..., Path]) -> None:
    root = dataset(
        "sub-01/anat/sub-01_T1w",
        "sub-01/pet/sub-01_trc-FDG_pet",
        "sub-01/spect/sub-01_task-interictal_trc-HMPAO_spect",
        "sub-02/ses-a/spect/sub-02_ses-a_task-ictal_trc-ECD_rec-fbp_run-1_spect",
        "sub-02/ses-a/anat/sub-02_ses-a_T1w",
    )
    (root / ".bidsignore").write_text("**/spect\n")
    assert errors(validate_dataset(root)) == []
    # The line above hides SPECT from others' validators, not from this one.
    bad = root / "sub-01" / "spect" / "sub-01_task-interictal_acq-x_spect.json"
    bad.write_text("{}")
    assert any("acq" in line for line in errors(validate_dataset(root)))


def test_wrong_spect_is_reported(dataset: Callable[..., Path]) -> None:
    root = dataset(
        "sub-01/anat/sub-01_T1w",
        "sub-01/spect/sub-01_trc-HMPAO_task-ictal_spect",
        "sub-01/spect/sub-01_acq-interictal_spect",
        "sub-01/spect/sub-01_task-interictal_spect",
        "sub-02/pet/sub-02_trc-FDG_pet",
        sidecars={
            "sub-01/spect/sub-01_task-interictal_spect": {"TracerName": "HMPAO"},
            "sub-02/pet/sub-02_trc-FDG_pet": None,
        },
    )
    issues = validate_dataset(root)
    found = {(issue.code, Path(issue.file).name) for issue in issues if issue.severity == "error"}
    assert ("FILENAME_MISMATCH", "sub-01_trc-HMPAO_task-ictal_spect.nii.gz") in found
    assert ("ENTITY_NOT_IN_RULE", "sub-01_acq-interictal_spect.nii.gz") in found
    assert ("SIDECAR_KEY_REQUIRED:TracerRadionuclide", "sub-01_task-interictal_spect.nii.gz") in found
    assert sum(name == "sub-02_trc-FDG_pet.nii.gz" for _, name in found) > 10

    chosen = validate_dataset(root, participants=("sub-02",))
    assert {Path(issue.file).parts[1] for issue in chosen if issue.severity == "error"} == {"sub-02"}
    raise_on_errors(issues, root)
    lines = participant_lines(issues)
    assert [line.split(":")[0] for line in lines] == ["sub-01", "sub-02"]
    assert "SIDECAR_KEY_REQUIRED" in lines[1]


def test_output_is_valid_with_both_schemas(derivative: tuple[Path, Path]) -> None:
    _, out = derivative
    assert errors(validate_dataset(out)) == []
    assert errors(validate_dataset(out, schema="standard")) == []
    # Not vacuous: the same tree with one defect each is refused.
    spect = out / "sub-01" / "spect" / "sub-01_task-interictal_trc-HMPAO_space-T1w_desc-preproc_spect.json"
    content = json.loads(spect.read_text())
    spect.write_text(json.dumps({key: value for key, value in content.items() if key != "SkullStripped"}))
    (out / "sub-01" / "anat" / "sub-01_to-T1w_from-T2w_mode-image_xfm.json").write_text("{}")
    found = errors(validate_dataset(out))
    assert any("SkullStripped" in line for line in found)
    assert any("xfm" in line for line in found)


def test_errors_of_the_dataset_stop_and_those_of_a_participant_do_not() -> None:
    many = [ValidationIssue("error", f"/file-{n}", "X", "") for n in range(7)]
    with pytest.raises(DatasetError, match=r"7 error\(s\): /file-0: X; .*file-4: X; \.\.\. \(") as caught:
        raise_on_errors(many, Path("/data"))
    assert "file-5" not in str(caught.value)
    own = [ValidationIssue("error", f"/sub-1/pet/{n}.nii.gz", "EMPTY_FILE", "") for n in range(2)]
    raise_on_errors([*own, ValidationIssue("warning", "", "Y", "")], Path("/data"))
    assert participant_lines(own) == [
        "sub-1: not valid BIDS, 2 error(s), the first: /sub-1/pet/0.nii.gz: EMPTY_FILE; goes on all the same"
    ]


def test_warnings_become_one_line_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    issues = [ValidationIssue("warning", f"/{n}", "W", "") for n in range(3)]
    monkeypatch.setattr(validate, "validate_dataset", lambda *_, **__: issues)
    assert check_dataset(Path("/data")) == ["validator: /0: W, and 2 more of this kind"]


def test_missing_validator_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatasetError, match=r"pip install bids-validator-deno.*--skip-bids-validation"):
        find_validator()


def test_validator_without_result_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dataset: Callable[..., Path]
) -> None:
    script = tmp_path / "bids-validator-deno"
    script.write_text("#!/bin/sh\necho out of memory >&2\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(DatasetError, match="out of memory"):
        validate_dataset(dataset())


@pytest.mark.usefixtures("no_privileges")
def test_validate_dataset__what_would_stop_the_validator_is_left_out(dataset: Callable[..., Path]) -> None:
    root = dataset("sub-01/anat/sub-01_T1w", "sub-02/anat/sub-02_T1w")
    odd = os.fsdecode(b"\xe9")
    (root / "sub-01" / "anat" / f"sub-01_acq-{odd}_T1w.nii.gz").write_bytes(b"")
    (root / f"m{odd}").mkdir()
    (root / f"{odd}.txt").write_text("")
    (root / ".bidsignore").write_bytes(b"caf\xe9\n")
    os.mkfifo(root / "pipe")
    os.mkfifo(root / "sub-01" / "anat" / "sub-01_FLAIR.json")
    (root / "sub-01" / "anat" / "sub-01_wrong.nii.gz").write_bytes(b"")
    (root / "sub-02" / "anat").chmod(0)
    found = [line for line in errors(validate_dataset(root)) if "sub-01" in line]
    (root / "sub-02" / "anat").chmod(0o700)
    assert found
    assert all("sub-01_wrong" in line for line in found)


def test_events_are_not_asked_for_where_the_task_is_that_of_spect(dataset: Callable[..., Path]) -> None:
    root = dataset(
        "sub-01/anat/sub-01_T1w",
        "sub-01/spect/sub-01_task-interictal_trc-HMPAO_spect",
        "sub-01/pet/sub-01_task-ictal_trc-ECD_pet",
        "sub-01/func/sub-01_task-rest_bold",
    )
    found = [Path(issue.file).name for issue in validate_dataset(root) if issue.code == "EVENTS_TSV_MISSING"]
    assert "sub-01_task-interictal_trc-HMPAO_spect.nii.gz" not in found
    assert "sub-01_task-ictal_trc-ECD_pet.nii.gz" not in found
    # Others' tasks have events.
    rest = ValidationIssue("warning", "/sub-01/func/sub-01_task-rest_bold.nii.gz", "EVENTS_TSV_MISSING", "")
    assert not validate._of_own_task(rest)


@pytest.mark.parametrize(
    ("code", "message", "meaning"),
    [
        ("SIDECAR_KEY_REQUIRED:Units", "Of voxels.", "Units is missing from the sidecar (SIDECAR_KEY_REQUIRED)"),
        ("JSON_KEY_RECOMMENDED:HEDVersion", "If used:", "HEDVersion is recommended and missing (JSON_KEY_RECOMMENDED)"),
        ("TOO_FEW_AUTHORS", "There should be authors -", "There should be authors (TOO_FEW_AUTHORS)"),
        ("ODD", "", "ODD"),
    ],
)  # fmt: skip
def test_meaning__words_before_the_code(code: str, message: str, meaning: str) -> None:
    assert ValidationIssue("warning", "/file", code, message).meaning == meaning
    assert str(ValidationIssue("warning", "", code, message)) == f"dataset: {meaning}"
