"""What of an input's metadata may leave: the one filter between what a scanner wrote and everything that is written.

By key **and** by type and length: a key of the list says how an image was made, but a converter may put anything under
it. What passes is written to sidecars, work folder and crash files; nothing else of a sidecar is kept at all. Of
cameras only names leave that are known (:mod:`bids_spectsynth.bids.vocabulary.cameras`).
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from bids_spectsynth.bids.sidecars import as_number
from bids_spectsynth.bids.vocabulary.cameras import model_name, vendor

#: Characters of the longest text that passes: names of methods are shorter, reports of them are not.
LONGEST = 80
#: Names as DICOM writes them, addresses, dates, and numbers of patients and devices.
_PERSONAL = re.compile(r"[\^@]|\d{5}|\d{1,4}[-/]\d{1,2}[-/]\d{1,4}|\d{1,2}\.\d{1,2}\.\d{2,4}|\d:\d\d")
#: Keys of an ictal SPECT that say when it was injected, in seconds from one and the same zero.
INJECTION_KEYS = ("InjectionStart", "SeizureOnset", "SeizureDuration")
#: Words of places, persons and devices, in what should name a method.
_NO_METHOD = re.compile(
    # "DR" is of cameras.
    r"\*|^dr\b|\bdr\.|(?-i:\bDr\b)|\b(?:prof|geb|born|patient|praxis|sn|s/n|chu)\b|hospital|h[oô]pital|ospedal"
    r"|clinics?\b|klinik|cl[ií]nica|clinique|krankenhaus|spital|charit[eé]|medical cent|serial|universi",
    re.IGNORECASE,
)
_DAY = 86400
_DOI = re.compile(r"(?:doi:|https?://(?:dx\.)?doi\.org/)?10\.\d{1,9}(?:\.\d+)*/[\w.():;/-]{1,80}", re.ASCII)
_MOST_FRAMES = 10_000


def is_public_text(value: object) -> bool:
    """Whether a value is one short line of printable text without what looks like a name, date or personal number.

    Examples
    --------
    >>> is_public_text("OSEM, 4 iterations"), is_public_text("DOE^JOHN"), is_public_text("1970-01-31")
    (True, False, False)
    """
    return (
        isinstance(value, str) and 0 < len(value) <= LONGEST and value.isprintable() and _PERSONAL.search(value) is None
    )


def is_doi(value: object) -> bool:
    """Whether a value is a digital object identifier, with or without what makes an address of it."""
    return isinstance(value, str) and _DOI.fullmatch(value) is not None


def _is_method(value: object) -> bool:
    return is_public_text(value) and _NO_METHOD.search(str(value)) is None


def _is_vendor(value: object) -> bool:
    return _is_method(value) and vendor(str(value)) is not None


def _is_model(value: object) -> bool:
    return _is_method(value) and model_name(str(value)) is not None


def _is_number(value: object) -> bool:
    return math.isfinite(_seconds(value))


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


#: Sidecar keys of an input image that its derivatives may repeat, and what their values must be: how it was made, never
#: whom it shows, when or where.
PUBLIC_KEYS: Mapping[str, Callable[[object], bool]] = {
    "Manufacturer": _is_vendor,
    "ManufacturersModelName": _is_model,
    "TracerName": _is_method,
    "TracerRadionuclide": _is_method,
    "Units": _is_method,
    "MagneticFieldStrength": _is_number,
    "NonlinearGradientCorrection": _is_flag,
    "ReconMethodName": _is_method,
    "AttenuationCorrection": _is_method,
    "ImageDecayCorrected": _is_flag,
    "Simulated": _is_flag,
}


def public_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a sidecar that says how an image was made, for the sidecar of a derivative.

    A whitelist (:data:`PUBLIC_KEYS`). ``Manufacturer`` and ``ManufacturersModelName`` leave as the names of known
    cameras alone; whatever else stands there, a site, a person or a device's number too, stays. The other texts
    (tracer, units, method of reconstruction, attenuation correction) are free: what looks like a date, a long number, a
    DICOM name or an address stays, and what names a hospital, a title or a serial number; a plain surname that somebody
    typed there would pass.

    Parameters
    ----------
    metadata : mapping
        A sidecar; applied to what it gave, the filter changes nothing.

    Examples
    --------
    >>> public_metadata({"Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturersModelName": "Dr. Doe", "StationName": "1"})
    {'Manufacturer': 'GE'}
    """
    found = {
        key: metadata[key] for key, may_leave in PUBLIC_KEYS.items() if key in metadata and may_leave(metadata[key])
    }
    for key, known in (("Manufacturer", vendor), ("ManufacturersModelName", model_name)):
        if key in found:
            found[key] = known(found[key])
    return found


def public_injection(metadata: Mapping[str, Any]) -> dict[str, float]:
    """When the tracer of an ictal SPECT was injected, counted from the seizure's onset, for the derivative's sidecar.

    Parameters
    ----------
    metadata : mapping
        The sidecar of the scan: :data:`INJECTION_KEYS`, numbers in seconds. Their zero may be anything, midnight too,
        so that the derivative's is the onset: it tells how late the injection was, not at what time of day.

    Returns
    -------
    dict
        ``InjectionStart`` and ``SeizureOnset`` (which is 0) where both are known, ``SeizureDuration`` where it is.
    """
    injection, onset, duration = (_seconds(metadata.get(key)) for key in INJECTION_KEYS)
    late = injection - onset
    found = {"InjectionStart": round(late, 3), "SeizureOnset": 0.0} if abs(late) < _DAY else {}
    return found | ({"SeizureDuration": duration} if 0 <= duration < _DAY else {})


def kept_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """All of a sidecar that the program keeps of an image, once its role is known; applied twice it changes nothing.

    What may leave, and ``FrameDuration`` as far as it is a list of numbers.
    """
    frames = metadata.get("FrameDuration")
    usable = isinstance(frames, list) and len(frames) <= _MOST_FRAMES and all(map(_is_plain_number, frames))
    durations = {"FrameDuration": frames} if usable else {}
    return {**public_metadata(metadata), **public_injection(metadata), **durations}


def _is_plain_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _seconds(value: object) -> float:
    try:
        return as_number(value)
    except OverflowError:  # JSON knows whole numbers of any length
        return math.nan
