"""Pages, texts and the group level of some participants, from an output folder in which nobody is prepared again."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bids_spectsynth.app.reporting import pages
from bids_spectsynth.app.reporting.pages import write_boilerplate
from bids_spectsynth.app.reporting.selection import prepared_labels
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.options.settings import make_settings
from tests.packed import unpacked

PEOPLE = ("01", "02", "03")


@pytest.fixture
def prepared(make_app: Callable[..., Any]) -> Any:
    app = make_app(dict.fromkeys(PEOPLE, ("T1w", "pet", "interictal")))
    assert app("--mode", "preprocess", "--siscom", "off").code == 0
    app.calls.clear()
    app.reports = True
    return app


def images(app: Any) -> dict[str, bytes]:
    return {name: unpacked(app.output_dir / name) for name in app.files("sub-*/**/*.nii.gz")}


def test_reports_only__makes_pages_and_nothing_else(prepared: Any) -> None:
    before, pages = prepared.stamps("sub-*/**/*.nii.gz", "sub-*/**/*.txt"), prepared.stamps("sub-*.html")
    result = prepared("--reports-only", "--participant-label", "01", "sub-03")
    assert result.code == 0, result.err
    assert prepared.calls == []
    assert prepared.stamps("sub-*/**/*.nii.gz", "sub-*/**/*.txt") == before
    after = prepared.stamps("sub-*.html")
    assert {name for name in after if after[name] != pages[name]} == {"sub-01.html", "sub-03.html"}
    page = (prepared.output_dir / "sub-01.html").read_text()
    assert "Outline of the brain mask on the T1w image with the head" in page
    shutil.rmtree(prepared.bids_dir)
    assert prepared("--reports-only", "--participant-label", "01").code == 0, "the dataset is not needed"
    unknown = prepared("--reports-only", "--participant-label", "99")
    assert unknown.code == 3
    (line,) = unknown.errors
    assert "no prepared participant 99; there are 01, 02, 03" in line


def test_boilerplate_only__writes_each_text_once(prepared: Any) -> None:
    files = prepared.files()
    assert prepared("--boilerplate-only").code == 0
    assert prepared.files() - files == {"logs/CITATION.md"}
    assert prepared.calls == []
    text = (prepared.output_dir / "logs/CITATION.md").read_text()
    assert re.findall("^## .*$", text, re.MULTILINE) == ["## sub-01, sub-02, sub-03", "## References"]
    assert "as a Nipype workflow" in text
    assert "https://doi.org/10.3389/fneur.2024.1383773" in text


def test_group_level__of_some_participants_shows_nobody_else(prepared: Any) -> None:
    assert prepared(level="group").code == 0
    everybody = pd.read_csv(prepared.output_dir / "group_quality.tsv", sep="\t")
    assert set(everybody["participant_id"]) == {f"sub-{label}" for label in PEOPLE}
    before = images(prepared)
    result = prepared("--participant-label", "01", "03", level="group")
    assert result.code == 0, result.err
    some = pd.read_csv(prepared.output_dir / "group_quality.tsv", sep="\t")
    assert set(some["participant_id"]) == {"sub-01", "sub-03"}
    page = (prepared.output_dir / "group.html").read_text()
    assert "are of sub-01, sub-03 alone (--participant-label)" in page
    assert 'href="sub-02.html"' not in page
    selection = json.loads((prepared.output_dir / "group_selection.json").read_text())
    assert selection == {"Participants": ["sub-01", "sub-03"]}
    assert images(prepared) == before
    assert set(prepared.participants()) == {f"sub-{label}" for label in PEOPLE}
    assert not list((prepared.output_dir / "work").glob("group-*"))
    # The page alone, made again, still says so; the group of all does not.
    assert prepared("--reports-only", level="group").code == 0
    assert "alone (--participant-label)" in (prepared.output_dir / "group.html").read_text()
    assert prepared(level="group").code == 0
    assert "alone (--participant-label)" not in (prepared.output_dir / "group.html").read_text()
    unknown = prepared("--participant-label", "09", level="group")
    assert unknown.code == 3
    assert "no prepared participant 09" in unknown.errors[0]


def test_prepared_labels__empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no prepared participant"):
        prepared_labels(tmp_path)


def test_write_pages__those_behind_a_stop_are_not_taken_for_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from bids_spectsynth.reports.subject import all_pages

    def report(_: Path, label: str, __: Any) -> None:
        if label == "02":
            raise ValueError("damaged")

    for label in PEOPLE:
        (tmp_path / f"sub-{label}/anat").mkdir(parents=True)
        (tmp_path / f"sub-{label}/anat/sub-{label}_desc-preproc_T1w.nii.gz").touch()
    monkeypatch.setattr(all_pages, "subject_report", report)
    monkeypatch.setattr(pages, "find_cases", lambda *_: [])
    plain = {"bids_dir": tmp_path, "output_dir": tmp_path, "analysis_level": "participant", "reports_only": True}
    assert [one.status for one in pages.write_pages(make_settings(plain))] == ["ok", "failed", "ok"]
    outcomes = pages.write_pages(make_settings({**plain, "stop_on_first_crash": True}))
    assert [(one.participant, one.status) for one in outcomes] == [("01", "ok"), ("02", "failed")]
    assert "no page was made of sub-03" in caplog.text


def test_write_boilerplate__empty_folder_is_refused(tmp_path: Path) -> None:
    settings = make_settings({"bids_dir": tmp_path, "output_dir": tmp_path, "analysis_level": "participant"})
    with pytest.raises(DatasetError, match="no prepared participant"):
        write_boilerplate(settings)
