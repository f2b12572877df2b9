"""The two levels: participant (find, prepare, train or apply, evaluate, report) and group."""

import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nib

from bids_spectsynth.bids.access import is_text, shown
from bids_spectsynth.bids.cases import Case, find_cases
from bids_spectsynth.bids.dataset import write_dataset_files
from bids_spectsynth.bids.layout import check_root
from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared, is_registered_to
from bids_spectsynth.bids.roles import INTERICTAL, T1W
from bids_spectsynth.bids.validate import check_dataset
from bids_spectsynth.errors import DatasetError, ExitCode, ModelError, Outcome, UsageError, by_participant, exit_code
from bids_spectsynth.logs import LOGGER_NAME, console_logging, open_run_log, write_case_log
from bids_spectsynth.options.settings import FIELD_OF_VIEW_MM, Settings, to_toml
from bids_spectsynth.options.spaces import option_of
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
    _check_processes(settings)
    check_folders(settings)
    _check_backend(settings)
    with clean_end():
        return run_group(settings) if settings.analysis_level == "group" else run_participant(settings)


def _place_among_processes() -> tuple[int, int]:
    """Number of this process and of all that torchrun has started; without an import of torch."""
    count = int(os.environ.get("WORLD_SIZE") or 1)
    return (int(os.environ.get("RANK") or 0), count) if count > 1 else (0, 1)


def _check_processes(settings: Settings) -> None:
    """Refuse to do in several processes what only training can share; quiet all but the first.

    Raises
    ------
    UsageError
        Another level or mode was started by torchrun, or its variables are not numbers.
    """
    try:
        rank, count = _place_among_processes()
    except ValueError as error:
        raise UsageError(f"WORLD_SIZE, RANK: {error}; start with torchrun or unset them") from error
    if count > 1 and (settings.analysis_level != "participant" or settings.mode != "train" or settings.dry_run):
        raise UsageError("torchrun: several processes can share --mode train alone; start everything else without it")
    if rank > 0:
        logging.getLogger(LOGGER_NAME).setLevel(logging.WARNING)


def check_folders(settings: Settings) -> None:
    """Refuse an output folder that would harm the input or cannot be written, before anything is computed.

    Raises
    ------
    DatasetError
        The input folder is missing (participant level), or the output folder is inside it or not writable, or the path
        of one is not text.
    UsageError
        A folder or file that an option names does not exist.
    """
    for folder in (settings.bids_dir, settings.output_dir, settings.work_folder):
        if not is_text(folder):
            raise DatasetError(f"{shown(folder)}: the path is not UTF-8, which no table or sidecar can hold; rename it")
    bids_dir, output_dir = settings.bids_dir.resolve(), settings.output_dir.resolve()
    if settings.analysis_level == "participant" and settings.mode != "train":
        check_root(settings.bids_dir)
    for what, folder in (("output", output_dir), ("work", settings.work_folder.resolve())):
        inside = folder.is_relative_to(bids_dir) and not folder.is_relative_to(bids_dir / "derivatives")
        if inside or folder == bids_dir / "derivatives":
            raise DatasetError(
                f"{folder}: the {what} folder lies inside the dataset; "
                f"use a folder outside it or {bids_dir / 'derivatives' / 'bids_spectsynth'}"
            )
    for option in ("model", "bids_filter_file", "split_file", "use_plugin"):
        path: Path | None = getattr(settings, option)
        if path is not None and not path.exists():
            raise UsageError(f"--{option.replace('_', '-')}: {path} does not exist")
    if settings.analysis_level == "group" and not output_dir.is_dir():
        raise DatasetError(f"{settings.output_dir}: no such folder; run the participant level first")
    if not settings.dry_run:
        for folder in (settings.output_dir, settings.work_folder):
            _check_writable(folder)


def _check_backend(settings: Settings) -> None:
    """Refuse a backend that cannot be started, where images will be prepared for certain.

    Raises
    ------
    UsageError
        FSL, or the program that starts its container, is missing.
    """
    if settings.analysis_level == "participant" and settings.mode in ("auto", "preprocess"):
        from bids_spectsynth.preprocess.backends.choice import resolve_backend

        resolve_backend(settings)


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DatasetError(f"{folder}: cannot write there ({error.strerror})") from error


def run_participant(settings: Settings) -> ExitCode:
    """Find, prepare, train or apply, evaluate and report; which of these, ``settings.mode`` says."""
    given, settings = settings, _with_models(settings)
    if _place_among_processes()[0] > 0:
        # It trains along; the first process writes what there is to write.
        _synthesise(settings, [], [])
        return ExitCode.OK
    run_folder = None if settings.dry_run else open_run_log(given.output_dir, given.analysis_level, to_toml(given))
    cases, outcomes = ([], []) if settings.mode == "train" else _find(settings)
    if run_folder is None:
        from bids_spectsynth.app.plan import log_plan

        log_plan(settings, cases, outcomes)
        return exit_code([*outcomes, *(Outcome(c.participant, c.session, "find", "ok") for c in cases)])
    write_dataset_files(settings, {})
    _log_found(run_folder, cases, outcomes)
    try:
        _check_trainable(settings, cases)
        outcomes += _prepare(settings, cases, run_folder)
        if not (settings.stop_on_first_crash and any(outcome.status == "failed" for outcome in outcomes)):
            _synthesise(settings, cases, outcomes)
            if settings.mode != "train":
                from bids_spectsynth.reports.subject.all_pages import report_subjects

                # The reports show what became of their participants.
                changed = update_participants(settings.output_dir, _statuses(settings, outcomes))
                outcomes += report_subjects(settings.output_dir, cases, outcomes, changed)
    finally:
        _record(settings, run_folder, outcomes)
    return exit_code(outcomes)


def _with_models(settings: Settings) -> Settings:
    """Settings with the inputs and spaces of all models to train, or the inputs of those to apply.

    What cannot work is refused before hours of work.

    Raises
    ------
    UsageError
        The study, ``--model-label`` or ``--hold-out`` does not fit.
    ModelError
        There is no such device, or no compiler; a model is damaged, or works in another space or on other voxels than
        was asked for.
    """
    import torch

    from bids_spectsynth.synthesis.cohort.hold_out import held_out
    from bids_spectsynth.synthesis.cohort.select import model_folders
    from bids_spectsynth.synthesis.computing.computation import training_computation
    from bids_spectsynth.synthesis.computing.devices import environment_rank, resolve_device
    from bids_spectsynth.synthesis.models.ensemble import load_members
    from bids_spectsynth.synthesis.models.folder import load_model
    from bids_spectsynth.synthesis.study import planned_models, trains, united

    if settings.mode != "preprocess":
        device = resolve_device(settings.device, environment_rank().local_rank)
        if trains(settings):
            training_computation(device, compiling=settings.compile)
    settings = united(settings, planned_models(settings))
    if trains(settings):
        held_out(settings)
    if settings.model is not None:
        cards = [load_model(member.folder, torch.device("cpu")).card for member in load_members(settings.model)]
    elif settings.mode == "apply":
        # The members of one model share inputs, space and voxels.
        cards = [load_members(folder)[0].card for folder in model_folders(settings)]
    else:
        return settings
    for card in cards:
        if card.voxel_size != settings.voxel_size:
            raise ModelError(
                f"model {card.label} works on voxels of {card.voxel_size:g} mm, not {settings.voxel_size:g}; "
                f"use --voxel-size {card.voxel_size:g}"
            )
        if card.space not in settings.spaces:
            raise ModelError(
                f"model {card.label} works in space {card.space}, not {' '.join(settings.output_spaces)}; "
                f"use --output-spaces {option_of(card.space)}"
            )
    return replace(settings, inputs=tuple(dict.fromkeys(card.inputs for card in cards)))


def _is_held(prepared: PreparedCase | None, case: Case, settings: Settings, asked: str) -> bool:
    """Whether the output folder holds all that the models need of a case, on the grid and template asked for."""
    if prepared is None or not is_registered_to(prepared, asked):
        return False
    needed = {T1W, INTERICTAL, *(role for inputs in settings.inputs for role in inputs)} & set(case.images)
    grid = tuple(round(length / settings.voxel_size) for length in FIELD_OF_VIEW_MM)
    return needed <= set(prepared.images) and nib.Nifti1Image.from_filename(prepared.images[T1W]).shape == grid


def _check_trainable(settings: Settings, cases: Sequence[Case]) -> None:
    """Refuse before hours of preparation what could not be trained after it."""
    from bids_spectsynth.synthesis.study import trains

    if settings.mode == "auto" and trains(settings) and cases:
        from bids_spectsynth.synthesis.training.train_models import check_trainable

        check_trainable(settings, cases)


def _find(settings: Settings) -> tuple[list[Case], list[Outcome]]:
    cases, outcomes = find_cases(settings)
    if not settings.skip_bids_validation:
        for line in check_dataset(settings.bids_dir, participants=settings.participant_label):
            logger.warning("%s", line)
    _say(outcomes)
    return cases, outcomes


def _say(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.status != "ok":
            level = logging.ERROR if outcome.status == "failed" else logging.WARNING
            logger.log(level, "%s %s: %s", _name(outcome), outcome.status, outcome.reason)


def _prepare(settings: Settings, cases: Sequence[Case], run_folder: Path) -> list[Outcome]:
    """Prepare the cases; in ``apply`` mode only those that the output folder does not hold yet."""
    from bids_spectsynth.preprocess.workflow.build import preprocess, used_tools
    from bids_spectsynth.preprocess.workflow.cleaning import clean_work_folder

    done: list[Outcome] = []
    todo = list(cases)
    if settings.mode == "apply":
        held = {
            asked: {c.name: c for c in find_prepared(settings.output_dir, space)}
            for asked, space in zip(settings.output_spaces, settings.spaces, strict=True)
        }
        todo = [c for c in cases if not all(_is_held(own.get(c.name), c, settings, one) for one, own in held.items())]
        done = [Outcome(c.participant, c.session, "preprocess", "ok") for c in cases if c not in todo]
    if todo:
        logger.info("Preparing %d of %d", len(todo), len(cases))
        write_dataset_files(settings, used_tools(settings))
        prepared = preprocess(todo, settings, run_folder)
        _say(prepared)
        done += prepared
    if settings.clean_workdir:
        failed = {(outcome.participant, outcome.session) for outcome in done if outcome.status != "ok"}
        clean_work_folder(cases, {c.name for c in cases if (c.participant, c.session) in failed}, settings)
    return done


def _synthesise(settings: Settings, cases: Sequence[Case], outcomes: list[Outcome]) -> None:
    """Train where asked, then apply to the cases of this run; adds to the outcomes, also where it ends in an error."""
    if settings.mode == "preprocess":
        return
    from bids_spectsynth.app.apply import apply_model, check_served
    from bids_spectsynth.synthesis.cohort.select import model_folders
    from bids_spectsynth.synthesis.study import trains
    from bids_spectsynth.synthesis.training.train_models import train_models

    failed = {(o.participant, o.session) for o in outcomes if o.status == "failed"}
    names = {case.name for case in cases if (case.participant, case.session) not in failed}
    if settings.mode != "train" and not names:
        return
    if trains(settings):
        folders, trained = train_models(settings, names if settings.mode == "auto" else None)
        outcomes += trained
    else:
        folders = [settings.model] if settings.model is not None else model_folders(settings)
    if settings.mode == "train":
        return
    applied: list[Outcome] = []
    for folder in folders:
        applied += apply_model(folder, names, settings)
    outcomes += applied
    check_served(applied, folders, settings)


def _log_found(run_folder: Path, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> None:
    for case in cases:
        lines = [f"{role}: {image.path} ({image.reason})" for role, image in case.images.items()]
        write_case_log(run_folder, case.name, [*lines, *(f"warning: {warning}" for warning in case.warnings)])
    for outcome in outcomes:
        write_case_log(run_folder, _name(outcome), [f"{outcome.status}: {outcome.reason}"])


def _record(settings: Settings, run_folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Write what became of each participant to ``participants.tsv`` and the logs, and say it in one line."""
    rows = _statuses(settings, outcomes)
    for label, outcome in by_participant(outcomes).items():
        write_case_log(run_folder, f"sub-{label}", [f"{outcome.status} {outcome.reason}".strip()])
    update_participants(settings.output_dir, rows)
    counts = [f"{sum(row['status'] == s for row in rows.values())} {s}" for s in ("ok", "skipped", "failed")]
    logger.info("Participants: %s; output in %s", ", ".join(counts), settings.output_dir)


def _statuses(settings: Settings, outcomes: Sequence[Outcome]) -> dict[str, dict[str, str]]:
    """What ``participants.tsv`` says of each participant of the run."""
    return {
        label: {"status": outcome.status, "reason": _without_folders(outcome.reason, settings) or "n/a"}
        for label, outcome in by_participant(outcomes).items()
    }


def _without_folders(text: str, settings: Settings) -> str:
    """A reason as it may be shared with the derivatives: paths without where they lie on this machine."""
    for folder in (settings.output_dir, settings.bids_dir):
        text = text.replace(f"{folder}/", "").replace(f"{folder.resolve()}/", "")
    return text


def _name(outcome: Outcome) -> str:
    return f"sub-{outcome.participant}" + (f"_ses-{outcome.session}" if outcome.session else "")


def run_group(settings: Settings) -> ExitCode:
    """Tables, tests, figures and the report of the whole output folder; the dataset is not read."""
    from bids_spectsynth.app.group import write_group_level

    if settings.dry_run:
        logger.info("dry run: tables and report of %s would be written", settings.output_dir)
        return ExitCode.OK
    if next(settings.output_dir.glob("sub-*/**/*_desc-preproc_T1w.nii.gz"), None) is None:
        raise DatasetError(f"{settings.output_dir}: holds no prepared participant; run the participant level first")
    open_run_log(settings.output_dir, settings.analysis_level, to_toml(settings))
    logger.info("Group report: %s", write_group_level(settings))
    return ExitCode.OK
