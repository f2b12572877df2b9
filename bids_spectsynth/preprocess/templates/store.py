"""The folder of TemplateFlow's files, read by file names alone.

TemplateFlow's client is not used to look: it fills the folder with placeholders, and cannot where it may not write.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.sidecars import VALUE_ERRORS, load_object
from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.names import SURFACES, surface_message, templateflow_home
from bids_spectsynth.options.spaces import BUILT_IN_TEMPLATE, Space, index_of

_HUMAN = "Homo sapiens"
_WHOLE_HEAD, _BRAIN_MASK = "T1w image of the whole head", "brain mask"


class NotListedError(UsageError):
    """The folder has no such template; TemplateFlow may have it."""


@dataclass(frozen=True)
class TemplateFiles:
    """The T1w and the brain mask of a template, which need not be stored yet.

    Parameters
    ----------
    space : Space
        With the resolution that was taken, None where the template has just one without a number.
    image, mask : Path
    """

    space: Space
    image: Path
    mask: Path

    @property
    def are_stored(self) -> bool:
        """Whether both are really there: placeholders have 0 bytes, and links of DataLad may lead nowhere."""
        return all(_is_stored(file) for file in (self.image, self.mask))

    @property
    def place(self) -> str:
        """Path of the image in TemplateFlow's archive."""
        return "/".join(self.image.parts[-3 if self.space.cohort else -2 :])


def check_kind(space: Space) -> None:
    """Refuse what can never serve, whatever is stored.

    Raises
    ------
    UsageError
        A surface, another species, or a resolution or cohort that the built-in template lacks.
    """
    if space.name in SURFACES:
        raise UsageError(surface_message(space))
    if space.name == BUILT_IN_TEMPLATE and (space.cohort is not None or space.resolution not in (None, "1")):
        raise UsageError(f"--output-spaces: {space}: {BUILT_IN_TEMPLATE} is built in, at 1 mm; write its name alone")
    species = _species(templateflow_home() / f"tpl-{space.name}")
    if species not in (None, _HUMAN):
        raise UsageError(f"--output-spaces: {space}: a template of {species}, not of human heads")


def find_files(space: Space) -> TemplateFiles:
    """Choose a template's T1w and brain mask by the file names of the folder, placeholders included.

    Without a resolution it is ``res-1``, which TemplateFlow gives to images of 1 mm; else the one without a number;
    else the finest that is stored.

    Raises
    ------
    NotListedError
        The template, its cohort or its resolution is not in the folder, or lacks one of the two files.
    """
    folder = templateflow_home() / f"tpl-{space.name}"
    if not folder.is_dir():
        raise NotListedError(f"--output-spaces: {space}: unknown template; {_known_names(folder.parent)}")
    if space.cohort is not None:
        folder = _cohorts(folder, space).get(space.cohort, folder / f"cohort-{space.cohort}")
    images, masks = _heads_and_masks(folder)
    if space.cohort is None and not images and (cohorts := _cohorts(folder, space)):
        raise NotListedError(
            f"--output-spaces: {space}: it has cohorts; write {space.name}:cohort-X with X of {_listed(cohorts)}"
        )
    usable = {index: (images[index], masks[index]) for index in images if index in masks}
    wanted = [index for index in usable if space.resolution in (None, index)]
    if not wanted:
        raise NotListedError(_lacking(space, images, masks, usable))
    index = min(wanted, key=lambda one: (one != "1", one is not None, _fineness(usable[one][0]), one or ""))
    return TemplateFiles(replace(space, resolution=index), *usable[index])


def _is_stored(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _species(folder: Path) -> str | None:
    try:
        species = load_object(folder / "template_description.json")["Species"]
    # None of it is needed: people copy folders without it.
    except VALUE_ERRORS:
        return None
    return " and ".join(map(str, species)) if isinstance(species, list) else str(species)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"--output-spaces: {folder}: cannot read TemplateFlow's folder ({error.strerror})") from error


def _known_names(home: Path) -> str:
    folders = [path for path in _entries(home) if path.name.startswith("tpl-")]
    pairs = {path.name.removeprefix("tpl-"): _pairs(path) for path in folders}
    stored = [name for name, own in pairs.items() if any(all(map(_is_stored, pair)) for pair in own)]
    listed = [name for name, own in pairs.items() if own and name not in stored]
    found = f"{home} has {', '.join(stored)}" if stored else f"{home} has none"
    empty = f" (and empty placeholders of {', '.join(listed)})" if listed else ""
    return f"{found}{empty}; built in: {BUILT_IN_TEMPLATE}"


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    """T1w and brain mask of every cohort and resolution of a template; none where it is not of human heads."""
    if _species(folder) not in (None, _HUMAN) or folder.name.removeprefix("tpl-") in SURFACES:
        return []
    found = map(_heads_and_masks, (folder, *filter(_is_cohort, _entries(folder))))
    return [(images[index], masks[index]) for images, masks in found for index in images if index in masks]


def _cohorts(folder: Path, space: Space) -> dict[str, Path]:
    found = {index_of(path.name.removeprefix("cohort-")): path for path in _entries(folder) if _is_cohort(path)}
    if space.cohort is not None and space.cohort not in found:
        there = f"has no cohort {space.cohort}, but {_listed(found)}" if found else "has no cohorts; leave :cohort- out"
        raise NotListedError(f"--output-spaces: {space}: {space.name} {there}")
    return found


def _is_cohort(path: Path) -> bool:
    return path.name.startswith("cohort-") and path.is_dir()


def _heads_and_masks(folder: Path) -> tuple[Mapping[str | None, Path], Mapping[str | None, Path]]:
    """T1w images with the whole head, and brain masks, by resolution."""
    images: dict[str | None, Path] = {}
    masks: dict[str | None, Path] = {}
    for path, entities, suffix in _volumes(folder):
        index = index_of(entities["res"]) if "res" in entities else None
        kind = {key: value for key, value in entities.items() if key not in ("tpl", "cohort", "res")}
        if suffix == "T1w" and not kind:
            images[index] = path
        elif suffix == "mask" and kind in ({"desc": "brain"}, {"label": "brain"}):
            masks[index] = path
    return images, masks


def _volumes(folder: Path) -> Iterator[tuple[Path, Mapping[str, str], str]]:
    for path in _entries(folder):
        entities, suffix, extension = parse_name(path.name)
        if extension == ".nii.gz":
            yield path, entities, suffix


def _fineness(image: Path) -> float:
    """Volume of a voxel; images that are not stored come last."""
    if not _is_stored(image):
        return float("inf")
    try:
        header: Any = nib.load(image).header
        sizes = header.get_zooms()[:3]
    # Whatever a damaged file leads to; reading it as a whole will give the message.
    except Exception:
        return float("inf")
    return float(sizes[0] * sizes[1] * sizes[2])


def _lacking(
    space: Space, images: Mapping[str | None, Path], masks: Mapping[str | None, Path], usable: Mapping[str | None, Any]
) -> str:
    if usable:
        missing = [f"no {what}" for what, found in ((_WHOLE_HEAD, images), (_BRAIN_MASK, masks))
                if space.resolution not in found]  # fmt: skip
        return f"--output-spaces: {space}: {' and '.join(missing)} at this resolution; usable: {_ways(space, usable)}"
    missing = [f"no {what}" for what, found in ((_WHOLE_HEAD, images), (_BRAIN_MASK, masks)) if not found]
    # Both kinds, but never at one resolution.
    return f"--output-spaces: {space}: {' and '.join(missing) or 'no T1w image with a brain mask on the same voxels'}"


def _ways(space: Space, usable: Mapping[str | None, Any]) -> str:
    return ", ".join(str(replace(space, resolution=index)) for index in sorted(usable, key=lambda one: one or ""))


def _listed(indices: Mapping[str, Any]) -> str:
    return ", ".join(sorted(indices, key=lambda one: (len(one), one)))
