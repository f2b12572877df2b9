"""Removing what steps leave that is no longer needed, and from Nipype's logs what is of this machine only."""

import re
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.writing import write_text
from bids_spectsynth.errors import printable
from bids_spectsynth.options.places import without_places
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.preprocess.workflow.anatomical import WORKFLOW, anatomical_of, anatomical_workflow_name
from bids_spectsynth.preprocess.workflow.case import workflow_name

#: Time, user, step and number of a file that Nipype writes of a step that failed.
_CRASH_FILE = re.compile(r"crash-([0-9]+-[0-9]+)-.*-(\w+-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.txt)", re.DOTALL)


def clean_logs(log_dir: Path, settings: Settings) -> None:
    """Take user and folders of this machine out of what Nipype has logged, names of crash files included.

    Parameters
    ----------
    log_dir : Path
        Of a run whose workflow has ended.
    settings : Settings
    """
    for path in (log_dir / "nipype.log", *log_dir.glob("crash-*.txt")):
        # Logs must not be what a run fails by: a disk may be full.
        with suppress(OSError):
            text = path.read_text(encoding="utf-8", errors="replace")
            named = _CRASH_FILE.fullmatch(path.name)
            write_text(path, printable(without_places(text, settings)))
            if named:
                path.rename(path.with_name(f"crash-{named[1]}-{named[2]}"))


def clean_work_folder(cases: Sequence[Case], unfinished: Collection[str], settings: Settings) -> None:
    """Remove what steps left in the work folder, of these cases only: other jobs may be at work beside this one.

    The records in ``status`` stay, so that what is prepared is not prepared again.

    Parameters
    ----------
    cases : sequence of Case
        Those of a run.
    unfinished : collection of str
        Names of those that failed: what they need to go on, their T1w's results too, is kept.
    settings : Settings
    """
    kept = {anatomical_of(case, settings) for case in cases if case.name in unfinished}
    finished = [case for case in cases if case.name not in unfinished]
    names = [workflow_name(case) for case in finished]
    names += [anatomical_workflow_name(t1w) for t1w in {anatomical_of(case, settings) for case in finished} - kept]
    folder = settings.work_folder / WORKFLOW
    for name in names:
        shutil.rmtree(folder / name, ignore_errors=True)
