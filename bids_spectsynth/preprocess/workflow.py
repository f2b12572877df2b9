"""Preprocessing as a Nipype workflow: one part per case, one run for all, resumable from the work folder."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("NIPYPE_NO_ET", "1")

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

import bids_spectsynth
from bids_spectsynth.bids.cases import T1W, Case
from bids_spectsynth.errors import SpectSynthError
from bids_spectsynth.exit_codes import Outcome
from bids_spectsynth.preprocess.backends import make_backend, resolve_backend
from bids_spectsynth.preprocess.interfaces import (
    PrepareReference,
    RegisterToReference,
    RegisterToTemplate,
    WritePrepared,
    has_own_mask,
)
from bids_spectsynth.preprocess.plugins import log_nipype_to, make_plugin
from bids_spectsynth.preprocess.records import (
    case_to_text,
    file_stamp,
    fingerprint,
    is_written,
    load_failure,
    one_line_reason,
)
from bids_spectsynth.preprocess.templates import BUILT_IN_TEMPLATE, check_template
from bids_spectsynth.preprocess.write_prepared import frame_durations
from bids_spectsynth.settings import Settings

__all__ = [
    "BackendIdentity",
    "init_case_wf",
    "init_preprocess_wf",
    "make_backend",
    "preprocess",
    "resolve_backend",
    "used_tools",
]

log = logging.getLogger(__name__)

#: Memory estimates in GB, measured at the paper's sizes (brain extraction with deepbet takes the most).
MEMORY_GB = {"reference": 2.0, "register": 1.5, "template": 1.5, "write": 2.0}


_PROGRESS = {
    "start": (logging.DEBUG, "started"),
    "end": (logging.INFO, "done"),
    "exception": (logging.WARNING, "failed"),
}


@dataclass(frozen=True)
class BackendIdentity:
    """Which backend, and the versions of all that computes: a change of either invalidates what is stored."""

    name: str
    software: str


def template_names(settings: Settings) -> tuple[str, ...]:
    """Templates that every T1w is registered to: those asked for, else the one that needs no download."""
    return settings.templates or (BUILT_IN_TEMPLATE,)


def used_tools(settings: Settings) -> dict[str, str]:
    """Tool name to version of the backend that these settings lead to, for ``dataset_description.json``."""
    backend = make_backend(resolve_backend(settings.backend), settings.omp_nthreads, settings.random_seed)
    return dict(backend.tools)


def preprocess(cases: Sequence[Case], settings: Settings, log_dir: Path | None = None) -> list[Outcome]:
    """Prepare all cases and write the results to the output folder.

    Cases whose files are there and up to date cost nothing. A case that fails does not stop the others, unless
    ``stop_on_first_crash`` is set.

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
    for name in template_names(settings):
        check_template(name)
    todo = [case for case in cases if not _is_done(case, settings, identity)]
    log.info("%d of %d cases are prepared already", len(cases) - len(todo), len(cases))
    error = _run(todo, settings, identity, log_dir or settings.output_dir / "logs") if todo else None
    return [_outcome(case, settings, identity, error) for case in cases]


def _identity(settings: Settings) -> BackendIdentity:
    versions = {"bids_spectsynth": bids_spectsynth.__version__, **used_tools(settings)}
    return BackendIdentity(
        resolve_backend(settings.backend), "; ".join(f"{tool} {version}" for tool, version in sorted(versions.items()))
    )


def _run(cases: Sequence[Case], settings: Settings, identity: BackendIdentity, log_dir: Path) -> Exception | None:
    """Run the workflow of these cases; returns what Nipype raised, because each case has its own reason."""
    log_file = log_dir / "nipype.log"
    log_nipype_to(log_file, logging.DEBUG if settings.verbose > 1 else logging.INFO)
    plugin, arguments = make_plugin(settings, log_file, _report_progress)
    for case in cases:
        _failure_file(case, settings).unlink(missing_ok=True)
    workflow = init_preprocess_wf(cases=cases, settings=settings, identity=identity, log_dir=log_dir)
    folder = Path.cwd()
    try:
        workflow.run(plugin=plugin, plugin_args=arguments)
    # Nipype raises what the first failing step raised, of any type; the others have run by then.
    except Exception as error:
        log.debug("Nipype ended with an error", exc_info=True)
        return error
    finally:
        os.chdir(folder)
    return None


def init_preprocess_wf(
    *, cases: Sequence[Case], settings: Settings, identity: BackendIdentity, log_dir: Path
) -> Workflow:
    """Workflow of all cases in the work folder, one branch per case."""
    workflow = Workflow(name="bids_spectsynth_wf", base_dir=str(settings.work_folder))
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
    workflow.add_nodes([init_case_wf(case=case, settings=settings, identity=identity) for case in cases])
    return workflow


def init_case_wf(*, case: Case, settings: Settings, identity: BackendIdentity) -> Workflow:
    """Workflow of one case: reference, one registration per image, templates, one output per space.

    Inputs of ``inputnode``: the path of each image, by role. Outputs of ``outputnode``: for each space, the manifest
    of the files that were written to the output folder.
    """
    workflow = Workflow(name=case.name.replace("-", "_") + "_wf")
    roles = tuple(role for role in case.images if role != T1W)
    inputnode = Node(IdentityInterface(fields=list(case.images)), name="inputnode")
    for role, image in case.images.items():
        setattr(inputnode.inputs, role, str(image.path))
    outputnode = Node(IdentityInterface(fields=list(settings.output_spaces)), name="outputnode")
    common = _common_inputs(case, settings, identity)

    reference = _node(PrepareReference(**common), "reference", settings, "reference")
    workflow.connect(inputnode, T1W, reference, "t1w")
    steps = {T1W: reference}
    for role in roles:
        steps[role] = _register_node(case, role, settings, common)
        workflow.connect(inputnode, role, steps[role], "moving")
    for name in template_names(settings):
        steps[name] = _node(RegisterToTemplate(template=name, **common), f"to_{name}", settings, "template")
    for node in list(steps.values())[1:]:
        workflow.connect([(inputnode, node, [(T1W, "t1w")]), (reference, node, [("mask", "t1w_mask")])])
    for space in settings.output_spaces:
        needed = _steps_of_space(case, settings, space)
        write = _write_node(case, space, needed, settings, identity, common)
        workflow.connect(reference, "mask", write, "t1w_mask")
        for step in needed:
            workflow.connect(steps[step], "record", write, f"record_{step}")
            if step in roles and has_own_mask(step, identity.name):
                workflow.connect(steps[step], "mask", write, f"mask_{step}")
        workflow.connect(write, "manifest", outputnode, space)
    return workflow


def _common_inputs(case: Case, settings: Settings, identity: BackendIdentity) -> dict[str, Any]:
    return {
        "backend": identity.name,
        "software": identity.software,
        "threads": settings.omp_nthreads,
        "seed": settings.random_seed,
        "failure_file": str(_failure_file(case, settings)),
    }


def _node(interface: Any, name: str, settings: Settings, kind: str) -> Node:
    return Node(interface, name=name, mem_gb=MEMORY_GB[kind], n_procs=min(settings.omp_nthreads, settings.nprocs))


def _register_node(case: Case, role: str, settings: Settings, common: Mapping[str, Any]) -> Node:
    interface = RegisterToReference(role=role, coreg_init=settings.coreg_init, **common)
    durations = frame_durations(case.images[role])
    if durations is not None:
        interface.inputs.frame_durations = durations
    return _node(interface, f"register_{role}", settings, "register")


def _steps_of_space(case: Case, settings: Settings, space: str) -> tuple[str, ...]:
    """Steps whose results the output of a space needs; the first space also writes all shared transforms."""
    first = space == settings.output_spaces[0]
    templates = [name for name in template_names(settings) if first or name == space]
    return (T1W, *(role for role in case.images if role != T1W), *templates)


def _write_node(
    case: Case,
    space: str,
    steps: tuple[str, ...],
    settings: Settings,
    identity: BackendIdentity,
    common: Mapping[str, Any],
) -> Node:
    # One space writes the transforms, so that no two processes write the same file.
    first = space == settings.output_spaces[0]
    interface = WritePrepared(
        steps=steps,
        case_text=case_to_text(case),
        space=space,
        voxel_size=settings.voxel_size,
        bids_dir=str(settings.bids_dir),
        output_dir=str(settings.output_dir),
        transforms_of=[step for step in steps if step != T1W] if first else [],
        manifest=str(_manifest(case, settings, space)),
        key=_key(case, settings, identity, space),
        **common,
    )
    return _node(interface, f"write_{space}", settings, "write")


def _is_done(case: Case, settings: Settings, identity: BackendIdentity) -> bool:
    return all(
        is_written(_manifest(case, settings, space), _key(case, settings, identity, space), settings.output_dir)
        for space in settings.output_spaces
    )


def _key(case: Case, settings: Settings, identity: BackendIdentity, space: str) -> str:
    """Fingerprint of everything that the files of a case in a space depend on."""
    return fingerprint(
        {
            "case": case_to_text(case),
            "files": {role: file_stamp(image.path) for role, image in case.images.items()},
            "backend": identity.name,
            "software": identity.software,
            "threads": settings.omp_nthreads,
            "seed": settings.random_seed,
            "coreg_init": settings.coreg_init,
            "voxel_size": settings.voxel_size,
            "space": space,
            "steps": _steps_of_space(case, settings, space),
        }
    )


def _outcome(case: Case, settings: Settings, identity: BackendIdentity, error: Exception | None) -> Outcome:
    if _is_done(case, settings, identity):
        return Outcome(case.participant, case.session, "preprocess", "ok")
    reason = load_failure(_failure_file(case, settings))
    if reason is None and settings.stop_on_first_crash and error is not None:
        reason = "not finished, because another case failed (--stop-on-first-crash)"
    if reason is None and isinstance(error, SpectSynthError):
        reason = str(error)
    if reason is None:
        reason = "preprocessing ended without a message, most likely killed; see nipype.log in the logs"
        if error is not None:
            reason = one_line_reason(error, "preprocessing")
    return Outcome(case.participant, case.session, "preprocess", "failed", reason)


def _case_folder(case: Case, settings: Settings) -> Path:
    return settings.work_folder / "status" / case.name


def _manifest(case: Case, settings: Settings, space: str) -> Path:
    return _case_folder(case, settings) / f"written_space-{space}.json"


def _failure_file(case: Case, settings: Settings) -> Path:
    return _case_folder(case, settings) / "failure.txt"


def _report_progress(node: Any, status: str) -> None:
    """Nipype tells when a node starts, ends or fails; users read which step of which case it was."""
    case = node.fullname.split(".")[-2].removesuffix("_wf").replace("sub_", "sub-").replace("_ses_", "_ses-")
    level, word = _PROGRESS[status]
    log.log(level, "%s: %s %s", case, node.name, word)
