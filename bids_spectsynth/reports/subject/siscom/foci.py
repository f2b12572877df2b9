"""The section of a subject's report with a part for each focus: where it is, how large, how sure, what to distrust."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.reports.context import Figure, SubjectContext, viewer_name
from bids_spectsynth.reports.html import Block, Cell, Column, Jump, Note, Part, Section, Table, Text, number, p_value
from bids_spectsynth.reports.pictures import statmaps
from bids_spectsynth.reports.pictures.mosaic import Title
from bids_spectsynth.reports.pictures.reportlets import GLANCE_WIDTH
from bids_spectsynth.reports.subject.images import SIDES
from bids_spectsynth.reports.subject.siscom.facts import SYNTHETIC_WARNING
from bids_spectsynth.reports.subject.siscom.results import (
    Point,
    Result,
    case_of,
    chosen,
    layer_name,
    results_of,
    scan_title,
    voxel_at,
)
from bids_spectsynth.reports.subject.siscom.table import Row, meaning_of_flag, peak_of, value_of
from bids_spectsynth.siscom.concordance import SAME_FOCUS_MM
from bids_spectsynth.siscom.group.results import SIGNIFICANT

#: Foci of the first baseline that have a part of their own, of each ictal scan: the first, and significant ones.
_MOST = 4
_SIDES = {"L": "left", "R": "right", "M": "midline"}
_SIGNS = {"hyper": "hyperperfusion", "hypo": "hypoperfusion"}
_CAUSES = {
    "sd_registration_percent": "Registration of both scans",
    "sd_noise_percent": "Noise",
    "sd_variation_percent": "Variation between two scans",
    "sd_resolution_percent": "Difference in resolution",
    "sd_synthesis_percent": "Error of the synthetic image",
}
_INTRO = (
    "The first focus of the first baseline, others of it that are more than the scans produce without a seizure, what "
    "other baselines have at the same place, and the first focus of another baseline that lies elsewhere and is more "
    "than chance. All others stand in the tables of the section SISCOM. A focus is "
    "no diagnosis: it is to be read with the EEG, the seizure and the MRI."
)


@dataclass(frozen=True, eq=False)
class _Focus:
    """A focus, the comparison that it is of, and what other baselines of the scan have there."""

    result: Result
    row: Row
    peak: Point
    others: Sequence[tuple[Result, Row | None]] = field(default=())

    @property
    def place(self) -> str:
        return place_of(self.row)

    @property
    def name(self) -> str:
        return f"focus {self.row['rank']}"


def foci_section(context: SubjectContext) -> Section | None:
    """An overview and a part for each of the first foci of each ictal scan; None without any."""
    blocks: list[Block] = []
    for number_of_scan, scan in enumerate(context.once(results_of), start=1):
        foci = _selected(scan)
        if not foci:
            continue
        names = [f"focus-{number_of_scan}-{place}" for place in range(1, len(foci) + 1)]
        blocks.append(_overview(scan, foci, names))
        blocks += [_part(context, scan, one, name) for one, name in zip(foci, names, strict=True)]
    return Section("foci", "Foci", [Text(_INTRO), *blocks]) if blocks else None


def place_of(row: Mapping[str, str]) -> str:
    """``left temporal, Amygdala``: side, lobe and region of a focus as far as they are known."""
    side = _SIDES.get(row.get("side", ""), "")
    lobe, region = (row.get(name, "") for name in ("lobe", "region"))
    words = " ".join(word for word in (side, lobe) if word not in ("", "n/a", "nan"))
    return ", ".join(word for word in (words, region) if word not in ("", "n/a", "nan")) or "place unknown"


def _selected(scan: Sequence[Result]) -> list[_Focus]:
    """The first foci of the first baseline that has any, and of others the top focus where it lies elsewhere."""
    first = next((one for one in scan if one.foci), None)
    if first is None:
        return []
    top = first.top
    rows = [row for row in first.foci or [] if row is top or value_of(row, "p_corrected") < SIGNIFICANT]
    selected = [one for row in rows if (one := _focus(scan, first, row)) is not None][:_MOST]
    for other in scan:
        row = None if other is first else other.top
        if row is None or not value_of(row, "p_corrected") < SIGNIFICANT:
            continue
        focus = _focus(scan, other, row)
        # Far from all that is shown with the same sign: it would be overlooked.
        if focus is not None and not any(_same(row, shown.row) for shown in selected):
            selected.append(focus)
    return selected


def _focus(scan: Sequence[Result], result: Result, row: Row) -> _Focus | None:
    peak = peak_of(row)
    if peak is None:
        return None
    others = [(one, next((r for r in one.foci or [] if _same(row, r)), None)) for one in scan if one is not result]
    return _Focus(result, row, peak, others)


def _same(row: Mapping[str, str], other: Mapping[str, str]) -> bool:
    one, two = peak_of(row), peak_of(other)
    if one is None or two is None or row["sign"] != other["sign"]:
        return False
    return math.dist(one, two) <= SAME_FOCUS_MM


def _overview(scan: Sequence[Result], foci: Sequence[_Focus], names: Sequence[str]) -> Table:
    labels = [one.found.label for one in scan]
    rows = []
    for one, name in zip(foci, names, strict=True):
        ranks = {one.result.found.label: one.row["rank"]}
        ranks |= {other.found.label: row["rank"] for other, row in one.others if row is not None}
        p = value_of(one.row, "p_corrected")
        rows.append([
            Cell(f"{one.name.capitalize()}, {one.result.found.label}", href=f"#{name}"),
            Cell(_SIGNS.get(one.row["sign"], one.row["sign"])),
            Cell(one.place),
            Cell(number(value_of(one.row, "volume_ml"), 1)),
            Cell(number(value_of(one.row, "z_max"), 1)),
            Cell(p_value(p), "best" if p < SIGNIFICANT else "muted"),
            *(Cell(ranks.get(label, "–"), "" if label in ranks else "muted") for label in labels),
        ])  # fmt: skip
    columns = [
        Column("Focus", "Its rank, and the baseline that it is of"),
        Column("Sign"),
        Column("Place"),
        Column("mL", numeric=True),
        Column("Peak z", numeric=True),
        Column("Corrected p", f"Bold below {SIGNIFICANT:g}", numeric=True),
        *(Column(f"in {label}", f"Rank of the focus there, within {SAME_FOCUS_MM:g} mm", True) for label in labels),
    ]
    return Table(columns, rows, f"{scan_title(scan[0].found)}: overview.", sortable=False)


def _part(context: SubjectContext, scan: Sequence[Result], focus: _Focus, name: str) -> Part:
    result = focus.result
    title = f"{focus.name.capitalize()}: {focus.place} – {_SIGNS.get(focus.row['sign'], '')}, {result.baseline}"
    if len(context.once(results_of)) > 1:
        title += f", {scan_title(result.found)}"
    blocks: list[Block] = [_picture(context, scan, focus, name), _facts(focus)]
    blocks += [*_caveats(focus), _budget(focus), *_elsewhere(focus)]
    return Part(name, title, blocks)


def _picture(context: SubjectContext, scan: Sequence[Result], focus: _Focus, name: str) -> Block:
    found = focus.result.found
    case = case_of(context.cases, found)
    if case is None:
        return Note("There is no prepared T1w image to show it on.", "warning", "Missing")
    entities, _, _ = parse_name(found.clusters.name)
    own = {**entities, "ses": found.session or "", "desc": f"{entities['desc']}{name.title().replace('-', '')}"}
    at = ",".join(f"{value:g}" for value in focus.peak)
    jump = Jump(at, layer_name(found, "z"), viewer_name(case))
    alt = f"{focus.name.capitalize()} in three planes, {focus.result.baseline}"
    return context.picture(case, Figure(own, "statmap", alt, partial(_draw, context, case, scan, focus), jump))


def _draw(context: SubjectContext, case: PreparedCase, scan: Sequence[Result], focus: _Focus) -> tuple[bytes, str]:
    shown = [focus.result, *(one for one in chosen(scan) if one is not focus.result)][:2]
    caption = f"Lines lead to the peak. Colours as in the first picture of the page. {SIDES}"
    return planes_of(context, case, shown, focus.peak, f"{case.name}: {focus.name}, {focus.place}"), caption


def planes_of(
    context: SubjectContext, case: PreparedCase, shown: Sequence[Result], peak: Point | None, title: str
) -> bytes:
    """z maps of some baselines in three planes through one point of the T1w's world.

    Parameters
    ----------
    context : SubjectContext
    case : PreparedCase
    shown : sequence of Result
        Of one ictal scan.
    peak : tuple of float, or None
        mm; the middle of the brain for None.
    title : str
    """
    mask, affine = context.brain(case)
    maps = [one.map(context, case, f"minus\n{one.found.label}") for one in shown]
    warning = SYNTHETIC_WARNING if any(one.synthetic for one in maps) else ""
    at = voxel_at(peak, mask, affine)
    return statmaps.peak_planes(
        context.image(case, "T1w"), maps, mask, affine, at=at, title=Title(title, warning), width=GLANCE_WIDTH
    )


def _facts(focus: _Focus) -> Table:
    row, peak = focus.row, ", ".join(number(value, 0) for value in focus.peak)
    distance = value_of(row, "region_distance_mm")
    region = row.get("region", "n/a") + (f" ({distance:.0f} mm off)" if distance > 0 else "")
    heights = [
        f"{name} {number(value, 1)}"
        for name in ("z", "znull", "zcohort")
        if math.isfinite(value := value_of(row, f"{name}_max"))
    ]
    facts = [
        ("Side", _SIDES.get(row.get("side", ""), row.get("side", "n/a"))),
        ("Lobe", row.get("lobe", "n/a")),
        ("Region", region),
        ("Volume", f"{number(value_of(row, 'volume_ml'), 1)} mL"),
        ("Peak", f"x, y, z = {peak} mm (T1w)"),
        ("Height of the peak", ", ".join(heights) or "n/a"),
        ("Change at the peak", f"{number(value_of(row, 'percent_max'), 1)} % of the brain mean"),
        ("Corrected p", p_value(value_of(row, "p_corrected"))),
        ("Rank", row["rank"]),
    ]
    rows = [[Cell(name, "muted"), Cell(value)] for name, value in facts]
    return Table([Column("What"), Column("Value")], rows, sortable=False)


def _caveats(focus: _Focus) -> list[Block]:
    flags = [flag for flag in focus.row.get("flags", "").split(",") if flag not in ("", "n/a", "nan")]
    notes: list[Block] = []
    p = value_of(focus.row, "p_corrected")
    if not p < SIGNIFICANT:
        text = f"Corrected p {p_value(p)}: such a finding is not rare without a seizure."
        notes.append(Note(text, "warning", "May be chance"))
    if focus.result.synthetic:
        notes.append(Note(f"{SYNTHETIC_WARNING}.", "danger", "Synthetic baseline"))
    # That the corrected p is not below its level has been said.
    return notes + [Note(meaning_of_flag(flag), "warning", flag) for flag in flags if flag != "within-null"]


def _budget(focus: _Focus) -> Table:
    change = abs(value_of(focus.row, "percent_max"))
    rows = []
    for column, cause in _CAUSES.items():
        value = value_of(focus.row, column)
        if math.isfinite(value):
            rows.append([Cell(cause), Cell(number(value, 1)), Cell(number(change / value if value else math.nan, 1))])
    columns = [
        Column("Cause"),
        Column("One SD, %", "What it can produce at the peak without a seizure, % of the brain mean", True),
        Column("Change over it", "The change at the peak, in such standard deviations", True),
    ]
    return Table(columns, rows, "Error budget.", sortable=False)


def _elsewhere(focus: _Focus) -> list[Block]:
    rows = []
    for other, row in focus.others:
        name = other.found.label + (" (SYNTHETIC)" if other.synthetic else "")
        if other.foci is None or row is None:
            nothing = "table cannot be read" if other.foci is None else "nothing there"
            rows.append([Cell(name), Cell(nothing, "muted"), *(Cell("–", "muted") for _ in range(3))])
            continue
        peak = peak_of(row)
        apart = math.dist(peak, focus.peak) if peak else math.nan
        p = value_of(row, "p_corrected")
        rows.append([
            Cell(name),
            Cell(f"focus {row['rank']}"),
            Cell(number(apart, 0)),
            Cell(number(value_of(row, "z_max"), 1)),
            Cell(p_value(p), "best" if p < SIGNIFICANT else "muted"),
        ])  # fmt: skip
    columns = [
        Column("Baseline"),
        Column("At this place", f"Focus of the same sign whose peak is at most {SAME_FOCUS_MM:g} mm away"),
        Column("mm away", numeric=True),
        Column("Peak z", numeric=True),
        Column("Corrected p", numeric=True),
    ]
    return [Table(columns, rows, "What other baselines have here.", sortable=False)] if rows else []
