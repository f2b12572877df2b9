"""Cameras by name: vendors and models that are known, in place of the free text of a sidecar.

A converter or a person may put anything under ``Manufacturer``, the name of a practice or a patient too. A list lets
nothing of that through, at the price that a camera which is not on it stays unnamed.
"""

import re
from collections.abc import Mapping, Sequence


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


#: How vendors are written, as words of letters and digits alone, and their one name.
_VENDORS: Mapping[str, str] = {
    "siemens": "Siemens",
    "ge": "GE",
    "gems": "GE",
    "general electric": "GE",
    "philips": "Philips",
    "canon": "Canon",
    "toshiba": "Toshiba",
    "united imaging": "United Imaging",
    "uih": "United Imaging",
    "mediso": "Mediso",
    "spectrum dynamics": "Spectrum Dynamics",
    "ddd diagnostic": "DDD-Diagnostic",
    "hitachi": "Hitachi",
    "fujifilm": "Fujifilm",
    "shimadzu": "Shimadzu",
    "elscint": "Elscint",
    "adac": "ADAC",
    "picker": "Picker",
    "marconi": "Marconi",
    "trionix": "Trionix",
    "digirad": "Digirad",
    "bruker": "Bruker",
    "cti": "CTI",
    "cps": "CPS",
    "positron": "Positron",
    "mie": "MiE",
    "inspira": "InSPira",
    "neurologica": "NeuroLogica",
    "samsung": "Samsung",
    "sopha": "Sopha",
    "smv": "SMV",
    "neusoft": "Neusoft",
    "minfound": "MinFound",
    "esaote": "Esaote",
    "hyperfine": "Hyperfine",
    "simulated": "Simulated",
    "bids spectsynth": "bids_spectsynth",
}
#: What makes a product of a vendor: at least one such word is in the name of a model.
_PRODUCTS = frozenset(
    _words("""
    achieva advance airis allegra allegro altaire altea ambition anyscan aperto aquiduo aquilion architect avanto
    axis biograph brightview cardio cardiomd cartesion celesteion celestion connectom discovery dspect dst dstxl
    dstxli ecam ecat echelon elition encore espree exact forte gca gemini genesis guardian gyroscan harmony headtome
    hero horizon hrrt impression infinia ingenia ingenuity intera intevo investigational irix lumina magnetom mct
    medix millennium mmr multispect neurocam nmct oasis omni optima orian panorama petct petmr phantom precedence
    prism prisma prospecta quadra reveal signa skylight skyra sola sonata starguide swoop symbia symphony
    symphonytim tandem terra titan triad trinion trio triotim uexplorer umi umr upmr vantage varicam vereos verio
    veriton vertex vida vision xvision
    """)
)
#: What may stand beside it.
_PARTS = frozenset(
    _words("""
    4d 7t accel art artist body bold camera cima cpet cs ct czt device dr drh dstream duet e edge epl evo excellence
    excite express fit flash flow gamma hawkeye hd hdi hdx hdxt hires hr ict ii iii iq iv le legend lso md mg mi
    mobi motion mr mri msx neo nm of pcd pet plus power premier prime pro pulse q s scanner se secura signature
    slice spect specta st ste subtle system systems t te tf tim time tof true truepoint truev ultra vct vg voyager
    vr wide x xct xeleris xl xli xlt xp xr xt
    """)
)
#: A number of slices, a field strength, a series: "690", "T16", "64R", "MR750w", "3000XP", "9300A".
_NUMBER = re.compile(r"(?:[a-z]|nm|mr|ct|st|v|hr|gca)?(?:\d{1,3}|[1-9]\d00)[a-z]{0,2}")
#: Codes by which cameras of CTI call themselves; "HR+" is one.
_CODES = frozenset({"hr", "1023", "1024", "1062", "1080", "1090", "1093", "1094", "1104"})
_LONGEST_MODEL, _MOST_NUMBERS = 40, 2
_ALLOWED = re.compile(r"[A-Za-z0-9 _./+()-]+")
#: Legal forms and divisions, that say nothing of the camera.
_COMPANY = frozenset(
    _words("medical systems system healthcare healthineers solutions imaging international nm mec ag gmbh inc co ltd")
)


#: "e.cam", "D-SPECT", "C-PET" and "NM/CT" are one word.
_INITIAL = re.compile(r"\b([cde])[-.](?=cam\b|spect\b|pet\b)|\b(nm)[/ ](?=ct\b)")
#: Families of products that some sidecars write before the product's name, and some do not.
_FAMILIES = frozenset({"magnetom", "ecat"})


def _vendor_at(words: Sequence[str]) -> tuple[str, int] | None:
    """The vendor whose name the words begin with, and of how many it is."""
    for length in (2, 1):
        known = _VENDORS.get(" ".join(words[:length]))
        if known and len(words) >= length:
            return known, length
    return None


def vendor(text: str) -> str | None:
    """The known vendor that a text names first, by its one name.

    Parameters
    ----------
    text : str
        ``Manufacturer`` of a sidecar.

    Returns
    -------
    str or None
        None where no known one is named; of what gives a name, that name gives itself.

    Examples
    --------
    >>> vendor("GE MEDICAL SYSTEMS"), vendor("TOSHIBA_MEC"), vendor("Praxis Dr. Mueller")
    ('GE', 'Toshiba', None)
    """
    words = _words(text)
    found = (_vendor_at(words[at:]) for at in range(len(words)))
    return next((one[0] for one in found if one), None)


def model_name(text: str) -> str | None:
    """The name of a model, if all its words are those of known products, without the vendor before it.

    Parameters
    ----------
    text : str
        ``ManufacturersModelName`` of a sidecar.

    Returns
    -------
    str or None
        As it is written but for spaces; None where a word is not known, or nothing is left that names a product.

    Examples
    --------
    >>> model_name("GE Discovery 690"), model_name("Biograph64_mCT"), model_name("SN 4711"), model_name("Symbia Doe")
    ('Discovery 690', 'Biograph64_mCT', None, None)
    """
    name = _without_vendor(" ".join(text.split()))
    if len(name) > _LONGEST_MODEL or _ALLOWED.fullmatch(name) is None:
        return None
    words = [part for word in _words(_INITIAL.sub(r"\1\2", name.lower())) for part in _product_and_number(word)]
    numbers = [word for word in words if any(map(str.isdigit, word)) and word not in _PARTS]
    known = all(word in _PRODUCTS | _PARTS or _NUMBER.fullmatch(word) or word in _CODES for word in words)
    # Codes name a camera by themselves.
    named = any(word in _PRODUCTS for word in words) or (len(words) == 1 and words[0] in _CODES)
    return name if known and named and len(numbers) <= _MOST_NUMBERS else None


def _product_and_number(word: str) -> list[str]:
    """``biograph64`` is two words."""
    found = re.fullmatch(r"([a-z]+)(\d+[a-z]{0,2})", word)
    return list(found.groups()) if found and found[1] in _PRODUCTS else [word]


def _without_vendor(text: str) -> str:
    """A text without vendors, and what belongs to their names, at its beginning."""
    rest = text
    while found := _vendor_at(_words(rest)):
        rest = _cut(rest, found[1])
        while (words := _words(rest)) and words[0] in _COMPANY and len(words) > 1:
            rest = _cut(rest, 1)
    return rest


def _cut(text: str, count: int) -> str:
    ends = [one.end() for one in re.finditer(r"[A-Za-z0-9]+", text)]
    return text[ends[count - 1] :].lstrip(" _./+-)")


def same_camera(one: str, other: str) -> bool:
    """Whether two cameras may be one: neither vendor nor model differs, as far as both have it.

    Parameters
    ----------
    one, other : str
        Vendor, model, or both.

    Examples
    --------
    >>> same_camera("GE", "GE Discovery 690"), same_camera("GE MEDICAL SYSTEMS Discovery 690", "GE DISCOVERY-690")
    (True, True)
    >>> same_camera("GE Discovery 690", "GE Discovery 710"), same_camera("Siemens", "GE")
    (False, False)
    """
    (vendor_one, model_one), (vendor_other, model_other) = map(_parts, (one, other))
    vendors = not vendor_one or not vendor_other or vendor_one == vendor_other
    return vendors and (not model_one or not model_other or model_one == model_other)


def _parts(camera: str) -> tuple[str, str]:
    words = _words(camera)
    begins = _vendor_at(words)
    # "n/a" is how a sidecar says that it does not know.
    rest = re.sub(r"(?i)\bn/?a\b", "", _without_vendor(camera))
    return begins[0] if begins else "", "".join(word for word in _words(rest) if word not in _FAMILIES)
