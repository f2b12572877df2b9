"""Which participants' reports a run writes."""

import json
import os

from bids_spectsynth.bids.manifests import manifest_path
from bids_spectsynth.bids.output_files import card_file, description_file
from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.errors import Outcome
from bids_spectsynth.reports.subject.all_pages import report_subjects

PREPARED = ("01",)


def write_reports(tree, prepared, changed=()):
    return list(report_subjects(tree, {}, prepared, changed))


def test_a_report_stays_until_images_or_status_change(tree):
    page = tree / "sub-01.html"
    assert write_reports(tree, PREPARED) == [Outcome("01", None, "report", "ok")]
    written = page.stat().st_mtime_ns
    assert write_reports(tree, PREPARED) == [Outcome("01", None, "report", "ok")]
    assert page.stat().st_mtime_ns == written
    write_reports(tree, PREPARED, update_participants(tree, {"01": {"status": "failed", "reason": "no"}}))
    assert page.stat().st_mtime_ns > written


def test_a_report__stays_after_a_run_that_was_stopped(tree):
    page = tree / "sub-01.html"
    done = {"01": {"status": "ok", "reason": "n/a", "failed_in": "n/a"}}
    update_participants(tree, done)
    write_reports(tree, PREPARED)
    written = page.stat().st_mtime_ns
    update_participants(tree, {"01": {"status": "stopped", "reason": "the run ended", "failed_in": "report"}})
    changed = update_participants(tree, done)
    assert changed == {"01"}
    write_reports(tree, PREPARED, changed)
    assert page.stat().st_mtime_ns == written


def test_a_report__says_that_the_run_was_stopped_and_no_longer_when_it_was_not(tree, parse):
    def text():
        return parse((tree / "sub-01.html").read_text(encoding="utf-8")).text

    # Another test may have left a page in the tree that is copied.
    stopped = update_participants(tree, {"01": {"status": "stopped", "reason": "the run ended by SIGTERM"}})
    write_reports(tree, PREPARED, stopped)
    assert "Participant stopped" in text()
    assert "the run ended by SIGTERM" in text()
    write_reports(tree, PREPARED, update_participants(tree, {"01": {"status": "ok", "reason": "n/a"}}))
    assert "Participant stopped" not in text()


def test_a_report__of_an_earlier_version_is_made_again_where_the_status_changed(tree):
    page = tree / "sub-01.html"
    write_reports(tree, PREPARED)
    written = page.stat().st_mtime_ns
    manifest_path(tree, page).unlink()
    write_reports(tree, PREPARED, {"01"})
    assert page.stat().st_mtime_ns > written


def test_a_report__is_written_anew_where_only_a_card_or_the_phantom_flag_changed(tree, monkeypatch):
    drawn = []

    def draw(output_dir, label, heads):
        drawn.append(label)
        (output_dir / f"sub-{label}.html").write_text("page")

    monkeypatch.setattr("bids_spectsynth.reports.subject.all_pages.subject_report", draw)
    labels = [path.name for path in (tree / "models").iterdir()]
    cards = [path for path in (card_file(tree, label) for label in labels) if path.exists()]
    for changed in (cards[0], description_file(tree)):
        write_reports(tree, PREPARED)
        os.utime(changed)
        drawn.clear()
        write_reports(tree, PREPARED)
        assert drawn == []
        content = json.loads(changed.read_text(encoding="utf-8"))
        content |= {"scaling": "volume", "PhantomData": not content.get("PhantomData", False)}
        changed.write_text(json.dumps(content), encoding="utf-8")
        write_reports(tree, PREPARED)
        assert drawn == ["01"]


def test_an_earlier_report_does_not_go_on_saying_that_all_is_well(tree, parse):
    write_reports(tree, PREPARED)
    changed = update_participants(tree, {"01": {"status": "failed", "reason": "the PET is damaged"}})
    assert write_reports(tree, (), changed) == []
    text = parse((tree / "sub-01.html").read_text(encoding="utf-8")).text
    assert "Participant failed" in text
    assert "the PET is damaged" in text


def test_who_was_never_prepared_gets_no_report(tree):
    (tree / "sub-02.html").unlink(missing_ok=True)
    write_reports(tree, (), {"02"})
    assert not (tree / "sub-02.html").exists()
