"""Which files of a participant are used, and why; why a participant is skipped."""

import json
import logging
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.access import is_text, odd_entries, shown, subfolders
from bids_spectsynth.bids.finding.candidates import Candidate, find_candidates
from bids_spectsynth.bids.finding.choosing import ByRole, Choice, check_labels, choose, rivals
from bids_spectsynth.bids.finding.database import stored_layout
from bids_spectsynth.bids.finding.external import LESION, External, find_external, replaced_steps
from bids_spectsynth.bids.finding.filters import distinguishing_query, read_filters
from bids_spectsynth.bids.finding.ictal import ictal_scans
from bids_spectsynth.bids.finding.layout import build_layout, closed_folders, find_participants, find_sessions
from bids_spectsynth.bids.names import bare_label
from bids_spectsynth.bids.public import kept_metadata
from bids_spectsynth.bids.roles import DATATYPES, ICTAL, INTERICTAL, PET, T1W, ictal_name, is_assumed, role_of
from bids_spectsynth.errors import ImageError, Outcome
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.options.spaces import BUILT_IN_TEMPLATE, parse_space

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceImage:
    """One input image and what BIDS says of it.

    Parameters
    ----------
    path : Path
        Absolute path of the NIfTI file.
    role : str
        ``T1w``, ``pet``, ``interictal``, ``ictal`` (each of several), or the suffix of another MR image (``T2w``,
        ``FLAIR``).
    entities : mapping of str to str
        Entities that its derivatives keep, by short BIDS key in BIDS order (``task``, ``trc``, ``rec``, ``run``).
        ``sub`` is the case's, and so is ``ses`` unless ``session`` says otherwise; a SPECT always has ``task``.
    metadata : mapping
        Of its JSON sidecar, inheritance applied, what is used (:func:`~bids_spectsynth.bids.public.kept_metadata`).
    reason : str
        One line: why this file was taken.
    session : str or None
        Session that its derivatives are written in where that is not the case's: its label, empty for none.
    """

    path: Path
    role: str
    entities: Mapping[str, str]
    metadata: Mapping[str, Any]
    reason: str
    session: str | None = None

    @property
    def frame_durations(self) -> list[float] | None:
        """Seconds of each frame of a PET or SPECT, as the sidecar gives them; None where it does not."""
        stated = self.metadata.get("FrameDuration")
        if not isinstance(stated, list) or not all(isinstance(one, int | float) for one in stated):
            return None
        # JSON knows whole numbers of any length, which no float holds.
        return [float(one) if abs(one) <= sys.float_info.max else math.inf for one in stated]


@dataclass(frozen=True)
class Case:
    """One participant, or one of its sessions, with the images that are used.

    ``session`` is that of the interictal SPECT; without one, that of the PET; without one, that of the T1w.
    ``images`` maps roles to images and always holds ``T1w``. Further ictal scans, by session and name, have the names
    ``ictal2``, ``ictal3``, ... (:func:`~bids_spectsynth.bids.roles.ictal_names`). ``external`` maps steps to files that
    take their place (:func:`~bids_spectsynth.bids.finding.external.find_external`). ``lesion`` is the lesion mask.
    """

    participant: str
    session: str | None
    images: Mapping[str, SourceImage]
    warnings: tuple[str, ...] = field(default=())
    external: Mapping[str, External] = field(default_factory=dict)
    lesion: External | None = None

    @property
    def name(self) -> str:
        """``sub-01`` or ``sub-01_ses-x``."""
        return f"sub-{self.participant}" + (f"_ses-{self.session}" if self.session else "")

    def session_of(self, name: str) -> str | None:
        """Session that the derivatives of an image are written in: of an ictal scan its own, else the case's."""
        own = self.images[name].session
        return self.session if own is None else own or None

    @property
    def is_state_assumed(self) -> bool:
        """Whether it has an interictal SPECT whose name does not say that it is one."""
        return INTERICTAL in self.images and is_assumed(self.images[INTERICTAL].reason)


def find_cases(settings: Settings) -> tuple[list[Case], list[Outcome]]:
    """Choose the images of every chosen participant.

    A case is made for each session with an interictal SPECT, else with a PET, else with a T1w. Its other images come
    from the same session, else from no session, else from the only other session (with a warning). Ictal scans, of
    which there may be several, each belong to one case (:func:`~bids_spectsynth.bids.scans.owner`).

    Returns
    -------
    cases : list of Case
        By participant and session.
    outcomes : list of Outcome
        Participants (and sessions) without a T1w (``skipped``), or for which the choice is not clear, or a folder, or
        the sidecar of an image that a model needs, is not readable (``failed``); the reason names the files.

    Raises
    ------
    DatasetError
        Not a BIDS dataset, or an unknown participant or session label.
    UsageError
        The filter file cannot be followed.
    """
    bids_dir = settings.bids_dir
    inputs = tuple(dict.fromkeys(role for roles in settings.inputs for role in roles))
    mr_roles = (T1W, *(role for role in inputs if role != T1W and not role_of(role).is_nuclear))
    filters = read_filters(settings.bids_filter_file, mr_roles)
    participants = find_participants(bids_dir, settings.participant_label)
    sessions = find_sessions(bids_dir, participants, settings.session_label)
    closed = closed_folders(bids_dir, participants, sessions)
    # A dry run leaves no index behind.
    if settings.bids_database_dir is None or settings.dry_run:
        layout = build_layout(bids_dir, participants, sessions, closed)
    else:
        layout = stored_layout(bids_dir, participants, sessions, closed, settings.bids_database_dir)
    candidates = find_candidates(layout, bids_dir, mr_roles, filters)
    barred = _barred(bids_dir, closed)
    cases: list[Case] = []
    outcomes: list[Outcome] = []
    for participant in participants:
        if participant in barred:
            outcomes.append(Outcome(participant, None, "find", "failed", barred[participant]))
            continue
        for result in _participant_cases(participant, candidates.get(participant, ()), inputs, sessions):
            if isinstance(result, Case):
                case = replace(result, warnings=(*result.warnings, *_odd_names(bids_dir / f"sub-{participant}")))
                try:
                    case = _with_external(case, settings)
                except ImageError as error:
                    outcomes.append(Outcome(participant, case.session, "find", "failed", str(error)))
                    continue
                cases.append(case)
            else:
                outcomes.append(_with_hint(bids_dir, result))
    for folder in settings.derivatives:
        there = {path.name for path in subfolders(folder.path, "sub-")}
        if participants and there.isdisjoint(f"sub-{label}" for label in participants):
            logger.warning("--derivatives: %s holds no folder sub-* of anybody in this run", folder.name)
    return cases, outcomes


def _with_external(case: Case, settings: Settings) -> Case:
    """A case with what takes the place of its steps, and its lesion mask."""
    subject, files = settings.bids_dir / f"sub-{case.participant}", f"anat/*_{T1W}.nii*"
    t1w_files = [*subject.glob(files), *subject.glob(f"ses-*/{files}")] if settings.derivatives else []
    templates = {*settings.spaces, parse_space(BUILT_IN_TEMPLATE).label} - {T1W}
    external, unused = find_external(
        case.images,
        case.participant,
        settings.derivatives,
        t1w_files=t1w_files,
        templates=templates,
        lesions=settings.lesion_mask != "none",
    )
    lesion = external.pop(LESION, None)
    case = replace(case, external=external, lesion=lesion)
    _log(case, unused)
    return case


def _barred(bids_dir: Path, closed: Mapping[Path, str]) -> dict[str, str]:
    """Participants with a folder that may hold an image and cannot be read, and why."""
    reasons: dict[str, str] = {}
    for folder, problem in closed.items():
        parts = folder.relative_to(bids_dir).parts
        if parts[-1] in DATATYPES or parts[-1].startswith(("sub-", "ses-")):
            reasons.setdefault(bare_label(parts[0], "sub"), f"{folder}: {problem}")
    return reasons


def _odd_names(folder: Path) -> list[str]:
    """Images and folders of a participant whose names are not text, and so were passed over."""
    odd = [path for path in odd_entries(folder) if not is_text(path.name)]
    wanted = [path for path in odd if path.name.endswith((".nii", ".nii.gz")) or path.is_dir()]
    names = [shown(path.relative_to(folder)) for path in wanted]
    return [f"{name}: the name is not UTF-8; left out; rename it" for name in names]


def _with_hint(bids_dir: Path, outcome: Outcome) -> Outcome:
    """Of a participant without a T1w: what may be the reason."""
    folder = bids_dir / f"sub-{outcome.participant}"
    if outcome.status != "skipped":
        return outcome
    hints = _odd_names(folder)
    if not any(folder.iterdir()):
        hints.append(f"the folder is empty; of a DataLad dataset, run 'datalad get {folder}'")
    return replace(outcome, reason="; ".join((outcome.reason, *hints)))


def _participant_cases(
    participant: str, candidates: Sequence[Candidate], inputs: Collection[str], sessions: Sequence[str]
) -> list[Case | Outcome]:
    by_role: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_role.setdefault(candidate.role, []).append(candidate)
    if T1W not in by_role:
        where = f" in session {', '.join(sessions)} or outside sessions" if sessions else ""
        return [Outcome(participant, None, "find", "skipped", f"no T1w image{where}")]
    anchor = next(role for role in (INTERICTAL, PET, T1W) if role in by_role)
    anchors = sorted({candidate.session for candidate in by_role[anchor]}, key=lambda session: session or "")
    results: list[Case | Outcome] = []
    for session in anchors:
        try:
            check_labels(f"sub-{participant}", {"sub": participant, **({"ses": session} if session else {})})
            scans = ictal_scans(by_role, anchor, session)
            results.append(_build_case(participant, session, by_role, inputs, scans))
        except ImageError as error:
            results.append(Outcome(participant, session, "find", "failed", str(error)))
    return results


def _build_case(
    participant: str,
    session: str | None,
    by_role: ByRole,
    inputs: Collection[str],
    ictal: tuple[Sequence[Choice], Sequence[str]],
) -> Case:
    chosen: dict[str, Choice] = {}
    warnings: list[str] = []
    for role in by_role:
        if role == ICTAL:
            continue
        try:
            chosen[role] = choose(by_role, role, session)
            warnings += chosen[role].notes
        except ImageError as error:
            # What no model asks for must not stop the participant.
            if role in (T1W, INTERICTAL, *inputs):
                raise
            warnings.append(f"{error}; the {role_of(role).sentence} is left out")
    chosen |= {ictal_name(number): scan for number, scan in enumerate(ictal[0], start=1)}
    warnings += [*ictal[1], *(note for scan in ictal[0] for note in scan.notes)]
    order = sorted(chosen, key=lambda name: (name != T1W, role_of(name).is_nuclear, chosen[name].candidate.role))
    images = {name: _source_image(chosen[name], session) for name in order}
    missing = [role for role in inputs if role not in images]
    warnings += [f"no {role_of(role).sentence} image, an input of a model asked for" for role in missing]
    if INTERICTAL not in images:
        warnings.append(f"no {role_of(INTERICTAL).sentence}: not usable for training or evaluation")
    elif is_assumed(images[INTERICTAL].reason):
        warnings.append(_assumed(by_role, images[INTERICTAL].path))
    return Case(participant, session, images, tuple(warnings))


def _assumed(by_role: ByRole, path: Path) -> str:
    """Why a SPECT is neither target nor reference, and a filter that says what it and well-named ones are."""
    others = rivals(by_role, INTERICTAL, [])
    query = distinguishing_query(path, others, ("datatype", "trc")) if others else {"datatype": path.parent.name}
    example = json.dumps({INTERICTAL: {**(query or {}), "task": [None, INTERICTAL]}})
    return (
        f"{path.name}: nothing in its name says ictal or interictal; prepared as interictal, not used for training or "
        "evaluation: rename it with task-interictal or task-ictal, or say what it is with --bids-filter-file, "
        f"e.g. {example}"
    )


def _source_image(choice: Choice, session: str | None) -> SourceImage:
    chosen = choice.candidate
    # Ictal scans keep their session, so that those of several have different names.
    own = chosen.session or "" if chosen.role == ICTAL and chosen.session != session else None
    kept = kept_metadata(chosen.metadata)
    return SourceImage(chosen.path, chosen.role, choice.entities, kept, choice.reason, own)


def _log(case: Case, unused: Sequence[str]) -> None:
    # A line a participant is enough for the console; why each file was taken is in the log.
    logger.info("%s: %s", case.name, ", ".join(role_of(role).sentence for role in case.images))
    for name, image in case.images.items():
        logger.debug("%s: %s is the %s (%s)", case.name, image.path.name, role_of(name).sentence, image.reason)
    for warning in case.warnings:
        logger.warning("%s: %s", case.name, warning)
    for line in replaced_steps(case.external, case.lesion):
        logger.info("%s: %s", case.name, line)
    for line in unused:
        logger.warning("%s: --derivatives: %s", case.name, line)
