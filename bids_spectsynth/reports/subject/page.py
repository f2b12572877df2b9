"""The report of one subject: ``sub-XX.html`` and its figures, from what lies in the output folder."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.names import bare_label
from bids_spectsynth.bids.output_files import (
    find_cases,
    find_synthetic,
    is_phantom,
    latest_run,
    software_version,
    subject_page,
)
from bids_spectsynth.bids.participants import FLAGS
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import ROLES, T1W, reading_order, role_of
from bids_spectsynth.bids.sidecars import sidecar, strings
from bids_spectsynth.bids.transforms import external_source, find_transforms
from bids_spectsynth.bids.writing import write_text
from bids_spectsynth.errors import SpectSynthError, UsageError
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.reports.context import SubjectContext, participant_row
from bids_spectsynth.reports.html import Block, Cell, Code, Column, Items, Note, Page, Section, Table, Text
from bids_spectsynth.reports.rating import rating_section
from bids_spectsynth.reports.rendering import render
from bids_spectsynth.reports.subject.asymmetry import asymmetry_section
from bids_spectsynth.reports.subject.correction import correction_section
from bids_spectsynth.reports.subject.glance import glance_section
from bids_spectsynth.reports.subject.images import (
    SYNTHETIC_BANNER,
    brain_mask_section,
    registration_section,
    synthesis_section,
    template_section,
)
from bids_spectsynth.reports.subject.methods import MethodFacts, described_card, methods_text
from bids_spectsynth.reports.subject.metrics import metrics_section
from bids_spectsynth.reports.subject.quality import quality_section
from bids_spectsynth.reports.subject.residual import residual_section
from bids_spectsynth.reports.subject.siscom.foci import foci_section
from bids_spectsynth.reports.subject.siscom.section import siscom_facts, siscom_section
from bids_spectsynth.reports.subject.viewer import viewer_section
from bids_spectsynth.reports.wording import FOOTER, PHANTOM_TEXT
from bids_spectsynth.threads import Threads

_LABEL = re.compile(r"[0-9A-Za-z+]+")
_LOG_LINES = 60
#: A path as a value of the settings, with its last name.
_FOLDERS = re.compile(r'"((?:[\w.+-]+=)?)(?:~|\.\.|[A-Za-z]:)?[/\\][^"\n]*?([^"\n/\\]+)"')


def subject_report(output_dir: Path, participant: str, heads: Mapping[str, Path] | None = None) -> Path:
    """Write the report of one subject.

    Everything is read from the output folder. What is missing or damaged is said in the report, in the place where it
    would stand and among the errors; the report is written all the same.

    Parameters
    ----------
    output_dir : Path
    participant : str
        Label with or without ``sub-``.
    heads : mapping of case name to Path, optional
        T1w images with the whole head by ``sub-01`` or ``sub-01_ses-x``; their world is that of ``space-T1w``. With
        them the brain mask is drawn on the head, without them on the brain-extracted image.

    Returns
    -------
    Path
        ``sub-XX.html`` in the output folder; the figures are written as ``sub-XX[/ses-X]/figures/*.webp`` and ``.svg``.

    Raises
    ------
    UsageError
        The label has other characters than BIDS allows.
    """
    label = bare_label(participant, "sub")
    if not _LABEL.fullmatch(label):
        raise UsageError(f"sub-{label}: a participant label has letters and digits only")
    context = _context(output_dir, label, heads or {})
    path = subject_page(output_dir, label)
    write_text(path, render(_page(context)))
    # What was not drawn this time would go on showing what was.
    folder = output_dir / f"sub-{label}"
    for old in {*folder.glob("figures/sub-*"), *folder.glob("ses-*/figures/sub-*")} - context.written:
        old.unlink()
    return path


def _context(output_dir: Path, label: str, heads: Mapping[str, Path]) -> SubjectContext:
    cases = find_cases(output_dir, label)
    synthetic = [(case, one) for case in cases for one in find_synthetic(output_dir, case)]
    return SubjectContext(output_dir, label, cases, find_transforms(output_dir, label), synthetic, heads)


def subject_methods(output_dir: Path, participant: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Paragraphs and references of the methods text of one subject, from the output folder.

    Parameters
    ----------
    output_dir : Path
    participant : str
        Label without ``sub-``.

    Returns
    -------
    paragraphs : list of str
        Empty where the subject has no image in its own space.
    references : list of (str, str)
        Text and link.

    Raises
    ------
    ImageError
        The brain mask cannot be read.
    """
    return _methods(_context(output_dir, participant, {}))


def _page(context: SubjectContext) -> Page:
    row = context.once(participant_row)
    # The viewer is about half of the work, most of it in libraries that leave the interpreter to the pictures.
    with Threads(1) as beside:
        slow = [make for make in SECTIONS if make is viewer_section]
        of_slow = beside.map(lambda make: make(context), slow)
        made = {make: make(context) for make in SECTIONS if make not in slow}
        made |= dict(zip(slow, of_slow, strict=True))
    sections = [section for make in SECTIONS if (section := made[make]) is not None]
    sessions = sorted({case.session for case in context.cases if case.session})
    subtitle = f"Sessions: {', '.join(sessions)}" if sessions else "Participant level"
    rated = [section for section in sections if section.name in RATED_SECTIONS]
    if rated and context.cases:
        sections.append(rating_section(context.participant, rated, software_version(context.output_dir)))
    # The errors come last: they are known only when the other sections have been made.
    sections.append(_errors_section(context, row))
    return Page(f"sub-{context.participant}", subtitle, sections, _banners(context, row), FOOTER)


def _banners(context: SubjectContext, row: Mapping[str, str]) -> list[Note]:
    banners = [SYNTHETIC_BANNER] if context.synthetic else []
    if is_phantom(context.output_dir):
        banners.append(Note(PHANTOM_TEXT, "warning", "Phantom data"))
    else:
        of_phantoms = [one for _, one in context.synthetic if sidecar(one.path).get("ModelTrainedOnPhantom") is True]
        simulated = list(dict.fromkeys(one.model for one in of_phantoms))
        text = f"{', '.join(simulated)} learned from simulated heads; what it makes of a real head means nothing."
        banners += [Note(text, "danger", "Model of phantoms:")] if simulated else []
    if row.get("status") in ("failed", "skipped", "stopped"):
        level = "danger" if row["status"] == "failed" else "warning"
        banners.append(Note(row.get("reason", ""), level, f"Participant {row['status']}:"))  # type: ignore[arg-type]
    poor = [transform.title for transform in context.transforms if transform.poor]
    flags = row.get(FLAGS, "n/a")
    if flags != "n/a":
        banners.append(Note(f"{flags}. See the quality of the images.", "warning", "Quality flags:"))
    if poor:
        banners.append(Note(f"Look at the registration of {', '.join(poor)}.", "warning", "Poor registration:"))
    return banners


def _cards(context: SubjectContext) -> dict[str, dict[str, Any]]:
    """Model cards by label, with what the images' sidecars say; nothing else where the folder lies elsewhere."""
    found: dict[str, list[dict[str, Any]]] = {}
    for _, synthetic in context.synthetic:
        found.setdefault(synthetic.model, []).append(sidecar(synthetic.path))
    return {label: described_card(context.output_dir, label, facts) for label, facts in found.items()}


def _summary_section(context: SubjectContext) -> Section:
    row = context.once(participant_row)
    facts = [
        ("Participant", f"sub-{context.participant}"),
        ("Status of the last run", row.get("status", "n/a")),
        ("Reason", row.get("reason", "n/a")),
        ("Part in training", row.get("split", "n/a")),
        ("Spaces", ", ".join(dict.fromkeys(case.space for case in context.cases)) or "none"),
        ("Models", ", ".join(dict.fromkeys(synthetic.model for _, synthetic in context.synthetic)) or "none"),
        *_backend_facts(context),
    ]
    facts = [(name, value) for name, value in facts if name != "Reason" or value != "n/a"]
    pairs = [[Cell(name, "muted"), Cell(value)] for name, value in facts]
    table = Table([Column("What"), Column("Value")], pairs, sortable=False)
    blocks: list[Block] = [table]
    for case in context.cases:
        if case.space == T1W_SPACE:
            blocks.append(_images_table(context, case))
            blocks += _absent(case)
    warnings = _warnings(context)
    if warnings:
        blocks += [Text("Notes and warnings:"), Items([(warning, "") for warning in warnings])]
    return Section("summary", "What was used", blocks)


def _backend_facts(context: SubjectContext) -> list[tuple[str, str]]:
    contents = [sidecar(path) for case in context.cases for path in case.images.values()]
    backends = dict.fromkeys(str(content["Backend"]) for content in contents if "Backend" in content)
    tools = dict.fromkeys(
        f"{name} {version}"
        for content in contents
        if isinstance(content.get("Tools"), dict)
        for name, version in content["Tools"].items()
    )
    return [("Backend", ", ".join(backends) or "n/a"), ("Tools", ", ".join(tools) or "n/a")]


def _images_table(context: SubjectContext, case: PreparedCase) -> Table:
    rows = []
    for role in reading_order(case.images):
        content = sidecar(case.images[role])
        sources = strings(content.get("Sources"))
        raw = [uri.removeprefix("bids:raw:") for uri in sources if uri.startswith("bids:raw:")]
        tracer = " ".join(str(content[key]) for key in ("TracerName", "TracerRadionuclide") if content.get(key))
        prepared = case.images[role].relative_to(context.output_dir).as_posix()
        reason = str(content.get("SourceReason", "n/a"))
        cells = [role_of(role).title, "\n".join(raw or sources) or "n/a", reason, tracer or "n/a", prepared]
        rows.append([Cell(text, "muted" if text == "n/a" else "") for text in cells])
    columns = ["Image", "Source", "Why this file", "Tracer", "Prepared as"]
    return Table([Column(name) for name in columns], rows, f"Images that were used, {case.name}")


def _absent(case: PreparedCase) -> list[Block]:
    absent = [role.title for name, role in ROLES.items() if name not in case.images]
    return [Text(f"Not found or not used in {case.name}: {', '.join(absent)}.")] if absent else []


def _warnings(context: SubjectContext) -> list[str]:
    found = []
    for case in context.cases:
        for role, path in case.images.items():
            content = sidecar(path)
            found += [f"{case.name}, {role_of(role).title}: {line}" for line in strings(content.get("Notes"))]
    found += [f"{t.case_name}, {t.title}: {note}" for t in context.transforms if t.poor for note in t.notes]
    return list(dict.fromkeys(found))


def _methods_section(context: SubjectContext) -> Section | None:
    try:
        paragraphs, references = _methods(context)
    except SpectSynthError as error:
        return Section("methods", "Methods", [context.problem("Methods text", error)])
    if not paragraphs:
        return None
    hint = Text("This text may be copied into a manuscript; it describes what was done to this participant's images.")
    return Section("methods", "Methods", [hint, *map(Text, paragraphs), Items(references)])


def _methods(context: SubjectContext) -> tuple[list[str], list[tuple[str, str]]]:
    native = next((case for case in context.cases if case.space == T1W_SPACE), None)
    if native is None:
        return [], []
    mask, affine = context.whole_brain(native)
    facts = MethodFacts(
        version=software_version(context.output_dir),
        anatomy=sidecar(native.images[T1W]),
        shape=mask.shape,
        affine=affine,
        transforms=context.transforms,
        models=_cards(context),
        evaluated=any(synthetic.metrics for _, synthetic in context.synthetic),
        siscom=siscom_facts(context),
        mask=external_source(sidecar(native.masks[T1W])),
    )
    return methods_text(facts)


def _about_section(context: SubjectContext) -> Section:
    blocks: list[Block] = [Text(f"bids_spectsynth {software_version(context.output_dir)}")]
    run = latest_run(context.output_dir)
    settings = run / "settings.toml" if run is not None else None
    if settings is not None and settings.is_file():
        # Of a path the last name says which file or folder is meant.
        text = _FOLDERS.sub(r'"\1\2"', settings.read_text(encoding="utf-8", errors="replace"))
        blocks.append(Code(f"Settings of the last run ({settings.parent.name})", text))
    return Section("about", "About", blocks)


def _errors_section(context: SubjectContext, row: Mapping[str, str]) -> Section:
    # Sections made side by side meet them in no order.
    errors = sorted(dict.fromkeys(context.errors))
    if row.get("status") == "failed":
        errors.insert(0, row.get("reason", "failed"))
    blocks: list[Block] = [Items([(error, "") for error in errors])] if errors else [Text("No errors to report.")]
    run = latest_run(context.output_dir)
    for path in sorted(run.glob("*")) if run is not None else []:
        named = re.match(rf"(crash.*)?sub-{re.escape(context.participant)}(?![0-9A-Za-z+])", path.name)
        if named and path.is_file() and path.suffix in (".log", ".txt"):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
            blocks.append(Code(f"{path.relative_to(context.output_dir).as_posix()}", "\n".join(lines)))
    return Section("errors", "Errors", blocks)


#: Names of the sections that a reader can rate.
RATED_SECTIONS = ("brain-mask", "registration", "template", "synthesis", "siscom")
#: What the page shows before the errors, in order: what answers first, then what it rests on.
SECTIONS: tuple[Callable[[SubjectContext], Section | None], ...] = (
    glance_section,
    quality_section,
    viewer_section,
    foci_section,
    siscom_section,
    synthesis_section,
    asymmetry_section,
    metrics_section,
    residual_section,
    brain_mask_section,
    registration_section,
    template_section,
    correction_section,
    _summary_section,
    _methods_section,
    _about_section,
)
