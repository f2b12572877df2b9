"""Ictal or interictal, by what people write into descriptions."""

import re

from bids_spectsynth.bids.roles import SpectState
from bids_spectsynth.dicom.reading.files import Series

#: Words of series, protocols and studies. A postictal scan is no baseline.
_INTERICTAL = re.compile(r"\b(?:inter[ _-]?ictal|interiktal|baseline|basal)\b")
_ICTAL = re.compile(r"\b(?:(?:post|peri)?[ _-]?ictal|iktal|seizure)\b")
#: What a scan is said not to be.
_NEGATED = re.compile(
    r"\b(?:non|not|no|without|w/o|ohne|keine?|nicht)[ -]*(?:(?:an?|any|clinical|definite)[ -]+)?"
    r"(?:post|peri|inter)?[ -]*(?:ictal|iktal|seizures?|anfall)\b|\bseizure[ -]*free\b|\banfallsfrei\b"
)
#: An order of a study names the disease, not the state of the scan.
_ORDER = re.compile(r"\bseizures?\b")
_KEYWORDS = ("SeriesDescription", "ProtocolName", "StudyDescription")


def described_state(series: Series) -> SpectState | None:
    """The state by the first description that names one; None where none does, one names both or denies one."""
    for keyword in _KEYWORDS:
        # An underscore is a letter to \b.
        text = str(series.first.get(keyword) or "").lower().replace("_", " ")
        denied = _NEGATED.search(text) is not None
        text = _NEGATED.sub(" ", text)
        if keyword == "StudyDescription":
            text = _ORDER.sub(" ", text)
        found: list[SpectState] = ["interictal"] if _INTERICTAL.search(text) else []
        found += ["ictal"] if not denied and _ICTAL.search(_INTERICTAL.sub(" ", text)) else []
        if found or denied:
            return found[0] if len(found) == 1 else None
    return None
