"""The section of a subject's report on SISCOM: each ictal scan against each of its baselines."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.errors import ImageError, SpectSynthError
from bids_spectsynth.reports.context import Figure, SubjectContext, viewer_name
from bids_spectsynth.reports.html import Block, Cell, Column, Fold, Heading, Jump, Note, Section, Table, Text, number
from bids_spectsynth.reports.pictures import statmaps
from bids_spectsynth.reports.pictures.mosaic import Title
from bids_spectsynth.reports.plain_table import plain_table
from bids_spectsynth.reports.subject.images import SIDES
from bids_spectsynth.reports.subject.siscom.facts import SYNTHETIC_WARNING, Facts, cautions, fact_rows
from bids_spectsynth.reports.subject.siscom.results import Result, case_of, layer_name, results_of, scan_title, voxel_at
from bids_spectsynth.reports.subject.siscom.table import budget_table, foci_tables, meanings, peak_of
from bids_spectsynth.siscom.outputs.paths import PREFIX, concordance_path, map_path

_INTRO = (
    "What the ictal SPECT shows more (hyperperfusion) or less (hypoperfusion) than an image of the brain without a "
    "seizure, its baseline. A focus is no diagnosis: it is to be read with the EEG, the seizure and the MRI. Foci are "
    "ranked by their peak; where the corrected p is not below 0.05, such a finding is not rare without a seizure."
)


def siscom_section(context: SubjectContext) -> Section | None:
    """Pictures, foci and facts of each ictal scan and baseline, and how the baselines agree; None without any.

    Baselines after the first of a scan are folded.
    """
    scans = context.once(results_of)
    lost = list(_lost_tables(context, {one.found.clusters for scan in scans for one in scan}))
    if not scans and not lost:
        return None
    blocks: list[Block] = [Text(_INTRO), *lost]
    for scan in scans:
        first, *others = scan
        blocks += [Heading(first.title), *_result_blocks(context, first)]
        blocks += [Fold(one.title, _result_blocks(context, one)) for one in others]
        blocks += _concordance(context, first)
    return Section("siscom", "SISCOM", [*blocks, *([meanings()] if scans else [])])


def siscom_facts(context: SubjectContext) -> list[tuple[str, Facts]]:
    """Label of the baseline and sidecar of the difference map of each comparison, for the methods text."""
    return [(one.found.label, one.facts) for scan in context.once(results_of) for one in scan]


def _lost_tables(context: SubjectContext, tables: set[Path]) -> Iterator[Block]:
    """Notes on difference maps whose table of foci is gone."""
    folder = context.output_dir / f"sub-{context.participant}"
    end = "_stat-difference_statmap.nii.gz"
    name = f"*_desc-{PREFIX}*{end}"
    for path in sorted([*folder.glob(f"spect/{name}"), *folder.glob(f"ses-*/spect/{name}")]):
        if path.with_name(path.name.removesuffix(end) + "_clusters.tsv") not in tables:
            yield context.problem(f"Foci of {path.name}", ImageError("the table of clusters is missing; run it again"))


def _result_blocks(context: SubjectContext, result: Result) -> list[Block]:
    found, blocks = result.found, _warnings(result)
    if not result.facts:
        path = map_path(found.clusters, found.label, "difference")
        error = ImageError("its sidecar is missing or damaged; run it again")
        blocks.append(context.problem(f"Facts of {path.name}", error))
    tables: list[Table] = []
    if result.foci is None:
        blocks.append(context.problem(f"Foci of {found.clusters.name}", result.problem or ImageError("no table")))
    else:
        case = case_of(context.cases, found)
        name, viewer = layer_name(found, "z"), viewer_name(case) if case else ""
        dictionary = sidecar(found.clusters)
        tables = [
            *foci_tables(result.foci, dictionary, layer=name, viewer=viewer),
            budget_table(result.foci, dictionary),
        ]
        if not result.foci:
            blocks.append(Note(f"No cluster lies beyond z {result.threshold:g}."))
    return [*blocks, _picture(context, result), *tables, *_facts_table(result)]


def _warnings(result: Result) -> list[Block]:
    notes: list[Block] = []
    if result.synthetic:
        notes.append(Note(f"{SYNTHETIC_WARNING}.", "danger", "Synthetic baseline"))
    if result.seen:
        text = "The model behind the baseline has learned from this participant: no test of what it is worth."
        notes.append(Note(text, "warning", "Seen in training"))
    return notes + [Note(text, "warning", "Note") for text in cautions(result.facts)]


def _facts_table(result: Result) -> list[Block]:
    if not result.facts:
        return []
    rows = [[Cell(name, "muted"), Cell(value)] for name, value in fact_rows(result.facts, result.found.label)]
    table = Table([Column("What"), Column("Value")], rows, sortable=False)
    return [Fold("How it was made", [table])]


def _picture(context: SubjectContext, result: Result) -> Block:
    found = result.found
    case = case_of(context.cases, found)
    if case is None:
        error = ImageError("there is no prepared T1w image to show it on")
        return context.problem(f"Map of {found.clusters.name}", error)
    entities, _, _ = parse_name(found.clusters.name)
    own = {**entities, "ses": found.session or ""}
    jump = Jump(at_text(result), layer_name(found, "z"), viewer_name(case)) if result.top else None
    return context.picture(case, Figure(own, "statmap", result.title, partial(_draw, context, case, result), jump))


def at_text(result: Result) -> str:
    """The peak of its top focus as the page's viewer reads it; empty without one."""
    peak = peak_of(result.top) if result.top else None
    return ",".join(f"{value:g}" for value in peak) if peak else ""


def _draw(context: SubjectContext, case: PreparedCase, result: Result) -> tuple[bytes, str]:
    mask, affine = context.brain(case)
    t1w, threshold, top = context.image(case, "T1w"), result.threshold, result.top
    peak = peak_of(top) if top else None
    label = "Through\nthe middle" if top is None else f"Through\nfocus {top['rank']}"
    title = Title(f"{result.found.ictal}: {result.title}", SYNTHETIC_WARNING if result.synthetic else "")
    at = voxel_at(peak, mask, affine)
    picture = statmaps.thresholded_map(t1w, result.map(context, case, label), mask, affine, at=at, title=title)
    where = "The lines meet in the middle of the brain." if top is None or peak is None else (
        f"The lines meet at the peak of the first-ranked focus of {top['sign']}perfusion (focus {top['rank']}), "
        f"x, y, z = {', '.join(number(value, 0) for value in peak)} mm."
    )  # fmt: skip
    return picture, f"{map_caption(threshold)} Clusters too small for the table are shown too. {where} {SIDES}"


def map_caption(threshold: float) -> str:
    """What the colours of a map on the T1w mean."""
    return (
        f"z map (ictal minus baseline, over its own standard deviation) on the T1w. Red to white: hyperperfusion from "
        f"z {threshold:g} on; blue to white: hypoperfusion from z −{threshold:g} on. The colours end at ±"
        f"{statmaps.LIMIT:g} in every picture."
    )


def _concordance(context: SubjectContext, result: Result) -> Sequence[Block]:
    path = concordance_path(result.found.clusters)
    if not path.exists():
        return []
    title = f"Agreement of the baselines, {scan_title(result.found)}"
    try:
        return [Heading(title), plain_table(path, "Pairs of baselines of the same ictal scan.")]
    except SpectSynthError as error:
        return [Heading(title), context.problem(path.name, error)]
