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
from bids_spectsynth.app.outcomes import log_found, record_outcomes, stopped_reasons
from bids_spectsynth.app.stages import Context, Stage, run_stages
from bids_spectsynth.bids.dataset import write_dataset_files
from bids_spectsynth.bids.writing import remove_leftovers
from bids_spectsynth.errors import DatasetError, ExitCode, Outcome, exit_code
from bids_spectsynth.logs import LOGGER_NAME, console_logging, open_run_log
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
    check_processes(settings)
    check_metrics(settings)
    check_export(settings)
    check_folders(settings)
    check_backend(settings)
    with clean_end():
        return run_group(settings) if settings.analysis_level == "group" else run_participant(settings)


def run_participant(settings: Settings) -> ExitCode:
    """Run the stages of the participant level that the mode has; see :data:`bids_spectsynth.app.participant.STAGES`.

    Raises
    ------
    SpectSynthError
        The run as a whole cannot go on; outcomes so far are recorded.
    """
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
        record_outcomes(own, context.run_folder, context.outcomes, context.flags, stopped)
        raise
    record_outcomes(own, context.run_folder, context.outcomes, context.flags)
    return exit_code(context.outcomes)


def _open_log(settings: Settings) -> Path:
    """The folder of this run's logs, in which no line says where the folders lie on this machine.

    What runs that were killed left half-written is removed first.
    """
    removed = remove_leftovers(settings.output_dir, settings.work_folder)
    if removed:
        logger.info("Removed %d temporary files of runs that were killed", removed)
    # Read back as a configuration file, the settings take both folders from the command line.
    link = Path(os.path.relpath(settings.bids_dir, settings.output_dir))
    recorded = to_toml(replace(settings, bids_dir=link, output_dir=Path()))
    level = settings.analysis_level
    return open_run_log(settings.output_dir, level, recorded, partial(without_places, settings=settings))


def _plan(context: Context, stages: Sequence[Stage]) -> ExitCode:
    """Say what the stages would do; the exit code takes for granted that they end well."""
    from bids_spectsynth.app.plan import log_plan

    log_plan(context.settings, context.cases, context.outcomes, stages)
    found = (Outcome(case.participant, case.session, stages[0].name, "ok") for case in context.cases)
    return exit_code([*context.outcomes, *found])


def run_group(settings: Settings) -> ExitCode:
    """Tables, tests, figures and the report of the whole output folder; of the dataset only what is known of seizures.

    Raises
    ------
    DatasetError
        Nobody is prepared, or a case's table is damaged.
    UsageError
        A reader study cannot be written or read.
    """
    from bids_spectsynth.app.group import write_group_level

    if settings.dry_run:
        logger.info("dry run: tables and report of %s would be written", settings.output_dir)
        return ExitCode.OK
    if next(settings.output_dir.glob("sub-*/**/*_desc-preproc_T1w.nii.gz"), None) is None:
        raise DatasetError(f"{settings.output_dir}: holds no prepared participant; run the participant level first")
    _open_log(settings)
    logger.info("Group report: %s", write_group_level(settings))
    return ExitCode.OK
