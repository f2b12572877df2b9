"""Masks and transforms that other programs or a hand have made, found by their names in folders of derivatives.

A file takes the place of the step of this program that would make the same: the T1w's brain mask, the registration of
an image to the T1w, or that of the T1w to a template. A lesion mask takes no step's place.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_spectsynth.bids.access import ASK_OWNER, folder_problem, is_text, subfolders
from bids_spectsynth.bids.finding.placing import Image, Rank, fit_to, fit_to_t1w, leads_to_t1w, names_of
from bids_spectsynth.bids.names import bare_label, parse_name
from bids_spectsynth.bids.roles import DATATYPES, ROLES, T1W, role_of
from bids_spectsynth.errors import ImageError
from bids_spectsynth.options.declarations.derivatives import NamedFolder

#: Extensions of transforms; of two files of one name, the one that comes first is taken.
TRANSFORM_EXTENSIONS = (".txt", ".tfm", ".mat", ".lta", ".h5")
_MASK_EXTENSIONS = (".nii.gz", ".nii")
#: What :func:`find_external` calls the lesion mask of the T1w.
LESION = "lesion"
# What names of masks say: step, key and value of an entity, suffix. Of lesion masks the first is taken, whatever their
# sessions.
_MASKS = (
    (LESION, "label", "lesion", "mask"),
    (LESION, "desc", "lesion", "mask"),
    (LESION, "label", "lesion", "roi"),
    (T1W, "desc", "brain", "mask"),
)
_MASK_TITLES = {T1W: "brain mask", LESION: "lesion mask"}
#: ``space-`` of masks that lie where the T1w does: on its own voxels, or on others in its world.
_T1W_SPACES = (None, "orig", T1W)
# Of MR images that no model of a run may need.
_OTHER_MR = ("T2w", "FLAIR", "PDw", "T2starw")


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
    images: Mapping[str, Image],
    participant: str,
    folders: Sequence[NamedFolder],
    *,
    t1w_files: Sequence[Path] = (),
    templates: Collection[str] | None = None,
    lesions: bool = True,
) -> tuple[dict[str, External], list[str]]:
    """What serves in place of our steps for one case.

    Of several files for one step the first is taken: by folder as given, then those of the image's session before
    those without one, then those whose names say more of the image's entities, then by extension (``.txt``, ``.tfm``,
    ``.mat``, ``.lta``, ``.h5``) and name. Of several lesion masks the first by folder, then by what says that it is one
    (``label-lesion_mask``, ``desc-lesion_mask``, ``label-lesion_roi``), then as all others.

    Parameters
    ----------
    images : mapping of str to Image
        Those of the case by name of the role; with the T1w.
    participant : str
        Label without ``sub-``.
    folders : sequence of NamedFolder
    t1w_files : sequence of Path
        All T1w of the participant in the dataset: what does not say of which it is, is not used.
    templates : collection of str, optional
        Labels of those that matter; by default all.
    lesions : bool
        Whether lesion masks are looked for.

    Returns
    -------
    external : dict of str to External
        By what the step is called: ``T1w`` (the brain mask), names of roles (to the T1w), labels of templates;
        :data:`LESION`.
    notes : list of str
        One line for each file that seems to be meant and is not used.

    Raises
    ------
    ImageError
        A folder of the participant cannot be read.
    """
    ranked: dict[str, list[tuple[Rank, External]]] = {}
    notes: list[str] = []
    elsewhere: list[str] = []
    wanted = _Wanted(images, tuple(t1w_files), templates, lesions)
    for number, folder in enumerate(folders):
        for path, session in _files(folder.path, participant):
            external = External(path, folder.name, folder.path)
            if lesions and (space := _other_space_of_lesion(path)):
                elsewhere.append(f"{external.uri}: {_elsewhere(space)}; not used")
            found, more = _steps_of(path, session, wanted)
            notes += [f"{external.uri}: {line}; not used" for line in more]
            for step, rank in found.items():
                ranked.setdefault(step, []).append(((number, *rank, path.name, path.as_posix()), external))
    chosen = {step: _first(candidates) for step, candidates in sorted(ranked.items())}
    return chosen, notes if LESION in chosen else [*notes, *elsewhere]


def _first(candidates: Iterable[tuple[Rank, External]]) -> External:
    """That of the lowest rank, which knows of the others."""
    first, *others = [external for _, external in sorted(candidates, key=lambda one: one[0])]
    return External(first.path, first.dataset, first.root, tuple(other.uri for other in others))


@dataclass(frozen=True)
class _Wanted:
    """What files are looked for: see :func:`find_external`."""

    images: Mapping[str, Image]
    t1w_files: tuple[Path, ...]
    templates: Collection[str] | None
    lesions: bool


_Steps = tuple[dict[str, Rank], list[str]]


def _files(folder: Path, participant: str) -> Iterator[tuple[Path, str | None]]:
    """Masks and transforms of a participant with the session that folder or name gives, in one order."""
    subject = folder / f"sub-{participant}"
    if not _is_open(subject):
        return
    for place in (subject, *subfolders(subject, "ses-")):
        beside = bare_label(place.name, "ses") if place != subject else None
        for datatype in DATATYPES:
            if not _is_open(place) or not _is_open(place / datatype):
                continue
            for path in sorted((place / datatype).iterdir()):
                entities, suffix, extension = parse_name(path.name) if is_text(path.name) else ({}, "", "")
                if entities.get("sub") == participant and suffix in ("mask", "roi", "xfm") and extension != ".json":
                    yield path, entities.get("ses", beside)


def _is_open(folder: Path) -> bool:
    """Whether a folder is there; one that cannot be read may hold what somebody relies on."""
    problem = folder_problem(folder)
    if problem is None:
        return True
    if problem == ASK_OWNER or os.path.isdir(folder):  # noqa: PTH112  (Path.is_dir raises without permission)
        raise ImageError(f"{folder}: {problem}")
    return False


def _steps_of(path: Path, session: str | None, wanted: _Wanted) -> _Steps:
    """The steps that a file may take the place of, each with its rank, and why it seems to be meant and cannot be."""
    entities, suffix, extension = parse_name(path.name)
    if suffix != "xfm":
        return _mask_step(path, session, wanted)
    start, end = (_anatomical(entities.get(key, "")) for key in ("from", "to"))
    # An image lies at either end of what is meant; the inverse of a registration lies beside it.
    forth = end.lower() == T1W.lower() and _is_image(start, wanted.images)
    out = start.lower() == T1W.lower() and end and not _is_image(end, wanted.images)
    if entities.get("mode", "image") != "image" or not (forth or out):
        return {}, []
    if out and wanted.templates is not None and end not in wanted.templates:
        return {}, []
    if T1W not in (start, end):
        return {}, [f"write {T1W} for {end if forth else start}, as BIDS does"]
    if extension not in TRANSFORM_EXTENSIONS:
        return {}, [f"of transforms {', '.join(TRANSFORM_EXTENSIONS)} are read"]
    rank = (0, TRANSFORM_EXTENSIONS.index(extension))
    if forth:
        return _to_t1w(path, start, session, wanted, rank)
    problem, fit = fit_to_t1w(path, entities, session, wanted.images[T1W], wanted.t1w_files)
    return ({end: (*fit, *rank)}, []) if fit else ({}, [problem])


def _mask_step(path: Path, session: str | None, wanted: _Wanted) -> _Steps:
    entities, suffix, extension = parse_name(path.name)
    space = entities.get("space")
    kind = _kind_of_mask(entities, suffix)
    # One in a template's space lies beside every other.
    if kind is None or _is_other_space(space):
        return {}, []
    step, key, value, _ = _MASKS[kind]
    if step == LESION and not wanted.lesions:
        return {}, []
    if entities[key] != value:
        return {}, [f"write {key}-{value} for {key}-{entities[key]}"]
    if path.parent.name != "anat":
        return {}, [f"the {_MASK_TITLES[step]} of the T1w alone is taken, from the folder anat"]
    if space not in _T1W_SPACES:
        return {}, [f"write {T1W} or orig for {space}, as BIDS does"]
    if extension not in _MASK_EXTENSIONS:
        return {}, ["of masks .nii and .nii.gz are read; convert it"]
    # The label of a lesion says what the mask shows; with any other it is a mask of something else.
    own = {key: value for key, value in entities.items() if (key, value) != ("label", LESION)}
    # On the T1w's own voxels before what has been resampled.
    rank = (_T1W_SPACES.index(space), _MASK_EXTENSIONS.index(extension))
    problem, fit = fit_to_t1w(path, own, session, wanted.images[T1W], wanted.t1w_files)
    return ({step: (kind, *fit, *rank)}, []) if fit else ({}, [problem])


def _kind_of_mask(entities: Mapping[str, str], suffix: str) -> int | None:
    """Which of the masks it is, also where its name has other capitals; those that have them right come first."""
    same = [n for n, (_, key, value, end) in enumerate(_MASKS) if entities.get(key) == value and suffix == end]
    kinds = enumerate(_MASKS)
    near = [n for n, (_, key, value, end) in kinds if entities.get(key, "").lower() == value and suffix == end]
    return next(iter([*same, *near]), None)


def _is_other_space(space: str | None) -> bool:
    return (space or T1W).lower() not in ("orig", T1W.lower())


def _other_space_of_lesion(path: Path) -> str | None:
    """The space of a lesion mask that does not lie where the T1w does."""
    entities, suffix, _ = parse_name(path.name)
    kind, space = _kind_of_mask(entities, suffix), entities.get("space")
    return space if kind is not None and _MASKS[kind][0] == LESION and _is_other_space(space) else None


def _elsewhere(space: str) -> str:
    return f"a lesion mask in {space}, and none on the T1w is used; bring it there, with space-{T1W} in its name"


def _to_t1w(path: Path, start: str, session: str | None, wanted: _Wanted, rank: tuple[int, int]) -> _Steps:
    entities, _, _ = parse_name(path.name)
    images = wanted.images
    meant = [name for name, image in images.items() if name != T1W and start.lower() in names_of(image.role)]
    found: dict[str, Rank] = {}
    problems: list[str] = []
    for name in meant:
        problem, fit = fit_to(entities, session, images[name])
        if fit and not leads_to_t1w(path, session, images[name], images[T1W], wanted.t1w_files):
            of = images[T1W].path.name
            problems.insert(0, f"it may lead to another T1w; name {of} in Sources of a JSON file beside it")
        elif fit:
            found[name] = (*fit, *rank)
        else:
            problems.append(problem)
    if len(found) > 1:
        titles = " or ".join(role_of(name).sentence for name in found)
        return {}, [f"its name does not say whether it is of the {titles}; add task- or run-"]
    return found, [] if found else (problems[:1] or [f"there is no image {start} here"])


def _is_image(label: str, images: Mapping[str, Image]) -> bool:
    """Whether an end of a transform is an image of a participant, and so no template."""
    roles = (*ROLES, *_OTHER_MR, *(image.role for image in images.values()))
    return any(label.lower() in names_of(role) for role in roles)


def _anatomical(label: str) -> str:
    # PETPrep's word for the T1w.
    return T1W if label == "anat" else label


def replaced_steps(external: Mapping[str, External], lesion: External | None = None) -> Iterable[str]:
    """One line for each step that is not done, because something made elsewhere takes its place; the lesion mask."""
    for step, one in external.items():
        what = "brain mask of the T1w" if step == T1W else f"transform of {step}"
        yield f"{what}: {one.uri}, in place of our own"
        yield from one.notes
    if lesion is not None:
        yield from (f"lesion mask: {lesion.uri}", *lesion.notes)
