"""Where the outcomes of a run are written: the log, the logs of participants, and ``participants.tsv``."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.finding.external import replaced_steps
from bids_spectsynth.bids.participants import FAILED_IN, FLAGS, update_participants
from bids_spectsynth.errors import Outcome, by_participant
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
        lines += replaced_steps(case.external)
        write_case_log(run_folder, case.name, [without_places(line, settings) for line in lines])
    for outcome in outcomes:
        line = without_places(f"{outcome.status}: {outcome.reason}", settings)
        write_case_log(run_folder, case_name(outcome), [line])


def record_outcomes(
    settings: Settings,
    run_folder: Path,
    outcomes: Sequence[Outcome],
    flags: Mapping[str, Sequence[Flag]] | None = None,
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
    """
    rows = participant_statuses(settings, outcomes)
    for label, outcome in by_participant(outcomes).items():
        line = f"{outcome.status} {rows[label]['reason']}".removesuffix(" n/a")
        write_case_log(run_folder, f"sub-{label}", [line])
    update_participants(settings.output_dir, rows)
    counts = [f"{sum(row['status'] == s for row in rows.values())} {s}" for s in ("ok", "skipped", "failed")]
    own = {label: flags_by_participant(flags or {}, label) for label in rows}
    flagged = sorted(f"sub-{label}" for label, row in own.items() if row.get(FLAGS, "n/a") != "n/a")
    counts += [f"{len(flagged)} with quality flags ({' '.join(flagged)})"] if flagged else []
    logger.info("Participants: %s; output in %s", ", ".join(counts), settings.output_dir)


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
