"""The group report: ``group.html``, from what lies in the output folder."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.output_files import (
    GroupTable,
    group_figures,
    group_page,
    group_table_path,
    is_phantom,
    models_folder,
    read_table,
    selection_file,
    software_version,
)
from bids_spectsynth.bids.participants import FLAGS, rating_advice, read_participants, to_be_rated
from bids_spectsynth.bids.sidecars import read_object, sidecar, strings
from bids_spectsynth.bids.transforms import find_transforms
from bids_spectsynth.bids.writing import write_text
from bids_spectsynth.errors import SpectSynthError, reason_of
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.figures.bland_altman import PREFIX as AGREEMENT_PREFIX
from bids_spectsynth.evaluation.group.mixed_inputs import mixed_harmonising
from bids_spectsynth.evaluation.group.usable import left_out_of_statistics
from bids_spectsynth.reports.group.bland_altman import agreement_section
from bids_spectsynth.reports.group.calibration import calibration_section
from bids_spectsynth.reports.group.glance import glance_section
from bids_spectsynth.reports.group.leads import LEADS, RESIDUAL, RMSE
from bids_spectsynth.reports.group.lesions import left_out_notes, lesions_section
from bids_spectsynth.reports.group.paper import (
    paper_comparisons_section,
    paper_examples_section,
    paper_tables_section,
)
from bids_spectsynth.reports.group.quality import outliers_section, ratings_section
from bids_spectsynth.reports.group.siscom import PREFIX as SISCOM_PREFIX
from bids_spectsynth.reports.group.siscom import siscom_section
from bids_spectsynth.reports.group.tables import (
    lead_table,
    models_table,
    registration_table,
    summary_tables,
)
from bids_spectsynth.reports.group.tests import tests_section
from bids_spectsynth.reports.group.verdicts import verdicts
from bids_spectsynth.reports.html import Block, Cell, Column, Items, Note, Page, Picture, Section, Table, Text
from bids_spectsynth.reports.rendering import render
from bids_spectsynth.reports.wording import FOOTER, PHANTOM_TEXT

_AS_BASELINE = (
    "As the baseline of a SISCOM, an image must leave little when it is taken from the real interictal SPECT: the "
    "smoothed residual of a held-out head has no focus, and whatever stands out in it would look like one. A low RMSE "
    "does not show that it is small."
)
#: Rows beyond which a table of details is folded.
LONG_TABLE = 24
_SPLITS = ("train", "validation", "test", "cross-validated", "excluded", "external", "n/a")
_BLOCK = (
    "Only the block of slices with the most brain is counted, as many slices of each participant as training takes "
    "(in_block in group_metrics.tsv), as in the article."
)
_CAVEATS = (
    "A synthetic SPECT is an estimate from other images of the same head. It is no measurement and not for diagnosis.",
    "Whole-slice SSIM and PSNR depend on the share of background and on the data range; numbers of two studies cannot "
    "be compared without both.",
    "A model that does not beat its baselines has not been shown to add anything to them.",
    "Means over slices give subjects with more slices more weight; tests over slices take slices of one head as "
    "independent.",
    "A small mean error does not show that small lesions or asymmetries are kept; look at the images.",
    "Numbers from few held-out subjects vary much with the choice of those subjects.",
)


@dataclass(eq=False)
class _GroupContext:
    output_dir: Path
    errors: list[str] = field(default_factory=list)

    def table(self, name: GroupTable) -> pd.DataFrame | None:
        """A table of the group level; None where it was not written or cannot be read."""
        path = group_table_path(self.output_dir, name)
        if not path.is_file():
            return None
        try:
            return read_table(path)
        except (ValueError, OSError) as error:
            self.errors.append(f"{path.name}: {error}")
            return None


def group_report(output_dir: Path) -> Path:
    """Write the group report; parts whose tables were not written are left out.

    Parameters
    ----------
    output_dir : Path
        Holds ``participants.tsv``, the subjects' folders, and, after an evaluation, ``group_summary.tsv``,
        ``group_ttests.tsv``, their JSON dictionaries and ``figures/*.svg``.

    Returns
    -------
    Path
        ``group.html`` in the output folder.
    """
    context = _GroupContext(output_dir)
    sections = [section for maker in SECTIONS if (section := _guarded(context, maker)) is not None]
    sections.append(_caveats_section())
    if context.errors:
        sections.append(Section("errors", "Errors", [Items([(error, "") for error in dict.fromkeys(context.errors)])]))
    banners = [Note(PHANTOM_TEXT, "warning", "Phantom data")] if is_phantom(output_dir) else []
    chosen = strings(read_object(selection_file(output_dir)).get("Participants"))
    if chosen:
        text = f"Tables, tests and figures are of {', '.join(chosen)} alone (--participant-label)."
        banners.append(Note(text, "warning", "Some participants only:"))
    page = Page("Group report", f"bids_spectsynth {software_version(output_dir)}", sections, banners, FOOTER)
    path = group_page(output_dir)
    write_text(path, render(page))
    return path


def _of_output(maker: Callable[[Path], Section | None]) -> Callable[[_GroupContext], Section | None]:
    """A section that reads the output folder itself."""

    @wraps(maker)
    def section(context: _GroupContext) -> Section | None:
        return maker(context.output_dir)

    return section


def _guarded(context: _GroupContext, maker: Callable[[_GroupContext], Section | None]) -> Section | None:
    # A table that someone edited, or of another version, must not take the other sections with it.
    try:
        return maker(context)
    except Exception as error:
        context.errors.append(f"{maker.__name__.strip('_').replace('_', ' ')}: {reason_of(error)}")
        return None


def _participants(context: _GroupContext) -> pd.DataFrame:
    try:
        return read_participants(context.output_dir)
    except SpectSynthError as error:
        context.errors.append(str(error))
        return pd.DataFrame(columns=["participant_id", "split", "status", "reason"], dtype=str)


def _verdicts_section(context: _GroupContext) -> Section | None:
    """What to take from the page: models against their baselines, by what they lead by."""
    summary, ttests = context.table("summary"), context.table("ttests")
    if summary is None or summary.empty:
        return None
    notes = [note for lead in LEADS for note in verdicts(summary, ttests, lead)]
    return Section("verdicts", "Verdicts", notes) if notes else None


def _cohort_section(context: _GroupContext) -> Section:
    people = _participants(context)
    if people.empty:
        return Section("cohort", "Cohort", [Note("There is no participants.tsv in the output folder.", "warning")])
    counts = people.groupby(["split", "status"]).size()
    statuses = [status for status in ("ok", "skipped", "failed", "stopped") if status in set(people["status"])]
    statuses += sorted(set(people["status"]) - set(statuses))
    splits = [split for split in _SPLITS if split in set(people["split"])]
    splits += sorted(set(people["split"]) - set(splits))
    rows = []
    for split in splits:
        numbers = [int(counts.get((split, status), 0)) for status in statuses]
        rows.append([Cell(split), *(Cell(str(n)) for n in numbers), Cell(str(sum(numbers)))])
    totals = [Cell(str(int((people["status"] == status).sum())), "best") for status in statuses]
    rows.append([Cell("all", "best"), *totals, Cell(str(len(people)), "best")])
    columns = [Column("Part in training"), *(Column(status, numeric=True) for status in statuses)]
    blocks: list[Block] = [Table([*columns, Column("all", numeric=True)], rows, "Participants.")]
    left_out = people[people["status"] != "ok"]
    if len(left_out):
        cells = [
            [Cell(row["participant_id"]), Cell(row["status"], _tone(row["status"])), Cell(row["reason"])]
            for row in left_out.to_dict("records")
        ]
        columns = [Column("Participant"), Column("Status"), Column("Reason")]
        blocks.append(Table(columns, cells, "Participants that were skipped, failed, or stopped with their run."))
    flagged = people[people[FLAGS] != "n/a"] if FLAGS in people else people.iloc[:0]
    if len(flagged):
        cells = [
            [Cell(row["participant_id"], href=_links(context).get(row["participant_id"], "")), Cell(row[FLAGS], "bad")]
            for row in flagged.to_dict("records")
        ]
        columns = [Column("Participant"), Column("Quality flags")]
        blocks.append(Table(columns, cells, "Participants with doubtful images."))
    waiting = to_be_rated(context.output_dir)
    if waiting:
        blocks.append(Note(rating_advice(waiting), "warning", "Not rated yet"))
    blocks += [Note(line, "warning", "Mixed inputs") for line in mixed_harmonising(context.output_dir)]
    stale = left_out_of_statistics(context.output_dir)
    if stale:
        blocks.append(Items([(line, "") for line in stale]))
    return Section("cohort", "Cohort", blocks)


def _tone(status: str) -> str:
    return {"failed": "bad", "ok": "good"}.get(status, "muted")


def _links(context: _GroupContext) -> dict[str, str]:
    """Reports of the subjects by participant, as file names."""
    return {path.stem: path.name for path in sorted(context.output_dir.glob("sub-*.html"))}


def _registration_section(context: _GroupContext) -> Section:
    transforms = find_transforms(context.output_dir)
    reports = _links(context)
    links = {t.case_name: reports.get(t.case_name.partition("_")[0], "") for t in transforms}
    poor = sum(transform.poor for transform in transforms)
    if not transforms:
        note = Note("There are no registrations in the output folder.", "warning")
    elif poor:
        note = Note(
            f"{poor} of {len(transforms)} registrations are flagged; look at them.", "danger", "Poor registration"
        )
    else:
        note = Note(f"None of {len(transforms)} registrations is flagged. Look at the figures all the same.", "good")
    table = registration_table(transforms, links)
    # Many rows that nobody needs to look at stay folded.
    folded = not poor and len(table.rows) > LONG_TABLE
    return Section("registration", "Registration quality", [note, replace(table, folded=folded, tall=True)])


def _models_section(context: _GroupContext) -> Section | None:
    root = models_folder(context.output_dir)
    # The networks of an ensemble lie one folder deeper.
    paths = sorted([*root.glob("*/model.json"), *root.glob("*/*/model.json")])
    cards = {path.parent.relative_to(root).as_posix(): read_object(path) for path in paths}
    return Section("models", "Models", [models_table(cards)]) if cards else None


def _summary_section(context: _GroupContext) -> Section | None:
    summary = context.table("summary")
    if summary is None:
        return None
    if summary.empty:
        text = "No held-out participant was evaluated, so there is nothing to summarise."
        return Section("summary", "Agreement with the real SPECT", [Note(text, "warning")])
    dictionary = sidecar(group_table_path(context.output_dir, "summary"))
    intro = (
        "Held-out participants only. Intensities are scaled to -1 to 1. Numbers over whole slices can be compared with "
        "the article; background raises SSIM and PSNR and lowers RMSE, so the in-brain numbers are the ones to judge "
        f"by. They are taken where the SPECT was measured. {_BLOCK}"
    )
    tables = [replace(one, folded=len(one.rows) > LONG_TABLE) for one in summary_tables(summary, dictionary)]
    blocks: list[Block] = [Text(intro), *left_out_notes(context.table("lesions"))]
    for lead in LEADS:
        if lead is RMSE or len(lead.of(summary)):
            blocks += [Text(_AS_BASELINE)] if lead is RESIDUAL else []
            blocks.append(lead_table(summary, lead))
    return Section("summary", "Agreement with the real SPECT", [*blocks, *tables])


def _tests_section(context: _GroupContext) -> Section | None:
    ttests = context.table("ttests")
    if ttests is None:
        return None
    return tests_section(ttests, sidecar(group_table_path(context.output_dir, "ttests")), _BLOCK)


def _figures_section(context: _GroupContext) -> Section | None:
    metrics = {f"group_{name}": metric for name, metric in METRICS.items()}
    found = {path.stem: path for path in sorted(group_figures(context.output_dir).glob("group_*.svg"))}
    found = {stem: path for stem, path in found.items() if not stem.startswith((AGREEMENT_PREFIX, SISCOM_PREFIX))}
    # In-brain metrics first, then the rest as named.
    in_brain = {stem for stem, metric in metrics.items() if metric.region == "brain"}
    ordered = sorted(found, key=lambda stem: (stem not in in_brain, stem not in metrics, stem))
    blocks: list[Block] = [Text(f"Held-out participants. {_BLOCK}")] if ordered else []
    for stem in ordered:
        svg = found[stem].read_text(encoding="utf-8")
        href = found[stem].relative_to(context.output_dir).as_posix()
        title = metrics[stem].axis_title if stem in metrics else ""
        blocks.append(Picture(svg, title or stem, title, href, narrow=True))
    return Section("figures", "Distributions", blocks) if blocks else None


def _caveats_section() -> Section:
    return Section("caveats", "How to read these numbers", [Items([(caveat, "") for caveat in _CAVEATS])])


#: What the page shows before the caveats, in order.
SECTIONS: tuple[Callable[[_GroupContext], Section | None], ...] = (
    _verdicts_section,
    _of_output(glance_section),
    _of_output(ratings_section),
    _of_output(outliers_section),
    _cohort_section,
    _registration_section,
    _models_section,
    _summary_section,
    _of_output(lesions_section),
    _tests_section,
    _of_output(paper_tables_section),
    _of_output(paper_comparisons_section),
    _of_output(paper_examples_section),
    _of_output(agreement_section),
    _of_output(calibration_section),
    _of_output(siscom_section),
    _figures_section,
)
