"""Texts that people type, as words that are known: what else stands in them stays behind."""

import re

from pydicom.dataset import Dataset

from bids_spectsynth.dicom.reading.identity import blanked

#: Methods by what is written of them, the longer before what it holds.
_RECONSTRUCTIONS = (
    "OSEM", "MLEM", "OSCGM", "OSAG", "OSC", "BSREM", "FBP", "FORE", "3DRP", "RAMLA", "TOF", "PSF", "Evolution",
    "Astonish", "Flash3D", "xSPECT", "Iterative", "Filtered Back",
)  # fmt: skip
_FILTERS = (
    "Butterworth", "Gaussian", "Gauss", "Hann", "Hamming", "Metz", "Wiener", "Ramp", "Parzen", "Shepp", "Hermite",
    "XYZ", "None",
)  # fmt: skip
_ATTENUATION = ("Chang", "CTAC", "CT", "MRAC", "MR", "Transmission", "Measured", "Calculated", "Uniform", "None")
_SCATTER = ("TEW", "DEW", "ESSE", "SSS", "Convolution", "Monte Carlo", "Dual", "Triple", "Model", "None")
#: Names of vendors for sequences, options and collimators.
_TOKEN = re.compile(r"[*A-Z0-9_ .-]{1,24}", re.IGNORECASE)


def _known(text: str, words: tuple[str, ...]) -> str:
    """The known words in a text, each as it is written here."""
    plain = text.replace("_", " ").casefold()
    found: list[str] = []
    for word in words:
        # With what is written together with it: OSEM3D, 2D.
        start = re.search(rf"(?<![^\W\d]){re.escape(word.casefold())}", plain)
        if start and not any(word.casefold() in other.casefold() for other in found):
            found.append(word)
    return " ".join(found)


def reconstruction(text: str) -> str:
    """``OSEM``, ``FBP``, ...; with numbers of iterations and subsets (``4i8s``) where they are given; else ``yes``."""
    steps = re.search(r"(?<![^\W\d])\d{1,2}\s?i\d{1,2}\s?s\b", text.casefold())
    words = [_known(text, _RECONSTRUCTIONS), steps[0] if steps else ""]
    return " ".join(filter(None, words)) or ("yes" if text.strip() else "")


def convolution(text: str) -> str:
    """Name of a filter, else ``yes``; empty for nothing."""
    return _known(text, _FILTERS) or ("yes" if text.strip() else "")


def attenuation(text: str) -> str:
    """By what attenuation was corrected, else ``yes``; empty for nothing."""
    return _lower_none(_known(text, _ATTENUATION)) or ("yes" if text.strip() else "")


def scatter(text: str) -> str:
    """How scatter was corrected, else ``yes``; empty for nothing."""
    return _lower_none(_known(text, _SCATTER)) or ("yes" if text.strip() else "")


def _lower_none(text: str) -> str:
    return "none" if text == "None" else text


def token(value: object, header: Dataset) -> object:
    """A vendor's short name, or a list of such; empty where it is something else or holds a part of a name.

    Parameters
    ----------
    value : object
    header : Dataset
        With the names.
    """
    if isinstance(value, list | tuple):
        return [one for one in (token(one, header) for one in value) if one]
    text = str(value or "").strip()
    return text if _TOKEN.fullmatch(text) and blanked(text, header) == text else ""
