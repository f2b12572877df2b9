"""Where the outcomes of a run are written: the log, the logs of participants, and ``participants.tsv``."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.finding.external import replaced_steps
from bids_spectsynth.bids.output_files import find_synthetic
from bids_spectsynth.bids.participants import (
    FAILED_IN,
    FLAGGED,
    FLAGS,
    note_unrated,
    rating_advice,
    read_participants,
    to_be_rated,
    update_participants,
)
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import Outcome, by_participant, reason_of
from bids_spectsynth.logs import LOGGER_NAME, write_case_log
from bids_spectsynth.options.places import without_places
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.quality.judge import Flag, flagged_names

logger = logging.getLogger(f"{LOGGER_NAME}.run")


def case_name(outcome: Outcome) -> str:
    """``sub-01`` or ``sub-01_ses-x``."""
    return f"sub-{outcome.participant}" + (f"_ses-{outcome.session}" if outcome.session else "")


def log_outcome(outcome: Outcome) -> None:
    """One line on a case that failed or was skipped."""
    if outcome.status != "ok":
        level = logging.ERROR if outcome.status == "failed" else logging.WARNING
        logger.log(level, "%s %s: %s", case_name(outcome), outcome.status, outcome.reason)


def log_found(settings: Settings, run_folder: Path, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> None:
    """Write to the logs of participants which images were found, and why somebody is left out.

    Parameters
    ----------
    settings : Settings
    run_folder : Path
        Of the logs.
    cases : sequence of Case
    outcomes : sequence of Outcome
        Of those that are left out.
    """
    for case in cases:
        lines = [f"{role}: {image.path} ({image.reason})" for role, image in case.images.items()]
        lines += [f"warning: {warning}" for warning in case.warnings]
        lines += replaced_steps(case.external, case.lesion)
        write_case_log(run_folder, case.name, [without_places(line, settings) for line in lines])
    for outcome in outcomes:
        line = without_places(f"{outcome.status}: {outcome.reason}", settings)
        write_case_log(run_folder, case_name(outcome), [line])


def record_outcomes(
    settings: Settings,
    run_folder: Path,
    outcomes: Sequence[Outcome],
    flags: Mapping[str, Sequence[Flag]] | None = None,
    stopped: Mapping[str, str] | None = None,
    stopped_in: str = "",
) -> None:
    """Write what became of each participant to ``participants.tsv`` and the logs; one line counts them.

    Parameters
    ----------
    settings : Settings
    run_folder : Path
        Of the logs.
    outcomes : sequence of Outcome
        Of the whole run.
    flags : mapping of str to sequence of Flag, optional
        What is doubtful about prepared images, by name of the case.
    stopped : mapping of str to str, optional
        Reasons, by label, of those whom the end of the run found unfinished: see :func:`stopped_reasons`.
    stopped_in : str
        Name of the stage in which it ended; what was made before that stage is of this run, the rest may be older.
    """
    rows = participant_statuses(settings, outcomes)
    for label, reason in (stopped or {}).items():
        rows[label] = {"status": "stopped", "reason": without_places(reason, settings), FAILED_IN: stopped_in}
    for label, row in rows.items():
        write_case_log(run_folder, f"sub-{label}", [f"{row['status']} {row['reason']}".removesuffix(" n/a")])
    update_participants(settings.output_dir, rows)
    statuses = ("ok", "skipped", "failed", *(["stopped"] if stopped else []))
    counts = [f"{sum(row['status'] == status for row in rows.values())} {status}" for status in statuses]
    own = {label: flags_by_participant(flags or {}, label) for label in rows}
    flagged = sorted(f"sub-{label}" for label, row in own.items() if row.get(FLAGS, "n/a") != "n/a")
    counts += [f"{len(flagged)} with quality flags ({' '.join(flagged)})"] if flagged else []
    logger.info("Participants: %s; output in %s", ", ".join(counts), settings.output_dir)
    waiting = to_be_rated(settings.output_dir)
    if waiting:
        logger.warning("%s", rating_advice(waiting))


def stopped_reasons(
    cases: Iterable[Case], outcomes: Sequence[Outcome], last_stage: str, error: BaseException
) -> dict[str, str]:
    """Whom the end of a run found unfinished, and by what it ended.

    What failed or was skipped stays so; who came to the last stage is done.

    Parameters
    ----------
    cases : iterable of Case
        All of the run.
    outcomes : sequence of Outcome
        So far.
    last_stage : str
        Its name.
    error : BaseException
        That ended the run.

    Returns
    -------
    dict
        One line for each label.
    """
    known = by_participant(outcomes)
    settled = {label for label, outcome in known.items() if outcome.status != "ok"}
    settled |= {outcome.participant for outcome in outcomes if outcome.stage == last_stage}
    message = str(error) if isinstance(error, KeyboardInterrupt) else reason_of(error)
    reason = f"the run ended before this participant was done: {message or 'interrupted'}"
    return {case.participant: reason for case in cases if case.participant not in settled}


def record_flags(judged: Sequence[tuple[PreparedCase, tuple[Flag, ...]]], settings: Settings) -> None:
    """Write flags to ``participants.tsv`` and to sidecars of images, and take ratings of the flagged away.

    Also of participants of other runs and jobs: the larger the cohort, the more is known of each. To be called under
    the lock of the judge.

    Parameters
    ----------
    judged : sequence of (PreparedCase, tuple of Flag)
        All that could be judged.
    settings : Settings
    """
    from bids_spectsynth.app.freshness import remove_ratings
    from bids_spectsynth.quality.marking import mark_images

    flags = {case.name: found for case, found in judged}
    rows = {case.participant: flags_by_participant(flags, case.participant) for case, _ in judged}
    reasons = read_participants(settings.output_dir).set_index("participant_id")["reason"].to_dict()
    for case, found in judged:
        mark_images(settings.output_dir, case, found)
        if not found or settings.include_flagged:
            continue
        for image in find_synthetic(settings.output_dir, case):
            if image.metrics is not None:
                # By which one knows whom to rate, should a later job, with more participants, take the flag back.
                note_unrated(settings.output_dir, case.name, case.participant, image.model)
                if reasons.get(f"sub-{case.participant}", "n/a") == "n/a":
                    rows[case.participant]["reason"] = f"{FLAGGED}{flagged_names(found)}"
            remove_ratings(settings.output_dir, case, image.model)
    update_participants(settings.output_dir, dict(sorted(rows.items())))


def participant_statuses(settings: Settings, outcomes: Sequence[Outcome]) -> dict[str, dict[str, str]]:
    """Columns ``status``, ``reason`` and ``failed_in`` of ``participants.tsv``, by label."""
    failures: dict[str, dict[str, None]] = {}
    for outcome in outcomes:
        if outcome.status == "failed":
            failures.setdefault(outcome.participant, {})[outcome.stage] = None
    return {
        label: {
            "status": outcome.status,
            "reason": without_places(outcome.reason, settings) or "n/a",
            FAILED_IN: ", ".join(failures.get(label, ())) or "n/a",
        }
        for label, outcome in by_participant(outcomes).items()
    }


def flags_by_participant(flags: Mapping[str, Sequence[Flag]], label: str) -> dict[str, str]:
    """Column ``quality_flags`` of a participant: names of the flags of all sessions; empty where none was judged."""
    own = [found for name, found in flags.items() if name.partition("_")[0] == f"sub-{label}"]
    return {FLAGS: flagged_names([flag for found in own for flag in found])} if own else {}
