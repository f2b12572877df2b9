"""Nipype shells around brain extraction and registration: they read files, call a function, write files."""

# mypy: allow-subclassing-any
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import File, Str, TraitedSpec, isdefined, traits

from bids_spectsynth.bids.finding.external import External
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.forms import NO_ORIENTATION
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.images.values import negative_note
from bids_spectsynth.preprocess.backends.base import Backend
from bids_spectsynth.preprocess.external.masks import read_external_mask
from bids_spectsynth.preprocess.external.registrations import external_registration
from bids_spectsynth.preprocess.records import StepRecord, content_stamp, one_line_reason, save_record
from bids_spectsynth.preprocess.registration.plausibility import (
    brain_notes,
    upright_note,
    volume_note,
    with_brain_notes,
    with_turn_against_template,
)
from bids_spectsynth.preprocess.templates.templates import fetch_template
from bids_spectsynth.preprocess.workflow.step import CommonInputs, Step, named, read_mask

RIGID, AFFINE = 6, 12


class _ExternalInputs(CommonInputs):
    external = File(desc="what takes the place of this step")
    external_content = Str(desc="hash of its content: hands and programs may leave size and time as they were")
    external_uri = Str(desc="its BIDS URI")
    external_notes = traits.List(Str(), desc="what was passed over")


def external_inputs(external: External | None) -> dict[str, Any]:
    """Inputs of a step that a file may take the place of; none where there is no file."""
    if external is None:
        return {}
    return {
        "external": str(external.path),
        "external_content": content_stamp(external.path),
        "external_uri": external.uri,
        "external_notes": list(external.notes),
    }


def _external(inputs: Any) -> tuple[Path | None, str | None, tuple[str, ...]]:
    """The file that takes the place of a step, its URI, and notes on it; nothing where the step is done."""
    if not isdefined(inputs.external):
        return None, None, ()
    return Path(inputs.external), str(inputs.external_uri), tuple(inputs.external_notes)


class _ReferenceInputs(_ExternalInputs):
    t1w = File(mandatory=True)
    threads = traits.Int(1, usedefault=True)


class _ReferenceOutputs(TraitedSpec):
    mask = File(exists=True, desc="brain mask on the voxels of the T1w")
    record = File(exists=True, desc="notes, JSON")


class PrepareReference(Step):
    """Brain mask of the T1w image, on its own voxels."""

    input_spec = _ReferenceInputs
    output_spec = _ReferenceOutputs
    step = "brain extraction of the T1w"

    def _compute(self, folder: Path, backend: Backend) -> dict[str, Any]:
        image, notes = load_image(Path(self.inputs.t1w))
        external, uri, more = _external(self.inputs)
        if external is None:
            mask = named(Path(self.inputs.t1w), backend.extract_brain, image, T1W)
        else:
            mask, own = read_external_mask(external, image)
            more = (*more, *own)
        write_image(folder / "brain_mask.nii.gz", mask, {})
        judged = [volume_note(mask), upright_note(mask) if NO_ORIENTATION in notes else None]
        judgement = (*brain_notes(image, mask), *(note for note in judged if note))
        save_record(folder / "record.json", StepRecord((*notes, *more, *judgement), external=uri))
        return {"mask": str(folder / "brain_mask.nii.gz"), "record": str(folder / "record.json")}

    def _threads(self) -> int:
        return int(self.inputs.threads)


class _RegisterInputs(_ExternalInputs):
    moving = File(mandatory=True)
    role = Str(mandatory=True, desc="what is moving: pet, interictal, ictal, T2w, ...")
    frame_durations = traits.List(traits.Float(), desc="seconds, of a dynamic PET")
    t1w = File(mandatory=True)
    t1w_mask = File(exists=True, mandatory=True)
    coreg_init = Str(mandatory=True)
    own_mask = traits.Bool(mandatory=True, desc="it is masked by a mask of its own, not by the T1w's")
    optional = traits.Bool(False, usedefault=True, nohash=True, desc="a defect leaves the image out, not the case")


class _RegisterOutputs(TraitedSpec):
    mask = File(desc="own brain mask on the voxels of the moving image; undefined where the T1w mask serves")
    record = File(exists=True, desc="registration and notes, JSON")


class RegisterToReference(Step):
    """Rigid registration of one image to the T1w, and its own brain mask where it has one."""

    input_spec = _RegisterInputs
    output_spec = _RegisterOutputs
    step = "registration to the T1w"

    def _compute(self, folder: Path, backend: Backend) -> dict[str, Any]:
        try:
            return self._register(folder, backend)
        except ImageError as error:
            # What somebody gives is to be used, or to be corrected.
            if not self.inputs.optional or str(self.inputs.external) in str(error):
                raise
            save_record(folder / "record.json", StepRecord(left_out=one_line_reason(error, self.step)))
            return {"record": str(folder / "record.json")}

    def _register(self, folder: Path, backend: Backend) -> dict[str, Any]:
        durations = list(self.inputs.frame_durations) if isdefined(self.inputs.frame_durations) else None
        path, role = Path(self.inputs.moving), self.inputs.role
        moving, notes = load_image(path, durations)
        fixed, _ = load_image(Path(self.inputs.t1w))
        fixed_mask = read_mask(Path(self.inputs.t1w_mask))
        external, uri, more = _external(self.inputs)
        if external is None:
            found = named(
                path, backend.register, moving, fixed, fixed_mask, dof=RIGID, init=self.inputs.coreg_init, role=role
            )
        else:
            found = external_registration(external, moving, fixed, fixed_mask, dof=RIGID, role=role)
            found = replace(found, notes=(*more, *found.notes))
        found, lost = with_brain_notes(found, moving, fixed_mask)
        results = {"record": str(folder / "record.json")}
        if self.inputs.own_mask:
            mask = named(path, backend.extract_brain, moving, role)
            own = np.asanyarray(moving.dataobj)[np.asanyarray(mask.dataobj) > 0]
            lost = tuple(note for note in (negative_note(own), volume_note(mask)) if note)
            write_image(folder / "brain_mask.nii.gz", mask, {})
            results["mask"] = str(folder / "brain_mask.nii.gz")
        save_record(folder / "record.json", StepRecord((*notes, *lost), found, external=uri))
        return results


class _TemplateInputs(_ExternalInputs):
    t1w = File(mandatory=True)
    t1w_mask = File(exists=True, mandatory=True)
    template = Str(mandatory=True, desc="with the resolution that is taken, as --output-spaces takes it")
    template_stamp = Str("", usedefault=True, desc="of its files: others are registered to anew")


class _TemplateOutputs(TraitedSpec):
    record = File(exists=True, desc="registration, JSON")


class RegisterToTemplate(Step):
    """Affine registration of the brain-extracted T1w to a template."""

    input_spec = _TemplateInputs
    output_spec = _TemplateOutputs
    step = "registration to the template"

    def _compute(self, folder: Path, backend: Backend) -> dict[str, Any]:
        template = fetch_template(self.inputs.template)
        image, _ = load_image(Path(self.inputs.t1w))
        inside = np.asanyarray(read_mask(Path(self.inputs.t1w_mask)).dataobj) > 0
        brain = new_image(np.where(inside, np.asanyarray(image.dataobj), 0).astype(np.float32), image.affine)
        external, uri, more = _external(self.inputs)
        if external is None:
            # Template and T1w share no world coordinates, so the user's choice of a start does not apply here.
            found = named(
                Path(self.inputs.t1w),
                backend.register,
                brain,
                template.image,
                template.mask,
                dof=AFFINE,
                init="auto",
                role=T1W,
            )
        else:
            found = external_registration(external, brain, template.image, template.mask, dof=AFFINE, role=T1W)
            found = replace(found, notes=(*more, *found.notes))
        found = with_turn_against_template(found)
        record = StepRecord((), found, template=self.inputs.template, external=uri)
        save_record(folder / "record.json", record)
        return {"record": str(folder / "record.json")}
