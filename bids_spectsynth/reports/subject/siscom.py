"""The section of a subject's report on SISCOM: each ictal scan against each of its baselines."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.sidecars import as_number, sidecar
from bids_spectsynth.errors import ImageError, SpectSynthError
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.reports.context import Figure, SubjectContext
from bids_spectsynth.reports.html import Block, Cell, Column, Heading, Note, Section, Table, Text, number
from bids_spectsynth.reports.pictures import statmaps
from bids_spectsynth.reports.pictures.mosaic import Title
from bids_spectsynth.reports.plain_table import plain_table, read_plain
from bids_spectsynth.reports.reading import read_on_grid
from bids_spectsynth.reports.subject.images import SIDES
from bids_spectsynth.reports.subject.siscom_facts import (
    KINDS,
    SYNTHETIC_WARNING,
    Facts,
    baseline_title,
    cautions,
    fact_rows,
    is_seen,
    is_synthetic,
    kind_of,
)
from bids_spectsynth.reports.subject.siscom_foci import budget_table, foci_tables, meanings
from bids_spectsynth.siscom.outputs.paths import PREFIX, Found, Statistic, concordance_path, find_siscom, map_path

_INTRO = (
    "What the ictal SPECT shows more (hyperperfusion) or less (hypoperfusion) than an image of the brain without a "
    "seizure, its baseline. A focus is no diagnosis: it is to be read with the EEG, the seizure and the MRI. Foci are "
    "ranked by their peak; where the corrected p is not below 0.05, such a finding is not rare without a seizure."
)
#: Threshold of a picture whose sidecar is lost: the usual one.
_THRESHOLD = 2.0


@dataclass(frozen=True, eq=False)
class _Result:
    """One comparison with what its files say; ``foci`` is None where the table cannot be read."""

    found: Found
    facts: Facts
    foci: pd.DataFrame | None

    @property
    def title(self) -> str:
        return f"{scan_title(self.found)} minus {baseline_title(self.facts, self.found.label)}"

    @property
    def threshold(self) -> float:
        value = as_number(self.facts.get("Threshold"))
        return value if math.isfinite(value) and value > 0 else _THRESHOLD


def siscom_section(context: SubjectContext) -> Section | None:
    """Pictures, foci and facts of each ictal scan and baseline, and how the baselines agree; None without any."""
    found = comparisons(context)
    lost = list(_lost_tables(context, {one.clusters for one in found}))
    if not found and not lost:
        return None
    blocks: list[Block] = [Text(_INTRO), *lost]
    for _, group in groupby(found, key=lambda one: (one.session, one.ictal)):
        scans = list(group)
        for one in scans:
            blocks += _result_blocks(context, one)
        blocks += _concordance(context, scans[0])
    return Section("siscom", "SISCOM", [*blocks, *([meanings()] if found else [])])


def siscom_facts(context: SubjectContext) -> list[tuple[str, Facts]]:
    """Label of the baseline and sidecar of the difference map of each comparison, for the methods text."""
    return [(one.label, facts_of(one)) for one in comparisons(context)]


def facts_of(found: Found) -> Facts:
    """The sidecar of the difference map of a comparison."""
    return sidecar(map_path(found.clusters, found.label, "difference"))


def comparisons(context: SubjectContext) -> list[Found]:
    """All comparisons of a participant, by ictal scan, then by kind of baseline."""

    def place(found: Found) -> tuple[str, str, int, str]:
        return found.session or "", found.ictal, KINDS.index(kind_of(facts_of(found), found.label)), found.label

    return sorted(find_siscom(context.output_dir, context.participant), key=place)


def scan_title(found: Found) -> str:
    """``Ictal SPECT (ses-2, run-1)``: the scan, with what tells it from others in its name.

    Parameters
    ----------
    found : Found
    """
    parts = [part for part in found.ictal.split("_") if not part.startswith(("sub-", "task-"))]
    return "Ictal SPECT" + (f" ({', '.join(parts)})" if parts else "")


def layer_name(found: Found, statistic: Statistic) -> str:
    """Name of a map in the viewer."""
    return f"{found.ictal}-{found.label}-{statistic}"


def viewer_name(case: PreparedCase) -> str:
    """Name of the viewer of a case, once in a page."""
    return f"viewer-{case.name}"


def _lost_tables(context: SubjectContext, tables: set[Path]) -> Iterator[Block]:
    """Notes on difference maps whose table of foci is gone."""
    folder = context.output_dir / f"sub-{context.participant}"
    end = "_stat-difference_statmap.nii.gz"
    name = f"*_desc-{PREFIX}*{end}"
    for path in sorted([*folder.glob(f"spect/{name}"), *folder.glob(f"ses-*/spect/{name}")]):
        if path.with_name(path.name.removesuffix(end) + "_clusters.tsv") not in tables:
            yield context.problem(f"Foci of {path.name}", ImageError("the table of clusters is missing; run it again"))


def _result_blocks(context: SubjectContext, found: Found) -> list[Block]:
    blocks: list[Block] = []
    facts = facts_of(found)
    if not facts:
        path = map_path(found.clusters, found.label, "difference")
        error = ImageError("its sidecar is missing or damaged; run it again")
        blocks.append(context.problem(f"Facts of {path.name}", error))
    try:
        foci = read_plain(found.clusters)
        case = case_of(context, found)
        name, viewer = layer_name(found, "z"), viewer_name(case) if case else ""
        dictionary = sidecar(found.clusters)
        tables = [*foci_tables(foci, dictionary, layer=name, viewer=viewer), budget_table(foci, dictionary)]
    except SpectSynthError as error:
        foci, tables = None, []
        blocks.append(context.problem(f"Foci of {found.clusters.name}", error))
    result = _Result(found, facts, foci)
    start: list[Block] = [Heading(result.title)]
    if is_synthetic(facts, found.label):
        start.append(Note(f"{SYNTHETIC_WARNING}.", "danger", "Synthetic baseline"))
    if is_seen(facts):
        text = "The model behind the baseline has learned from this participant: no test of what it is worth."
        start.append(Note(text, "warning", "Seen in training"))
    start += [Note(text, "warning", "Note") for text in cautions(facts)]
    if foci is not None and not any(table.rows for table in tables):
        start.append(Note(f"No cluster lies beyond z {result.threshold:g}."))
    return [*start, *blocks, _picture(context, result), *tables, *_facts_table(facts, found.label)]


def _facts_table(facts: Facts, label: str) -> list[Block]:
    if not facts:
        return []
    rows = [[Cell(name, "muted"), Cell(value)] for name, value in fact_rows(facts, label)]
    return [Table([Column("What"), Column("Value")], rows, "How it was made.", sortable=False)]


def _picture(context: SubjectContext, result: _Result) -> Block:
    found = result.found
    case = case_of(context, found)
    if case is None:
        error = ImageError("there is no prepared T1w image to show it on")
        return context.problem(f"Map of {found.clusters.name}", error)
    entities, _, _ = parse_name(found.clusters.name)
    own = {**entities, "ses": found.session or ""}
    return context.picture(case, Figure(own, "statmap", result.title, partial(_draw, context, case, result)))


def case_of(context: SubjectContext, found: Found) -> PreparedCase | None:
    """The prepared case of an ictal scan, which may lie in another session than its T1w."""
    native = [case for case in context.cases if case.space == T1W_SPACE]
    stem = f"{found.ictal}_space-"
    owners = [case for case in native if any(path.name.startswith(stem) for path in case.images.values())]
    same = [case for case in native if case.session == found.session]
    return next(iter([*owners, *same, *native]), None)


def _draw(context: SubjectContext, case: PreparedCase, result: _Result) -> tuple[str, str]:
    found, threshold = result.found, result.threshold
    mask, affine = context.brain(case)
    t1w = context.image(case, "T1w")
    values = read_on_grid(map_path(found.clusters, found.label, "z"), mask.shape)
    place, name, sign = _shown_point(result.foci)
    at = _centre(mask) if place is None else np.rint(np.linalg.solve(affine, [*place, 1.0])[:3]).astype(int)
    i, j, k = (int(np.clip(voxel, 0, size - 1)) for voxel, size in zip(at, mask.shape, strict=True))
    title = Title(
        f"{found.ictal}: {result.title}", SYNTHETIC_WARNING if is_synthetic(result.facts, found.label) else ""
    )
    label = "Through\nthe middle" if place is None else f"Through\n{name}"
    svg = statmaps.thresholded_map(
        t1w, values, mask, affine, threshold=threshold, at=(i, j, k), label=label, title=title
    )
    where = "The lines meet in the middle of the brain." if place is None else (
        f"The lines meet at the peak of the first-ranked focus of {sign}perfusion ({name}), x, y, z = "
        f"{', '.join(number(value, 0) for value in place)} mm."
    )  # fmt: skip
    return svg, (
        f"z map (ictal minus baseline, over its own standard deviation) on the T1w. Red to white: hyperperfusion from "
        f"z {threshold:g} on; blue to white: hypoperfusion from z −{threshold:g} on. The colours end at ±"
        f"{statmaps.LIMIT:g} in every picture. Clusters too small for the table are shown too. {where} {SIDES}"
    )


def _shown_point(foci: pd.DataFrame | None) -> tuple[tuple[float, float, float] | None, str, str]:
    """Peak of the first-ranked focus of hyperperfusion, else of hypoperfusion, with its name and sign."""
    for sign in ("hyper", "hypo") if foci is not None else ():
        rows: Sequence[dict[Any, Any]] = [] if foci is None else foci[foci["sign"] == sign].to_dict("records")
        for row in sorted(rows, key=lambda row: _number(row["rank"])):
            x, y, z = (_number(row.get(name, "n/a")) for name in ("x_mm", "y_mm", "z_mm"))
            if math.isfinite(x + y + z):
                return (x, y, z), f"focus {row['rank']}", sign
    return None, "", ""


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan


def _centre(mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.argwhere(mask).mean(axis=0).round().astype(int) if mask.any() else np.array(mask.shape) // 2


def _concordance(context: SubjectContext, found: Found) -> list[Block]:
    path = concordance_path(found.clusters)
    if not path.exists():
        return []
    title = f"Agreement of the baselines, {scan_title(found)}"
    try:
        return [Heading(title), plain_table(path, "Pairs of baselines of the same ictal scan.")]
    except SpectSynthError as error:
        return [Heading(title), context.problem(path.name, error)]
