"""Maps and foci of SISCOM for the viewer in a subject's report."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.sidecars import as_number
from bids_spectsynth.reports.context import SubjectContext
from bids_spectsynth.reports.html import number
from bids_spectsynth.reports.pictures.statmaps import LIMIT
from bids_spectsynth.reports.subject.siscom.facts import kind_of
from bids_spectsynth.reports.subject.siscom.results import Result, case_of, layer_name, results_of
from bids_spectsynth.reports.subject.siscom.table import SHOWN, peak_of
from bids_spectsynth.reports.viewer.layers import Focus, Layer
from bids_spectsynth.reports.viewer.packing import brain_box, coarsen, crop, pack
from bids_spectsynth.siscom.outputs.paths import Statistic

#: Maps of a comparison in the order in which the page has room for them. The z map of the brain is shown for the usual
#: reading, the difference for its size; what the corrected p rests on comes behind them.
_MAPS: tuple[Statistic, ...] = ("z", "difference", "znull", "zcohort")
_TITLES: Mapping[Statistic, str] = {"z": "z", "difference": "difference", "znull": "z null", "zcohort": "z cohort"}
PERCENT = "% of mean"


def map_layers(context: SubjectContext, case: PreparedCase) -> Iterator[tuple[str, Callable[[], Layer]]]:
    """What each map of a case is, and the function that makes its layer; the most important ones first."""
    own = _of_case(context, case)
    for statistic in _MAPS:
        for one in own:
            if statistic in one.found.maps:
                title = _map_title(one, statistic, own)
                yield title, partial(_layer, context, case, one, statistic, title)


def top_map(context: SubjectContext, case: PreparedCase) -> str:
    """Name of the layer that is shown first; empty without a SISCOM."""
    return next((layer_name(one.found, "z") for one in _of_case(context, case) if "z" in one.found.maps), "")


def foci_of(context: SubjectContext, case: PreparedCase) -> Iterator[Focus]:
    """The first foci of each comparison by rank, hyperperfusion before hypoperfusion.

    A table that cannot be read has none; the section on SISCOM says so.
    """
    for one in _of_case(context, case):
        for row in sorted((one.foci or [])[:SHOWN], key=lambda row: row["sign"] != "hyper"):
            peak = peak_of(row)
            if peak is not None:
                yield Focus(_focus_title(row), peak, layer_name(one.found, "z"), one.title)


def _focus_title(row: Mapping[str, str]) -> str:
    place = [row.get(name, "") for name in ("side", "lobe", "region")]
    parts = [
        f"{row['rank']} {'▲' if row['sign'] == 'hyper' else '▼'}",
        " ".join(word for word in place if word not in ("", "n/a", "nan")),
        *(text.format(number(value, digits)) for text, value, digits in _numbers(row) if math.isfinite(value)),
    ]
    return " · ".join(part for part in parts if part)


def _numbers(row: Mapping[str, str]) -> list[tuple[str, float, int]]:
    columns = (("z {}", "z_max", 1), ("{} mL", "volume_ml", 1), ("p {}", "p_corrected", 3))
    return [(text, _read(row.get(column, "")), digits) for text, column, digits in columns]


def _read(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _of_case(context: SubjectContext, case: PreparedCase) -> list[Result]:
    return [one for scan in context.once(results_of) for one in scan if case_of(context.cases, one.found) == case]


def _map_title(shown: Result, statistic: Statistic, scans: Sequence[Result]) -> str:
    """``SISCOM z, minus Real`` with what tells the ictal scan from others: ``, run-1``."""
    own = shown.found.ictal.split("_")
    others = [scan.found.ictal.split("_") for scan in scans if scan.found.ictal != shown.found.ictal]
    parts = [part for part in own if not all(part in other for other in others)]
    label = shown.found.label
    baseline = f"synthetic {label}" if kind_of(shown.facts, label) == "synthetic" else label
    return ", ".join([f"SISCOM {_TITLES[statistic]}, minus {baseline}", *(parts if others else [])])


def _layer(context: SubjectContext, case: PreparedCase, shown: Result, statistic: Statistic, title: str) -> Layer:
    mask, affine = context.brain(case)
    box = brain_box(mask)
    # Pictures are made of the z map alone.
    values = context.cut(case, shown.found.maps[statistic], keep=statistic == "z")
    values, moved = crop(values, affine, box)
    volume = pack(*coarsen(values, moved, mask[box]))
    threshold, limit, unit = shown.threshold, LIMIT, ""
    if statistic == "difference":
        spread = as_number(shown.facts.get("StandardDeviationPercent"))
        if not (math.isfinite(spread) and spread > 0):
            spread = float(np.std(values[mask[box]])) or 1.0
        threshold, limit, unit = threshold * spread, float(np.ceil(LIMIT * spread)), PERCENT
    limit = max(limit, 1.5 * threshold)
    return Layer(
        layer_name(shown.found, statistic),
        title,
        unit,
        "signed",
        volume,
        (-limit, limit),
        (-threshold, threshold),
        "hot-cold",
        shown.synthetic,
    )
