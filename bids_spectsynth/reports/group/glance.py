"""The first section of the group report: every participant in one row, with a thumbnail and a link."""

import math
from collections.abc import Mapping
from pathlib import Path

from bids_spectsynth.bids.output_files import subject_page
from bids_spectsynth.bids.participants import FLAGS, read_participants
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.reports.group.glance_numbers import Numbers, glance_numbers
from bids_spectsynth.reports.group.thumbnails import Thumbnail, write_thumbnails
from bids_spectsynth.reports.html import Block, Cell, Column, Section, Table, Text, number, p_value
from bids_spectsynth.siscom.group.results import SIGNIFICANT, Result

_TONES = {"ok": "good", "failed": "bad", "pass": "good", "doubtful": "worse", "fail": "bad"}
_INTRO = (
    "One row for each participant; a heading sorts, words in the field above filter. Flags: POOR, the software does "
    "not trust a registration; outlier, a value beyond a robust z of 3.5 on the side of poor quality or, where there "
    "is none, on either; seen, a model behind the SISCOM has learned from this participant; other names are quality "
    "flags of the prepared images, which the participant's page explains."
)


def glance_section(output_dir: Path) -> Section | None:
    """All participants at a glance; None where the output folder has none.

    Parameters
    ----------
    output_dir : Path
        Thumbnails are written to ``figures/participants/`` in it.
    """
    people = _people(output_dir)
    if not people:
        return None
    numbers = glance_numbers(output_dir)
    thumbnails = write_thumbnails(output_dir, numbers.siscom, numbers.compared.model if numbers.compared else "")
    rows = [_row(output_dir, name, row, numbers, thumbnails) for name, row in people.items()]
    columns = [*_COLUMNS]
    shown = [place for place in range(len(columns)) if columns[place].label in _ALWAYS or _any(rows, place)]
    rows, columns = [[row[place] for place in shown] for row in rows], [columns[place] for place in shown]
    text = _INTRO if numbers.compared is None else f"{_INTRO} {numbers.compared.text}"
    blocks: list[Block] = [Text(text), Table(columns, rows, f"{len(rows)} participants.", tall=True)]
    return Section("participants", "Participants", blocks)


_COLUMNS = (
    Column("Picture", "SISCOM where there is one, else the synthetic SPECT; axial and coronal"),
    Column("Participant"),
    Column("Flags"),
    Column("Rating", "The worst verdict of all raters on all sections of the page"),
    Column("Top focus", "First-ranked focus of hyperperfusion of the baseline in the picture: side and lobe"),
    Column("p", f"Its corrected p; bold below {SIGNIFICANT:g}", numeric=True),
    Column("RMSE model", "In the brain, of the model named above; held-out participants", numeric=True),
    Column("RMSE baseline", "In the brain, of the baseline named above", numeric=True),
    Column("Overlap", "Of PET and SPECT with the T1w (Dice of the brains), the lowest", numeric=True),
    Column("Mask mL", "Volume of the brain mask", numeric=True),
    Column("Status", "Of the last run"),
    Column("Part", "Part in the training of the models"),
)
_ALWAYS = ("Participant", "Status", "Flags")
_NOTHING = "–"


def _people(output_dir: Path) -> dict[str, Mapping[str, str]]:
    try:
        table = read_participants(output_dir)
    except DatasetError:
        # The section on the cohort says what is wrong with the table.
        rows: dict[str, Mapping[str, str]] = {}
    else:
        rows = {
            str(row["participant_id"]): {str(key): str(value) for key, value in row.items()}
            for row in table.to_dict("records")
        }
    pages: dict[str, Mapping[str, str]] = {path.stem: {} for path in output_dir.glob("sub-*.html")}
    merged = {**pages, **rows}
    return {name: merged[name] for name in sorted(merged)}


def _any(rows: list[list[Cell]], place: int) -> bool:
    return any(row[place].text != _NOTHING for row in rows)


def _row(
    output_dir: Path, name: str, row: Mapping[str, str], numbers: Numbers, thumbnails: Mapping[str, Thumbnail]
) -> list[Cell]:
    page = subject_page(output_dir, name.removeprefix("sub-"))
    href = page.name if page.is_file() else ""
    status, result = row.get("status", "n/a"), numbers.siscom.get(name)
    thumbnail = thumbnails.get(name)
    verdict = numbers.verdict.get(name, "")
    flags = ([status] if status in ("failed", "skipped", "stopped") else []) + _flags(name, numbers)
    quality = row.get(FLAGS, "n/a")
    flags += [] if quality == "n/a" else quality.split(", ")
    model, baseline = numbers.model_error.get(name, math.nan), numbers.baseline_error.get(name, math.nan)
    return [
        _missing() if thumbnail is None else Cell(thumbnail.alt, href=href, image=thumbnail.href),
        Cell(name, href=href),
        Cell("\n".join(flags), "bad") if flags else _missing(),
        Cell(verdict, _TONES.get(verdict, "")) if verdict else _missing(),
        *_focus(result),
        _number(model, 3, "best" if model < baseline else "worse" if model >= baseline else ""),
        _number(baseline, 3),
        _number(numbers.overlap.get(name, math.nan), 2, "bad" if name in numbers.poor else ""),
        _number(numbers.mask_ml.get(name, math.nan), 0),
        Cell(status, _TONES.get(status, "muted")),
        Cell(row.get("split", "n/a")),
    ]


def _flags(name: str, numbers: Numbers) -> list[str]:
    flags = [f"POOR {title}" for title in numbers.poor.get(name, [])]
    count = numbers.outliers.get(name, 0)
    flags += [f"{count} outlier{'s' if count > 1 else ''}"] if count else []
    result = numbers.siscom.get(name)
    flags += ["seen"] if result is not None and result.seen else []
    return flags


def _focus(result: Result | None) -> list[Cell]:
    if result is None:
        return [_missing(), _missing()]
    if result.top is None:
        return [Cell("none", "muted"), _missing()]
    names, p = result.top.names, result.top.p_corrected
    where = " ".join(part for part in (names.side, names.lobe) if part not in ("", "n/a"))
    return [Cell(where or "side unknown"), Cell(p_value(p), "best" if p < SIGNIFICANT else "muted")]


def _number(value: float, digits: int, tone: str = "") -> Cell:
    return Cell(number(value, digits), tone) if math.isfinite(value) else _missing()


def _missing() -> Cell:
    return Cell(_NOTHING, "muted")
