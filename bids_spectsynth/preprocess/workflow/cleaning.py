"""Removing the intermediate results of cases that are prepared."""

import shutil
from collections.abc import Collection, Sequence

from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.preprocess.workflow.anatomical import WORKFLOW, anatomical_of, anatomical_workflow_name
from bids_spectsynth.preprocess.workflow.case import workflow_name


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
