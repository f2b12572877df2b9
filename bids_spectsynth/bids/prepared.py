"""The prepared cases of an output folder, as file names tell of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from bids_spectsynth.bids.access import is_text
from bids_spectsynth.bids.manifests import FOLDER as MANIFESTS
from bids_spectsynth.bids.names import bare_label, parse_name
from bids_spectsynth.bids.roles import ICTAL, INTERICTAL, ROLES, T1W, ictal_name, is_assumed, role_by_suffix
from bids_spectsynth.bids.scans import ScanKey, recorded_case, scan_key_of
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.options.spaces import parse_space

PREPARED = "preproc"
#: In the hidden folder of manifests: a file for each case whose preparation has begun and not ended.
_UNFINISHED = Path(MANIFESTS, "unfinished")


@dataclass(frozen=True)
class PreparedCase:
    """The prepared images of one case in one space, as read from the output folder.

    Parameters
    ----------
    participant, session : str, str or None
    space : str
        ``T1w`` or the label of a template's space: its name, with a cohort ``NAME+X``.
    images : mapping of role to Path
        ``desc-preproc`` images on the common grid: ``T1w``, ``pet``, ``interictal``, ``ictal``, other MR suffixes; of
        several ictal scans, which may lie in other sessions, the further ones as ``ictal2``, ``ictal3``, ..., by
        session and name (:func:`~bids_spectsynth.bids.roles.ictal_names`).
    masks : mapping of role to Path
        ``desc-brain_mask`` images on the same grid. ``masks["T1w"]`` is the brain mask used everywhere.
    template_xfm : Path
        ``from-T1w_to-<template>_mode-image_xfm.txt``.
    template : str
        The template that it leads to.
    template_xfms : mapping of str to Path
        All such transforms, by template.
    lesion : Path or None
        ``label-lesion_mask`` on the same grid, see ``--lesion-mask``.
    smoothing : mapping of role to float
        Gaussians (FWHM, mm) by which inputs of a network are smoothed in the brain whenever they are read, see
        :func:`bids_spectsynth.synthesis.data.harmonising.harmonised`; the files are as they are.
    """

    participant: str
    session: str | None
    space: str
    images: Mapping[str, Path]
    masks: Mapping[str, Path]
    template_xfm: Path | None
    template: str | None
    template_xfms: Mapping[str, Path] = field(default_factory=dict)
    lesion: Path | None = None
    smoothing: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``sub-01`` or ``sub-01_ses-x``."""
        return f"sub-{self.participant}" + (f"_ses-{self.session}" if self.session else "")

    @cached_property
    def is_state_assumed(self) -> bool:
        """Whether nothing in the name of its interictal SPECT said that it is one, by the sidecar."""
        return INTERICTAL in self.images and is_assumed(sidecar(self.images[INTERICTAL]).get("SourceReason"))

    def through(self, template: str | None) -> "PreparedCase":
        """The same case with the transform to one template, where it has one; as it is otherwise."""
        if template is None or template not in self.template_xfms or self.space != T1W_SPACE:
            return self
        return replace(self, template=template, template_xfm=self.template_xfms[template])


def find_prepared(output_dir: Path, space: str, participants: Sequence[str] = ()) -> list[PreparedCase]:
    """What preprocessing left in the output folder, from file names; of ictal scans their sidecars say whose they are.

    Parameters
    ----------
    output_dir : Path
    space : str
        Its label, see :class:`PreparedCase`.
    participants : sequence of str
        Labels with or without ``sub-``; empty for all.

    Returns
    -------
    list of PreparedCase
        By participant and session. A case counts as prepared when it has a T1w image and its mask in that space.
        Empty where there is no such folder.
    """
    chosen = {bare_label(label, "sub") for label in participants}
    cases = []
    for subject in sorted(path for path in output_dir.glob("sub-*") if path.is_dir() and is_text(path.name)):
        participant = bare_label(subject.name, "sub")
        if chosen and participant not in chosen:
            continue
        scans: list[_IctalScan] = []
        own = [_prepared_case(folder, participant, session, space, scans) for session, folder in _folders(subject)]
        complete = [case for case in own if case is not None]
        cases += [_with_scans(case, scans, {one.name for one in complete}) for case in complete]
    return cases


def _folders(subject: Path) -> Iterator[tuple[str | None, Path]]:
    yield None, subject
    for session in sorted(path for path in subject.glob("ses-*") if path.is_dir() and is_text(path.name)):
        yield bare_label(session.name, "ses"), session


@dataclass(frozen=True)
class _IctalScan:
    """A prepared ictal image or the mask of one, and the name of the case that its folder would be."""

    key: ScanKey
    folder_case: str
    path: Path
    is_mask: bool

    def belongs_to(self, case: str, cases: Collection[str]) -> bool:
        """Whether it is that case's: by its record, else by its folder, else because there is no other."""
        recorded = recorded_case(self.path)
        if recorded is not None:
            return recorded == case
        return case == self.folder_case or (len(cases) == 1 and self.folder_case not in cases)


def _with_scans(case: PreparedCase, scans: list[_IctalScan], cases: Collection[str]) -> PreparedCase:
    own = [scan for scan in scans if scan.belongs_to(case.name, cases)]
    keys = sorted({scan.key for scan in own if not scan.is_mask})
    names = {key: ictal_name(number) for number, key in enumerate(keys, start=1)}
    images, masks = (
        {names[one.key]: one.path for one in own if one.key in names and one.is_mask is mask} for mask in (False, True)
    )
    return replace(case, images={**case.images, **images}, masks={**case.masks, **masks})


def _prepared_case(
    folder: Path, participant: str, session: str | None, space: str, scans: list[_IctalScan]
) -> PreparedCase | None:
    """The case of a folder without its ictal scans; those of the folder are added to ``scans``."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    lesion: Path | None = None
    name = f"sub-{participant}" + (f"_ses-{session}" if session else "")
    for path in sorted(folder.glob("*/*.nii.gz")):
        entities, suffix, _ = parse_name(path.name)
        if entities.get("space") != space:
            continue
        if is_lesion_mask(path):
            lesion = path
            continue
        role, desc, is_mask = _role(path.parent.name, suffix, entities), entities.get("desc"), suffix == "mask"
        if desc != ("brain" if is_mask else PREPARED):
            continue
        if role == ICTAL:
            scans.append(_IctalScan(scan_key_of(path), name, path, is_mask))
        else:
            (masks if is_mask else images)[role] = path
    if T1W not in images or T1W not in masks:
        return None
    found = _template_transforms(folder)
    template = next(iter(found), None) if space == T1W_SPACE else (space if space in found else None)
    xfm = None if template is None else found[template]
    return PreparedCase(participant, session, space, images, masks, xfm, template, found, lesion)


def is_lesion_mask(path: Path) -> bool:
    """Whether a file is the prepared lesion mask of a case, by its name."""
    entities, suffix, _ = parse_name(path.name)
    return suffix == "mask" and entities.get("label") == "lesion"


def _role(datatype: str, suffix: str, entities: Mapping[str, str]) -> str:
    """Role of a prepared image, or of the image that a mask belongs to."""
    if datatype == ROLES[T1W].datatype:
        return T1W if suffix == "mask" else suffix
    return role_by_suffix(datatype, entities)


def _template_transforms(folder: Path) -> dict[str, Path]:
    """The transforms from T1w to templates, by name; the first one serves where nobody asks for another."""
    found = {}
    for path in sorted(folder.glob("anat/*_from-T1w_to-*_mode-image_xfm.txt")):
        entities, _, _ = parse_name(path.name)
        if not any(folder.glob(f"anat/*_desc-{PREPARED}_{entities['to']}.nii.gz")):  # else another MR image's
            found[entities["to"]] = path
    return found


def is_registered_to(case: PreparedCase, requested: str) -> bool:
    """Whether a case's space was made with the requested template image, as far as its resolution is named.

    Parameters
    ----------
    case : PreparedCase
    requested : str
        Its space as ``--output-spaces`` takes it.
    """
    space = parse_space(requested)
    if space.resolution is None or case.template_xfm is None:
        return True
    return bool(sidecar(case.template_xfm).get("Template") == str(space))


def begin_preparation(output_dir: Path, case: str) -> None:
    """Note that files of a case are about to be written, so that no job takes some of them for all of them.

    The note is of the case and outlives the process: what a run leaves that was killed is not complete either.

    Parameters
    ----------
    output_dir : Path
    case : str
        Its name.
    """
    path = output_dir / _UNFINISHED / case
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def end_preparation(output_dir: Path, case: str) -> None:
    """Take back the note of :func:`begin_preparation`: all files of the case are as they should be.

    Parameters
    ----------
    output_dir : Path
    case : str
        Its name.
    """
    (output_dir / _UNFINISHED / case).unlink(missing_ok=True)


def is_unfinished(output_dir: Path, case: str) -> bool:
    """Whether the preparation of a case has begun and not ended."""
    return (output_dir / _UNFINISHED / case).exists()
