"""What an image is: the table of roles, and whether a nuclear image is PET or SPECT, ictal or interictal.

Whatever differs between T1w, PET, SPECT and other MR images stands in this table and is read from it everywhere: how an
image is found, what its derivatives are called, whose brain mask it takes, what readers call it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

SpectState = Literal["ictal", "interictal"]
#: ``own``: a mask of its own; ``extracted``: its own where the backend extracts brains of such images and is asked
#: to, else the T1w's, carried over and written under the image's name;
#: ``T1w``: the T1w's, which is not written once more. So do all other MR images: in ``anat``, a mask of their own would
#: have the name of the T1w's.
MaskPolicy = Literal["own", "extracted", "T1w"]

T1W = "T1w"
PET = "pet"
INTERICTAL: Final = "interictal"
ICTAL: Final = "ictal"
#: Entities that tell derivatives of several nuclear images apart.
_NUCLEAR_ENTITIES = ("task", "trc", "rec", "run")


@dataclass(frozen=True)
class Role:
    """What an image is to this program, and all that follows from it.

    Parameters
    ----------
    name : str
        As options and the keys of tables of images have it; in lower case the name of its filter.
    datatype : str
        Folder of its derivatives: ``anat``, ``pet``, ``spect``.
    suffixes : tuple of str
        Those that it may have in the dataset; the first is that of its derivatives.
    title, sentence : str
        What readers call it: standing alone, and within a sentence.
    kept_entities : tuple of str
        Entities of its name that derivatives keep, in BIDS order.
    task : str or None
        The ``task-`` that names of its derivatives always have.
    mask : {'own', 'extracted', 'T1w'}
        Whose brain mask it takes.
    is_input : bool
        Whether it may be an input of a model.
    """

    name: str
    datatype: str
    suffixes: tuple[str, ...]
    title: str
    sentence: str
    kept_entities: tuple[str, ...] = ()
    task: SpectState | None = None
    mask: MaskPolicy = "T1w"
    is_input: bool = True

    @property
    def suffix(self) -> str:
        """Suffix of its derivatives."""
        return self.suffixes[0]

    @property
    def is_nuclear(self) -> bool:
        """PET or SPECT."""
        return self.datatype != "anat"


def _spect(name: SpectState, title: str, sentence: str) -> Role:
    # Files of SPECT may lie among those of PET, which BIDS knows.
    return Role(name, "spect", ("spect", "pet"), title, sentence, _NUCLEAR_ENTITIES, name, "own", is_input=False)


#: The roles that need more than the defaults of another MR image, in the order in which readers see them.
ROLES: Mapping[str, Role] = {
    T1W: Role(T1W, "anat", (T1W,), "T1w", "T1w", mask="own"),
    PET: Role(PET, "pet", ("pet", "spect"), "PET", "PET", _NUCLEAR_ENTITIES, mask="extracted"),
    INTERICTAL: _spect(INTERICTAL, "Interictal SPECT", "interictal SPECT"),
    ICTAL: _spect(ICTAL, "Ictal SPECT", "ictal SPECT"),
}
#: Folders that hold images of these roles.
DATATYPES = tuple(dict.fromkeys(one.datatype for one in ROLES.values()))
NUCLEAR = tuple(name for name, one in ROLES.items() if one.is_nuclear)


_ICTAL_NAME = re.compile(rf"{ICTAL}([2-9]|[1-9][0-9]+)?")


def ictal_name(number: int) -> str:
    """The name of an ictal scan among those of its case, counted from 1: ``ictal``, ``ictal2``, ``ictal3``, ..."""
    return ICTAL if number == 1 else f"{ICTAL}{number}"


def _ictal_number(name: str) -> int:
    """The inverse of :func:`ictal_name`; 0 for names of other images."""
    found = _ICTAL_NAME.fullmatch(name)
    return int(found[1] or 1) if found else 0


def is_ictal(name: str) -> bool:
    """Whether an image is an ictal SPECT: the first of its case (``ictal``) or a further one (``ictal2``, ...)."""
    return _ictal_number(name) > 0


def ictal_names(images: Iterable[str]) -> list[str]:
    """The names of ictal scans among those of images, by number.

    Examples
    --------
    >>> ictal_names(["T1w", "ictal10", "ictal", "ictal2", "interictal"])
    ['ictal', 'ictal2', 'ictal10']
    """
    return sorted(filter(is_ictal, images), key=_ictal_number)


def role_of(name: str) -> Role:
    """The role of a name; a name that is not in the table is the suffix of another MR image (``T2w``, ``FLAIR``).

    Examples
    --------
    >>> role_of("interictal").title, role_of("FLAIR").title, role_of("FLAIR").mask
    ('Interictal SPECT', 'FLAIR', 'T1w')
    >>> role_of("ictal2").title, role_of("ictal2").task
    ('Ictal SPECT 2', 'ictal')
    """
    if name not in ROLES and is_ictal(name):
        first, number = ROLES[ICTAL], _ictal_number(name)
        return replace(first, name=name, title=f"{first.title} {number}", sentence=f"{first.sentence} {number}")
    return ROLES.get(name) or Role(name, "anat", (name,), name, name)


def reading_order(names: Iterable[str]) -> list[str]:
    """Names of roles in the order of the table, others behind them as they come; ictal scans by number."""
    known = list(ROLES)

    def place(name: str) -> tuple[int, int]:
        role = ICTAL if is_ictal(name) else name
        return known.index(role) if role in ROLES else len(known), _ictal_number(name)

    return sorted(names, key=place)


def role_by_suffix(suffix: str, entities: Mapping[str, str]) -> str:
    """Name of the role of a derivative, by its suffix and, of SPECT, its ``task-``.

    Examples
    --------
    >>> role_by_suffix("spect", {"task": "ictal"}), role_by_suffix("FLAIR", {})
    ('ictal', 'FLAIR')
    """
    return entities.get("task", INTERICTAL) if suffix == ROLES[INTERICTAL].suffix else suffix


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


#: Why a SPECT is taken for interictal whose name says nothing. Reasons in sidecars of derivatives begin with it too.
ASSUMED_STATE = "interictal because nothing in its name says ictal"


def is_assumed(reason: object) -> bool:
    """Whether a SPECT is interictal by assumption alone, by the reason that stands with it.

    Examples
    --------
    >>> is_assumed(spect_state({})[1]), is_assumed(spect_state({"task": "interictal"})[1])
    (True, False)
    """
    return str(reason).startswith(ASSUMED_STATE)


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
    return "interictal", ASSUMED_STATE
