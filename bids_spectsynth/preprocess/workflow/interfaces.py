"""Nipype shells around the steps of preprocessing: they read files, call a function, write files.

Everything that a result depends on is an input (backend, versions, options), so that Nipype's cache notices every
change. No backend draws random numbers. Input images need not exist for a node to be made: reading
them then gives the clear message.
"""

# mypy: allow-subclassing-any
import os
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

# Nipype would otherwise report its use over the network.
os.environ.setdefault("NIPYPE_NO_ET", "1")

import nibabel as nib
import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    DynamicTraitedSpec,
    File,
    SimpleInterface,
    Str,
    TraitedSpec,
    isdefined,
    traits,
)
from nipype.interfaces.io import add_traits

from bids_spectsynth.bids.cases import ICTAL, INTERICTAL, PET, T1W, Case
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.intensity import load_image
from bids_spectsynth.images.nifti import opened_image
from bids_spectsynth.preprocess.backends.base import Backend
from bids_spectsynth.preprocess.backends.brain_extraction import volume_note
from bids_spectsynth.preprocess.backends.choice import make_backend
from bids_spectsynth.preprocess.backends.fsl.options import DEFAULT_OPTIONS, FslOptions
from bids_spectsynth.preprocess.outputs import (
    CaseRecords,
    PreparedInputs,
    role_words,
    write_prepared,
    write_transforms,
)
from bids_spectsynth.preprocess.records import (
    StepRecord,
    Written,
    case_from_text,
    load_record,
    one_line_reason,
    save_failure,
    save_manifest,
    save_record,
)
from bids_spectsynth.preprocess.templates.templates import fetch_template
from bids_spectsynth.preprocess.workflow.graph import mask_field, record_field

RIGID, AFFINE = 6, 12


class _CommonInputs(BaseInterfaceInputSpec):
    backend = Str(mandatory=True, desc="resolved name of the backend")
    software = Str(mandatory=True, desc="versions of this package and of the backend's tools")
    options = Str("", usedefault=True, desc="options of the fsl backend, JSON")
    failure_file = Str(mandatory=True, nohash=True, desc="where the reason of a failure is left")


class _Step(SimpleInterface):
    """A step that leaves the reason of its failure in a file, which the main process reads."""

    input_spec = _CommonInputs
    step = "preprocessing"

    @abstractmethod
    def _compute(self, folder: Path, backend: Backend) -> dict[str, Any]:
        """Outputs of the step, its files written into ``folder``."""

    def _run_interface(self, runtime: Any) -> Any:
        try:
            fsl = FslOptions.from_text(self.inputs.options) if self.inputs.options else DEFAULT_OPTIONS
            backend = make_backend(self.inputs.backend, self._threads(), fsl)
            self._results.update(self._compute(Path(runtime.cwd), backend))
        except Exception as error:
            save_failure(Path(self.inputs.failure_file), one_line_reason(error, self.step))
            raise
        return runtime

    def _threads(self) -> int:
        return 1


class _ReferenceInputs(_CommonInputs):
    t1w = File(mandatory=True)
    threads = traits.Int(1, usedefault=True)


class _ReferenceOutputs(TraitedSpec):
    mask = File(exists=True, desc="brain mask on the voxels of the T1w")
    record = File(exists=True, desc="notes, JSON")


class PrepareReference(_Step):
    """Brain mask of the T1w image, on its own voxels."""

    input_spec = _ReferenceInputs
    output_spec = _ReferenceOutputs
    step = "brain extraction of the T1w"

    def _compute(self, folder: Path, backend: Backend) -> dict[str, Any]:
        image, notes = load_image(Path(self.inputs.t1w))
        mask = named(Path(self.inputs.t1w), backend.extract_brain, image, T1W)
        write_image(folder / "brain_mask.nii.gz", mask, {})
        unusual = volume_note(mask)
        save_record(folder / "record.json", StepRecord((*notes, unusual) if unusual else notes))
        return {"mask": str(folder / "brain_mask.nii.gz"), "record": str(folder / "record.json")}

    def _threads(self) -> int:
        return int(self.inputs.threads)


class _RegisterInputs(_CommonInputs):
    moving = File(mandatory=True)
    role = Str(mandatory=True, desc="what is moving: pet, interictal, ictal, T2w, ...")
    frame_durations = traits.List(traits.Float(), desc="seconds, of a dynamic PET")
    t1w = File(mandatory=True)
    t1w_mask = File(exists=True, mandatory=True)
    coreg_init = Str(mandatory=True)
    optional = traits.Bool(False, usedefault=True, nohash=True, desc="a defect leaves the image out, not the case")


class _RegisterOutputs(TraitedSpec):
    mask = File(desc="own brain mask on the voxels of the moving image; undefined where the T1w mask serves")
    record = File(exists=True, desc="registration and notes, JSON")


class RegisterToReference(_Step):
    """Rigid registration of one image to the T1w, and its own brain mask where it has one."""

    input_spec = _RegisterInputs
    output_spec = _RegisterOutputs
    step = "registration to the T1w"

    def _compute(self, folder: Path, backend: Backend) -> dict[str, Any]:
        try:
            return self._register(folder, backend)
        except ImageError as error:
            if not self.inputs.optional:
                raise
            save_record(folder / "record.json", StepRecord(left_out=one_line_reason(error, self.step)))
            return {"record": str(folder / "record.json")}

    def _register(self, folder: Path, backend: Backend) -> dict[str, Any]:
        durations = list(self.inputs.frame_durations) if isdefined(self.inputs.frame_durations) else None
        path, role = Path(self.inputs.moving), self.inputs.role
        moving, notes = load_image(path, durations)
        fixed, _ = load_image(Path(self.inputs.t1w))
        fixed_mask = read_mask(Path(self.inputs.t1w_mask))
        found = named(
            path, backend.register, moving, fixed, fixed_mask, dof=RIGID, init=self.inputs.coreg_init, role=role
        )
        results = {"record": str(folder / "record.json")}
        if has_own_mask(role, backend.name):
            mask = named(path, backend.extract_brain, moving, role)
            write_image(folder / "brain_mask.nii.gz", mask, {})
            results["mask"] = str(folder / "brain_mask.nii.gz")
        save_record(folder / "record.json", StepRecord(notes, found))
        return results


class _TemplateInputs(_CommonInputs):
    t1w = File(mandatory=True)
    t1w_mask = File(exists=True, mandatory=True)
    template = Str(mandatory=True, desc="with the resolution that is taken, as --output-spaces takes it")
    template_stamp = Str("", usedefault=True, desc="of its files: others are registered to anew")


class _TemplateOutputs(TraitedSpec):
    record = File(exists=True, desc="registration, JSON")


class RegisterToTemplate(_Step):
    """Affine registration of the brain-extracted T1w to a template."""

    input_spec = _TemplateInputs
    output_spec = _TemplateOutputs
    step = "registration to the template"

    def _compute(self, folder: Path, backend: Backend) -> dict[str, Any]:
        template = fetch_template(self.inputs.template)
        head, _ = load_image(Path(self.inputs.t1w))
        inside = np.asanyarray(read_mask(Path(self.inputs.t1w_mask)).dataobj) > 0
        brain = new_image(np.where(inside, np.asanyarray(head.dataobj), 0).astype(np.float32), head.affine)
        # Template and head share no world coordinates, so the user's choice of a start does not apply here.
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
        save_record(folder / "record.json", StepRecord((), found, template=self.inputs.template))
        return {"record": str(folder / "record.json")}


class _WriteInputs(DynamicTraitedSpec, _CommonInputs):
    case_text = Str(mandatory=True, desc="the case as JSON")
    optional = traits.List(Str(), desc="roles of images that no model needs")
    bids_dir = Str(mandatory=True)
    output_dir = Str(mandatory=True)
    manifest = Str(mandatory=True, desc="where it is recorded what was written")
    key = Str(mandatory=True, desc="fingerprint of everything that the files depend on")


class _WriteOutputs(TraitedSpec):
    manifest = Str()


class _Writer(_Step):
    """A step that writes to the output folder.

    It always runs: whether the files are in the output folder is known before the workflow is built.

    Parameters
    ----------
    steps : sequence of str
        Names of steps (``T1w``, roles, labels of templates); adds the inputs :func:`record_field` and
        :func:`mask_field` of each.
    """

    input_spec = _WriteInputs
    output_spec = _WriteOutputs
    _always_run = True

    def __init__(self, steps: tuple[str, ...] = (), **inputs: Any) -> None:
        super().__init__(**inputs)
        self._steps = tuple(steps)
        add_traits(self.inputs, [field(step) for step in self._steps for field in (record_field, mask_field)])

    @abstractmethod
    def _write(self, known: CaseRecords, backend: Backend) -> Written:
        """Write the files; warnings are what this step adds to those of the records."""

    def _compute(self, folder: Path, backend: Backend) -> dict[str, Any]:
        paths = {step: getattr(self.inputs, record_field(step)) for step in self._steps}
        records = {step: load_record(Path(path)) for step, path in paths.items() if isdefined(path)}
        left_out = {step: record.left_out for step, record in records.items() if record.left_out}
        for role, reason in left_out.items():
            # It was of no use when it was registered, but it is now.
            if role not in self.inputs.optional:
                raise ImageError(reason)
        known = CaseRecords(
            case=_without(case_from_text(self.inputs.case_text), left_out),
            bids_dir=Path(self.inputs.bids_dir),
            output_dir=Path(self.inputs.output_dir),
            records={step: record for step, record in records.items() if step not in left_out},
        )
        written = self._write(known, backend)
        left_out |= written.left_out
        said = [f"{reason}; the {role_words(role)} is left out" for role, reason in left_out.items()]
        written = replace(written, left_out=left_out, warnings=(*written.warnings, *said))
        save_manifest(Path(self.inputs.manifest), self.inputs.key, known.output_dir, written)
        return {"manifest": self.inputs.manifest}


class _PreparedInputs(_WriteInputs):
    space = Str(mandatory=True)
    voxel_size = traits.Float(mandatory=True)
    t1w_mask = File(exists=True, mandatory=True)


class WritePrepared(_Writer):
    """Resample all images of a case into one space, each once, and write them to the output folder."""

    input_spec = _PreparedInputs
    step = "resampling and writing"

    def _write(self, known: CaseRecords, backend: Backend) -> Written:
        masks = {role: getattr(self.inputs, mask_field(role)) for role in self._steps if role in known.case.images}
        inputs = PreparedInputs(
            case=known.case,
            bids_dir=known.bids_dir,
            output_dir=known.output_dir,
            records=known.records,
            space=self.inputs.space,
            voxel_size=self.inputs.voxel_size,
            t1w_mask=read_mask(Path(self.inputs.t1w_mask)),
            own_masks={role: read_mask(Path(path)) for role, path in masks.items() if isdefined(path)},
            optional=tuple(self.inputs.optional),
        )
        read = [f"{role_words(role)}: {note}" for role in known.case.images for note in known.records[role].notes]
        return replace(write_prepared(inputs, backend), warnings=tuple(read))


class WriteTransforms(_Writer):
    """Write the transforms of images to the T1w, or of the T1w to a template, to the output folder."""

    step = "writing the transforms"

    def _write(self, known: CaseRecords, backend: Backend) -> Written:
        names = [name for name in self._steps if name in known.records]
        poor = [_poor_line(known, name) for name in names]
        return replace(write_transforms(known, backend, names), warnings=tuple(line for line in poor if line))


def _poor_line(known: CaseRecords, name: str) -> str | None:
    found = known.records[name].registration
    if found is None or not found.poor:
        return None
    pair = f"{role_words(name)} to the T1w" if name in known.case.images else f"T1w to {name}"
    return f"the registration of the {pair} is poor, look at it: {'; '.join(found.notes)}"


def _without(case: Case, roles: Mapping[str, str]) -> Case:
    return replace(case, images={role: image for role, image in case.images.items() if role not in roles})


def has_own_mask(role: str, backend: str) -> bool:
    """Whether an image is masked by a mask of its own: SPECT always, PET where BET made one; others by the T1w's."""
    return role in (INTERICTAL, ICTAL) or (role == PET and backend == "fsl")


def read_mask(path: Path) -> nib.Nifti1Image:
    """Brain mask of an earlier step, uint8."""
    with opened_image(path) as image:
        return new_image(np.array(image.dataobj, dtype=np.uint8), image.affine)


def named(path: Path, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call ``function``; an ImageError from it that does not say which file gets the path in front."""
    try:
        return function(*args, **kwargs)
    except ImageError as error:
        if str(path) in str(error):
            raise
        raise ImageError(f"{path}: {error}") from error
