"""Sections of the group report in the article's order: its Tables 2, 3 and 4, its comparisons, its Figures 3 to 7."""

from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.output_files import GroupTable, group_figures, group_table_path, is_phantom
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.evaluation.case.metrics import Region
from bids_spectsynth.evaluation.paper.columns import ON_PAPER_SCALE
from bids_spectsynth.reports.group.figures import pictures
from bids_spectsynth.reports.group.paper_tables import (
    comparison_counts,
    comparison_table,
    example_tables,
    table_4,
)
from bids_spectsynth.reports.html import Block, Heading, Note, Section, Text
from bids_spectsynth.reports.wording import PHANTOM_TEXT

_TABLES = (
    "As in the article: networks alone, held-out participants, the block of slices with the most brain, each axial "
    f"slice of the real SPECT scaled by its own minimum and maximum. {ON_PAPER_SCALE} Background raises SSIM and PSNR "
    "and lowers RMSE over whole slices; the numbers in the brain are the ones to judge by, and those of the baselines "
    "stand elsewhere in this report."
)
_EXAMPLES = (
    "One slice of each of the first five held-out participants by label (and of one of another cohort, where there is "
    "one; all of other cohorts where nobody else was held out): the middle of its block, chosen without a look at the "
    "metrics. Single slices are no basis for conclusions."
)
_COMPARISONS = (
    "The article's comparisons, with its slice-wise test and with the subject-wise one. Slices of one head are not "
    "independent: the slice-wise test is far too often positive. Conclude from the subject-wise one (†)."
)
_COMPARED = {
    5: "Figure 5: native against template space",
    6: "Figure 6: terms of the loss",
    7: "Figure 7: images that the model takes",
}


def paper_tables_section(output_dir: Path) -> Section | None:
    """Table 4 over whole slices and in the brain, and Tables 2 and 3; None without them."""
    summary = _read(output_dir, "table4")
    if summary is None or summary.empty:
        return None
    dictionary = sidecar(group_table_path(output_dir, "table4"))
    blocks: list[Block] = [*_phantom_note(output_dir), Text(_TABLES), Heading("Table 4: all models")]
    regions: tuple[Region, ...] = ("whole", "brain")
    blocks += [table_4(summary, region, dictionary) for region in regions]
    tables: tuple[tuple[int, GroupTable, str], ...] = ((2, "table2", "native"), (3, "table3", "template"))
    for number, table, space in tables:
        examples = _read(output_dir, table)
        if examples is not None and not examples.empty:
            blocks += [Heading(f"Table {number}: examples in {space} space"), Text(_EXAMPLES)]
            blocks += example_tables(examples, number)
    return Section("paper-tables", "The article's tables", blocks)


def paper_comparisons_section(output_dir: Path) -> Section | None:
    """Figures 5, 6 and 7 with the table behind each; None where no two models can be compared."""
    comparisons = _read(output_dir, "comparisons")
    if comparisons is None or comparisons.empty:
        return None
    dictionary = sidecar(group_table_path(output_dir, "comparisons"))
    blocks: list[Block] = [*_phantom_note(output_dir), Note(_COMPARISONS, "warning", "Two tests")]
    for number, title in _COMPARED.items():
        own = comparisons[comparisons["figure"] == str(number)]
        if own.empty:
            continue
        blocks += [Heading(title), Text(comparison_counts(own))]
        blocks += pictures(output_dir, [f"paper_figure{number}.svg", f"paper_figure{number}_brain.svg"])
        blocks.append(comparison_table(own, title, dictionary))
    return Section("paper-comparisons", "The article's comparisons", blocks)


def paper_examples_section(output_dir: Path) -> Section | None:
    """Figures 3 and 4 and their like for other losses and recipes; None without them."""
    folder = group_figures(output_dir)
    names = [path.name for number in (3, 4) for path in sorted(folder.glob(f"paper_figure{number}*.svg"), key=_by_stem)]
    found = list(pictures(output_dir, names))
    if not found:
        return None
    return Section("paper-examples", "Example slices", [*_phantom_note(output_dir), Text(_EXAMPLES), *found])


def _by_stem(path: Path) -> str:
    # The article's loss first: its name is the beginning of the others'.
    return path.stem


def _read(output_dir: Path, table: GroupTable) -> pd.DataFrame | None:
    """A table with all columns as text, ``n/a`` where there is no value; None where it was not written."""
    path = group_table_path(output_dir, table)
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) if path.is_file() else None


def _phantom_note(output_dir: Path) -> list[Block]:
    return [Note(PHANTOM_TEXT, "warning", "Phantom data")] if is_phantom(output_dir) else []
