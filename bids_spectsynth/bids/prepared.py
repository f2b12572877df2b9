"""The output folder: one place to import its names and writers from, and to find what earlier stages wrote."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bids_spectsynth.bids.dataset import add_descriptions, write_dataset_files
from bids_spectsynth.bids.names import (
    ENTITY_ORDER,
    bare_label,
    case_folder,
    file_name,
    output_path,
    parse_name,
    source_uri,
)
from bids_spectsynth.bids.participants import read_participants, update_participants
from bids_spectsynth.bids.writing import (
    public_metadata,
    read_matrix,
    write_image,
    write_json,
    write_matrix,
    write_table,
    write_text,
)
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.options.spaces import parse_space

__all__ = [
    "ENTITY_ORDER",
    "PreparedCase",
    "add_descriptions",
    "case_folder",
    "file_name",
    "find_prepared",
    "is_registered_to",
    "output_path",
    "parse_name",
    "public_metadata",
    "read_matrix",
    "read_participants",
    "source_uri",
    "update_participants",
    "write_dataset_files",
    "write_image",
    "write_json",
    "write_matrix",
    "write_table",
    "write_text",
]

PREPARED = "preproc"


@dataclass(frozen=True)
class PreparedCase:
    """The prepared images of one case in one space, as read from the output folder.

    Parameters
    ----------
    participant, session : str, str or None
    space : str
        ``T1w`` or the label of a template's space: its name, with a cohort ``NAME+X``.
    images : mapping of role to Path
        ``desc-preproc`` images on the common grid: ``T1w``, ``pet``, ``interictal``, ``ictal``, other MR suffixes.
    masks : mapping of role to Path
        ``desc-brain_mask`` images on the same grid. ``masks["T1w"]`` is the brain mask used everywhere.
    template_xfm : Path
        ``from-T1w_to-<template>_mode-image_xfm.txt``.
    template : str
        The template that it leads to.
    template_xfms : mapping of str to Path
        All such transforms, by template.
    """

    participant: str
    session: str | None
    space: str
    images: Mapping[str, Path]
    masks: Mapping[str, Path]
    template_xfm: Path | None
    template: str | None
    template_xfms: Mapping[str, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``sub-01`` or ``sub-01_ses-x``."""
        return f"sub-{self.participant}" + (f"_ses-{self.session}" if self.session else "")

    def through(self, template: str | None) -> "PreparedCase":
        """The same case with the transform to one template, where it has one; as it is otherwise."""
        if template is None or template not in self.template_xfms or self.space != T1W_SPACE:
            return self
        return replace(self, template=template, template_xfm=self.template_xfms[template])


def find_prepared(output_dir: Path, space: str, participants: tuple[str, ...] = ()) -> list[PreparedCase]:
    """What preprocessing left in the output folder, from file names alone.

    Parameters
    ----------
    output_dir : Path
    space : str
        Its label, see :class:`PreparedCase`.
    participants : tuple of str
        Labels with or without ``sub-``; empty for all.

    Returns
    -------
    list of PreparedCase
        By participant and session. A case counts as prepared when it has a T1w image and its mask in that space.
    """
    chosen = {bare_label(label, "sub") for label in participants}
    cases = []
    for participant, session, folder in _case_folders(output_dir):
        if chosen and participant not in chosen:
            continue
        case = _prepared_case(folder, participant, session, space)
        if case is not None:
            cases.append(case)
    return cases


def _case_folders(output_dir: Path) -> Iterator[tuple[str, str | None, Path]]:
    for subject in sorted(path for path in output_dir.glob("sub-*") if path.is_dir()):
        participant = bare_label(subject.name, "sub")
        yield participant, None, subject
        for session in sorted(path for path in subject.glob("ses-*") if path.is_dir()):
            yield participant, bare_label(session.name, "ses"), session


def _prepared_case(folder: Path, participant: str, session: str | None, space: str) -> PreparedCase | None:
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for path in sorted(folder.glob("*/*.nii.gz")):
        entities, suffix, _ = parse_name(path.name)
        if entities.get("space") != space:
            continue
        role = _role(path.parent.name, suffix, entities)
        if entities.get("desc") == PREPARED and suffix != "mask":
            images[role] = path
        elif entities.get("desc") == "brain" and suffix == "mask":
            masks[role] = path
    if "T1w" not in images or "T1w" not in masks:
        return None
    found = _template_transforms(folder)
    template = next(iter(found), None) if space == T1W_SPACE else (space if space in found else None)
    xfm = None if template is None else found[template]
    return PreparedCase(participant, session, space, images, masks, xfm, template, found)


def _role(datatype: str, suffix: str, entities: Mapping[str, str]) -> str:
    """Role of a prepared image, or of the image that a mask belongs to."""
    match datatype:
        case "spect":
            return entities.get("task", "interictal")
        case "pet":
            return "pet"
        case _:
            return "T1w" if suffix == "mask" else suffix


def _template_transforms(folder: Path) -> dict[str, Path]:
    """The transforms from T1w to templates, by name; the first one serves where nobody asks for another."""
    found = {}
    for path in sorted(folder.glob("anat/*_from-T1w_to-*_mode-image_xfm.txt")):
        entities, _, _ = parse_name(path.name)
        if not any(folder.glob(f"anat/*_desc-{PREPARED}_{entities['to']}.nii.gz")):  # else another MR image's
            found[entities["to"]] = path
    return found


def is_registered_to(case: PreparedCase, asked: str) -> bool:
    """Whether a case's space was made with the template image that is asked for, as far as its resolution is named.

    Parameters
    ----------
    case : PreparedCase
    asked : str
        Its space as ``--output-spaces`` takes it.
    """
    wanted = parse_space(asked).resolution
    if wanted is None or case.template_xfm is None:
        return True
    try:
        said = json.loads(case.template_xfm.with_suffix(".json").read_text(encoding="utf-8"))["Template"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(said == str(parse_space(asked)))
