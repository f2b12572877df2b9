"""Which participants' reports a run writes."""

from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.reports.subject.all_pages import report_subjects

PREPARED = ("01",)


def write_reports(tree, prepared, changed=()):
    return list(report_subjects(tree, {}, prepared, changed))


def test_a_report_stays_until_images_or_status_change(tree):
    page = tree / "sub-01.html"
    assert write_reports(tree, PREPARED) == []
    written = page.stat().st_mtime_ns
    write_reports(tree, PREPARED)
    assert page.stat().st_mtime_ns == written
    write_reports(tree, PREPARED, {"01"})
    assert page.stat().st_mtime_ns > written


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
