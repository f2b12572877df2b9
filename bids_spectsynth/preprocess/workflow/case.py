"""The Nipype workflow of one case: one registration per image, and what is written."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("NIPYPE_NO_ET", "1")

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.roles import INTERICTAL, T1W, role_of
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.preprocess.records import case_to_text, content_stamp, file_stamp, fingerprint, is_written
from bids_spectsynth.preprocess.templates.templates import template_stamp
from bids_spectsynth.preprocess.workflow.anatomical import (
    MEMORY_GB,
    BackendIdentity,
    common_inputs,
    mask_threads,
    requested_templates,
    status_folder,
)
from bids_spectsynth.preprocess.workflow.graph import mask_field, nipype_name, record_field
from bids_spectsynth.preprocess.workflow.interfaces import RegisterToReference, external_inputs
from bids_spectsynth.preprocess.workflow.writers import WritePrepared, WriteTransforms


@dataclass(frozen=True)
class Part:
    """Files of a case that one node writes, and that one manifest records.

    The parts do not depend on the order of the output spaces, and no two write the same file.

    Parameters
    ----------
    name : str
        ``space-<label>``, ``transforms`` (of the images to the T1w) or ``to-<label>`` of a template.
    space : str or None
        Label of the space that images are written in; None for transforms.
    steps : tuple of str
        The steps whose results are needed: ``T1w``, roles and labels of templates.
    """

    name: str
    space: str | None
    steps: tuple[str, ...]


def case_parts(case: Case, settings: Settings) -> tuple[Part, ...]:
    """Everything that is written for a case."""
    roles = tuple(role for role in case.images if role != T1W)
    templates = requested_templates(settings, case.images)
    return (
        Part("transforms", None, roles),
        *(Part(f"to-{name}", None, (name,)) for name in templates),
        *(
            Part(f"space-{space}", space, (T1W, *roles, *((space,) if space in templates else ())))
            for space in settings.spaces
        ),
    )


def optional_roles(case: Case, settings: Settings) -> tuple[str, ...]:
    """Roles of images that no model needs, so that a defect of theirs must not cost the participant."""
    needed = {T1W, INTERICTAL}.union(*settings.inputs)
    return tuple(role for role in case.images if role not in needed)


def has_own_mask(role: str, identity: BackendIdentity) -> bool:
    """Whether an image is masked by a mask of its own; others are masked by the T1w's, carried over.

    A PET only where FSL's BET is to make one of it.

    Parameters
    ----------
    role : str
    identity : BackendIdentity
    """
    policy = role_of(role).mask
    return policy == "own" or (policy == "extracted" and identity.name == "fsl" and identity.fsl.pet_mask)


def part_manifest(case: Case, settings: Settings, part: Part) -> Path:
    """The file that records what was written.

    Parameters
    ----------
    case : Case
    settings : Settings
    part : Part
    """
    return status_folder(case.name, settings) / f"written_{part.name}.json"


def part_key(case: Case, settings: Settings, identity: BackendIdentity, part: Part) -> str:
    """Fingerprint of everything that the files of a part depend on.

    Parameters
    ----------
    case : Case
    settings : Settings
    identity : BackendIdentity
    part : Part

    Returns
    -------
    str
        SHA-256, hexadecimal.
    """
    external = {step: one for step, one in case.external.items() if step == T1W or step in part.steps}
    made_elsewhere = {step: [one.uri, *one.superseded, content_stamp(one.path)] for step, one in external.items()}
    return fingerprint(
        {
            "case": case_to_text(case),
            "files": {role: file_stamp(image.path) for role, image in case.images.items()},
            "backend": identity.name,
            "software": identity.software,
            "options": identity.options,
            "threads": mask_threads(settings, identity),
            "coreg_init": settings.coreg_init,
            "voxel_size": settings.voxel_size if part.space is not None else None,
            "part": part.name,
            "steps": part.steps,
            "templates": [
                (requested, template_stamp(requested))
                for label, requested in requested_templates(settings, case.images).items()
                if label in part.steps
            ],
            # The brain mask is what all registrations look at.
            **({"external": made_elsewhere} if made_elsewhere else {}),
        }
    )


def is_done(case: Case, settings: Settings, identity: BackendIdentity) -> bool:
    """Whether all of a case lies in the output folder, up to date, with every image that a model needs.

    Parameters
    ----------
    case : Case
    settings : Settings
    identity : BackendIdentity
        A change of backend, options or versions makes what lies there outdated.
    """
    needed = set(case.images).difference(optional_roles(case, settings))
    return all(
        is_written(
            part_manifest(case, settings, part), part_key(case, settings, identity, part), settings.output_dir, needed
        )
        for part in case_parts(case, settings)
    )


def workflow_name(case: Case) -> str:
    """A name that Nipype allows. It depends on the case alone, so that other cases do not change its folder."""
    name = nipype_name(case.name)
    if name != case.name.replace("-", "_"):
        # A "+" in a label became "_": the name must not be another case's.
        name += "_" + hashlib.sha256(case.name.encode()).hexdigest()[:8]
    return f"{name}_wf"


def init_case_wf(*, case: Case, settings: Settings, identity: BackendIdentity) -> Workflow:
    """Workflow of one case: one registration per image, one output per part.

    Inputs of ``inputnode``: the path of each image, by role, and what the workflow of its T1w image gives
    (:func:`bids_spectsynth.preprocess.workflow.anatomical.init_anatomical_wf`). Outputs of ``outputnode``: for each
    part, the manifest of the files that were written to the output folder.

    Parameters
    ----------
    case : Case
    settings : Settings
    identity : BackendIdentity
    """
    workflow = Workflow(name=workflow_name(case))
    parts = {_node_name(part): part for part in case_parts(case, settings)}
    records = [record_field(step) for step in (T1W, *requested_templates(settings, case.images))]
    inputnode = Node(IdentityInterface(fields=[*case.images, "t1w_mask", *records]), name="inputnode")
    for role, image in case.images.items():
        setattr(inputnode.inputs, role, str(image.path))
    outputnode = Node(IdentityInterface(fields=list(parts)), name="outputnode")
    common = common_inputs(case.name, settings, identity)
    steps = {role: _register_node(case, role, settings, identity, common) for role in case.images if role != T1W}
    for role, node in steps.items():
        workflow.connect([(inputnode, node, [(role, "moving"), (T1W, "t1w"), ("t1w_mask", "t1w_mask")])])
    for name, part in parts.items():
        write = _write_node(case, part, settings, identity, common)
        if part.space is not None:
            workflow.connect(inputnode, "t1w_mask", write, "t1w_mask")
        for step in part.steps:
            if step in steps:
                workflow.connect(steps[step], "record", write, record_field(step))
            else:
                workflow.connect(inputnode, record_field(step), write, record_field(step))
            if part.space is not None and step in steps and has_own_mask(step, identity):
                workflow.connect(steps[step], "mask", write, mask_field(step))
        workflow.connect(write, "manifest", outputnode, name)
    return workflow


def _node(interface: Any, name: str, kind: str) -> Node:
    # One thread each, whatever --omp-nthreads says, so that registrations run side by side.
    return Node(interface, name=name, mem_gb=MEMORY_GB[kind], n_procs=1)


def _node_name(part: Part) -> str:
    return nipype_name(f"write_{part.name}")


def _register_node(
    case: Case, role: str, settings: Settings, identity: BackendIdentity, common: Mapping[str, Any]
) -> Node:
    # What the image is, not its name: of several ictal scans all are ictal.
    kind = case.images[role].role
    interface = RegisterToReference(
        role=kind,
        coreg_init=settings.coreg_init,
        own_mask=has_own_mask(kind, identity),
        optional=role in optional_roles(case, settings),
        **external_inputs(case.external.get(role)),
        **common,
    )
    durations = case.images[role].frame_durations
    if durations is not None:
        interface.inputs.frame_durations = durations
    return _node(interface, f"register_{role}", "register")


def _write_node(
    case: Case, part: Part, settings: Settings, identity: BackendIdentity, common: Mapping[str, Any]
) -> Node:
    inputs = {
        "steps": part.steps,
        "case_text": case_to_text(case),
        "optional": list(optional_roles(case, settings)),
        "bids_dir": str(settings.bids_dir),
        "output_dir": str(settings.output_dir),
        "manifest": str(part_manifest(case, settings, part)),
        "key": part_key(case, settings, identity, part),
        **common,
    }
    interface: Any
    if part.space is None:
        interface = WriteTransforms(**inputs)
    else:
        interface = WritePrepared(space=part.space, voxel_size=settings.voxel_size, **inputs)
    return _node(interface, _node_name(part), "write")
