"""What the sidecar of a synthetic image says of scans, read back: it may be edited, or of other software."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.synthesis.models.training_scans import HARMONISED_FWHM, NOT_MEASURED, OUTSIDE

#: Of what may be a width in mm.
_LARGEST = 1e9


@dataclass(frozen=True)
class RecordedDifference:
    """A difference of a scan from those of the training, as a sidecar has it.

    Parameters
    ----------
    file : str
        Name of the prepared image; empty where the sidecar does not say.
    sentence : str
        Not empty.
    """

    file: str
    sentence: str


def recorded_differences(facts: Mapping[str, Any]) -> list[RecordedDifference]:
    """What the scans of a case have that those of the model's training did not; odd entries are passed over.

    Parameters
    ----------
    facts : mapping
        Sidecar of the synthetic image.
    """
    found = facts.get(OUTSIDE)
    entries = [one for one in (found if isinstance(found, list) else []) if isinstance(one, dict)]
    texts = [[one.get(key) if isinstance(one.get(key), str) else "" for key in ("file", "sentence")] for one in entries]
    return [RecordedDifference(str(file), str(sentence).strip()) for file, sentence in texts if str(sentence).strip()]


def not_measured(facts: Mapping[str, Any]) -> list[str]:
    """Sentences without a full stop on scans whose resolution was needed and could not be measured.

    Parameters
    ----------
    facts : mapping
        Sidecar of the synthetic image.

    Examples
    --------
    >>> not_measured({"NotMeasured": ["pet"]})[0].partition(";")[0]
    'the resolution of the PET could not be measured and is not compared with that of the training'
    """
    roles, targets = facts.get(NOT_MEASURED), recorded_numbers(facts, HARMONISED_FWHM)
    return [
        f"the resolution of the {role_of(role).sentence} could not be measured and is not compared with that of the "
        f"training{', nor was it harmonised' if role in targets else ''}; it is sharper than about 4 mm, more blurred "
        "than 20 mm, or unlike the T1w: look at it"
        for role in (roles if isinstance(roles, list) else [])
        if isinstance(role, str) and role
    ]


def recorded_numbers(facts: Mapping[str, Any], key: str) -> dict[str, float]:
    """Finite numbers by role under a key of a sidecar or a card; what is none is passed over.

    Parameters
    ----------
    facts : mapping
        Content of a JSON file.
    key : str

    Examples
    --------
    >>> recorded_numbers({"InputFWHM": {"pet": 6, "T1w": "x"}}, "InputFWHM"), recorded_numbers({}, "InputFWHM")
    ({'pet': 6.0}, {})
    """
    value = facts.get(key)
    entries = value.items() if isinstance(value, dict) else ()
    numbers = {str(name): one for name, one in entries if isinstance(one, int | float) and not isinstance(one, bool)}
    # JSON knows whole numbers of any length.
    return {name: float(one) for name, one in numbers.items() if abs(one) < _LARGEST}
