"""The section of a subject's report on each synthetic image as the baseline of a SISCOM."""

from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.output_files import Synthetic, rating_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.evaluation.case.region_columns import RESIDUAL_COLUMNS
from bids_spectsynth.evaluation.case.regions import HEMISPHERE
from bids_spectsynth.evaluation.case.volume_measures import BASELINE_SD
from bids_spectsynth.evaluation.columns import LESION_KEY, NETWORK
from bids_spectsynth.reports.context import SubjectContext
from bids_spectsynth.reports.html import Block, Cell, Column, Note, Section, Table, Text, number
from bids_spectsynth.reports.subject.images import model_blocks
from bids_spectsynth.reports.wording import description, method_name, method_order

#: Blocks that are shown as the source of most of the residual.
_MOST_BLOCKS = 5
_INTRO = (
    "What would be left of this participant's real interictal SPECT, where there is no seizure to be found, after each "
    "image is taken from it as in a SISCOM. The smaller the better; what stands out in it would look like a focus."
)


def residual_section(context: SubjectContext) -> Section | None:
    """Standard deviation of the smoothed residual of each method, and where it lies; None where nothing was rated."""

    def make(case: PreparedCase, synthetic: Synthetic) -> list[Block]:
        volume = rating_path(context.output_dir, case, synthetic.model, "volume")
        if not volume.exists():
            return []
        try:
            return [*_deviations(volume), *_blocks(rating_path(context.output_dir, case, synthetic.model, "regions"))]
        except Exception as error:
            return [context.problem(f"{case.name}: volume measures of {synthetic.model}", error)]

    blocks = model_blocks(context, make)
    return Section("residual", "As the baseline of a SISCOM", [Text(_INTRO), *blocks]) if blocks else None


def _deviations(path: Path) -> list[Block]:
    frame = pd.read_csv(path, sep="\t", na_values=["n/a"]).set_index("method")
    # A table of an earlier version lacks the column.
    values = pd.to_numeric(frame.get(BASELINE_SD.name, pd.Series(dtype=float)))
    if values.isna().all():
        return []
    rows = [
        [
            Cell(method_name(method)),
            Cell(number(float(values[method]), BASELINE_SD.digits), "best" if values[method] == values.min() else ""),
        ]
        for method in method_order(pd.Series(frame.index))
    ]
    lesion = "The lesion was left out of these numbers (--lesion-mask all): what is left in it is in none of them."
    notes = [Note(lesion, "info", "Lesion mask:")] if sidecar(path).get(LESION_KEY) is True else []
    seen = set(frame["split"]) & {"train", "validation"}
    warning = "The model has learned from this participant: of others more is left."
    columns = [Column("Method"), Column(BASELINE_SD.label, description(sidecar(path), BASELINE_SD.name), numeric=True)]
    table = Table(columns, rows, f"{BASELINE_SD.full_title}, {BASELINE_SD.unit}; the lowest in bold.")
    return [*([Note(warning, "warning", "Seen")] if seen else []), *notes, table]


def _blocks(path: Path) -> list[Block]:
    frame = pd.read_csv(path, sep="\t", na_values=["n/a"])
    share, mean = RESIDUAL_COLUMNS
    if share not in frame:
        return []
    chosen = frame[(frame["method"] == NETWORK) & (frame["region"] != HEMISPHERE) & frame[share].notna()]
    largest = chosen.sort_values(share, ascending=False, kind="stable").head(_MOST_BLOCKS)
    if largest.empty:
        return []
    dictionary = sidecar(path)
    rows = [
        [
            Cell(str(row["region"])),
            Cell(str(row["hemisphere"])),
            *(Cell(number(float(row[n]), 1)) for n in (share, mean)),
        ]
        for row in largest.to_dict("records")
    ]
    columns = [Column(name, description(dictionary, name.lower())) for name in ("Region", "Hemisphere")]
    columns.append(Column("Share of the variance (%)", description(dictionary, share), numeric=True))
    columns.append(Column("Mean residual (%)", description(dictionary, mean), numeric=True))
    caption = (
        "Blocks with the largest share of the network's residual. Above 0 the synthetic image is too low there, which "
        "would look like hyperperfusion."
    )
    return [Table(columns, rows, caption)]
