"""Corrections for attenuation by name: those that are known, in place of the free text of a sidecar."""

import re
from collections.abc import Mapping

#: Other names of corrections, as letters and digits alone.
_SYNONYMS: Mapping[str, str] = {
    **dict.fromkeys(("ctac", "acct", "measuredct", "ctmeasured", "computedtomography"), "ct"),
    **dict.fromkeys(("mrac", "mrmac", "mri", "dixon", "mrdixon", "ute", "mrute", "zte", "mrzte"), "mr"),
    **dict.fromkeys(("no", "nac", "nonac", "off", "false", "uncorrected"), "none"),
    **dict.fromkeys(("changs", "uniform"), "chang"),
    **dict.fromkeys(("on", "true", "corrected", "ac"), "yes"),
    "transmissionscan": "transmission",
}
#: How they are named, the one that says most first.
_TITLES: Mapping[str, str] = {
    "ct": "CT",
    "mr": "MR",
    "transmission": "transmission",
    "chang": "Chang",
    "calculated": "calculated",
    "none": "none",
    "measured": "measured",
    "yes": "yes",
}


def known_correction(text: str) -> str | None:
    """The one name of a known correction for attenuation, wherever it stands in "CT-based, with scatter".

    Parameters
    ----------
    text : str
        ``AttenuationCorrection`` of a sidecar.

    Returns
    -------
    str or None
        Nothing else of the text: whoever typed it may have named a person or a place beside.

    Examples
    --------
    >>> known_correction("CTAC"), known_correction("Chang, 0.12 /cm"), known_correction("measured by A. Doe")
    ('CT', 'Chang', None)
    """
    found = {_plain(part) for part in re.split(r"[,;()]", text)}
    return next((title for name, title in _TITLES.items() if name in found), None)


def same_correction(one: str, other: str) -> bool:
    """Whether two names are of one correction for attenuation.

    Examples
    --------
    >>> same_correction("CT", "CT-based attenuation correction"), same_correction("none", "CT")
    (True, False)
    """
    return (known_correction(one) or _plain(one)) == (known_correction(other) or _plain(other))


def _plain(text: str) -> str:
    """A name without the words for "attenuation correction", and without the coefficient behind it."""
    bare = re.sub(r"(?<![a-z])[\d.]+\s*(?:/\s*cm|cm-1)?\s*$", "", text.lower().strip())
    letters = re.sub(r"[^a-z0-9]", "", bare).replace("attenuationcorrection", "").replace("based", "")
    return _SYNONYMS.get(letters, letters)
