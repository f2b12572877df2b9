"""The section of the group report on statistical tests: the primary test first, then all of them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bids_spectsynth.evaluation.case.metrics import Metric, Region, metrics_in
from bids_spectsynth.evaluation.case.volume_measures import BASELINE_SD, VOLUME_MEASURES, VolumeMeasure
from bids_spectsynth.evaluation.columns import UPTAKE_SCALE
from bids_spectsynth.evaluation.group.columns import COMPARISONS, NOT_INDEPENDENT, PRIMARY, TESTS, family_sizes
from bids_spectsynth.evaluation.statistics.paired_tests import ALPHA
from bids_spectsynth.reports.group.tables import count_range
from bids_spectsynth.reports.html import Block, Cell, Column, Heading, Note, Section, Table, Text, number, p_value
from bids_spectsynth.reports.wording import description, method_name

_TITLES = {
    "space": "Native against template space",
    "loss": "Losses",
    "inputs": "Inputs",
    "recipe": "Recipes, scalings and other options",
    "baseline": "Networks against their baselines",
}
_TEST_TITLES = {
    "subject_t": "t over subjects (primary)",
    "wilcoxon": "Wilcoxon over subjects",
    "equivalence": "Equivalence over subjects",
    "mixed": "Mixed model",
    "slice_t": "t over slices (the article's)",
}
_SLICE_WISE = (
    "The t-test over slices is as in the article; slices of one head are not independent: p-values too small, often by "
    "many orders of magnitude. Do not conclude from them that methods differ between subjects."
)
#: Rows without a finding that are folded away; fewer stay where they are.
_FOLDED_FROM = 4
_PAIR = ["configuration_a", "configuration_b", "method_b"]
Dictionary = Mapping[str, Any]


def tests_section(ttests: pd.DataFrame, dictionary: Dictionary, block: str) -> Section:
    """The primary test in the brain with effect sizes and equivalence, then all tests of all metrics, folded.

    Parameters
    ----------
    ttests : DataFrame
        ``group_ttests.tsv``.
    dictionary : mapping
        ``group_ttests.json``; its descriptions become tooltips and footnotes.
    block : str
        Which slices are counted, in a sentence.
    """
    if ttests.empty:
        return Section("tests", "Statistical tests", [Note("There were not two methods to compare.", "info")])
    primary = (
        "Paired t-tests over subjects (each subject's mean over slices) on held-out participants, in the brain. "
        f"{block} Seeds of a configuration are averaged first. Differences are the first minus the second, with 95 % "
        f"bootstrap intervals over subjects; bold: p < {ALPHA:g} after Holm's correction over all pairs and the "
        f"{family_sizes()[1]} metrics of a table. Tables of whole volumes are of {BASELINE_SD.label}, one value for "
        "each volume. That a difference is not significant does not show that there is none; the column Equivalence "
        "says whether two methods were shown to differ by less than the margin."
    )
    blocks: list[Block] = [Text(primary), *_primary_tables(ttests, dictionary)]
    every = (
        "p of every test, with its corrections by Holm and by Benjamini and Hochberg. Equivalence: a small p speaks "
        "for it; the others: for a difference."
    )
    blocks += [Heading("All tests"), Text(every), Note(_SLICE_WISE, "warning", "Not independent")]
    blocks += [all_tests_table(ttests, kind, dictionary) for kind in COMPARISONS if kind in set(ttests["comparison"])]
    return Section("tests", "Statistical tests", blocks)


def _primary_tables(ttests: pd.DataFrame, dictionary: Dictionary) -> Iterator[Table]:
    footnotes = [(name, description(dictionary, name)) for name in ("mean_difference", "hedges_g", "p_holm", "margin")]
    shown = [(term, text) for term, text in footnotes if text]
    for kind in COMPARISONS:
        scales = list(dict.fromkeys(ttests.loc[ttests["comparison"] == kind, "scale"]))
        for scale in scales:
            for table in primary_tables(ttests, kind, scale, dictionary):
                yield replace(table, footnotes=[*table.footnotes, *shown])
                # Once is enough.
                shown = []


def primary_tables(ttests: pd.DataFrame, kind: str, scale: str, dictionary: Dictionary) -> list[Table]:
    """The primary test of one kind of comparison on one scale: a row for each pair and in-brain metric, or measure.

    Many rows that show neither a difference nor equivalence stand in a table of their own, folded.

    Parameters
    ----------
    ttests : DataFrame
        ``group_ttests.tsv``.
    kind : str
        One of :data:`bids_spectsynth.evaluation.group.columns.COMPARISONS`.
    scale : {'slice', 'volume', 'uptake'}
    dictionary : mapping
        ``group_ttests.json``.
    """
    chosen = ttests[(ttests["comparison"] == kind) & (ttests["scale"] == scale)]
    rows: list[tuple[list[Cell], list[str], bool]] = []
    for pair, group in chosen.groupby(_PAIR, sort=False):
        for metric in _measures(scale, "brain"):
            own = {str(row["test"]): row for row in group[group["metric"] == metric.name].to_dict("records")}
            if PRIMARY in own:
                cells = [*_names(kind, pair), Cell(metric.column_title)]
                cells += _primary_cells(own[PRIMARY], own.get("equivalence"), metric.digits)
                found = any(_p_holm(own.get(test)) < ALPHA for test in (PRIMARY, "equivalence"))
                rows.append((cells, _remarks([own[PRIMARY]["note"]]), found))
    columns = [Column("First"), Column("Second"), Column("Metric")]
    columns += [
        Column("Difference [95 % CI]", description(dictionary, "mean_difference"), numeric=True),
        Column("Hedges g [95 % CI]", description(dictionary, "hedges_g"), numeric=True),
        Column("p", description(dictionary, "p"), numeric=True),
        Column("p, Holm", description(dictionary, "p_holm"), numeric=True),
        Column("Equivalence", TESTS["equivalence"]),
        Column("Subjects", numeric=True),
        Column("Slices", numeric=True),
    ]
    what = "whole volumes" if scale == UPTAKE_SCALE else f"{scale} scale"
    title = f"{_TITLES[kind]}, {what}. In the brain, over subjects."
    open_ones = [row for row in rows if not row[2]]
    folded = open_ones if len(open_ones) >= _FOLDED_FROM else []
    shown = [row for row in rows if row[2] or not folded]
    caption = f"{len(folded)} of {len(rows)} rows show neither a difference nor equivalence. {title}"
    tables = [(Table(columns, [], title), shown), (Table(columns, [], caption, folded=True), folded)]
    return [
        _with_notes(replace(table, rows=[cells for cells, _, _ in own]), [notes for _, notes, _ in own])
        for table, own in tables
        if own
    ]


def _p_holm(row: Mapping[Any, Any] | None) -> float:
    """Corrected p of a test; 1 where it was not made."""
    p = math.nan if row is None else float(row["p_holm"])
    return p if math.isfinite(p) else 1.0


def _measures(scale: str, *regions: Region) -> list[Metric | VolumeMeasure]:
    """What is tested on a scale: metrics of slices in the regions, or measures of whole volumes."""
    if scale == UPTAKE_SCALE:
        return [*VOLUME_MEASURES.values()]
    return [metric for region in regions for metric in metrics_in(region)]


def _names(kind: str, pair: tuple[Any, ...]) -> list[Cell]:
    second = method_name(str(pair[2])) if kind == "baseline" else str(pair[1])
    return [Cell(str(pair[0])), Cell(second)]


def _primary_cells(row: Mapping[Any, Any], equivalence: Mapping[Any, Any] | None, digits: int) -> list[Cell]:
    # One decimal more than a value has: differences are smaller.
    difference = _with_interval(row, "mean_difference", "ci_low", "ci_high", digits + 1)
    corrected = float(row["p_holm"])
    return [
        Cell(difference),
        Cell(_with_interval(row, "hedges_g", "g_low", "g_high", 2)),
        Cell(p_value(float(row["p"]))),
        Cell(p_value(corrected), "best" if corrected < ALPHA else ""),
        _equivalence_cell(equivalence),
        *(Cell(count_range(pd.Series([row[name]]))) for name in ("n_subjects", "n_slices")),
    ]


def _with_interval(row: Mapping[Any, Any], name: str, low: str, high: str, digits: int) -> str:
    value, *limits = (float(row[key]) for key in (name, low, high))
    if not all(map(math.isfinite, limits)):
        return number(value, digits)
    return f"{number(value, digits)}\n[{number(limits[0], digits)}, {number(limits[1], digits)}]"


def _equivalence_cell(row: Mapping[Any, Any] | None) -> Cell:
    if row is None or not math.isfinite(float(row["p_holm"])):
        return Cell("n/a", "muted")
    p = float(row["p_holm"])
    margin = f"margin {float(row['margin']):g}\nHolm p {p_value(p)}"
    return Cell(f"equivalent\n{margin}", "good") if p < ALPHA else Cell(f"not shown\n{margin}")


def all_tests_table(ttests: pd.DataFrame, kind: str, dictionary: Dictionary) -> Table:
    """All tests of one kind of comparison: a row for each pair, scale and metric, the slice-wise t-test last.

    Parameters
    ----------
    ttests : DataFrame
        ``group_ttests.tsv``.
    kind : str
        One of :data:`bids_spectsynth.evaluation.group.columns.COMPARISONS`.
    dictionary : mapping
        ``group_ttests.json``.
    """
    chosen = ttests[ttests["comparison"] == kind]
    rows, notes = [], []
    for (*pair, scale), group in chosen.groupby([*_PAIR, "scale"], sort=False):
        for metric in _measures(str(scale), "brain", "whole"):
            own = group[group["metric"] == metric.name]
            found = {str(row["test"]): row for row in own.to_dict("records")}
            cells = [*_names(kind, tuple(pair)), Cell(str(scale)), Cell(metric.label)]
            cells.append(_difference_cell(found, metric.digits))
            cells += [_test_cell(found.get(test)) for test in TESTS]
            counts = [Cell(count_range(own[name])) for name in ("n_subjects", "n_slices")]
            rows.append([*cells, *counts])
            notes.append(_remarks(own["note"]))
    columns = [Column("First"), Column("Second"), Column("Scale"), Column("Metric")]
    columns += [Column("Difference over subjects", description(dictionary, "mean_difference"), numeric=True)]
    columns += [Column(_TEST_TITLES[test], meaning, numeric=True) for test, meaning in TESTS.items()]
    columns += [Column("Subjects", numeric=True), Column("Slices", numeric=True)]
    return _with_notes(Table(columns, rows, f"All tests: {_TITLES[kind]}", folded=True), notes)


def _difference_cell(found: Mapping[str, Mapping[Any, Any]], digits: int) -> Cell:
    return (
        Cell(number(float(found[PRIMARY]["mean_difference"]), digits + 1)) if PRIMARY in found else Cell("–", "muted")
    )


def _test_cell(row: Mapping[Any, Any] | None) -> Cell:
    if row is None:
        return Cell("–", "muted")
    p, holm, hochberg = (float(row[name]) for name in ("p", "p_holm", "p_bh"))
    if math.isnan(p):
        return Cell("n/a", "muted")
    return Cell(f"{p_value(p)}\nHolm {p_value(holm)}\nBH {p_value(hochberg)}", "best" if holm < ALPHA else "")


def _remarks(notes: Iterable[object]) -> list[str]:
    """Every remark once, without the warning that stands above the tables and the verdict that has its column."""
    remarks = [part for note in notes if isinstance(note, str) for part in note.split("; ")]
    elsewhere = ("n/a", NOT_INDEPENDENT, "equivalen")
    return [part for part in dict.fromkeys(remarks) if not part.startswith(elsewhere)]


def _with_notes(table: Table, notes: Sequence[Sequence[str]]) -> Table:
    """The table with remarks on all of its rows below it, and those on some rows in a last column."""
    common = [part for part in (notes[0] if notes else []) if all(part in own for own in notes)]
    rest = ["; ".join(part for part in own if part not in common) for own in notes]
    footnotes = [("note", part) for part in common]
    if not any(rest):
        return replace(table, footnotes=footnotes)
    rows = [[*row, Cell(text)] for row, text in zip(table.rows, rest, strict=True)]
    return replace(table, columns=[*table.columns, Column("Note")], rows=rows, footnotes=footnotes)
