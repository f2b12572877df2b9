"""Which participants' reports a run writes."""

from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.errors import Outcome
from bids_spectsynth.reports.subject.all_pages import report_subjects

PREPARED = [Outcome("01", None, "preprocess", "ok")]


def test_a_report_stays_until_images_or_status_change(tree):
    page = tree / "sub-01.html"
    assert report_subjects(tree, [], PREPARED) == []
    written = page.stat().st_mtime_ns
    report_subjects(tree, [], PREPARED)
    assert page.stat().st_mtime_ns == written
    report_subjects(tree, [], PREPARED, {"01"})
    assert page.stat().st_mtime_ns > written


def test_an_earlier_report_does_not_go_on_saying_that_all_is_well(tree, parse):
    report_subjects(tree, [], PREPARED)
    changed = update_participants(tree, {"01": {"status": "failed", "reason": "the PET is damaged"}})
    assert report_subjects(tree, [], [Outcome("01", None, "preprocess", "failed", "the PET is damaged")], changed) == []
    text = parse((tree / "sub-01.html").read_text(encoding="utf-8")).text
    assert "Participant failed" in text
    assert "the PET is damaged" in text


def test_who_was_never_prepared_gets_no_report(tree):
    (tree / "sub-02.html").unlink(missing_ok=True)
    report_subjects(tree, [], [Outcome("02", None, "find", "skipped", "no PET")], {"02"})
    assert not (tree / "sub-02.html").exists()
