"""Sections of the group report on who differs from the others, and on what people said of the pages."""

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.output_files import group_table_path, read_table, subject_page
from bids_spectsynth.bids.sidecars import sidecar, strings
from bids_spectsynth.evaluation.group.outliers import BETTER
from bids_spectsynth.evaluation.group.page_ratings import VERDICTS, worst
from bids_spectsynth.evaluation.statistics.robust import LEAST_VALUES, OUTLIER_Z
from bids_spectsynth.reports.html import Block, Cell, Column, Items, Note, Section, Table, Text, number
from bids_spectsynth.reports.plain_table import LONG_TABLE, readable
from bids_spectsynth.reports.wording import description

_TONES = {"pass": "good", "doubtful": "worse", "fail": "bad"}
_OUTLIERS = (
    "Registration, volume of the brain mask, level of the prepared images in the brain, and metrics of the synthetic "
    "ones, each compared with all other participants by robust z-scores (median and median absolute deviation). "
    f"Listed are those beyond {OUTLIER_Z:g} either way. An outlier is a reason to look, not to leave somebody out; "
    "every value stands in group_quality.tsv."
)


def outliers_section(output_dir: Path) -> Section | None:
    """Who differs from the others, as ``group_outliers.tsv`` says; None where it was not written.

    Parameters
    ----------
    output_dir : Path
    """
    path, quality = (group_table_path(output_dir, name) for name in ("outliers", "quality"))
    if not path.is_file():
        return None
    table = read_table(path)
    compared = read_table(quality) if quality.is_file() else pd.DataFrame({"n": [0]})
    most = 0 if compared.empty else int(compared["n"].max())
    if most < LEAST_VALUES:
        text = f"There are {most} participants at most to compare; outliers are looked for from {LEAST_VALUES} on."
        return Section("outliers", "Outliers", [Note(text)])
    if table.empty:
        text = f"No value lies beyond a robust z of {OUTLIER_Z:g}, of {most} participants at most."
        return Section("outliers", "Outliers", [Text(_OUTLIERS), Note(text, "good")])
    dictionary = sidecar(path)
    rows = [_outlier(output_dir, {str(key): value for key, value in row.items()}) for row in table.to_dict("records")]
    columns = [
        Column("Participant"),
        Column("Quantity", description(dictionary, "quantity")),
        Column("Of"),
        Column("Value", description(dictionary, "value"), numeric=True),
        Column("Median", description(dictionary, "median"), numeric=True),
        Column("z", description(dictionary, "z"), numeric=True),
        Column("In words"),
    ]
    people = table["participant_id"].nunique()
    caption = f"{len(rows)} outliers of {people} participants, the largest first; on the side of good quality last."
    return Section("outliers", "Outliers", [Text(_OUTLIERS), Table(columns, rows, caption, tall=True)])


def _outlier(output_dir: Path, row: Mapping[str, object]) -> list[Cell]:
    participant, session = str(row["participant_id"]), row["session_id"]
    page = subject_page(output_dir, participant.removeprefix("sub-"))
    name = f"{participant} {session}" if isinstance(session, str) and session != "n/a" else participant
    tone = "muted" if row["side"] == BETTER else ""
    note = str(row["note"])
    # The name and what it is of stand in columns of their own.
    title = note.partition(",")[0]
    return [
        Cell(name, href=page.name if page.is_file() else ""),
        Cell(title, tone),
        Cell(str(row["of"]), tone),
        Cell(readable(str(row["value"])), tone),
        Cell(readable(str(row["median"])), tone),
        Cell(number(_float(row["z"]), 1), tone or "bad"),
        Cell(note, tone),
    ]


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def ratings_section(output_dir: Path) -> Section | None:
    """What people said of the pages: counts for each section, then every rating; None without any.

    Parameters
    ----------
    output_dir : Path
        With ``group_ratings.tsv`` and its data dictionary, which says what was left out.
    """
    path = group_table_path(output_dir, "ratings")
    if not path.is_file():
        return None
    table, facts = read_table(path), sidecar(path)
    blocks: list[Block] = []
    for key, text in (("LeftOut", "Files that were left out:"), ("Replaced", "Files that newer ones replace:")):
        if lines := strings(facts.get(key)):
            blocks += [Note(text, "warning" if key == "LeftOut" else "info"), Items([(line, "") for line in lines])]
    if table.empty:
        return Section("ratings", "Ratings", [Text("There is no rating."), *blocks])
    people, raters = table["participant_id"].nunique(), table["rater"].nunique()
    intro = (
        f"{len(table)} ratings of {people} participants by {raters} raters, saved from the pages of the participants."
    )
    return Section("ratings", "Ratings", [Text(intro), *blocks, _counts(table), _every(output_dir, table)])


def _counts(table: pd.DataFrame) -> Table:
    rows = []
    for section, group in table.groupby("section", sort=False):
        counts = group["verdict"].value_counts()
        # Of several raters of one section of one participant the worst counts.
        people = group.groupby("participant_id")["verdict"].agg(lambda verdicts: worst([*verdicts]))
        cells = [Cell(str(int(counts.get(verdict, 0)))) for verdict in VERDICTS]
        rows.append([Cell(str(section)), *cells, Cell(str(int((people != "pass").sum())))])
    columns = [Column("Section"), *(Column(name, text, numeric=True) for name, text in VERDICTS.items())]
    columns.append(Column("Participants to look at", "Doubtful or worse by one rater at least", numeric=True))
    return Table(columns, rows, "Verdicts by section.")


def _every(output_dir: Path, table: pd.DataFrame) -> Table:
    rows = []
    order = list(reversed(VERDICTS))
    for row in sorted(table.fillna("n/a").to_dict("records"), key=lambda row: order.index(str(row["verdict"]))):
        page = subject_page(output_dir, str(row["participant_id"]).removeprefix("sub-"))
        session = "" if row["session_id"] == "n/a" else f" {row['session_id']}"
        comment, verdict = str(row["comment"]), str(row["verdict"])
        rows.append(
            [
                Cell(f"{row['participant_id']}{session}", href=page.name if page.is_file() else ""),
                Cell(str(row["section"])),
                Cell(verdict, _TONES[verdict]),
                Cell(str(row["rater"])),
                Cell("–" if comment == "n/a" else comment, "muted" if comment == "n/a" else ""),
            ]
        )
    columns = [Column(name) for name in ("Participant", "Section", "Verdict", "Rater", "Comment")]
    return Table(columns, rows, "Every rating, the worst first.", folded=len(rows) > LONG_TABLE)
