"""Ictal or interictal, by what people write into descriptions."""

import re

from bids_spectsynth.bids.roles import SpectState
from bids_spectsynth.dicom.reading.files import Series

#: Words of series, protocols and studies. A postictal scan is no baseline.
_INTERICTAL = re.compile(r"\b(?:inter[ _-]?ictal|interiktal|baseline|basal)\b")
_ICTAL = re.compile(r"\b(?:(?:post|peri)?[ _-]?ictal|iktal|seizure)\b")
_KEYWORDS = ("SeriesDescription", "ProtocolName", "StudyDescription")


def described_state(series: Series) -> SpectState | None:
    """The state by the first description that names one; None where none does, or one names both."""
    for keyword in _KEYWORDS:
        # An underscore is a letter to \b.
        text = str(series.first.get(keyword) or "").lower().replace("_", " ")
        found: list[SpectState] = ["interictal"] if _INTERICTAL.search(text) else []
        found += ["ictal"] if _ICTAL.search(_INTERICTAL.sub(" ", text)) else []
        if found:
            return found[0] if len(found) == 1 else None
    return None
