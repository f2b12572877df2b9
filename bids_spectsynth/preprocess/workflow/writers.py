"""Nipype shells that write to the output folder."""

# mypy: allow-subclassing-any
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nipype.interfaces.base import DynamicTraitedSpec, File, Str, TraitedSpec, isdefined, traits
from nipype.interfaces.io import add_traits

from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.roles import T1W, role_of
from bids_spectsynth.errors import ImageError
from bids_spectsynth.preprocess.backends.base import Backend
from bids_spectsynth.preprocess.outputs.images import write_prepared
from bids_spectsynth.preprocess.outputs.inputs import CaseRecords, PreparedInputs
from bids_spectsynth.preprocess.outputs.transforms import write_transforms
from bids_spectsynth.preprocess.records import Written, case_from_text, load_record, save_manifest
from bids_spectsynth.preprocess.registration.plausibility import (
    turned_reference,
    with_named_header,
    without_header_flags,
)
from bids_spectsynth.preprocess.workflow.graph import mask_field, record_field
from bids_spectsynth.preprocess.workflow.step import CommonInputs, Step, read_mask


class _WriteInputs(DynamicTraitedSpec, CommonInputs):
    case_text = Str(mandatory=True, desc="the case as JSON")
    optional = traits.List(Str(), desc="roles of images that no model needs")
    bids_dir = Str(mandatory=True)
    output_dir = Str(mandatory=True)
    manifest = Str(mandatory=True, desc="where it is recorded what was written")
    key = Str(mandatory=True, desc="fingerprint of everything that the files depend on")


class _WriteOutputs(TraitedSpec):
    manifest = Str()


class _Writer(Step):
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
        messages = [f"{reason}; the {role_of(role).title} is left out" for role, reason in left_out.items()]
        written = replace(written, left_out=left_out, warnings=(*written.warnings, *messages))
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
        read = [f"{role_of(role).title}: {note}" for role in known.case.images for note in known.records[role].notes]
        return replace(write_prepared(inputs, backend), warnings=tuple(read))


class WriteTransforms(_Writer):
    """Write the transforms of images to the T1w, or of the T1w to a template, to the output folder."""

    step = "writing the transforms"

    def _write(self, known: CaseRecords, backend: Backend) -> Written:
        known, turned = _with_turned_t1w(known)
        known = _with_named_headers(known)
        names = [name for name in self._steps if name in known.records]
        lines = [_warning(known, name) for name in names]
        return replace(write_transforms(known, backend, names), warnings=(*turned, *(line for line in lines if line)))


def _warning(known: CaseRecords, name: str) -> str | None:
    found, external = known.records[name].registration, known.records[name].external
    if found is None or not (found.poor or (external and found.notes)):
        return None
    pair = f"{role_of(name).title} to the T1w" if name in known.case.images else f"T1w to {name}"
    if not found.poor:
        return f"the transform of the {pair} that was made elsewhere: {'; '.join(found.notes)}"
    return f"the registration of the {pair} is poor, look at it: {'; '.join(found.notes)}"


def _with_turned_t1w(known: CaseRecords) -> tuple[CaseRecords, tuple[str, ...]]:
    """Blame the T1w's header where all images are turned against it alike; one line about it."""
    found = {role: known.records[role].registration for role in known.case.images if role in known.records}
    registrations = {role: one for role, one in found.items() if one is not None}
    turn = turned_reference(registrations)
    if turn is None:
        return known, ()
    titles = " and ".join(role_of(role).title for role in registrations)
    how = f"turned by {turn:.0f} degrees" if turn else "mirrored"
    line = (
        f"{known.case.images[T1W].path.name}: the orientation in the header seems to be wrong: "
        f"{titles} are {how} against it; correct the T1w's header"
    )
    freed = {
        role: replace(known.records[role], registration=without_header_flags(one))
        for role, one in registrations.items()
    }
    return replace(known, records={**known.records, **freed}), (line,)


def _with_named_headers(known: CaseRecords) -> CaseRecords:
    """Say whose header is wrong; with one image alone it may as well be the T1w's."""
    found = {role: known.records[role].registration for role in known.case.images if role in known.records}
    registrations = {role: one for role, one in found.items() if one is not None}
    files = {role: known.case.images[role].path.name for role in registrations}
    if len(files) == 1:
        t1w = known.case.images[T1W].path.name
        files = {role: f"{name}, or that of the T1w, {t1w}," for role, name in files.items()}
    named = {
        role: replace(known.records[role], registration=with_named_header(one, files[role]))
        for role, one in registrations.items()
    }
    return replace(known, records={**known.records, **named})


def _without(case: Case, roles: Mapping[str, str]) -> Case:
    return replace(case, images={role: image for role, image in case.images.items() if role not in roles})
