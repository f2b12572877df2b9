"""What is known of the scanners of a training: resolution, attenuation correction, tracer and camera of its scans.

For the card, so that a new scan can be held against them. Of the sidecars only what may leave goes in
(:mod:`bids_spectsynth.bids.public`), and only as counts: no institution, station or number of a device.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.public import is_public_text, public_metadata
from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.errors import ImageError
from bids_spectsynth.synthesis.data.attenuation import known_correction
from bids_spectsynth.synthesis.data.harmonising import case_widths
from bids_spectsynth.synthesis.data.tracers import known_tracer

logger = logging.getLogger(__name__)

#: Of what the sidecar does not say.
UNKNOWN = "n/a"
#: A tracer or correction by a name that is on no list, and so may name more than that.
UNLISTED = "unlisted"
#: What converters write instead.
_UNKNOWN_WORDS = (UNKNOWN, "na", "unknown", "null")
#: Keys of a card's record, and which keys of sidecars they are of. Those of MR are the camera's alone.
CAMERA, TRACER, ATTENUATION = "camera", "tracer", "attenuation_correction"
_SOURCES: Mapping[str, tuple[str, ...]] = {
    CAMERA: ("Manufacturer", "ManufacturersModelName"),
    TRACER: ("TracerName",),
    ATTENUATION: ("AttenuationCorrection",),
}
FWHM = "fwhm_mm"
#: Of the distribution of resolutions: its names in a card, and the percentiles that they are.
PERCENTILES: Mapping[str, float] = {"min": 0, "p5": 5, "median": 50, "p95": 95, "max": 100}


def scan_facts(facts: Mapping[str, Any], role: str) -> dict[str, str]:
    """Camera and, of PET and SPECT, tracer and attenuation correction of a scan.

    Parameters
    ----------
    facts : mapping
        Sidecar of the prepared image.
    role : str

    Returns
    -------
    dict of str to str
        By key of a card's record; ``n/a`` where the sidecar does not say, or names a camera that is on no list. Of free
        texts only the names of known cameras, tracers and corrections may leave: another tracer or correction is
        ``unlisted``.

    Examples
    --------
    >>> scan_facts({"Manufacturer": "Siemens", "ManufacturersModelName": "Biograph", "TracerName": "FDG"}, "pet")
    {'camera': 'Siemens Biograph', 'tracer': 'FDG', 'attenuation_correction': 'n/a'}
    """
    public = public_metadata(facts)
    wanted = _SOURCES if role_of(role).is_nuclear else {CAMERA: _SOURCES[CAMERA]}
    found = {
        name: [text for text in (_plain(public.get(key, "")) for key in keys) if text] for name, keys in wanted.items()
    }
    for name, known in ((TRACER, known_tracer), (ATTENUATION, known_correction)):
        if texts := found.get(name):
            found[name] = [one for one in map(known, texts) if one] or [UNLISTED]
    return {name: _joined(texts) for name, texts in found.items()}


def _plain(value: object) -> str:
    """A text without spaces around it; empty where it says nothing, or in words that nothing is known."""
    text = str(value).strip()
    return "" if text.casefold() in _UNKNOWN_WORDS else text


def _joined(texts: Sequence[str]) -> str:
    """One text that may leave, which two that may leave are not always together: the last where it is too long."""
    whole = " ".join(texts)
    return whole if is_public_text(whole) else texts[-1] if texts else UNKNOWN


def measured_widths(case: PreparedCase, roles: Iterable[str]) -> dict[str, float]:
    """Resolution of the PET and the SPECT of a case, as far as it can be measured: nothing fails for a description.

    Parameters
    ----------
    case : PreparedCase
    roles : iterable of str
        As of :func:`bids_spectsynth.synthesis.data.harmonising.case_widths`.

    Returns
    -------
    dict of str to float
        FWHM, mm, by role; without those where a file that is needed is missing or damaged, each with a warning, or too
        little was measured.
    """
    found: dict[str, float] = {}
    for role in roles:
        try:
            own = case_widths(case, (role,))
        except (ImageError, ValueError) as error:
            logger.warning("%s: resolution of the %s not measured: %s", case.name, role_of(role).title, error)
            continue
        found |= {name: width for name, width in own.items() if np.isfinite(width)}
    return found


def describe_scans(cases: Sequence[PreparedCase], roles: Sequence[str]) -> dict[str, Any]:
    """The scans of a training, for its card.

    Parameters
    ----------
    cases : sequence of PreparedCase
        Of the training participants alone, as prepared (before any harmonising).
    roles : sequence of str
        Inputs and target.

    Returns
    -------
    dict
        By role: ``scans`` (how many), counts by ``camera`` and, of PET and SPECT, by ``tracer`` and
        ``attenuation_correction``, and the distribution of their resolution, ``fwhm_mm`` (:data:`PERCENTILES` and
        ``n``, mm), where it was measured; of a damaged file there is a warning.
    """
    found = {}
    for role in roles:
        own = [case for case in cases if role in case.images]
        facts = [scan_facts(sidecar(case.images[role]), role) for case in own]
        counts = {name: dict(Counter(one[name] for one in facts).most_common()) for name in (facts[0] if facts else ())}
        widths = [width for case in own for width in measured_widths(case, (role,)).values()]
        found[role] = {"scans": len(own), **counts, **({FWHM: _distribution(widths)} if widths else {})}
    return found


def _distribution(widths: Sequence[float]) -> dict[str, float]:
    values = {name: round(float(np.percentile(widths, share)), 2) for name, share in PERCENTILES.items()}
    return {**values, "n": len(widths)}
