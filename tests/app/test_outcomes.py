"""What participants.tsv and the logs say of the outcomes of a run."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from bids_spectsynth.app.outcomes import (
    case_name,
    log_found,
    log_outcome,
    participant_statuses,
    record_outcomes,
    stopped_reasons,
)
from bids_spectsynth.bids.finding.cases import Case, SourceImage
from bids_spectsynth.bids.participants import read_participants
from bids_spectsynth.errors import Outcome
from bids_spectsynth.options.declarations.derivatives import NamedFolder
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.termination import Terminated


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(
        {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
    )


def test_participant_statuses__reasons_do_not_tell_where_folders_lie(settings: Settings) -> None:
    reason = f"{settings.bids_dir}/sub-01/pet.nii.gz: 0 bytes; see {settings.output_dir}/logs"
    rows = participant_statuses(settings, [Outcome("01", None, "find", "failed", reason)])
    assert rows == {"01": {"status": "failed", "reason": "sub-01/pet.nii.gz: 0 bytes; see logs", "failed_in": "find"}}


def test_participant_statuses__every_stage_that_failed(settings: Settings) -> None:
    stages = [("preprocess", "ok"), ("evaluate", "failed"), ("report", "failed"), ("evaluate", "failed")]
    outcomes = [Outcome("01", None, stage, status, "no") for stage, status in stages]  # type: ignore[arg-type]
    rows = participant_statuses(settings, [*outcomes, Outcome("02", None, "find", "ok")])
    assert [rows[label]["failed_in"] for label in ("01", "02")] == ["evaluate, report", "n/a"]


def test_log_outcome__level_by_status(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="bids_spectsynth"):
        for status in ("ok", "skipped", "failed"):
            log_outcome(Outcome("01", "a", "find", status, "why"))  # type: ignore[arg-type]
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.WARNING, "sub-01_ses-a skipped: why"),
        (logging.ERROR, "sub-01_ses-a failed: why"),
    ]


def test_case_name__session_where_there_is_one() -> None:
    assert [case_name(Outcome("01", session, "find", "ok")) for session in (None, "a")] == ["sub-01", "sub-01_ses-a"]


def test_record_outcomes__table_and_logs(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    run_folder = settings.output_dir / "logs"
    run_folder.mkdir(parents=True)
    image = SourceImage(Path("/data/t1w"), "T1w", {}, {}, "the only candidate")
    failed = Outcome("02", None, "evaluate", "failed", "disk full")
    log_found(settings, run_folder, [Case("01", None, {"T1w": image}, ("no PET",))], [])
    with caplog.at_level("INFO", logger="bids_spectsynth"):
        record_outcomes(settings, run_folder, [Outcome("01", None, "preprocess", "ok"), failed])
    assert "Participants: 1 ok, 0 skipped, 1 failed" in caplog.text
    assert list(read_participants(settings.output_dir)["status"]) == ["ok", "failed"]
    log = (run_folder / "sub-01.log").read_text()
    assert all(words in log for words in ("T1w: /data/t1w (the only candidate)", "warning: no PET", " ok"))
    assert "failed disk full" in (run_folder / "sub-02.log").read_text()


def test_participant_statuses__folders_of_options_keep_their_name_alone(settings: Settings, tmp_path: Path) -> None:
    options = {
        "normals": tmp_path / "n",
        "model": tmp_path / "n" / "best",
        "derivatives": (NamedFolder("fs", tmp_path / "fs"),),
    }
    for folder in (options["normals"], options["model"], tmp_path / "fs"):
        folder.mkdir()
    given = replace(settings, **options)
    reason = f"{tmp_path}/n has no mean; {tmp_path}/n/best/model.json: damaged; {tmp_path}/fs/sub-01/aseg.mgz: cut"
    rows = participant_statuses(given, [Outcome("01", None, "siscom", "ok", reason)])
    assert rows["01"]["reason"] == "n has no mean; best/model.json: damaged; fs/sub-01/aseg.mgz: cut"


def test_stopped_reasons__who_is_done_or_failed_before_is_not_among_them() -> None:
    cases = [Case(label, None, {}, ()) for label in ("01", "02", "03", "04", "05")]
    outcomes = [
        Outcome("01", None, "preprocess", "ok"),
        Outcome("02", None, "preprocess", "failed", "cut"),
        Outcome("03", None, "report", "ok"),
        Outcome("04", None, "find", "skipped", "no PET"),
    ]
    found = stopped_reasons(cases, outcomes, "report", Terminated())
    words = "the run ended before this participant was done: stopped by SIGTERM; start again to go on from here"
    assert found == {"01": words, "05": words}
    full = OSError(28, "No space left on device", "group.html")
    assert "group.html: No space left" in stopped_reasons(cases, outcomes, "report", full)["01"]


def test_record_outcomes__stopped_is_no_success(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    run_folder = settings.output_dir / "logs"
    run_folder.mkdir(parents=True)
    outcomes = [Outcome("01", None, "preprocess", "ok"), Outcome("02", None, "preprocess", "failed", "cut")]
    with caplog.at_level("INFO", logger="bids_spectsynth"):
        record_outcomes(settings, run_folder, outcomes, None, {"01": "stopped by SIGTERM"}, "synthesise")
    table = read_participants(settings.output_dir)
    assert list(table["status"]) == ["stopped", "failed"]
    assert list(table["reason"]) == ["stopped by SIGTERM", "cut"]
    assert list(table["failed_in"]) == ["synthesise", "preprocess"]
    assert "Participants: 0 ok, 0 skipped, 1 failed, 1 stopped" in caplog.text
    assert "stopped stopped by SIGTERM" in (run_folder / "sub-01.log").read_text()
