"""Which tracer and nuclide were given, as far as a header says it."""

import re
from collections.abc import Mapping

from pydicom.dataset import Dataset

from bids_spectsynth.dicom.reading.files import Header
from bids_spectsynth.dicom.reading.numbers import number

#: Spellings of nuclides, in letters and digits alone, and the one that sidecars have.
_NUCLIDES: Mapping[str, tuple[str, ...]] = {
    "Tc99m": ("tc99m", "99mtc", "technetium99m", "99mtechnetium"),
    "I123": ("i123", "123i", "iodine123", "123iodine"),
    "F18": ("f18", "18f", "fluorine18", "18fluorine"),
    "C11": ("c11", "11c", "carbon11"),
    "O15": ("o15", "15o", "oxygen15"),
    "N13": ("n13", "13n", "nitrogen13"),
    "Ga68": ("ga68", "68ga", "gallium68"),
}
#: Half-lives in seconds of those, for headers that give a number and no name.
_HALF_LIVES = {"Tc99m": 21624.0, "I123": 47602.8, "F18": 6586.2, "C11": 1223.4, "O15": 122.2, "N13": 597.9}
_NUCLIDE_PREFIX = re.compile(r"^(?:99m?tc|tc99m?|tc|123i|i123|18f|f18)(?=[a-z])")
#: Names of tracers and the label that stands for them.
_TRACERS = (
    ("HMPAO", ("hmpao", "exametazime", "ceretec")),
    ("ECD", ("ecd", "bicisate", "neurolite")),
    ("IMP", ("iofetamine", "iodoamphetamine", "imp")),
    ("FDG", ("fdg", "fludeoxyglucose", "fluorodeoxyglucose", "deoxyglucose")),
    ("FMZ", ("flumazenil", "fmz")),
)


def tracer_item(header: Header) -> Dataset:
    """The first item of RadiopharmaceuticalInformationSequence; empty without one."""
    items = header.get("RadiopharmaceuticalInformationSequence") or []
    return items[0] if len(items) else Dataset()


def nuclide(header: Header) -> str | None:
    """``Tc99m``, ``F18``, ...: by its code, else by its half-life, else by the tracer's name."""
    item = tracer_item(header)
    texts = [_meaning(item, "RadionuclideCodeSequence"), *_tracer_texts(item)]
    for text in texts:
        for name, spellings in _NUCLIDES.items():
            if any(spelling in text for spelling in spellings):
                return name
    half_life = number(item, "RadionuclideHalfLife") or 0
    for name, seconds in _HALF_LIVES.items():
        if half_life and abs(half_life / seconds - 1) < 0.02:
            return name
    return None


def tracer(header: Header) -> str | None:
    """``HMPAO``, ``ECD``, ``FDG``, ...: by what the header says of it, else by descriptions of series and study."""
    item = tracer_item(header)
    codes = item.get("RadiopharmaceuticalCodeSequence") or [Dataset()]
    texts = [item.get("Radiopharmaceutical"), codes[0].get("CodeMeaning")]
    texts += [header.get(keyword) for keyword in ("SeriesDescription", "ProtocolName", "StudyDescription")]
    for text in texts:
        words = [_NUCLIDE_PREFIX.sub("", word) for word in re.findall(r"[a-z0-9]+", str(text or "").lower())]
        for name, spellings in _TRACERS:
            # Short names may be parts of other words; of long ones chemists write variants.
            if any(word == one or (len(one) > 4 and one in word) for word in words for one in spellings):
                return name
    return None


def _tracer_texts(item: Dataset) -> list[str]:
    return [_plain(item.get("Radiopharmaceutical")), _meaning(item, "RadiopharmaceuticalCodeSequence")]


def _meaning(item: Dataset, keyword: str) -> str:
    codes = item.get(keyword) or []
    return _plain(codes[0].get("CodeMeaning")) if len(codes) else ""


def _plain(value: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(value or "").lower())
