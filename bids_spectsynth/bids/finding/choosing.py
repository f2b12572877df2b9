"""Which of several candidates a case uses, and what to do where that is not clear."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_spectsynth.bids.finding.candidates import Candidate
from bids_spectsynth.bids.finding.filters import distinguishing_query
from bids_spectsynth.bids.names import is_label
from bids_spectsynth.bids.roles import NUCLEAR, role_of
from bids_spectsynth.errors import ImageError

#: The candidates of one participant.
ByRole = Mapping[str, Sequence[Candidate]]


@dataclass(frozen=True)
class Choice:
    """The candidate that plays a role.

    Parameters
    ----------
    candidate : Candidate
    entities : mapping of str to str
        Those that its derivatives keep.
    reason : str
        One line: why it was taken.
    notes : tuple of str
        What users should know of it, one line each.
    """

    candidate: Candidate
    entities: Mapping[str, str]
    reason: str
    notes: tuple[str, ...] = ()


def choose(by_role: ByRole, role: str, session: str | None) -> Choice:
    """Take the one image that a session uses: its own, else one without a session, else the only other one.

    Parameters
    ----------
    by_role : mapping of str to sequence of Candidate
    role : str
    session : str or None
        Of the case.

    Raises
    ------
    ImageError
        There are several, which it names, or it cannot be used.
    """
    candidates, what = by_role[role], role_of(role).sentence
    own = [candidate for candidate in candidates if candidate.session == session]
    free = [candidate for candidate in candidates if candidate.session is None]
    pool = sorted(own or free or candidates, key=lambda candidate: candidate.path.name)
    if len(pool) > 1:
        several = len({candidate.session for candidate in pool}) > 1
        found = f"{what} in several other sessions" if several else f"{len(pool)} {what} images in one session"
        raise ImageError(f"{found}: {names(pool)}; {hint(by_role, role, pool)}")
    chosen = pool[0]
    where, notes = "in the same session" if own else "outside sessions", []
    if not own and not free:
        where = f"from the only other session, ses-{chosen.session}"
        notes.append(f"{chosen.path.name}: {what} taken {where}")
    return take(chosen, where, notes)


def take(chosen: Candidate, where: str, notes: Sequence[str] = ()) -> Choice:
    """The choice of a candidate, with notes on its sidecar behind the others.

    Parameters
    ----------
    chosen : Candidate
    where : str
        Where it was found, for the reason.
    notes : sequence of str

    Raises
    ------
    ImageError
        The sidecar of a PET or SPECT cannot be read, no name of a derivative can hold an entity, or the name tells of
        another participant or session than the folder.
    """
    role, said = role_of(chosen.role), list(notes)
    if chosen.problem and role.is_nuclear:
        raise ImageError(chosen.problem)
    if chosen.problem:
        said.append(f"{chosen.problem}; the {role.sentence} needs none and is used without it")
    if role.is_nuclear and not chosen.metadata:
        said.append(f"{chosen.path.name}: no JSON sidecar; frames count alike and the tracer is unknown")
    entities = kept_entities(chosen)
    check_labels(chosen.path.name, entities)
    _check_place(chosen)
    return Choice(chosen, entities, f"{chosen.reason}; {where}", tuple(said))


def kept_entities(candidate: Candidate) -> dict[str, str]:
    """Entities that the derivatives of a candidate keep, by short key in BIDS order."""
    role, known = role_of(candidate.role), dict(candidate.entities)
    if role.task is not None:
        known["task"] = role.task
    return {key: known[key] for key in role.kept_entities if key in known}


def check_labels(name: str, entities: Mapping[str, str]) -> None:
    """Refuse what no name of a derivative can hold, before hours of work.

    Parameters
    ----------
    name : str
        Of what has the labels.
    entities : mapping of str to str

    Raises
    ------
    ImageError
        A label has other characters than letters and digits.
    """
    for key, value in entities.items():
        if not is_label(value):
            raise ImageError(f"{name}: {key}-{value}: labels have letters and digits only; rename it")


def _check_place(chosen: Candidate) -> None:
    """Refuse a name that tells of another participant or session than its folders: it may be another head."""
    above, own = ("", "", *chosen.path.parts)[-4:-2]
    # Only a session lies in a folder of a participant; the dataset's own folder may be called sub-anything.
    for folder in [own, *([above] if own.startswith("ses-") else [])]:
        key, _, label = folder.partition("-")
        if key in ("sub", "ses") and chosen.entities.get(key, label) != label:
            name = f"{key}-{chosen.entities[key]}"
            raise ImageError(f"{chosen.path}: named {name}, but lies in {folder}; move or rename it")


def names(pool: Sequence[Candidate]) -> str:
    """File names; with their folders where two files have one name."""
    alone = [candidate.path.name for candidate in pool]
    if len(set(alone)) < len(alone):
        alone = ["/".join(candidate.path.parts[-3:]) for candidate in pool]
    return ", ".join(alone)


def hint(by_role: ByRole, role: str, pool: Sequence[Candidate]) -> str:
    """What to do about several candidates: a filter that takes the first and tells it from the others.

    Parameters
    ----------
    by_role : mapping of str to sequence of Candidate
    role : str
    pool : sequence of Candidate
        At least two of this role.
    """
    query = distinguishing_query(pool[0].path, rivals(by_role, role, pool[1:]))
    if query is None:
        return "no filter can tell them apart: leave one in the dataset"
    return f"choose one with --bids-filter-file, e.g. {json.dumps({role.lower(): query})}"


def rivals(by_role: ByRole, role: str, pool: Sequence[Candidate]) -> list[Path]:
    """The images that a filter of a role must not take besides the chosen one.

    A filter of a SPECT decides alone, over all PET and SPECT; the others only narrow the choice.

    Parameters
    ----------
    by_role : mapping of str to sequence of Candidate
    role : str
    pool : sequence of Candidate
        The other images of this role.
    """
    others = [other for other in NUCLEAR if other in by_role and other != role and role_of(role).task is not None]
    return [one.path for one in (*pool, *(one for other in others for one in by_role[other]))]
