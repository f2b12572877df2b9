"""Brain masks and transforms that other programs or a hand have made, found by their names in folders of derivatives.

A file takes the place of the step of this program that would make the same: the T1w's brain mask, the registration of
an image to the T1w, or that of the T1w to a template.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bids_spectsynth.bids.access import folder_problem, is_text, subfolders
from bids_spectsynth.bids.names import bare_label, parse_name
from bids_spectsynth.bids.roles import DATATYPES, ROLES, T1W, role_of
from bids_spectsynth.options.declarations.derivatives import NamedFolder

#: Extensions of transforms; of two files of one name, the one that comes first is taken.
TRANSFORM_EXTENSIONS = (".txt", ".mat", ".lta", ".h5")
_MASK_EXTENSIONS = (".nii.gz", ".nii")
#: ``space-`` of masks that lie where the T1w does: on its own voxels, or on others in its world.
_T1W_SPACES = (None, "orig", T1W)
# Entities that say what a derivative is, and not of which image.
_OF_DERIVATIVES = ("sub", "ses", "from", "to", "mode", "space", "desc", "res")


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


@dataclass(frozen=True)
class External:
    """A file that takes the place of one of our steps.

    Parameters
    ----------
    path : Path
    dataset : str
        Name of the folder of derivatives, see ``--derivatives``.
    root : Path
        That folder.
    superseded : tuple of str
        URIs of files that would have served as well and come later in the order of use.
    """

    path: Path
    dataset: str
    root: Path
    superseded: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """BIDS URI, which names no folder of this machine."""
        return f"bids:{self.dataset}:{self.path.relative_to(self.root).as_posix()}"

    @property
    def notes(self) -> tuple[str, ...]:
        """A line on what was passed over, if anything was."""
        if not self.superseded:
            return ()
        return (f"{self.uri} is used, the first in the order of folders, sessions and names; not "
                f"{', '.join(self.superseded)}",)  # fmt: skip


def find_external(
    images: Mapping[str, Image], participant: str, folders: Sequence[NamedFolder]
) -> tuple[dict[str, External], list[str]]:
    """What serves in place of our steps for one case.

    Of several files for one step the first is taken: by folder as given, then those of the image's session before
    those without one, then those whose names say more of the image's entities, then by extension (``.txt``, ``.mat``,
    ``.lta``, ``.h5``) and name.

    Parameters
    ----------
    images : mapping of str to Image
        Those of the case by name of the role; with the T1w.
    participant : str
        Label without ``sub-``.
    folders : sequence of NamedFolder

    Returns
    -------
    external : dict of str to External
        By what the step is called: ``T1w`` (the brain mask), names of roles (to the T1w), labels of templates.
    notes : list of str
        One line for each file that seems to be meant and is not used.
    """
    ranked: dict[str, list[tuple[tuple[object, ...], External]]] = {}
    notes: list[str] = []
    for number, folder in enumerate(folders):
        for path, session in _files(folder.path, participant):
            external = External(path, folder.name, folder.path)
            found, more = _steps_of(path, session, images)
            notes += [f"{external.uri}: {line}; not used" for line in more]
            for step, rank in found.items():
                ranked.setdefault(step, []).append(((number, *rank, path.name, path.as_posix()), external))
    chosen = {}
    for step, candidates in sorted(ranked.items()):
        first, *others = [external for _, external in sorted(candidates, key=lambda one: one[0])]
        passed = tuple(other.uri for other in others)
        chosen[step] = External(first.path, first.dataset, first.root, passed)
    return chosen, notes


def _files(folder: Path, participant: str) -> Iterator[tuple[Path, str | None]]:
    """Masks and transforms of a participant with the session that folder or name gives, in one order."""
    subject = folder / f"sub-{participant}"
    for place in (subject, *subfolders(subject, "ses-")):
        beside = bare_label(place.name, "ses") if place != subject else None
        for datatype in DATATYPES:
            if folder_problem(place / datatype) is not None:
                continue
            for path in sorted((place / datatype).iterdir()):
                entities, suffix, _ = parse_name(path.name) if is_text(path.name) else ({}, "", "")
                if entities.get("sub") == participant and suffix in ("mask", "xfm"):
                    yield path, entities.get("ses", beside)


def _steps_of(
    path: Path, session: str | None, images: Mapping[str, Image]
) -> tuple[dict[str, tuple[object, ...]], list[str]]:
    """The steps that a file may take the place of, each with its rank, and why it seems to be meant and cannot be."""
    entities, suffix, extension = parse_name(path.name)
    if suffix == "mask":
        if entities.get("desc") != "brain" or path.parent.name != "anat" or extension not in _MASK_EXTENSIONS:
            return {}, []
        if entities.get("space") not in _T1W_SPACES:
            return {}, []
        # On the T1w's own voxels before what has been resampled.
        where = _T1W_SPACES.index(entities.get("space"))
        step, rank = T1W, (where, _MASK_EXTENSIONS.index(extension))
    else:
        start, end = entities.get("from", ""), entities.get("to", "")
        if extension not in TRANSFORM_EXTENSIONS or entities.get("mode", "image") != "image":
            return {}, []
        rank = (0, TRANSFORM_EXTENSIONS.index(extension))
        if end == T1W:
            return _to_t1w(entities, start, session, images, rank)
        # The inverse of a registration, which lies beside ours, is none of the T1w to a template.
        if start != T1W or not end or _is_image(end, images):
            return {}, []
        step = end
    problem, place = _place(entities, session, images[T1W])
    return ({step: (*place, *rank)}, []) if place else ({}, [problem] if problem else [])


def _to_t1w(
    entities: Mapping[str, str], start: str, session: str | None, images: Mapping[str, Image], rank: tuple[int, int]
) -> tuple[dict[str, tuple[object, ...]], list[str]]:
    meant = [name for name, image in images.items() if name != T1W and start.lower() in _names_of(image.role)]
    found: dict[str, tuple[object, ...]] = {}
    problems = []
    for name in meant:
        problem, place = _place(entities, session, images[name])
        if place:
            found[name] = (*place, *rank)
        elif problem:
            problems.append(problem)
    if len(found) > 1:
        titles = " or ".join(role_of(name).sentence for name in found)
        return {}, [f"its name does not say whether it is of the {titles}; add task- or run-"]
    return found, [] if found else problems[:1]


def _is_image(label: str, images: Mapping[str, Image]) -> bool:
    """Whether an end of a transform is an image of a participant, and so no template."""
    return any(label.lower() in _names_of(role) for role in (*ROLES, *(image.role for image in images.values())))


def _names_of(role: str) -> set[str]:
    return {role.lower(), role_of(role).suffix.lower()}


def _place(
    entities: Mapping[str, str], session: str | None, image: Image
) -> tuple[str | None, tuple[object, ...] | None]:
    """Rank of a file by how well its name fits to an image; None, perhaps with the reason, where it does not."""
    named, _, _ = parse_name(image.path.name)
    own = {**named, **image.entities}
    its_session = named.get("ses", _session_folder(image.path))
    said = {key: value for key, value in entities.items() if key not in _OF_DERIVATIVES}
    if any(own.get(key) != value for key, value in said.items()):
        return None, None
    if session not in (None, its_session):
        of = f"ses-{its_session}" if its_session else "no session"
        return f"it is of ses-{session}, the image {image.path.name} of {of}", None
    return None, (session != its_session, -len(said))


def _session_folder(path: Path) -> str | None:
    found = re.search(r"/ses-([0-9A-Za-z+]+)/", path.as_posix())
    return found[1] if found else None


def replaced_steps(external: Mapping[str, External]) -> Iterable[str]:
    """One line for each step that is not done, because something made elsewhere takes its place."""
    for step, one in external.items():
        what = "brain mask of the T1w" if step == T1W else f"transform of {step}"
        yield f"{what}: {one.uri}, in place of our own"
        yield from one.notes
