"""The section of a subject's report on left-right asymmetry of each synthetic image, with intervals."""

from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.output_files import Synthetic, read_table, regional_intervals_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.evaluation.case.regions import HEMISPHERE
from bids_spectsynth.evaluation.uncertainty.intervals import COVERAGE
from bids_spectsynth.reports.context import SubjectContext
from bids_spectsynth.reports.html import Block, Cell, Column, Section, Table, Text, number
from bids_spectsynth.reports.subject.images import model_blocks

#: Pairs of blocks that are shown, those with the largest asymmetry.
_MOST_PAIRS = 8
_INTRO = (
    f"Asymmetry index 200 (L - R) / (L + R) of pairs of blocks and of the hemispheres, with its {100 * COVERAGE:g} % "
    "interval from the errors of images of other held-out participants. An interval that leaves out 0 is more "
    "asymmetry than errors of the synthetic image explain; it may still be none of the disease. Of a hundred intervals "
    "about ten do not hold what they should."
)


def asymmetry_section(context: SubjectContext) -> Section | None:
    """Largest asymmetries of each synthetic image that has intervals; None where none has."""

    def make(case: PreparedCase, synthetic: Synthetic) -> list[Block]:
        path = regional_intervals_path(context.output_dir, case, synthetic.model)
        if not path.exists():
            return []
        try:
            return [_table(path)]
        except Exception as error:
            return [context.problem(f"{case.name}: regional intervals of {synthetic.model}", error)]

    blocks = model_blocks(context, make)
    return Section("asymmetry", "Asymmetry", [Text(_INTRO), *blocks]) if blocks else None


def _table(path: Path) -> Table:
    # Both sides have the same index: the left one stands for the pair.
    pairs = read_table(path).query("hemisphere == 'L'")
    pairs = pairs.assign(size=pairs["asymmetry"].abs(), whole=pairs["region"] == HEMISPHERE)
    largest = pairs[~pairs["whole"]].nlargest(_MOST_PAIRS, "size")
    shown = pd.concat([pairs[pairs["whole"]], largest])
    measured = shown["asymmetry_real"].notna().any()
    rows = []
    for row in shown.to_dict("records"):
        low, high = (number(float(row[f"asymmetry_{end}"]), 1) for end in ("low", "high"))
        beyond = row["asymmetry_flag"] == "yes"
        side = ("left" if row["asymmetry"] > 0 else "right") + " higher" if beyond else "within errors"
        cells = [
            Cell(str(row["region"])),
            Cell(number(float(row["asymmetry"]), 1)),
            Cell(f"{low} to {high}"),
            Cell(side, "bad" if beyond else "muted"),
        ]
        if measured:
            outside = row["asymmetry_real_flag"] == "yes"
            cells.append(Cell(number(float(row["asymmetry_real"]), 1), "bad" if outside else ""))
        rows.append(cells)
    columns = [
        Column("Region", "Block: distance of its centre from the midline (x), its y and z in the template, mm"),
        Column("Asymmetry (%)", "Above 0 where the left side takes up more", numeric=True),
        Column(f"{100 * COVERAGE:g} % interval", numeric=True),
        Column("Verdict"),
        *([Column("Real (%)", "Of the measured SPECT; marked where it lies beyond", numeric=True)] if measured else []),
    ]
    return Table(columns, rows, f"Hemispheres, and the {_MOST_PAIRS} pairs of blocks with the largest asymmetry.")
