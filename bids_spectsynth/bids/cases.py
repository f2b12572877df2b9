"""Which files of a participant are used, and why; why a participant is skipped."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.candidates import Candidate, Search, find_candidates
from bids_spectsynth.bids.filters import read_filters
from bids_spectsynth.bids.layout import build_layout, find_participants, find_sessions
from bids_spectsynth.bids.roles import INTERICTAL, PET, T1W, role_of
from bids_spectsynth.errors import ImageError, Outcome
from bids_spectsynth.options.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceImage:
    """One input image and what BIDS says of it.

    Parameters
    ----------
    path : Path
        Absolute path of the NIfTI file.
    role : str
        ``T1w``, ``pet``, ``interictal``, ``ictal``, or the suffix of another MR image (``T2w``, ``FLAIR``).
    entities : mapping of str to str
        Entities that its derivatives keep, by short BIDS key in BIDS order (``task``, ``trc``, ``rec``, ``run``).
        ``sub`` and ``ses`` are the case's; a SPECT always has ``task``.
    metadata : mapping
        Its JSON sidecar, inheritance applied.
    reason : str
        One line: why this file was taken.
    """

    path: Path
    role: str
    entities: Mapping[str, str]
    metadata: Mapping[str, Any]
    reason: str

    @property
    def frame_durations(self) -> list[float] | None:
        """Seconds of each frame of a PET or SPECT, as the sidecar gives them; None where it does not."""
        stated = self.metadata.get("FrameDuration")
        if not isinstance(stated, list) or not all(isinstance(one, int | float) for one in stated):
            return None
        return [float(one) for one in stated]


@dataclass(frozen=True)
class Case:
    """One participant, or one of its sessions, with the images that are used.

    ``session`` is that of the interictal SPECT; without one, that of the PET; without one, that of the T1w.
    ``images`` maps roles to images and always holds ``T1w``.
    """

    participant: str
    session: str | None
    images: Mapping[str, SourceImage]
    warnings: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """``sub-01`` or ``sub-01_ses-x``."""
        return f"sub-{self.participant}" + (f"_ses-{self.session}" if self.session else "")


def find_cases(settings: Settings) -> tuple[list[Case], list[Outcome]]:
    """Choose the images of every chosen participant.

    A case is made for each session with an interictal SPECT, else with a PET, else with a T1w. Its other images come
    from the same session, else from no session, else from the only other session (with a warning).

    Returns
    -------
    cases : list of Case
        By participant and session.
    outcomes : list of Outcome
        Participants (and sessions) without a T1w (``skipped``), or for which the choice is not clear or a sidecar not
        readable (``failed``); the reason names the files.

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
    layout = build_layout(bids_dir, participants, sessions)
    searches = find_candidates(layout, bids_dir, mr_roles, filters)
    cases: list[Case] = []
    outcomes: list[Outcome] = []
    for participant in participants:
        search = searches.get(participant, Search((), ()))
        for result in _participant_cases(participant, search, inputs, sessions):
            if isinstance(result, Case):
                _log(result)
                cases.append(result)
            else:
                outcomes.append(result)
    return cases, outcomes


def _participant_cases(
    participant: str, search: Search, inputs: Collection[str], sessions: Sequence[str]
) -> list[Case | Outcome]:
    if search.errors:
        return [Outcome(participant, None, "find", "failed", search.errors[0])]
    by_role: dict[str, list[Candidate]] = {}
    for candidate in search.candidates:
        by_role.setdefault(candidate.role, []).append(candidate)
    if T1W not in by_role:
        where = f" in session {', '.join(sessions)} or outside sessions" if sessions else ""
        return [Outcome(participant, None, "find", "skipped", f"no T1w image{where}")]
    anchor = next(role for role in (INTERICTAL, PET, T1W) if role in by_role)
    anchors = sorted({candidate.session for candidate in by_role[anchor]}, key=lambda session: session or "")
    results: list[Case | Outcome] = []
    for session in anchors:
        try:
            results.append(_build_case(participant, session, by_role, inputs))
        except ImageError as error:
            results.append(Outcome(participant, session, "find", "failed", str(error)))
    return results


def _build_case(
    participant: str, session: str | None, by_role: Mapping[str, Sequence[Candidate]], inputs: Collection[str]
) -> Case:
    images: dict[str, SourceImage] = {}
    warnings: list[str] = []
    for role, candidates in by_role.items():
        try:
            images[role], notes = _choose(candidates, role, session)
            warnings += notes
        except ImageError as error:
            # What no model asks for must not stop the participant.
            if role in (T1W, INTERICTAL, *inputs):
                raise
            warnings.append(f"{error}; the {role_of(role).sentence} is left out")
    missing = [role for role in inputs if role not in images]
    warnings += [f"no {role_of(role).sentence} image, an input of a model asked for" for role in missing]
    if INTERICTAL not in images:
        warnings.append(f"no {role_of(INTERICTAL).sentence}: not usable for training or evaluation")
    order = sorted(images, key=lambda role: (role != T1W, role_of(role).is_nuclear, role))
    return Case(participant, session, {role: images[role] for role in order}, tuple(warnings))


def _choose(candidates: Sequence[Candidate], role: str, session: str | None) -> tuple[SourceImage, list[str]]:
    """Take the one image that a session uses, or raise an ImageError that names the candidates."""
    own = [candidate for candidate in candidates if candidate.session == session]
    free = [candidate for candidate in candidates if candidate.session is None]
    pool = own or free or list(candidates)
    names = ", ".join(sorted(candidate.path.name for candidate in pool))
    key = role.lower()
    hint = f'choose one with --bids-filter-file, e.g. {{"{key}": {{"run": 1}}}} or {{"{key}": {{"session": "..."}}}}'
    if len({candidate.session for candidate in pool}) > 1:
        raise ImageError(f"{role_of(role).sentence} in several other sessions: {names}; {hint}")
    if len(pool) > 1:
        raise ImageError(f"{len(pool)} {role_of(role).sentence} images in one session: {names}; {hint}")
    chosen = pool[0]
    where, notes = "in the same session" if own else "outside sessions", []
    if not own and not free:
        where = f"from the only other session, ses-{chosen.session}"
        notes.append(f"{chosen.path.name}: {role_of(role).sentence} taken {where}")
    if role_of(role).is_nuclear and not chosen.metadata:
        notes.append(f"{chosen.path.name}: no JSON sidecar; frames count alike and the tracer is unknown")
    return _source_image(chosen, f"{chosen.reason}; {where}"), notes


def _source_image(candidate: Candidate, reason: str) -> SourceImage:
    role, known = role_of(candidate.role), dict(candidate.entities)
    if role.task is not None:
        known["task"] = role.task
    entities = {key: known[key] for key in role.kept_entities if key in known}
    return SourceImage(candidate.path, candidate.role, entities, candidate.metadata, reason)


def _log(case: Case) -> None:
    # A line a participant is enough for the console; why each file was taken is in the log.
    logger.info("%s: %s", case.name, ", ".join(role_of(role).sentence for role in case.images))
    for image in case.images.values():
        logger.debug("%s: %s is the %s (%s)", case.name, image.path.name, role_of(image.role).sentence, image.reason)
    for warning in case.warnings:
        logger.warning("%s: %s", case.name, warning)
