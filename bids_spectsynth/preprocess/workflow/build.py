"""Preprocessing as a Nipype workflow: one part per case, one run for all, resumable from the work folder."""

import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("NIPYPE_NO_ET", "1")

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Workflow

import bids_spectsynth
from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.prepared import begin_preparation, end_preparation, is_unfinished
from bids_spectsynth.errors import Outcome, SpectSynthError, naming
from bids_spectsynth.logs import LOGS_FOLDER
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.preprocess.backends.choice import make_backend, resolve_backend
from bids_spectsynth.preprocess.backends.fsl.environment import lost_folder_warning, robust_warning
from bids_spectsynth.preprocess.backends.fsl.options import FslOptions
from bids_spectsynth.preprocess.plugins.clusters import EXECUTION, ClusterPlugin
from bids_spectsynth.preprocess.plugins.dask import DaskPlugin
from bids_spectsynth.preprocess.plugins.pool import end_processes, log_nipype_to, make_plugin, quick_collection
from bids_spectsynth.preprocess.records import load_failure, manifest_warnings, one_line_reason
from bids_spectsynth.preprocess.templates.templates import check_template, inspect_template
from bids_spectsynth.preprocess.workflow.anatomical import (
    WORKFLOW,
    Anatomical,
    BackendIdentity,
    anatomical_of,
    anatomical_workflow_name,
    failure_file,
    init_anatomical_wf,
    status,
    templates_of,
)
from bids_spectsynth.preprocess.workflow.case import (
    case_parts,
    init_case_wf,
    is_done,
    part_key,
    part_manifest,
    workflow_name,
)
from bids_spectsynth.preprocess.workflow.cleaning import clean_logs, clean_work_folder
from bids_spectsynth.preprocess.workflow.holding import held
from bids_spectsynth.termination import clean_end

__all__ = [
    "BackendIdentity",
    "clean_prepared",
    "init_anatomical_wf",
    "init_case_wf",
    "init_preprocess_wf",
    "make_backend",
    "preprocess",
    "resolve_backend",
    "used_tools",
]

log = logging.getLogger(__name__)


def used_tools(settings: Settings) -> dict[str, str]:
    """Tool name to version of the backend that these settings lead to, for ``dataset_description.json``."""
    name = resolve_backend(settings)
    backend = make_backend(name, settings.omp_nthreads, FslOptions.of(settings))
    return dict(backend.tools)


def preprocess(cases: Sequence[Case], settings: Settings, log_dir: Path | None = None) -> list[Outcome]:
    """Prepare all cases and write the results to the output folder.

    Cases whose files are there and up to date cost nothing. A case that fails does not stop the others, unless
    ``stop_on_first_crash`` is set. With ``clean_workdir``, what the steps left is removed at the end.

    Parameters
    ----------
    cases : sequence of Case
    settings : Settings
    log_dir : Path or None
        For Nipype's log and crash files; None is ``logs`` in the output folder.

    Returns
    -------
    list of Outcome
        One per case, in their order, stage ``preprocess``.

    Raises
    ------
    SpectSynthError
        Nothing can run at all: backend, template or plugin file are not available.
    """
    identity = _identity(settings)
    settings = _with_templates(cases, settings)
    warning = robust_warning(identity.fsl) if identity.name == "fsl" else lost_folder_warning(settings.backend)
    if warning:
        log.warning("%s", warning)
    todo = [case for case in cases if not is_done(case, settings, identity)]
    log.info("%d of %d cases are prepared already", len(cases) - len(todo), len(cases))
    for requested in templates_of(todo, settings):
        inspect_template(requested)
    error = None
    # Whose preparation has begun and not ended may be another run's at this moment, though it is done here.
    noted = [case for case in cases if case in todo or is_unfinished(settings.output_dir, case.name)]
    with held(_held_names(cases if settings.clean_workdir else noted, settings), status(settings)):
        # Another run that was waited for may have done them.
        todo = [case for case in todo if not is_done(case, settings, identity)]
        if todo:
            error = _run(todo, settings, identity, log_dir or settings.output_dir / LOGS_FOLDER)
        outcomes = [_outcome(case, settings, identity, error) for case in cases]
        for case, outcome in zip(cases, outcomes, strict=True):
            if outcome.status == "ok" and case in noted:
                end_preparation(settings.output_dir, case.name)
        if settings.clean_workdir:
            # Afterwards, another run that waits may have begun in the same folders.
            failed = {case.name for case, outcome in zip(cases, outcomes, strict=True) if outcome.status != "ok"}
            clean_work_folder(cases, failed, settings)
    for case in cases:
        _warn(case, settings, identity)
    return outcomes


def clean_prepared(cases: Sequence[Case], unfinished: Collection[str], settings: Settings) -> None:
    """Remove what earlier runs left of cases that this one does not prepare; waits for runs that are at work on them.

    Parameters
    ----------
    cases : sequence of Case
        Those of a run.
    unfinished : collection of str
        Names of those that failed: see :func:`bids_spectsynth.preprocess.workflow.cleaning.clean_work_folder`.
    settings : Settings
    """
    with held(_held_names(cases, settings), status(settings)):
        clean_work_folder(cases, unfinished, settings)


def _held_names(cases: Iterable[Case], settings: Settings) -> list[str]:
    return [name for case in cases for name in (case.name, anatomical_of(case, settings).key)]


def _with_templates(cases: Sequence[Case], settings: Settings) -> Settings:
    """Settings whose templates name the resolution that is taken, so that all that depends on it is computed anew."""
    taken = {requested: check_template(requested) for requested in templates_of(cases, settings)}
    return replace(settings, output_spaces=tuple(taken.get(space, space) for space in settings.output_spaces))


def _identity(settings: Settings) -> BackendIdentity:
    versions = {"bids_spectsynth": bids_spectsynth.__version__, **used_tools(settings)}
    software = "; ".join(f"{tool} {version}" for tool, version in sorted(versions.items()))
    return BackendIdentity(resolve_backend(settings), software, FslOptions.of(settings))


def _run(cases: Sequence[Case], settings: Settings, identity: BackendIdentity, log_dir: Path) -> Exception | None:
    """Run the workflow of these cases; returns what Nipype raised, because each case has its own reason."""
    log_file = log_dir / "nipype.log"
    log_nipype_to(log_file, logging.DEBUG if settings.verbose > 1 else logging.INFO)
    anatomicals = {anatomical_of(case, settings) for case in cases}
    names = {workflow_name(case): case.name for case in cases}
    names |= {anatomical_workflow_name(t1w): t1w.name for t1w in anatomicals}
    for name in (*(case.name for case in cases), *(t1w.key for t1w in anatomicals)):
        failure_file(name, settings).unlink(missing_ok=True)
    workflow = init_preprocess_wf(cases=cases, settings=settings, identity=identity, log_dir=log_dir)
    plugin, arguments = make_plugin(settings, log_file, Progress(names, _count_steps(workflow)))
    if isinstance(plugin, ClusterPlugin):
        workflow.config["execution"] |= EXECUTION
    folder = Path.cwd()
    try:
        with clean_end(), quick_collection():
            # Not before: where no workflow can be made, the files stay as they are.
            for case in cases:
                begin_preparation(settings.output_dir, case.name)
            _run_or_end(workflow, plugin, arguments)
    # Nipype raises what the first failing step raised, of any type; the others have run by then.
    except Exception as error:
        log.debug("Nipype ended with an error", exc_info=True)
        return error
    finally:
        os.chdir(folder)
        # A pool ends with its run; what else there is would not, where the run ended with an error.
        if isinstance(plugin, DaskPlugin):
            plugin.close()
        elif isinstance(plugin, ClusterPlugin):
            plugin.cancel()
        clean_logs(log_dir, settings)
    return None


def _run_or_end(workflow: Workflow, plugin: Any, arguments: Mapping[str, Any]) -> None:
    try:
        # What Nipype itself writes goes there, and a full disk names no file.
        with naming(Path(workflow.base_dir)):
            workflow.run(plugin=plugin, plugin_args=arguments)
    except (KeyboardInterrupt, SystemExit):
        end_processes(plugin)
        raise


def _warn(case: Case, settings: Settings, identity: BackendIdentity) -> None:
    """Say what deserves a look, also of a case that was prepared by an earlier run."""
    lines = [
        line
        for part in case_parts(case, settings)
        for line in manifest_warnings(part_manifest(case, settings, part), part_key(case, settings, identity, part))
    ]
    for line in dict.fromkeys(lines):
        log.warning("%s: %s", case.name, line)


def init_preprocess_wf(
    *, cases: Sequence[Case], settings: Settings, identity: BackendIdentity, log_dir: Path
) -> Workflow:
    """Workflow of all cases in the work folder: one branch per T1w image, and from it one per case.

    Parameters
    ----------
    cases : sequence of Case
    settings : Settings
    identity : BackendIdentity
    log_dir : Path
        For crash files.
    """
    workflow = Workflow(name=WORKFLOW, base_dir=str(settings.work_folder))
    workflow.config["execution"] = {
        "crashdump_dir": str(log_dir),
        "crashfile_format": "txt",
        "stop_on_first_crash": str(settings.stop_on_first_crash).lower(),
        # Few files: no reports of each node, and no page that draws the graph.
        "create_report": "false",
        "remove_unnecessary_outputs": "false",
        "hash_method": "timestamp",
        "poll_sleep_duration": "0.1",
        "check_version": "false",
    }
    roles: dict[Anatomical, set[str]] = {}
    for case in cases:
        roles.setdefault(anatomical_of(case, settings), set()).update(case.images)
    parents = {
        anatomical: init_anatomical_wf(anatomical=anatomical, settings=settings, identity=identity, roles=beside)
        for anatomical, beside in roles.items()
    }
    for case in cases:
        parent, own = (
            parents[anatomical_of(case, settings)],
            init_case_wf(case=case, settings=settings, identity=identity),
        )
        # A session without SPECT may share its T1w with one that wants the way to the template.
        wanted = own.get_node("inputnode").inputs.get()
        fields = [name for name in parent.get_node("outputnode").outputs.get() if name in wanted]
        workflow.connect([(parent, own, [(f"outputnode.{name}", f"inputnode.{name}") for name in fields])])
    return workflow


def _outcome(case: Case, settings: Settings, identity: BackendIdentity, error: Exception | None) -> Outcome:
    if is_done(case, settings, identity):
        return Outcome(case.participant, case.session, "preprocess", "ok")
    failures = (failure_file(name, settings) for name in (case.name, anatomical_of(case, settings).key))
    reason = next(filter(None, map(load_failure, failures)), None)
    if reason is None and settings.stop_on_first_crash and error is not None:
        reason = "not finished, because another case failed (--stop-on-first-crash)"
    if reason is None and isinstance(error, SpectSynthError):
        reason = str(error)
    if reason is None:
        reason = "preprocessing ended without a message, most likely killed; see nipype.log in the logs"
        if error is not None:
            # Of a step that failed, Nipype's error holds the traceback, which ends with what was wrong.
            last = str(error).strip().rpartition("\n")[2]
            reason = one_line_reason(RuntimeError(last) if "Traceback" in str(error) else error, "preprocessing")
    return Outcome(case.participant, case.session, "preprocess", "failed", reason)


class Progress:
    """Called by Nipype when a node starts, ends or fails; users read which step of which case it was.

    Parameters
    ----------
    names : mapping of str to str
        Names of workflows to what users call them: the case, or the T1w image of one or more cases.
    total : int
        Steps of all workflows.
    """

    def __init__(self, names: Mapping[str, str], total: int) -> None:
        self._names = names
        self._total = total
        self._started: set[str] = set()
        self._ended: set[str] = set()

    def __call__(self, node: Any, status: str) -> None:
        name = self._names[node.fullname.split(".")[-2]]
        if status == "start":
            self._started.add(node.fullname)
            log.debug("%s: %s started", name, node.name)
        elif status == "exception":
            self._started.discard(node.fullname)
            log.warning("%s: %s failed", name, node.name)
        elif _has_result(node):
            # Nipype also ends steps that it did not start, because an earlier run has done them.
            self._ended.add(node.fullname)
            if node.fullname in self._started:
                self._started.discard(node.fullname)
                log.info("%s: %s done (%d of %d steps)", name, node.name, len(self._ended), self._total)


def _count_steps(workflow: Workflow) -> int:
    """Nodes that do something; the others hand on fields, and Nipype takes them out before it runs."""
    nodes = (workflow.get_node(name) for name in workflow.list_node_names())
    return sum(not isinstance(node.interface, IdentityInterface) for node in nodes)


def _has_result(node: Any) -> bool:
    """Nipype says "end" also of nodes that were skipped or interrupted; only one that ran through has a result."""
    return (Path(node.output_dir()) / f"result_{node.name}.pklz").exists()
