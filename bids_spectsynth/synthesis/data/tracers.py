"""Whether two scans are of one tracer, by their sidecars."""

import re
from collections.abc import Mapping
from typing import Any

#: Other names of the tracers of cerebral perfusion and of FDG.
_SYNONYMS = {
    "exametazime": "hmpao",
    "ceretec": "hmpao",
    "dlhmpao": "hmpao",
    "bicisate": "ecd",
    "neurolite": "ecd",
    "iofetamine": "imp",
    "iodoamphetamine": "imp",
    "fluorodeoxyglucose": "fdg",
    "fludeoxyglucose": "fdg",
    "fluorodeoxydglucose": "fdg",
    "deoxyfluorodglucose": "fdg",
    "deoxyfluoroglucose": "fdg",
    "florbetapir": "av45",
    "amyvid": "av45",
    "pittsburghcompoundb": "pib",
    "lhmpao": "hmpao",
    "fluorodopa": "fdopa",
    "fluoroethyltyrosine": "fet",
    "alphamethyltryptophan": "amt",
    "methionine": "met",
    "flumazenil": "fmz",
    "flortaucipir": "av1451",
    "vizamyl": "flutemetamol",
    "neuraceq": "florbetaben",
    "datscan": "ioflupane",
    "fpcit": "ioflupane",
    "h2o": "water",
    "nh3": "ammonia",
}
#: How known tracers are named.
_TITLES = {
    **{name: name.upper() for name in (
        "hmpao", "ecd", "imp", "fdg", "av45", "av1451", "fdopa", "fet", "amt", "met", "fmz", "mppf", "fcway", "pk11195",
        "pbr28", "dpa714", "mk6240", "way100635",
    )},
    **{name: name for name in (
        "water", "ammonia", "ioflupane", "iomazenil", "raclopride", "florbetaben", "flutemetamol",
    )},
    "pib": "PiB",
    "ucbj": "UCB-J",
}  # fmt: skip
_KNOWN = frozenset(_TITLES)
#: What stands alone where nobody has said more, as letters and digits.
_NUCLIDES = {
    letters: f"{number}{element}"
    for number, element in (("18", "F"), ("11", "C"), ("15", "O"), ("13", "N"), ("99m", "Tc"), ("123", "I"))
    for letters in (f"{number}{element}".lower(), f"{element}{number}".lower())
}
#: Nuclides that stand apart, at either end of a name: "[18F]", "(18F)", "18-F", "F-18", "fluorine-18"; "18FDG" is none.
_APART = re.compile(
    r"(?:18[\s-]*f|11[\s-]*c|15[\s-]*o|13[\s-]*n)(?![a-z])"
    r"|(?<![a-z])(?:f(?:luorine)?[\s-]*18|c(?:arbon)?[\s-]*11|o(?:xygen)?[\s-]*15|n(?:itrogen)?[\s-]*13)(?!\d)"
)
_NUCLIDE = re.compile(r"technetium|99mtc|tc99m|99m|tc|iodine|123i|i123|18f(?=f)|f18|fluorine18|18(?=fdg)")


def tracer_note(ictal: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """One sentence where two SPECTs are of different tracers, None where they agree or a sidecar does not say.

    Parameters
    ----------
    ictal, other : mapping
        Sidecars with ``TracerName`` and ``TracerRadionuclide``.

    Examples
    --------
    >>> tracer_note({"TracerName": "99mTc-HMPAO"}, {"TracerName": "Ceretec"}) is None
    True
    >>> tracer_note({"TracerName": "ECD"}, {"TracerName": "HMPAO"})
    'The ictal scan is of another tracer (ECD) than the interictal one (HMPAO).'
    """
    for key, plain in (("TracerName", _tracer), ("TracerRadionuclide", _nuclide)):
        ours, theirs = (str(facts.get(key) or "") for facts in (ictal, other))
        if ours and theirs and plain(ours) != plain(theirs):
            return f"The ictal scan is of another tracer ({ours}) than the interictal one ({theirs})."
    return None


def same_tracer(one: str, other: str) -> bool:
    """Whether two names are of one tracer.

    Examples
    --------
    >>> same_tracer("[18F]FDG", "fluorodeoxyglucose"), same_tracer("18FDG", "FDG"), same_tracer("FDG", "PiB")
    (True, True, False)
    """
    return (known_tracer(one) or _tracer(one)) == (known_tracer(other) or _tracer(other))


def known_tracer(name: str) -> str | None:
    """The one name of a known tracer, or a nuclide that stands alone.

    Parameters
    ----------
    name : str
        ``TracerName`` of a sidecar.

    Returns
    -------
    str or None
        Nothing else of the text: whoever typed it may have named a person or a place beside.

    Examples
    --------
    >>> known_tracer("[18F]FDG"), known_tracer("Ceretec, A. Doe"), known_tracer("F-18"), known_tracer("FDG A. Doe")
    ('FDG', 'HMPAO', '18F', None)
    """
    return _TITLES.get(_tracer(name)) or _NUCLIDES.get(_letters(name))


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _tracer(name: str) -> str:
    """The one name of a known tracer, wherever it stands in "FDG -- fluorodeoxyglucose"; else what stands first."""
    parts = re.split(r"--|[(),;]", _APART.sub("", name.lower()))
    names = [_plain(part) for part in parts if _letters(part)]
    return next((one for one in names if one in _KNOWN), names[0] if names else _letters(name))


def _plain(name: str) -> str:
    bare = _NUCLIDE.sub("", _letters(name)) or _letters(name)
    # Of "2-fluoro-2-deoxy-D-glucose" the numbers say where, not what.
    return _SYNONYMS.get(bare) or _SYNONYMS.get(re.sub(r"\d", "", bare), bare)


def _nuclide(name: str) -> tuple[str, str]:
    letters = _letters(name).replace("technetium", "tc").replace("iodine", "i")
    # 99mTc and Tc99m: the same letters and the same number.
    return "".join(sorted(re.sub(r"\d", "", letters))), "".join(re.findall(r"\d", letters))
