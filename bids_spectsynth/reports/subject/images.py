"""Sections of a subject's report that show images: brain mask, registrations, template, synthesis."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.output_files import Synthetic, lesion_volumes, volume_text
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, PET, T1W, role_of
from bids_spectsynth.bids.sidecars import sidecar, strings
from bids_spectsynth.bids.transforms import Transform, external_source
from bids_spectsynth.bids.writing import read_matrix
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.resampling import resample_linear
from bids_spectsynth.options.declarations.model import input_order
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.preprocess.templates.templates import fetch_template
from bids_spectsynth.reports.context import Figure, SubjectContext, viewer_name
from bids_spectsynth.reports.html import Block, Fold, Heading, Jump, Note, Section, Text, number
from bids_spectsynth.reports.pictures import reportlets
from bids_spectsynth.reports.pictures.mosaic import Title
from bids_spectsynth.reports.pictures.views import AXIS, Array, frame_of
from bids_spectsynth.reports.reading import read_on_grid, read_volume
from bids_spectsynth.reports.subject.scanners import scan_notes

#: In every picture of a synthetic image.
SYNTHETIC_WARNING = "SYNTHETIC: computed by a network, no measurement, not for diagnosis"
SYNTHETIC_BANNER = Note(
    "Estimated by a network from other images of this head. It shows no measured perfusion and is not for diagnosis.",
    "danger",
    "SYNTHETIC IMAGE — not a measurement",
)
#: Of a SPECT that is prepared as interictal by assumption alone.
ASSUMED_TEXT = "Nothing in the name of this participant's SPECT says ictal or interictal: it may be ictal."
#: Which side is which, for captions.
SIDES = "The left of axial and coronal slices is the patient's left (neurological convention)."
#: Letters of a name that stands in one line beside a row.
_SHORT = 8


def brain_mask_section(context: SubjectContext) -> Section:
    """The brain mask's outline on the T1w in three planes."""
    blocks: list[Block] = []
    for case in _native(context):
        blocks += _session_heading(context, case)
        entities = {"space": T1W_SPACE, "desc": "brainmask"}
        draw = partial(_mask, context, case)
        if (external := external_source(sidecar(case.masks[T1W]))) is not None:
            notes = " ".join(f"{line}." for line in strings(sidecar(case.images[T1W]).get("Notes")))
            blocks.append(Note(f"{external}, in place of our own. {notes}".strip(), "good", "Made elsewhere:"))
        blocks += _lesion_note(case)
        blocks.append(context.picture(case, Figure(entities, "T1w", "Brain mask on the T1w", draw)))
    return Section("brain-mask", "Brain mask", blocks or [_nothing_prepared()])


def _lesion_note(case: PreparedCase) -> list[Block]:
    if case.lesion is None:
        return []
    facts = sidecar(case.lesion)
    notes = " ".join(f"{line[0].upper()}{line[1:].rstrip('.')}." for line in strings(facts.get("Notes")) if line)
    text = f"{external_source(facts) or case.lesion.name}: {lesion_text(case.lesion)}. {notes}".strip()
    return [Note(text, "warning", "Lesion mask:")]


def lesion_text(path: Path) -> str:
    """How large a lesion is, and what leaves it out, in words.

    Parameters
    ----------
    path : Path
        The prepared mask.
    """
    drawn, inside = (volume_text(ml) for ml in lesion_volumes(path))
    return (
        f"{drawn} mL, {inside} mL of it in the brain mask; registration and synthesis do not leave it out; each "
        "comparison says whether it did"
    )


def _mask(context: SubjectContext, case: PreparedCase) -> tuple[bytes, str]:
    mask, affine = context.whole_brain(case)
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    volume = f"The mask holds {mask.sum() * voxel_ml / 1000:.2f} l."
    head = context.heads.get(case.name)
    if head is not None and head.exists():
        image, source = read_volume(head)
        box = frame_of(mask, affine, reportlets.HEAD_MARGIN_MM).box
        image = resample_linear(image, source, mask.shape, affine, box)
        text = "Outline of the brain mask on the T1w image with the head."
    else:
        image = context.whole_image(case, T1W)
        text = (
            "Outline of the brain mask on the brain-extracted T1w image (the output folder holds no image of the head)."
        )
    title, lesion = Title(f"{case.name}: brain mask"), None
    if case.lesion is not None:
        lesion = read_on_grid(case.lesion, mask.shape) > 0
        volume += " Orange: the lesion mask, with slices through it below."
    return reportlets.mask_outline(image, mask, affine, title, lesion), f"{text} {volume} {SIDES}"


def registration_section(context: SubjectContext) -> Section:
    """PET, SPECT and other MR on the T1w, with score, overlap and a badge where the result is poor."""
    blocks: list[Block] = []
    for case in _native(context):
        blocks += _session_heading(context, case)
        for transform in context.transforms:
            if transform.case_name == case.name and transform.role != "T1w":
                blocks.append(Heading(transform.title))
                blocks.append(registration_note(transform))
                blocks.append(context.picture(case, _registration_figure(context, case, transform)))
    empty = Note("No other image was registered to a T1w of this participant.")
    return Section("registration", "Registration to the T1w", blocks or [empty])


def registration_note(transform: Transform) -> Note:
    """Score, overlap and notes of a registration; a danger note where it is poor."""
    numbers = f"Overlap of the brains (Dice) {number(transform.overlap, 2)}; score {number(transform.score, 3)}"
    numbers += f" ({transform.metric}; higher is better)." if transform.metric != "n/a" else "."
    text = " ".join([numbers, *(note.rstrip(".") + "." for note in transform.notes)])
    if transform.external:
        text = f"Made elsewhere: {transform.external}, in place of our own. {text}"
    if transform.poor:
        return Note(f"Do not trust this registration without looking. {text}", "danger", "Poor registration")
    return Note(text, "good", "Registered")


def _registration_figure(context: SubjectContext, case: PreparedCase, transform: Transform) -> Figure:
    entities, _, _ = parse_name(transform.path.name)
    kept: dict[str, str] = {key: entities[key] for key in ("task", "acq", "ce", "trc", "rec", "run") if key in entities}
    kept["ses"] = entities.get("ses", "")
    suffix, name = role_of(transform.role).suffix, role_of(transform.role).title
    short = name.replace(" ", "\n") if len(name) > _SHORT else name

    def draw() -> tuple[bytes, str]:
        mask, affine = context.brain(case)
        fixed, moving = context.image(case, T1W), context.image(case, transform.role)
        caption = (
            f"Orange: lines of equal {name} intensity, on the T1w. Blue: the T1w's brain outline and a line between "
            f"its tissues, on the {name}. Where they do not follow the anatomy below them, the registration is wrong. "
            f"{SIDES}"
        )
        title = Title(f"{case.name}: {name} on the T1w", "Poor registration" if transform.poor else "")
        return reportlets.registration(fixed, moving, mask, affine, (short, title)), caption

    jump = Jump("", "", viewer_name(case), (T1W, transform.role))
    return Figure({**kept, "desc": "coregistration"}, suffix, f"{name} on the T1w", draw, jump)


def template_section(context: SubjectContext) -> Section | None:
    """The template's brain outline on the T1w, in template space where images were written there; None without one."""
    blocks: list[Block] = []
    for case in _native(context):
        found = [t for t in context.transforms if t.case_name == case.name and t.role == "T1w"]
        if found:
            blocks += _session_heading(context, case)
        for transform in found:
            other = next((c for c in context.cases if c.name == case.name and c.space == transform.target), None)
            blocks.append(Heading(transform.title))
            blocks.append(registration_note(transform))
            blocks.append(context.picture(case, _template_figure(context, other or case, transform)))
    return Section("template", "Registration to the template", blocks) if blocks else None


def _template_figure(context: SubjectContext, case: PreparedCase, transform: Transform) -> Figure:
    def draw() -> tuple[bytes, str]:
        mask, affine = context.whole_brain(case)
        # The stored matrix leads from the template's world to the T1w's; on a T1w grid its inverse is needed.
        native = case.space == T1W_SPACE
        matrix = np.asarray(np.linalg.inv(read_matrix(transform.path)) if native else np.eye(4))
        template = nib.funcs.as_closest_canonical(fetch_template(transform.template).mask)  # type: ignore[no-untyped-call]
        data = np.asarray(template.dataobj, dtype=np.float32)
        box = frame_of(mask, affine, reportlets.HEAD_MARGIN_MM).box
        # Only what the strip shows: the whole head would take longer than all else of the picture.
        outline = np.zeros(mask.shape, dtype=np.float32)
        for view in reportlets.strip_views(mask):
            part = [*box]
            part[AXIS[view.plane]] = slice(view.at, view.at + 1)
            at = (part[0], part[1], part[2])
            outline[at] = resample_linear(data, template.affine, mask.shape, matrix @ affine, at)[at]
        where = "carried over to the participant's own space" if native else "in template space"
        caption = (
            f"Pink: brain of {transform.target}, {where}. Blue: brain of the participant. An affine transform fits "
            f"size and shape only roughly. {SIDES}"
        )
        warning = "Poor registration" if transform.poor else ""
        title = Title(f"{case.name}: brain of {transform.target} on the T1w", warning)
        return reportlets.template_outline(context.whole_image(case, T1W), mask, outline, affine, title), caption

    entities = {"space": case.space, "desc": "template"}
    return Figure(entities, "T1w", f"Outline of {transform.target} on the T1w", draw)


def synthesis_section(context: SubjectContext) -> Section | None:
    """Inputs, real and synthetic image and their difference for each model; None where nothing was synthesised."""
    if not context.synthetic:
        return None
    drawn: set[tuple[str, str, str]] = set()

    def blocks(case: PreparedCase, synthetic: Synthetic) -> list[Block]:
        own: list[Block] = []
        too_large = sidecar(synthetic.path).get("SliceSizeWarning")
        if isinstance(too_large, str) and too_large:
            own.append(Note(f"{too_large[0].upper()}{too_large[1:]}.", "warning", "Large head"))
        own += scan_notes(sidecar(synthetic.path))
        own.append(context.picture(case, _synthesis_figure(context, case, synthetic, drawn)))
        units = sidecar(synthetic.path).get("UnitsDescription")
        return own + ([Text(f"Values in the file: {units}")] if isinstance(units, str) else [])

    return Section("synthesis", "Synthesis", [SYNTHETIC_BANNER, *model_blocks(context, blocks)])


def model_blocks(context: SubjectContext, make: Callable[[PreparedCase, Synthetic], list[Block]]) -> list[Block]:
    """Blocks of each synthetic image under its title; those after the first of a session are folded.

    Parameters
    ----------
    context : SubjectContext
    make : callable
        The blocks of a case and its synthetic image; none where there is nothing to be said of it.
    """
    blocks: list[Block] = []
    sessions: set[str | None] = set()
    for case, synthetic in context.synthetic:
        if own := make(case, synthetic):
            title = synthetic_title(context, case, synthetic)
            blocks += [Fold(title, own)] if case.session in sessions else [Heading(title), *own]
            sessions.add(case.session)
    return blocks


def synthetic_title(context: SubjectContext, case: PreparedCase, synthetic: Synthetic) -> str:
    """``Model pix2pixPet`` with the session and the template space where needed to tell it from others.

    Parameters
    ----------
    context : SubjectContext
    case : PreparedCase
    synthetic : Synthetic
        Of the case.
    """
    session = f", ses-{case.session}" if len({c.session for c in context.cases}) > 1 and case.session else ""
    space = f", {synthetic.space} space" if synthetic.space != T1W_SPACE else ""
    return f"Model {synthetic.model}{space}{session}"


def _synthesis_figure(
    context: SubjectContext, case: PreparedCase, synthetic: Synthetic, drawn: set[tuple[str, str, str]]
) -> Figure:
    def draw() -> tuple[bytes, str]:
        mask, affine = context.brain(case)
        # What another model's picture shows already is not drawn again.
        roles = [role for role in input_roles(case, synthetic.path) if (case.name, case.space, role) not in drawn]
        inputs = {role: context.image(case, role) for role in roles}
        real = real_image(context, case)
        estimated = context.cut(case, synthetic.path)
        title = Title(f"{case.name}: {synthetic.model}", SYNTHETIC_WARNING)
        picture, scales = reportlets.synthesis(inputs, real, estimated, mask, affine, title)
        drawn.update((case.name, case.space, role) for role in roles)
        return picture, _synthesis_caption(real is not None, scales, assumed=case.is_state_assumed)

    entities = {"task": "interictal", "space": synthetic.space, "desc": synthetic.model}
    return Figure(entities, "spect", f"Inputs, real and synthetic SPECT, {synthetic.model}", draw)


def real_image(context: SubjectContext, case: PreparedCase) -> Array | None:
    """The measured interictal SPECT; None without one, or where it may be ictal: that is not what was synthesised."""
    return context.image(case, INTERICTAL) if INTERICTAL in case.images and not case.is_state_assumed else None


def input_roles(case: PreparedCase, synthetic: Path) -> list[str]:
    """Which prepared images a synthetic image was made from, by its sidecar; T1w and PET where it does not say.

    Raises
    ------
    ImageError
        The case has none of them.
    """
    sources = {uri.rpartition("/")[2] for uri in strings(sidecar(synthetic).get("Sources"))}
    named = [role for role, path in case.images.items() if path.name in sources and role_of(role).is_input]
    roles = named or [role for role in (T1W, PET) if role in case.images]
    if not roles:
        raise ImageError(f"{case.name}: none of the images that the model was given is in the output folder")
    return input_order(roles)


def _synthesis_caption(measured: bool, scales: reportlets.Comparison, *, assumed: bool) -> str:
    if not measured:
        missing = "There is no real interictal SPECT of this participant to compare with."
        if assumed:
            missing = f"{ASSUMED_TEXT} It is not compared with the synthetic image."
        return f"{missing} The synthetic image is divided by its own mean in the brain. {SIDES}"
    return (
        "The units of the real image and of the synthetic one (the training cohort's) differ, so each is divided by "
        f"its own mean in the brain; both then share one colour scale, 0 to {number(scales.scale, 2)}. The difference "
        "is synthetic minus real after that: red where the synthetic image is higher, blue where it is lower; mean "
        f"absolute difference in the brain {number(scales.mean_absolute, 3)}. "
        f"The coronal and the sagittal slice show steps between axial slices, if there are any. {SIDES}"
    )


def _native(context: SubjectContext) -> Sequence[PreparedCase]:
    return [case for case in context.cases if case.space == T1W_SPACE]


def _session_heading(context: SubjectContext, case: PreparedCase) -> list[Block]:
    several = len({other.session for other in context.cases}) > 1
    return [Heading(f"Session {case.session}" if case.session else "Without session")] if several else []


def _nothing_prepared() -> Note:
    return Note("No prepared T1w image and brain mask of this participant are in the output folder.", "warning")
