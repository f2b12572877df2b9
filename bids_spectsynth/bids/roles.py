"""What a nuclear image is: PET or SPECT, ictal or interictal."""

import re
from collections.abc import Mapping
from typing import Any, Literal

SpectState = Literal["ictal", "interictal"]

#: What readers call the roles.
ROLE_NAMES = {"T1w": "T1w", "pet": "PET", "interictal": "Interictal SPECT", "ictal": "Ictal SPECT"}
_SPECT_NUCLIDES = frozenset(
    {"tc99m", "99mtc", "technetium99m", "99mtechnetium", "i123", "123i", "iodine123", "123iodine"}
)
_NUCLIDE_PREFIX = r"(?:99m?tc|tc99m?|tc|123i|i123)?"
_SPECT_TRACERS = r"(?:dl|d|l)?(?:hmpao|exametazime|ceretec|ecd|bicisate|neurolite|imp|iofetamine|iodoamphetamine)"
_SPECT_TRACER = re.compile(_NUCLIDE_PREFIX + _SPECT_TRACERS)


def _plain(text: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(text).lower())


def is_spect(datatype: str, entities: Mapping[str, str], metadata: Mapping[str, Any]) -> bool:
    """Whether an image is SPECT, wherever it is stored.

    Parameters
    ----------
    datatype : str
        ``spect`` decides by itself; a file in ``pet`` is SPECT by the nuclide of its sidecar (Tc-99m, I-123), and
        without one by its ``trc-`` label (HMPAO, ECD, exametazime, bicisate, IMP, ...).
    entities : mapping of str to str
        By short key.
    metadata : mapping
        The sidecar.
    """
    if datatype == "spect":
        return True
    nuclide = _plain(metadata.get("TracerRadionuclide", ""))
    if nuclide:
        return nuclide in _SPECT_NUCLIDES
    return _SPECT_TRACER.fullmatch(_plain(entities.get("trc", ""))) is not None


def spect_state(entities: Mapping[str, str]) -> tuple[SpectState, str]:
    """Ictal or interictal, and why: by ``task-``, then the session's label, then ``acq-``, else interictal.

    A label counts when it contains ``interictal`` or, failing that, ``ictal`` (so ``postictal`` is ictal: it is not
    the baseline that an interictal SPECT stands for).

    Parameters
    ----------
    entities : mapping of str to str
        By short key; ``task``, ``ses`` and ``acq`` are looked at.

    Returns
    -------
    state : {'ictal', 'interictal'}
    reason : str
        One line.
    """
    for key in ("task", "ses", "acq"):
        label = entities.get(key, "").lower()
        state: SpectState | None = "interictal" if "interictal" in label else "ictal" if "ictal" in label else None
        if state is not None:
            return state, f"{state} by {key}-{entities[key]}"
    return "interictal", "interictal because nothing in its name says ictal"


def role_name(role: str) -> str:
    """Name of an image role for readers."""
    return ROLE_NAMES.get(role, role)
