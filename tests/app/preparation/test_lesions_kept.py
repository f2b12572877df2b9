"""Lesion masks that lie in the output folder: those of other sessions and spaces than the run's."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bids_spectsynth.app.preparation.lesions import prepare_lesions
from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.participants import read_participants
from bids_spectsynth.errors import Outcome
from bids_spectsynth.options.settings import Settings, make_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(
        {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
    )


def lay(settings: Settings, session: str, space: str, volume: float | None) -> Path:
    """A prepared case, by names alone, and its lesion mask where that has a volume."""
    folder = settings.output_dir / "sub-01" / f"ses-{session}" / "anat"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"sub-01_ses-{session}_space-{space}"
    for name in ("desc-preproc_T1w", "desc-brain_mask"):
        (folder / f"{stem}_{name}.nii.gz").touch()
    path = folder / f"{stem}_label-lesion_mask.nii.gz"
    if volume is not None:
        path.touch()
        facts = {"Volume": volume, "VolumeInBrain": volume, "ExternalSource": "bids:hand:sub-01/anat/mask.nii.gz"}
        path.with_name(f"{stem}_label-lesion_mask.json").write_text(json.dumps(facts))
    return path


def run(settings: Settings, *sessions: str) -> str:
    """Prepare sessions without a mask; what the table of participants has then."""
    cases = [Case("01", session, {}) for session in sessions]
    outcomes = [Outcome("01", session, "preprocess", "ok") for session in sessions]
    assert prepare_lesions(cases, outcomes, settings) == outcomes
    (volume,) = read_participants(settings.output_dir)["lesion_ml"]
    return str(volume)


def test_volume__is_that_of_all_sessions_that_lie_there(settings: Settings) -> None:
    lay(settings, "pre", "T1w", None)
    paths = lay(settings, "post", "T1w", 12.5), lay(settings, "late", "T1w", 3.0)
    assert run(settings, "pre") == "12.5", "of a session that the run does not have"
    assert all(path.exists() for path in paths)
    assert run(settings, "post") == "3.0"
    assert run(settings, "late") == "n/a"


@pytest.mark.parametrize(("volume", "text"), [(0.0271, "0.03"), (0.0004, "0.0004"), (0.1, "0.1"), (29.46, "29.5")])
def test_volume__however_small_is_not_none(settings: Settings, volume: float, text: str) -> None:
    lay(settings, "pre", "T1w", None)
    lay(settings, "post", "T1w", volume)
    assert run(settings, "pre") == text


def test_mask__that_is_gone_goes_in_every_space_and_one_line_says_so(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    paths = lay(settings, "pre", "T1w", 12.5), lay(settings, "pre", "MNI152NLin6Asym", 12.5)
    assert settings.spaces == ("T1w",)
    assert run(settings, "pre") == "n/a"
    assert not any(path.exists() or path.with_suffix("").with_suffix(".json").exists() for path in paths)
    (line,) = caplog.messages
    assert line.startswith("sub-01_ses-pre: the lesion mask bids:hand:sub-01/anat/mask.nii.gz is not given any more")
    assert line.endswith("give it again with --derivatives")
    assert caplog.records[0].levelname == "WARNING"
    assert run(settings, "pre") == "n/a"
    assert len(caplog.messages) == 1, "once"


def test_mask__that_is_not_wanted_goes_without_a_warning(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    path = lay(settings, "pre", "T1w", 12.5)
    assert run(replace(settings, lesion_mask="none"), "pre") == "n/a"
    assert not path.exists()
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert "--lesion-mask none" in record.message
