"""The steps that need a T1w image alone: its brain mask and its registrations to templates.

Cases that use one T1w image (sessions of a participant) share them.
"""

import hashlib
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("NIPYPE_NO_ET", "1")

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.finding.external import External
from bids_spectsynth.bids.roles import ICTAL, INTERICTAL, T1W
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.options.spaces import BUILT_IN_TEMPLATE, parse_space
from bids_spectsynth.preprocess.backends.fsl.options import DEFAULT_OPTIONS, FslOptions
from bids_spectsynth.preprocess.templates.templates import template_stamp
from bids_spectsynth.preprocess.workflow.graph import nipype_name, record_field
from bids_spectsynth.preprocess.workflow.interfaces import PrepareReference, RegisterToTemplate, external_inputs

#: Name of the whole workflow, and of its folder in the work folder.
WORKFLOW = "bids_spectsynth_wf"
_SPECT = frozenset({INTERICTAL, ICTAL})
#: Memory in GB that a step is given. Measured at the article's sizes: 1.3, 1.0, 0.9 and 0.9; larger matrices take more.
MEMORY_GB = {"reference": 2.0, "register": 1.5, "template": 1.5, "write": 2.0}


@dataclass(frozen=True)
class BackendIdentity:
    """Which backend, its options, and the versions of all that computes: a change invalidates what is stored."""

    name: str
    software: str
    fsl: FslOptions = DEFAULT_OPTIONS

    @property
    def options(self) -> str:
        """Options that the results depend on, as text."""
        return self.fsl.to_text() if self.name == "fsl" else ""


@dataclass(frozen=True)
class Anatomical:
    """A T1w image by what it is called in messages and folders.

    Parameters
    ----------
    name : str
        Its file name without extension.
    key : str
        A name that Nipype allows and that no other image of the dataset has.
    path : Path
    external : tuple of (str, External)
        Files that take the place of its steps: ``T1w`` (the brain mask), labels of templates.
    """

    name: str
    key: str
    path: Path
    external: tuple[tuple[str, External], ...] = ()


def anatomical_of(case: Case, settings: Settings) -> Anatomical:
    """The T1w image of a case; equal for cases that share it."""
    path = case.images[T1W].path
    name = path.name.partition(".")[0]
    place = path.relative_to(settings.bids_dir) if path.is_relative_to(settings.bids_dir) else path
    key = f"{nipype_name(name)}_{hashlib.sha256(place.as_posix().encode()).hexdigest()[:8]}"
    external = tuple((step, one) for step, one in case.external.items() if step == T1W or step not in case.images)
    return Anatomical(name, key, path, external)


def anatomical_workflow_name(anatomical: Anatomical) -> str:
    """Name of the workflow of a T1w image."""
    return f"{anatomical.key}_wf"


def requested_templates(settings: Settings, roles: Collection[str]) -> dict[str, str]:
    """Templates that a T1w is registered to, by label, as they were asked for.

    Those of the output spaces. Where there is none, the one without download, on demand. Its readers are cohort means
    (baselines and the cohort prior), regions, and SISCOM. All but the prior, for which the option is ``on``, need a
    SPECT. A run that only prepares does not know who will read, and registers everybody.

    Parameters
    ----------
    settings : Settings
    roles : collection of str
        Of all images that lie beside the T1w.
    """
    demand = settings.mode == "preprocess" or not _SPECT.isdisjoint(roles)
    wanted = settings.template_affine == "on" or (settings.template_affine == "auto" and demand)
    asked_for = settings.templates or ((BUILT_IN_TEMPLATE,) if wanted else ())
    return {parse_space(requested).label: requested for requested in asked_for}


def templates_of(cases: Iterable[Case], settings: Settings) -> tuple[str, ...]:
    """All templates that these cases are registered to, as they were asked for; each once."""
    found = (requested for case in cases for requested in requested_templates(settings, case.images).values())
    return tuple(dict.fromkeys(found))


def status(settings: Settings) -> Path:
    """Where the records of all cases and T1w images lie in the work folder."""
    return settings.work_folder / "status"


def status_folder(name: str, settings: Settings) -> Path:
    """Where the manifests and failures of a case (by its name) or T1w image (by its key) lie in the work folder."""
    return status(settings) / name


def failure_file(name: str, settings: Settings) -> Path:
    """Where a step of a case or T1w image leaves the reason of its failure."""
    return status_folder(name, settings) / "failure.txt"


def common_inputs(name: str, settings: Settings, identity: BackendIdentity) -> dict[str, Any]:
    """Inputs that all steps of a case or T1w image have.

    Parameters
    ----------
    name : str
        Name of the case or key of the T1w image, for the reason of a failure.
    settings : Settings
    identity : BackendIdentity
    """
    return {
        "backend": identity.name,
        "software": identity.software,
        "options": identity.options,
        "failure_file": str(failure_file(name, settings)),
    }


def mask_threads(settings: Settings, identity: BackendIdentity) -> int:
    """Threads of the one step whose last digits they could change: the embedded backend's brain extraction."""
    return settings.omp_nthreads if identity.name == "embedded" else 1


def init_anatomical_wf(
    *, anatomical: Anatomical, settings: Settings, identity: BackendIdentity, roles: Collection[str]
) -> Workflow:
    """Workflow of one T1w image: brain mask, and one registration per template.

    Outputs of ``outputnode``: ``t1w_mask``; ``record_T1w``; :func:`record_field` of each template's label.

    Parameters
    ----------
    anatomical : Anatomical
    settings : Settings
    identity : BackendIdentity
    roles : collection of str
        Of all images of the cases that use the T1w; see :func:`requested_templates`.
    """
    workflow = Workflow(name=anatomical_workflow_name(anatomical))
    templates = requested_templates(settings, roles)
    fields = ["t1w_mask", *(record_field(step) for step in (T1W, *templates))]
    outputnode = Node(IdentityInterface(fields=fields), name="outputnode")
    common = common_inputs(anatomical.key, settings, identity)
    threads, external = mask_threads(settings, identity), dict(anatomical.external)
    reference = Node(
        PrepareReference(t1w=str(anatomical.path), threads=threads, **external_inputs(external.get(T1W)), **common),
        name="reference",
        mem_gb=MEMORY_GB["reference"],
        n_procs=min(threads, settings.nprocs),
    )
    workflow.connect([(reference, outputnode, [("mask", "t1w_mask"), ("record", record_field(T1W))])])
    for label, requested in templates.items():
        stamp = template_stamp(requested)
        interface = RegisterToTemplate(
            t1w=str(anatomical.path),
            template=requested,
            template_stamp=stamp,
            **external_inputs(external.get(label)),
            **common,
        )
        register = Node(interface, name=nipype_name(f"to_{label}"), mem_gb=MEMORY_GB["template"], n_procs=1)
        workflow.connect(reference, "mask", register, "t1w_mask")
        workflow.connect(register, "record", outputnode, record_field(label))
    return workflow
