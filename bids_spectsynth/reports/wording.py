"""Words that the subjects' pages and the group's page share: names of methods, tooltips, the foot."""

from collections.abc import Iterable, Mapping

import pandas as pd

from bids_spectsynth import __version__
from bids_spectsynth.evaluation.columns import COUNT, NETWORK, NO_UNIT, OF_MEASURE, OF_METRIC
from bids_spectsynth.synthesis.baselines.registry import BASELINES

FOOTER = f"Research use only. Written by bids_spectsynth {__version__}. Not a medical device; not for diagnosis."
PHANTOM_TEXT = (
    "These images were simulated. The numbers describe the software, not patients: they are not clinical numbers."
)
NETWORK_NAME = "Model (pix2pix)"
#: What a tooltip does without: numbers without a unit, and units of which the page's tables say themselves.
_UNITS_NOT_SHOWN = (None, NO_UNIT, COUNT, OF_METRIC, OF_MEASURE)


def method_name(method: str) -> str:
    """Name of a method for readers."""
    if method == NETWORK:
        return NETWORK_NAME
    return BASELINES[method].title if method in BASELINES else method


def method_order(methods: pd.Series) -> list[str]:
    """The methods of a table: the model first, then the baselines as listed, then others."""
    present = list(dict.fromkeys(str(method) for method in methods))
    known = [NETWORK, *BASELINES]
    return sorted(present, key=lambda m: (known.index(m) if m in known else len(known), m))


def description(dictionary: Mapping[str, object], column: str) -> str:
    """Description of a column in a table's JSON dictionary; empty where there is none."""
    entry = dictionary.get(column)
    if not isinstance(entry, Mapping):
        return ""
    text = str(entry.get("Description", ""))
    unit = entry.get("Units")
    return text if not text or unit in _UNITS_NOT_SHOWN else f"{text} ({unit})"


def left_out_text(methods: Iterable[str]) -> str:
    """The baselines that are not among the methods, to be added to a verdict; empty where there are none."""
    present = set(methods)
    absent = [baseline.title for name, baseline in BASELINES.items() if name not in present]
    return f" Not compared with: {', '.join(absent)}." if absent else ""
