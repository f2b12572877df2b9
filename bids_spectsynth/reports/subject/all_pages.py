"""The reports of all subjects of a run: which of them have to be written, and what is said where one fails."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from bids_spectsynth.bids.cases import Case
from bids_spectsynth.bids.output_files import subject_page
from bids_spectsynth.errors import Outcome
from bids_spectsynth.reports.subject.page import subject_report

logger = logging.getLogger(__name__)


def report_subjects(
    output_dir: Path, cases: Sequence[Case], outcomes: Sequence[Outcome], changed: Collection[str] = ()
) -> list[Outcome]:
    """Write the reports of prepared participants that are older than what they show, and those of changed participants.

    A participant who could not be prepared gets none, but one from an earlier run would go on saying that all is well.

    Parameters
    ----------
    output_dir : Path
    cases : sequence of Case
        Of the run; their T1w images are drawn with the whole head.
    outcomes : sequence of Outcome
        Of the run so far.
    changed : collection of str
        Labels of participants whose status is another than before.

    Returns
    -------
    list of Outcome
        One for each report that could not be written.
    """
    done: list[Outcome] = []
    heads = {case.name: case.images["T1w"].path for case in cases}
    prepared = {o.participant for o in outcomes if o.stage == "preprocess" and o.status == "ok"}
    outdated = {label for label in changed if subject_page(output_dir, label).exists()}
    for label in sorted(prepared | outdated):
        if label not in changed and _is_current(output_dir, label):
            continue
        try:
            logger.info("Report: %s", subject_report(output_dir, label, heads))
        except Exception as error:
            logger.debug("report of sub-%s", label, exc_info=True)
            reason = f"the report could not be written: {error}"
            logger.error("sub-%s failed: %s", label, reason)
            done.append(Outcome(label, None, "report", "failed", reason))
    return done


def _is_current(output_dir: Path, label: str) -> bool:
    """Whether the report is younger than everything that it shows."""
    report = subject_page(output_dir, label)
    if not report.exists():
        return False
    shown = (p for p in (output_dir / f"sub-{label}").rglob("*") if p.is_file() and p.parent.name != "figures")
    return report.stat().st_mtime > max((p.stat().st_mtime for p in shown), default=0.0)
