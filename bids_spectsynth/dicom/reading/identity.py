"""Words of a header that identify somebody, wherever else in it they stand."""

import re

from pydicom.dataset import Dataset

_KEYWORDS = ("PatientName", "PatientID", "OperatorsName", "InstitutionName", "ReferringPhysicianName")
_WORD = re.compile(r"[^\W_]+")
#: Shorter words are parts of others by chance.
_LEAST = 4


def identifying_words(header: Dataset) -> frozenset[str]:
    """Parts of names and identifiers, in small letters; single letters are none."""
    texts = (str(header.get(keyword) or "").casefold() for keyword in _KEYWORDS)
    return frozenset(word for text in texts for word in _WORD.findall(text) if len(word) > 1)


def blanked(text: str, header: Dataset) -> str:
    """A text of a header without the words that are, or hold, a part of a name or identifier.

    Parameters
    ----------
    text : str
    header : Dataset

    Examples
    --------
    >>> header = Dataset()
    >>> header.PatientName = "Doe^Jane"
    >>> blanked("ictal DOE_janet SPECT", header)
    'ictal ..._... SPECT'
    """
    words = identifying_words(header)

    def shown(found: re.Match[str]) -> str:
        word = found[0].casefold()
        hit = word in words or any(len(part) >= _LEAST and part in word for part in words)
        return "..." if hit else found[0]

    return _WORD.sub(shown, text)
