"""The participant level as a list of stages: :data:`STAGES` is the one place that says which there are, in order.

A further stage is a function that takes the :class:`~bids_spectsynth.app.stages.Context` and gives outcomes, and an
entry in the list. What is slow to import is imported by the stage that needs it.
"""

import logging
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bids_spectsynth.app.checks import process_rank
from bids_spectsynth.app.outcomes import participant_statuses, record_flags
from bids_spectsynth.app.stages import Context, Stage, one_by_one
from bids_spectsynth.bids.dataset import write_dataset_files
from bids_spectsynth.bids.finding.cases import Case, find_cases
from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared, is_registered_to, is_unfinished
from bids_spectsynth.bids.roles import INTERICTAL, T1W, ictal_names
from bids_spectsynth.bids.validate import check_dataset
from bids_spectsynth.errors import ModelError, Outcome
from bids_spectsynth.images.nifti import READ_ERRORS, stored_shape
from bids_spectsynth.logs import LOGGER_NAME
from bids_spectsynth.options.settings import FIELD_OF_VIEW_MM, T1W_SPACE, Settings

if TYPE_CHECKING:
    from bids_spectsynth.app.model_choice import AppliedModel

logger = logging.getLogger(f"{LOGGER_NAME}.run")


def check_trainable(context: Context) -> None:
    """Refuse before hours of preparation what could not be trained after it.

    Raises
    ------
    ModelError, UsageError
        The cases cannot be split, or a part of the split has nobody with the inputs of a model.
    """
    if context.settings.mode == "auto" and _trains(context.settings) and context.cases:
        from bids_spectsynth.synthesis.training.planning import check_trainable as check

        check(context.settings, context.cases)


def _reads_dataset(settings: Settings) -> bool:
    return settings.mode != "train"


def _always(settings: Settings) -> bool:
    return True


def _trains(settings: Settings) -> bool:
    from bids_spectsynth.synthesis.study import trains

    return trains(settings)


def _applies_models(settings: Settings) -> bool:
    return settings.mode in ("auto", "apply")


def _find(context: Context) -> Iterable[Outcome]:
    settings = context.settings
    context.cases, outcomes = find_cases(settings)
    if not settings.skip_bids_validation:
        for line in check_dataset(settings.bids_dir, participants=settings.participant_label):
            logger.warning("%s", line)
    return outcomes


def _prepare(context: Context) -> Iterable[Outcome]:
    """Prepare the cases; in ``apply`` mode only those that the output folder does not hold yet, or not as given."""
    from bids_spectsynth.app.freshness import holds_what_is_gone
    from bids_spectsynth.app.preparation.lesions import prepare_lesions
    from bids_spectsynth.preprocess.workflow.build import clean_prepared, preprocess, used_tools

    settings, cases = context.settings, context.cases
    missing = _unprepared(cases, settings) if settings.mode == "apply" else cases
    # What is given takes the place of what lies there; whether it has done so already, the preparation knows.
    missing = [c for c in cases if c in missing or c.external or holds_what_is_gone(c, settings)]
    outcomes = [Outcome(c.participant, c.session, "preprocess", "ok") for c in cases if c not in missing]
    if missing:
        logger.info("Preparing %d of %d", len(missing), len(cases))
        write_dataset_files(settings, used_tools(settings))
        outcomes += preprocess(missing, settings, context.run_folder)
    outcomes = prepare_lesions(cases, outcomes, settings)
    if settings.clean_workdir and len(missing) < len(cases):
        failed = {(outcome.participant, outcome.session) for outcome in outcomes if outcome.status != "ok"}
        clean_prepared(cases, {c.name for c in cases if (c.participant, c.session) in failed}, settings)
    return outcomes


def _plan_preparation(settings: Settings) -> str:
    from bids_spectsynth.preprocess.backends.choice import resolve_backend

    spaces = ", ".join(settings.output_spaces)
    return f"prepare with the {resolve_backend(settings)} backend at {settings.voxel_size:g} mm in {spaces}"


def _unprepared(cases: list[Case], settings: Settings) -> list[Case]:
    """Cases of which the output folder lacks something that the models need."""
    prepared = {
        requested: {case.name: case for case in find_prepared(settings.output_dir, space)}
        for requested, space in zip(settings.output_spaces, settings.spaces, strict=True)
    }
    return [
        case
        for case in cases
        if not all(_is_prepared(own.get(case.name), case, settings, space) for space, own in prepared.items())
    ]


def _is_prepared(prepared: PreparedCase | None, case: Case, settings: Settings, space: str) -> bool:
    """Whether the output folder holds all that the models need of a case, on the requested grid and template."""
    if prepared is None or not is_registered_to(prepared, space) or is_unfinished(settings.output_dir, case.name):
        return False
    needed = {T1W, INTERICTAL, *(role for inputs in settings.inputs for role in inputs)}
    if settings.siscom == "on":
        needed |= set(ictal_names(case.images))
    needed &= set(case.images)
    grid = tuple(round(length / settings.voxel_size) for length in FIELD_OF_VIEW_MM)
    if not needed <= set(prepared.images):
        return False
    try:
        return stored_shape(prepared.images[T1W]) == grid
    except READ_ERRORS:
        return False  # it is prepared again


def _judge(context: Context) -> Iterable[Outcome]:
    """Judge all prepared cases of the output folder, and say what is doubtful about those of this run."""
    from bids_spectsynth.quality.cohort import judge_folder, measure_folder
    from bids_spectsynth.quality.judge import flagged_names
    from bids_spectsynth.quality.marking import judging_lock

    settings = context.settings
    if process_rank()[0] == 0:
        # Without the lock, for which every image that another job synthesises would wait meanwhile.
        known = measure_folder(settings.output_dir, settings.spaces)
        with judging_lock(settings.output_dir):
            judgement = judge_folder(settings.output_dir, settings.spaces, write=True, known=known)
            record_flags(judgement.judged, settings)
    else:
        judgement = judge_folder(settings.output_dir, settings.spaces, write=False)
    judged, context.unjudged = judgement.judged, judgement.unjudged
    context.flags = {case.name: flags for case, flags in judged}
    own = {case.name for case in context.cases} if _reads_dataset(settings) else set(context.flags)
    for case, flags in judged:
        if not flags or case.name not in own:
            continue
        for flag in flags:
            logger.warning("%s, %s: %s", case.name, flag.name, flag.sentence)
        if settings.strict:
            reason = f"doubtful images: {flagged_names(flags)}"
            yield Outcome(case.participant, case.session, "quality", "failed", reason)


def _train(context: Context) -> Iterable[Outcome]:
    from bids_spectsynth.app.model_choice import load_models
    from bids_spectsynth.synthesis.computing.devices import environment_rank

    settings, names = context.settings, context.unfailed
    if settings.mode == "train":
        folders, outcomes = _train_unflagged(context, None)
        if settings.is_calibrated and environment_rank().is_first:
            _calibrate(load_models(folders), settings)
        return outcomes
    if not names:
        return []
    folders, outcomes = _train_unflagged(context, names)
    context.models = list(load_models(folders))
    return outcomes


def _train_unflagged(context: Context, names: Collection[str] | None) -> tuple[list[Path], list[Outcome]]:
    """Train on those of the named cases, or of all, whose prepared images are judged and not doubtful."""
    from bids_spectsynth.synthesis.training.train_models import train_models

    settings = context.settings
    everybody = [case for space in settings.spaces for case in find_prepared(settings.output_dir, space)]
    # Again, because another job may have begun to prepare some since they were judged.
    unjudged = context.unjudged | {case.name for case in everybody if is_unfinished(settings.output_dir, case.name)}
    left_out = context.left_out | unjudged
    if not left_out:
        return train_models(settings, names)
    requested = set(settings.participant_label)
    everybody = [case for case in everybody if not requested or case.participant in requested]
    chosen = {case.name for case in everybody} if names is None else set(names)
    # With --strict the flagged have failed before, and are not among the names any more.
    everyone = chosen | {case.name for case in context.cases}
    lost, unknown = sorted(everyone & context.flagged - unjudged), sorted(everyone & unjudged)
    if lost:
        logger.warning("Not trained on, because of quality flags: %s (--include-flagged takes them)", " ".join(lost))
    if unknown:
        logger.warning("Not trained on, because they are not judged: %s (prepare them first)", " ".join(unknown))
    try:
        found = train_models(settings, chosen - left_out)
    except ModelError as error:
        of_all, hints = f"of {len(chosen)} cases are", []
        if lost:
            hints.append(f"{len(lost)} {of_all} left out by quality flags, --include-flagged takes them")
        if unknown:
            hints.append(f"{len(unknown)} {of_all} not judged, prepare them first")
        raise ModelError("; ".join([str(error), *hints])) from error
    kept = {case.participant for case in everybody if case.name in chosen - left_out}
    # Who could not be judged is no part of this split, and may be rated once it is prepared.
    parts = {case.participant: {"split": "n/a"} for case in everybody if case.name in unknown}
    parts |= {case.participant: {"split": "excluded"} for case in everybody if case.name in lost}
    if process_rank()[0] == 0:
        update_participants(settings.output_dir, {label: part for label, part in parts.items() if label not in kept})
    return found


def _calibrate(models: "Iterable[AppliedModel]", settings: Settings) -> None:
    """Calibrate models as soon as they are trained, so that no job that applies them has to."""
    from bids_spectsynth.app.apply import NetworkLoader
    from bids_spectsynth.app.calibration import provide_calibrations

    loader = NetworkLoader(settings)
    for model in models:
        loader.clear()
        provide_calibrations(model, settings, loader)


def _plan_training(settings: Settings) -> str:
    from bids_spectsynth.synthesis.study import planned_models

    return f"train {', '.join(model.label for model in planned_models(settings))}"


def _synthesise(context: Context) -> Iterable[Outcome]:
    names = context.unfailed
    if not names:
        return
    from bids_spectsynth.app.apply import NetworkLoader, begin_model, synthesise_case
    from bids_spectsynth.app.calibration import provide_calibrations
    from bids_spectsynth.app.model_choice import check_all_applied

    settings, loader = context.settings, NetworkLoader(context.settings)
    pairs = [
        (model, case)
        for model in context.models
        for case in find_prepared(settings.output_dir, model.card.space)
        if case.name in names
    ]
    calibrations = context.calibrations

    def synthesise(model: "AppliedModel", case: PreparedCase) -> Outcome:
        if model.label not in calibrations:
            begin_model(model, sum(own is model for own, _ in pairs), loader, settings)
            calibrations[model.label] = provide_calibrations(model, settings, loader)
        outcome = synthesise_case(model, case, settings, loader, calibrations[model.label])
        if outcome.status == "ok":
            context.synthesised.append((model, case))
        return outcome

    outcomes = []
    for outcome in one_by_one(context, pairs, synthesise):
        outcomes.append(outcome)
        yield outcome
    check_all_applied(outcomes, context.models, settings)


def _plan_synthesis(settings: Settings) -> str:
    return f"apply {settings.model}" if settings.model else "apply the models in the output folder that fit"


def _evaluate(context: Context) -> Iterable[Outcome]:
    from bids_spectsynth.app.apply import rate_case

    def rate(model: "AppliedModel", case: PreparedCase) -> Outcome:
        flags = (context.flags or {}).get(case.name, ()) if case.name in context.flagged else ()
        return rate_case(model, case, context.settings, context.calibrations.get(model.label), flags)

    return one_by_one(context, context.synthesised, rate)


def _has_siscom(settings: Settings) -> bool:
    return settings.siscom == "on" and settings.mode != "train"


def _siscom(context: Context) -> Iterable[Outcome]:
    from bids_spectsynth.app.siscom import siscom_outcomes

    return siscom_outcomes(context)


def _plan_siscom(settings: Settings) -> str:
    return f"subtract from ictal scans, smoothed by {settings.siscom_fwhm:g} mm: {', '.join(settings.siscom_baselines)}"


def _exports(settings: Settings) -> bool:
    return bool(settings.export)


def _export(context: Context) -> Iterable[Outcome]:
    from bids_spectsynth.dicom.export.participant import Request, export_case

    settings, names = context.settings, context.unfailed_in(("find", PREPARATION))
    request = Request(
        output_dir=settings.output_dir,
        dicom_class=settings.dicom_class,
        donor=settings.dicom_donor,
        force=settings.force,
    )
    cases = {case.name: case for case in find_prepared(settings.output_dir, T1W_SPACE) if case.name in names}
    for found in context.cases:
        if found.name in cases:
            yield export_case(cases[found.name], request)
        elif found.name in names:
            reason = "no DICOM: it is made in the space of the T1w; add T1w to --output-spaces"
            yield Outcome(found.participant, found.session, "export", "failed", reason)


def _plan_export(settings: Settings) -> str:
    who = f"with patient and study of {settings.dicom_donor}" if settings.dicom_donor else "without identity"
    return f"write DICOM ({settings.dicom_class}) {who}"


def _report(context: Context) -> Iterable[Outcome]:
    from bids_spectsynth.reports.subject.all_pages import report_subjects

    # The reports show what became of their participants.
    settings, outcomes = context.settings, context.outcomes
    changed = update_participants(settings.output_dir, participant_statuses(settings, outcomes))
    prepared = {o.participant for o in outcomes if o.stage == PREPARATION and o.status == "ok"}
    heads = {case.name: case.images[T1W].path for case in context.cases}
    return report_subjects(settings.output_dir, heads, prepared, changed, stop=settings.stop_on_first_crash)


PREPARATION = "preprocess"
STAGES = (
    Stage("find", _reads_dataset, _find, only_reads=True),
    Stage(PREPARATION, _reads_dataset, _prepare, _plan_preparation),
    Stage("quality", _always, _judge, shared=True),
    Stage("train", _trains, _train, _plan_training, shared=True),
    Stage("synthesise", _applies_models, _synthesise, _plan_synthesis),
    Stage("evaluate", _applies_models, _evaluate),
    Stage("siscom", _has_siscom, _siscom, _plan_siscom),
    Stage("export", _exports, _export, _plan_export),
    Stage("report", _reads_dataset, _report),
)
