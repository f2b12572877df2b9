"""Words that the subjects' pages and the group's page share: names of methods, tooltips, the foot."""

from collections.abc import Iterable, Mapping

import pandas as pd

from bids_spectsynth.evaluation.columns import METHODS, NETWORK
from bids_spectsynth.synthesis.baselines.registry import BASELINES

FOOTER = "Written by bids_spectsynth. Not a medical device; not for diagnosis."
PHANTOM_TEXT = (
    "These images were simulated. The numbers describe the software, not patients: they are not clinical numbers."
)
METHOD_NAMES: Mapping[str, str] = {
    NETWORK: "Model (pix2pix)",
    **{name: baseline.title for name, baseline in BASELINES.items()},
}


def method_name(method: str) -> str:
    """Name of a method for readers."""
    return METHOD_NAMES.get(method, method)


def method_order(methods: pd.Series) -> list[str]:
    """The methods of a table: the model first, then the baselines as listed, then others."""
    present = list(dict.fromkeys(str(method) for method in methods))
    known = list(METHOD_NAMES)
    return sorted(present, key=lambda m: (known.index(m) if m in known else len(known), m))


def description(dictionary: Mapping[str, object], column: str) -> str:
    """Description of a column in a table's JSON dictionary; empty where there is none."""
    entry = dictionary.get(column)
    if not isinstance(entry, Mapping):
        return ""
    text = str(entry.get("Description", ""))
    return f"{text} ({entry['Units']})" if text and entry.get("Units") else text


def left_out_text(methods: Iterable[str]) -> str:
    """The baselines that are not among the methods, to be added to a verdict; empty where there are none."""
    present = set(methods)
    absent = [method_name(method) for method in METHODS if method not in present and method != NETWORK]
    return f" Not compared with: {', '.join(absent)}." if absent else ""
