"""The two levels: participant (find, prepare, train or apply, evaluate, report) and group."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bids_spectsynth.app import participant
from bids_spectsynth.app.checks import (
    check_backend,
    check_export,
    check_folders,
    check_metrics,
    check_processes,
    make_folders,
    process_rank,
)
from bids_spectsynth.app.outcomes import log_found, log_outcome, record_outcomes, stopped_reasons
from bids_spectsynth.app.stages import Context, Stage, run_stages
from bids_spectsynth.bids.dataset import write_dataset_files
from bids_spectsynth.bids.writing import remove_leftovers
from bids_spectsynth.errors import ExitCode, Outcome, exit_code
from bids_spectsynth.logs import LOGGER_NAME, console_logging, open_run_log
from bids_spectsynth.options.memory import check_room
from bids_spectsynth.options.places import without_places
from bids_spectsynth.options.settings import Settings, to_toml
from bids_spectsynth.termination import clean_end

logger = logging.getLogger(f"{LOGGER_NAME}.run")


def run(settings: Settings) -> ExitCode:
    """Run the level that the settings ask for.

    Raises
    ------
    SpectSynthError
        The run as a whole cannot go on; what concerns one participant is an outcome instead.
    """
    console_logging(settings.verbose)
    # All that is below loads torch.
    check_room()
    check_processes(settings)
    check_metrics(settings)
    check_export(settings)
    check_folders(settings)
    check_backend(settings)
    # Else Matplotlib's list of fonts would go to the home folder, which a run has no business with.
    os.environ.setdefault("MPLCONFIGDIR", str(settings.work_folder / "matplotlib"))
    with clean_end():
        return run_group(settings) if settings.analysis_level == "group" else run_participant(settings)


def run_participant(settings: Settings) -> ExitCode:
    """Run the stages of the participant level that the mode has; see :data:`bids_spectsynth.app.participant.STAGES`.

    Raises
    ------
    SpectSynthError
        The run as a whole cannot go on; outcomes so far are recorded.
    """
    if settings.reports_only or settings.boilerplate_only:
        return _write_again(settings)
    from bids_spectsynth.app.model_choice import choose_models

    own, models = choose_models(settings)
    stages = [stage for stage in participant.STAGES if stage.applies(own)]
    context = Context(own, models=list(models))
    if process_rank()[0] > 0:
        # The first process writes what there is to write.
        run_stages([stage for stage in stages if stage.shared], context)
        return ExitCode.OK
    run_stages([stage for stage in stages if stage.only_reads], context)
    if settings.dry_run:
        return _plan(context, stages)
    # Nothing is written before options and dataset are known to be good.
    participant.check_trainable(context)
    make_folders(settings)
    context.run_folder = _open_log(settings)
    log_found(settings, context.run_folder, context.cases, context.outcomes)
    write_dataset_files(own, {})
    try:
        run_stages([stage for stage in stages if not stage.only_reads], context)
    except BaseException as error:
        stopped = stopped_reasons(context.cases, context.outcomes, stages[-1].name, error)
        record_outcomes(own, context.run_folder, context.outcomes, context.flags, stopped, context.stage)
        raise
    record_outcomes(own, context.run_folder, context.outcomes, context.flags)
    return exit_code(context.outcomes)


def _open_log(settings: Settings) -> Path:
    """The folder of this run's logs, in which no line says where the folders lie on this machine.

    What runs that were killed left half-written is removed first.
    """
    work = settings.work_folder
    removed = remove_leftovers(settings.output_dir, work)
    # Of the work folder, which holds a great many files, what tells which steps are done; the rest is Nipype's.
    removed += remove_leftovers(work / "status", work / "status")
    if removed:
        logger.info("Removed %d temporary files of runs that were killed", removed)
    # Read back as a configuration file, the settings take both folders from the command line.
    link = Path(os.path.relpath(settings.bids_dir, settings.output_dir))
    recorded = to_toml(replace(settings, bids_dir=link, output_dir=Path()))
    level = settings.analysis_level
    return open_run_log(settings.output_dir, level, recorded, partial(without_places, settings=settings))


def _write_again(settings: Settings) -> ExitCode:
    """Pages or texts of what lies in the output folder, and nothing else."""
    from bids_spectsynth.app.reporting.pages import write_boilerplate, write_pages
    from bids_spectsynth.app.reporting.selection import prepared_labels

    labels = prepared_labels(settings.output_dir, settings.participant_label)
    if settings.dry_run:
        what = "pages" if settings.reports_only else "methods text"
        logger.info("dry run: the %s of %s would be written", what, ", ".join(f"sub-{label}" for label in labels))
        return ExitCode.OK
    if settings.boilerplate_only:
        logger.info("Methods text: %s", write_boilerplate(settings))
        return ExitCode.OK
    _open_log(settings)
    outcomes = write_pages(settings)
    for outcome in outcomes:
        log_outcome(outcome)
    logger.info("Reports: %d made again in %s", sum(one.status == "ok" for one in outcomes), settings.output_dir)
    return exit_code(outcomes)


def _plan(context: Context, stages: Sequence[Stage]) -> ExitCode:
    """Say what the stages would do; the exit code takes for granted that they end well."""
    from bids_spectsynth.app.plan import log_plan

    log_plan(context.settings, context.cases, context.outcomes, stages)
    found = (Outcome(case.participant, case.session, stages[0].name, "ok") for case in context.cases)
    return exit_code([*context.outcomes, *found])


def run_group(settings: Settings) -> ExitCode:
    """Tables, tests, figures and the report of the output folder; of the dataset only what is known of seizures.

    Raises
    ------
    DatasetError
        Nobody is prepared, or not whom the settings choose, or a case's table is damaged.
    UsageError
        A reader study cannot be written or read.
    """
    from bids_spectsynth.app.group import write_group_level
    from bids_spectsynth.app.reporting.selection import prepared_labels, write_for_selection, write_page

    prepared_labels(settings.output_dir, settings.participant_label)
    if settings.dry_run:
        whose = ", ".join(settings.participant_label) or "all"
        what = "report" if settings.reports_only else "tables and report"
        logger.info("dry run: %s of %s would be written, participants: %s", what, settings.output_dir, whose)
        return ExitCode.OK
    _open_log(settings)
    if settings.reports_only:
        logger.info("Group report: %s", write_page(settings))
    elif settings.participant_label:
        logger.info("Group report: %s", write_for_selection(settings, partial(write_group_level, of_everybody=False)))
    else:
        logger.info("Group report: %s", write_group_level(settings))
    return ExitCode.OK
