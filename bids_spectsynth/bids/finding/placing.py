"""Of which image of a case a mask or a transform is, as its name and the JSON file beside it say."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.roles import PET, role_of
from bids_spectsynth.bids.sidecars import sidecar, strings

# Entities that say what a derivative is, and not of which image.
_OF_DERIVATIVES = ("sub", "ses", "from", "to", "mode", "space", "desc", "res")
_TELLING = ("ses", "run", "acq")
# PETPrep's word for the mean of a dynamic PET.
_PET_REFERENCE = "petref"

Rank = tuple[object, ...]


class Image(Protocol):
    """What is asked of an input image."""

    @property
    def path(self) -> Path:
        """Its file."""

    @property
    def role(self) -> str:
        """What it is; of several ictal scans each is ``ictal``."""

    @property
    def entities(self) -> Mapping[str, str]:
        """Entities that its derivatives keep."""


def fit_to(entities: Mapping[str, str], session: str | None, image: Image) -> tuple[str, Rank | None]:
    """How well the name of a file fits to an image.

    Parameters
    ----------
    entities : mapping of str to str
        Of the name; without those that say what the file shows.
    session : str or None
        Of its name or folder.
    image : Image

    Returns
    -------
    problem : str
        Why it is not of the image; empty if it is.
    rank : tuple or None
        The lower, the better; None where it is not of the image.
    """
    named, _, _ = parse_name(image.path.name)
    own = {**named, **image.entities}
    its_session = _session_of(image.path)
    said = {key: value for key, value in entities.items() if key not in _OF_DERIVATIVES}
    for key, value in said.items():
        if _number(key, own.get(key)) != _number(key, value):
            return f"{key}-{value} is not of the image {image.path.name}", None
    if session not in (None, its_session):
        of = f"ses-{its_session}" if its_session else "no session"
        return f"it is of ses-{session}, the image {image.path.name} of {of}", None
    return "", (session != its_session, -len(said))


def fit_to_t1w(
    path: Path, entities: Mapping[str, str], session: str | None, t1w: Image, t1w_files: Sequence[Path]
) -> tuple[str, Rank | None]:
    """As :func:`fit_to`, of a mask of the T1w or its transform to a template; it says of which T1w it is.

    Parameters
    ----------
    path : Path
        Of the mask or the transform.
    entities, session
        See :func:`fit_to`.
    t1w : Image
        That of the case.
    t1w_files : sequence of Path
        All T1w of the participant.
    """
    problem, rank = fit_to(entities, session, t1w)
    if rank is None:
        return problem, None
    own, said = _telling(t1w.path), {**entities, **({"ses": session} if session else {})}
    others = _other_t1ws(t1w, t1w_files)
    telling = [key for key in _TELLING if own[key] and any(other[key] != own[key] for other in others)]
    missing = [f"{key}-{own[key]}" for key in telling if key not in said]
    if missing and not _says(path, t1w.path):
        return f"there are several T1w, and its name does not say of which it is; add {', '.join(missing)}", None
    return "", rank


def leads_to_t1w(path: Path, session: str | None, moving: Image, t1w: Image, t1w_files: Sequence[Path]) -> bool:
    """Whether a transform of an image to the T1w can be of no other T1w, or its JSON file says of which it is.

    Parameters
    ----------
    path : Path
        Of the transform.
    session : str or None
        Of its name or folder.
    moving, t1w : Image
    t1w_files : sequence of Path
        All T1w of the participant.
    """
    own = _session_of(t1w.path)
    others = _other_t1ws(t1w, t1w_files)
    alike = any(one["ses"] == own for one in others) or (others and session != own)
    return not (alike or own not in (None, _session_of(moving.path))) or _says(path, t1w.path)


def names_of(role: str) -> set[str]:
    """What a transform may call an image of a role, in small letters."""
    more = {_PET_REFERENCE} if role == PET else set()
    return {role.lower(), role_of(role).suffix.lower()} | more


def _other_t1ws(t1w: Image, t1w_files: Sequence[Path]) -> list[dict[str, str | None]]:
    own = _telling(t1w.path)
    return [other for other in map(_telling, t1w_files) if other != own]


def _telling(path: Path) -> dict[str, str | None]:
    """Entities that tell T1w images of a participant apart."""
    named, _, _ = parse_name(path.name)
    return {**{key: named.get(key) for key in _TELLING}, "ses": _session_of(path)}


def _says(path: Path, t1w: Path) -> bool:
    """Whether the JSON file beside a file names the T1w."""
    content = sidecar(path)
    reference = content.get("SpatialReference")
    named = [*strings(content.get("Sources")), *(reference.values() if isinstance(reference, dict) else [reference])]
    return any(re.split("[/:]", str(one))[-1] == t1w.name for one in named)


def _number(key: str, value: str | None) -> str | int | None:
    """A label as it is compared: ``run-01`` is ``run-1``."""
    return int(value) if key == "run" and value and value.isdecimal() else value


def _session_of(path: Path) -> str | None:
    return parse_name(path.name)[0].get("ses", _session_folder(path))


def _session_folder(path: Path) -> str | None:
    found = re.search(r"/ses-([0-9A-Za-z+]+)/", path.as_posix())
    return found[1] if found else None
