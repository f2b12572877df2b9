"""Tables of the foci of a SISCOM, as they are shown."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bids_spectsynth.errors import DatasetError
from bids_spectsynth.reports.html import Cell, Column, Jump, Table, number, p_value
from bids_spectsynth.reports.wording import description
from bids_spectsynth.siscom.outputs.columns import CLUSTERS_DICTIONARY

#: Foci that are shown at once; those of lower rank unfold.
SHOWN = 10
#: Corrected p from which a cluster is one that the scans have without a seizure too.
_LEVEL = 0.05
_NONE = ("", "n/a", "nan")
Row = dict[str, str]


@dataclass(frozen=True)
class _Shown:
    """A column: its heading, the file's column that it is of, and how a value is written."""

    label: str
    name: str
    write: Callable[[str], str] = str
    numeric: bool = True


def _decimals(digits: int) -> Callable[[str], str]:
    return lambda text: number(_float(text), digits)


#: What decides stands first, so that it is seen where the page is narrow.
_FOCI = (
    _Shown("Rank", "rank"),
    _Shown("Sign", "sign", numeric=False),
    _Shown("Side", "side", numeric=False),
    _Shown("Lobe", "lobe", numeric=False),
    _Shown("Region", "region", numeric=False),
    _Shown("Corrected p", "p_corrected", lambda text: p_value(_float(text))),
    _Shown("Flags", "flags", lambda text: text.replace(",", "\n"), numeric=False),
    _Shown("mL", "volume_ml", _decimals(1)),
    _Shown("Change %", "percent_max", _decimals(1)),
    _Shown("z", "z_max", _decimals(1)),
    _Shown("znull", "znull_max", _decimals(1)),
    _Shown("zcohort", "zcohort_max", _decimals(1)),
    _Shown("x y z mm", "x_mm", numeric=False),
)
_BUDGET = (
    _Shown("Rank", "rank"),
    _Shown("Sign", "sign", numeric=False),
    _Shown("Change %", "percent_max", _decimals(1)),
    _Shown("Mean change %", "percent_mean", _decimals(1)),
    _Shown("Registration %", "sd_registration_percent", _decimals(1)),
    _Shown("Noise %", "sd_noise_percent", _decimals(1)),
    _Shown("Variation %", "sd_variation_percent", _decimals(1)),
    _Shown("Resolution %", "sd_resolution_percent", _decimals(1)),
    _Shown("Synthesis %", "sd_synthesis_percent", _decimals(1)),
    _Shown("To the edge mm", "edge_mm", _decimals(0)),
    _Shown("Volume over null's", "null_share", _decimals(1)),
)


def foci_tables(rows: list[Row], dictionary: Mapping[str, Any], *, layer: str = "", viewer: str = "") -> list[Table]:
    """The foci by rank: the first ten, and those of lower rank folded; coordinates lead to them in the page's viewer.

    Parameters
    ----------
    rows : list of dict
        Rows of ``*_clusters.tsv`` by rank (:func:`by_rank`); what they do not have is shown as ``n/a``.
    dictionary : mapping
        Its data dictionary; descriptions of this version stand in for what it lacks.
    layer, viewer : str
        Names of the map in the viewer and of the viewer.
    """
    jump = Jump("", layer, viewer) if viewer else None
    first = "Foci." if len(rows) <= SHOWN else f"The first {SHOWN} of {len(rows)} foci."
    tables = [_table(_FOCI, rows[:SHOWN], dictionary, first, jump=jump)]
    if len(rows) > SHOWN:
        tables.append(_table(_FOCI, rows[SHOWN:], dictionary, "Foci of lower rank", folded=True, jump=jump))
    return tables


def budget_table(rows: list[Row], dictionary: Mapping[str, Any]) -> Table:
    """Beside the change at each focus, what each source of error can produce there without a seizure; folded.

    Parameters
    ----------
    rows, dictionary
        As :func:`foci_tables` takes them.
    """
    caption = "Error budget: what each cause can produce at the peak without a seizure (one SD, % of the brain mean)"
    return _table(_BUDGET, rows, dictionary, caption, folded=True)


def meanings() -> Table:
    """The words of both tables and the flags, explained; folded."""
    shown = {one.name: one.label for one in (*_FOCI, *_BUDGET)}
    rows = [[Cell(label), Cell(_help(name, {}))] for name, label in shown.items()]
    for name in ("side", "flags"):
        levels = CLUSTERS_DICTIONARY[name]["Levels"]
        rows += [[Cell(f"{shown[name]}: {level}"), Cell(str(text))] for level, text in levels.items()]
    return Table([Column("Word"), Column("Meaning")], rows, "What the columns and flags of the foci mean", folded=True)


def by_rank(foci: pd.DataFrame) -> list[Row]:
    """Rows of a table of foci by rank; raises :exc:`DatasetError` where it is none."""
    missing = [name for name in ("rank", "sign") if name not in foci]
    if missing:
        raise DatasetError(f"there is no column {missing[0]}; run it again")
    rows = [{str(key): str(value) for key, value in row.items()} for row in foci.to_dict("records")]
    return sorted(rows, key=lambda row: (math.isnan(_float(row["rank"])), _float(row["rank"])))


def _table(
    shown: tuple[_Shown, ...],
    rows: list[Row],
    dictionary: Mapping[str, Any],
    caption: str,
    *,
    folded: bool = False,
    jump: Jump | None = None,
) -> Table:
    columns = [Column(one.label, _help(one.name, dictionary), one.numeric) for one in shown]
    return Table(columns, [[_cell(one, row, jump) for one in shown] for row in rows], caption, folded=folded)


def _help(name: str, dictionary: Mapping[str, Any]) -> str:
    if name == "x_mm":
        return "Peak in the world of the T1w: right, anterior and superior of its origin are positive (mm)"
    return description(dictionary, name) or description(CLUSTERS_DICTIONARY, name)


def peak_of(row: Mapping[str, str]) -> tuple[float, float, float] | None:
    """The peak of a focus in the world of the T1w; None where the row does not say."""
    x, y, z = (_float(row.get(name, "n/a")) for name in ("x_mm", "y_mm", "z_mm"))
    return (x, y, z) if math.isfinite(x + y + z) else None


def value_of(row: Mapping[str, str], column: str) -> float:
    """A number of a row; NaN where it has none."""
    return _float(row.get(column, "n/a"))


def meaning_of_flag(flag: str) -> str:
    """What a flag of a focus says; the flag itself where this version does not know it."""
    return str(CLUSTERS_DICTIONARY["flags"]["Levels"].get(flag, flag))


def _cell(shown: _Shown, row: Mapping[str, str], jump: Jump | None) -> Cell:
    text = row.get(shown.name, "n/a")
    if shown.name == "x_mm":
        peak = peak_of(row)
        to = replace(jump, at=",".join(f"{value:g}" for value in peak)) if jump and peak else None
        return Cell(" ".join(number(_float(row.get(name, "n/a")), 0) for name in ("x_mm", "y_mm", "z_mm")), jump=to)
    if text in _NONE:
        return Cell("–" if shown.name == "flags" else "n/a", "muted")
    written = shown.write(text)
    if shown.name == "p_corrected":
        return Cell(written, "best" if _float(text) < _LEVEL else "muted")
    if shown.name == "region" and _float(row.get("region_distance_mm", "n/a")) > 0:
        return Cell(f"{written}\n{_float(row['region_distance_mm']):.0f} mm off")
    return Cell(written)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
