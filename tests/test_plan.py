"""What a dry run says."""

from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.bids.cases import Case, SourceImage
from bids_spectsynth.exit_codes import Outcome
from bids_spectsynth.plan import plan_lines
from bids_spectsynth.settings import Settings, make_settings


def settings(**values: Any) -> Settings:
    plain = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant", "backend": "embedded"}
    return make_settings({**plain, **values})


def test_files_reasons_and_warnings_of_each_participant() -> None:
    image = SourceImage(Path("/data/sub-01/anat/sub-01_T1w.nii.gz"), "T1w", {}, {}, "the only candidate")
    linked = SourceImage(Path("/elsewhere/pet.nii.gz"), "pet", {}, {}, "by the filter file")
    case = Case("01", "a", {"T1w": image, "pet": linked}, ("no interictal SPECT",))
    outcomes = [Outcome("02", None, "find", "skipped", "no T1w image"), Outcome("03", "b", "find", "failed", "two")]
    lines = plan_lines(settings(), [case], outcomes)
    assert lines[0] == "dry run: nothing is written; 1 to prepare, 2 skipped or failed"
    assert lines[1:7] == [
        "sub-01_ses-a:",
        "  T1w: sub-01/anat/sub-01_T1w.nii.gz (the only candidate)",
        "  pet: /elsewhere/pet.nii.gz (by the filter file)",
        "  warning: no interictal SPECT",
        "sub-02: skipped: no T1w image",
        "sub-03 ses-b: failed: two",
    ]


@pytest.mark.parametrize(
    ("values", "stages"),
    [
        ({}, ["prepare", "train pix2pixT1wPet", "apply the models"]),
        ({"mode": "preprocess"}, ["prepare"]),
        ({"mode": "train", "inputs": [["pet"], ["T1w"]]}, ["train pix2pixPet, pix2pixT1w"]),
        ({"mode": "apply"}, ["prepare", "apply the models"]),
        ({"model": "/models/mine"}, ["prepare", "apply /models/mine"]),
    ],
)
def test_stages_follow_the_mode(values: dict[str, Any], stages: list[str]) -> None:
    lines = [line.removeprefix("then: ") for line in plan_lines(settings(**values), [], []) if line.startswith("then")]
    assert len(lines) == len(stages)
    assert all(line.startswith(stage) for line, stage in zip(lines, stages, strict=True))


def test_preparation_is_described() -> None:
    lines = plan_lines(settings(voxel_size=2, output_spaces=["T1w", "MNI152NLin6Sym"]), [], [])
    assert "then: prepare with the embedded backend at 2 mm in T1w, MNI152NLin6Sym" in lines
