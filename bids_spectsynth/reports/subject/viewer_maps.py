"""Maps and foci of SISCOM for the viewer in a subject's report."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.sidecars import as_number
from bids_spectsynth.errors import SpectSynthError
from bids_spectsynth.reports.context import SubjectContext
from bids_spectsynth.reports.html import number
from bids_spectsynth.reports.pictures.statmaps import LIMIT
from bids_spectsynth.reports.pictures.views import Mask
from bids_spectsynth.reports.plain_table import read_plain
from bids_spectsynth.reports.reading import read_on_grid
from bids_spectsynth.reports.subject.siscom import case_of, comparisons, facts_of, layer_name, scan_title
from bids_spectsynth.reports.subject.siscom_facts import baseline_title, is_synthetic, kind_of
from bids_spectsynth.reports.subject.siscom_foci import SHOWN, by_rank, peak_of
from bids_spectsynth.reports.viewer.layers import Focus, Layer
from bids_spectsynth.reports.viewer.packing import Affine, brain_box, coarsen, crop, pack
from bids_spectsynth.siscom.outputs.paths import Found, Statistic

#: Maps of a comparison in the order in which the page has room for them. The z map of the brain is shown for the usual
#: reading, the difference for its size; what the corrected p rests on comes behind them.
_MAPS: tuple[Statistic, ...] = ("z", "difference", "znull", "zcohort")
_TITLES: Mapping[Statistic, str] = {"z": "z", "difference": "difference", "znull": "z null", "zcohort": "z cohort"}
PERCENT = "% of mean"
#: Usual threshold, where the sidecar does not say.
_THRESHOLD = 2.0


def map_layers(
    context: SubjectContext, case: PreparedCase, mask: Mask, affine: Affine
) -> Iterator[tuple[str, Callable[[], Layer]]]:
    """What each map of a case is, and the function that makes its layer; the most important ones first.

    Parameters
    ----------
    context : SubjectContext
    case : PreparedCase
        In whose T1w space the maps are.
    mask : array of bool, shape (i, j, k)
    affine : array, shape (4, 4)
    """
    own = _of_case(context, case)
    for statistic in _MAPS:
        for found in own:
            if statistic in found.maps:
                title = _map_title(found, statistic, own)
                yield title, partial(_layer, found, statistic, title, mask, affine)


def top_map(context: SubjectContext, case: PreparedCase) -> str:
    """Name of the layer that is shown first; empty without a SISCOM."""
    return next((layer_name(found, "z") for found in _of_case(context, case) if "z" in found.maps), "")


def foci_of(context: SubjectContext, case: PreparedCase) -> Iterator[Focus]:
    """The first foci of each comparison by rank, hyperperfusion before hypoperfusion.

    A table that cannot be read has none; the section on SISCOM says so.
    """
    for found in _of_case(context, case):
        try:
            rows = by_rank(read_plain(found.clusters))
        except SpectSynthError:
            continue
        group = f"{scan_title(found)} minus {baseline_title(facts_of(found), found.label)}"
        for row in sorted(rows[:SHOWN], key=lambda row: row["sign"] != "hyper"):
            peak = peak_of(row)
            if peak is not None:
                yield Focus(_focus_title(row), peak, layer_name(found, "z"), group)


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


def _of_case(context: SubjectContext, case: PreparedCase) -> list[Found]:
    return [found for found in comparisons(context) if case_of(context, found) == case]


def _map_title(found: Found, statistic: Statistic, scans: Sequence[Found]) -> str:
    """``SISCOM z, minus Real`` with what tells the ictal scan from others: ``, run-1``."""
    own = found.ictal.split("_")
    others = [scan.ictal.split("_") for scan in scans if scan.ictal != found.ictal]
    parts = [part for part in own if not all(part in other for other in others)]
    baseline = f"synthetic {found.label}" if kind_of(facts_of(found), found.label) == "synthetic" else found.label
    return ", ".join([f"SISCOM {_TITLES[statistic]}, minus {baseline}", *(parts if others else [])])


def _layer(found: Found, statistic: Statistic, title: str, mask: Mask, affine: Affine) -> Layer:
    facts = facts_of(found)
    box = brain_box(mask)
    values, moved = crop(read_on_grid(found.maps[statistic], mask.shape), affine, box)
    volume = pack(*coarsen(values, moved, mask[box]))
    threshold = as_number(facts.get("Threshold"))
    threshold = threshold if math.isfinite(threshold) and threshold > 0 else _THRESHOLD
    limit, unit = LIMIT, ""
    if statistic == "difference":
        spread = as_number(facts.get("StandardDeviationPercent"))
        if not (math.isfinite(spread) and spread > 0):
            spread = float(np.std(values[mask[box]])) or 1.0
        threshold, limit, unit = threshold * spread, float(np.ceil(LIMIT * spread)), PERCENT
    limit = max(limit, 1.5 * threshold)
    return Layer(
        layer_name(found, statistic),
        title,
        unit,
        "signed",
        volume,
        (-limit, limit),
        (-threshold, threshold),
        "hot-cold",
        is_synthetic(facts, found.label),
    )
