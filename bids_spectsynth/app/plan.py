"""What a run would do, without doing it (``--dry-run``)."""

import logging
from collections.abc import Sequence

from bids_spectsynth.app import estimate
from bids_spectsynth.app.participant import STAGES
from bids_spectsynth.app.stages import Stage
from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.roles import ictal_names
from bids_spectsynth.errors import ModelError, Outcome
from bids_spectsynth.logs import LOGGER_NAME, duration_words
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.preprocess.templates.templates import planned_template
from bids_spectsynth.preprocess.workflow.anatomical import templates_of
from bids_spectsynth.synthesis.cohort.select import AnyCase, Cohort, make_cohort, split_cohort
from bids_spectsynth.synthesis.cohort.sites import n_folds
from bids_spectsynth.synthesis.study import PlannedModel, planned_models, trains
from bids_spectsynth.synthesis.training.planning import check_trainable, planned_networks

logger = logging.getLogger(f"{LOGGER_NAME}.plan")


def log_plan(
    settings: Settings, cases: Sequence[Case], outcomes: Sequence[Outcome], stages: Sequence[Stage] = STAGES
) -> None:
    """Log the lines of the plan.

    Parameters
    ----------
    settings, cases, outcomes, stages
        See :func:`plan_lines`.

    Raises
    ------
    ModelError, UsageError
        What the run would end with: nobody could be trained on, or has the inputs of a model.
    """
    for line in plan_lines(settings, cases, outcomes, stages):
        logger.info("%s", line)
    check_plan(settings, cases)


def check_plan(settings: Settings, cases: Sequence[Case]) -> None:
    """Refuse what cannot run with what there is now, so that a dry run does not end well.

    Parameters
    ----------
    settings : Settings
        With the inputs and spaces of all models.
    cases : sequence of Case
        As found in the dataset; none in ``train`` mode, which reads what is prepared.

    Raises
    ------
    ModelError
        The cases cannot be split, a part of the split has nobody with the inputs of a model, or nobody has those of
        any model that would be applied.
    UsageError
        The split file does not fit the participants.
    """
    if settings.mode == "train":
        prepared = make_cohort(settings, None)
        loads = _loads(prepared, planned_models(settings))
        if not any(min(counts) > 0 for load in loads for counts in load.cases):
            raise ModelError("training: nobody who is prepared has the inputs of a model and an interictal SPECT")
    elif trains(settings) and cases:
        check_trainable(settings, cases)
    elif settings.mode != "preprocess" and cases:
        needed = sorted({" + ".join(inputs) for inputs in settings.inputs})
        if not any(set(inputs) <= set(case.images) for inputs in settings.inputs for case in cases):
            raise ModelError(f"no participant has the inputs of a model to apply ({', '.join(needed)})")


def plan_lines(
    settings: Settings, cases: Sequence[Case], outcomes: Sequence[Outcome], stages: Sequence[Stage] = STAGES
) -> list[str]:
    """Which files each participant gives, who is skipped, and which stages and models follow.

    Where models are trained, a training step is measured for about a second.

    Parameters
    ----------
    settings : Settings
        With the inputs and spaces of all models.
    cases : sequence of Case
        To prepare.
    outcomes : sequence of Outcome
        Of those that are skipped or failed.
    stages : sequence of Stage
        Those that apply to the settings have a line.

    Returns
    -------
    list of str
        Paths are relative to the dataset.
    """
    lines = [f"dry run: nothing is written; {len(cases)} to prepare, {len(outcomes)} skipped or failed"]
    for case in cases:
        lines.append(f"{case.name}:")
        for role, image in case.images.items():
            path = image.path
            shown = path.relative_to(settings.bids_dir) if path.is_relative_to(settings.bids_dir) else path
            lines.append(f"  {role}: {shown} ({image.reason})")
        lines += [f"  lesion mask: {case.lesion.uri}"] if case.lesion else []
        lines.extend(f"  warning: {warning}" for warning in case.warnings)
    for outcome in outcomes:
        session = f" ses-{outcome.session}" if outcome.session else ""
        lines.append(f"sub-{outcome.participant}{session}: {outcome.status}: {outcome.reason}")
    lines += [f"then: {stage.plan(settings)}" for stage in stages if stage.applies(settings) and stage.plan is not None]
    if settings.mode != "train":
        # The same options go to every stage of a cluster: templates of the preparation may be missing in training.
        lines += map(planned_template, templates_of(cases, settings) or settings.templates)
    if trains(settings):
        lines += _training_lines(settings, cases, planned_models(settings))
    return lines


def _model_lines(models: Sequence[PlannedModel], folds: int) -> list[str]:
    lines = [f"models to train: {len(models)}"]
    for model in models:
        count = len(planned_networks(model, folds))
        networks = "1 network" if count == 1 else f"{count} networks"
        inputs = " + ".join(model.inputs)
        preset, seed = f"recipe {model.preset_name}", f"seed {model.seed}"
        facts = (f"{inputs} in {model.space}", model.losses, preset, seed, networks)
        lines.append(f"  {model.label}: {', '.join(facts)}")
    return lines


def _training_lines(settings: Settings, cases: Sequence[Case], models: Sequence[PlannedModel]) -> list[str]:
    """Models, split and estimates: in ``train`` mode of what is prepared, else of what was found."""
    try:
        if settings.mode == "train":
            prepared = make_cohort(settings, None)
            words, folds, loads = f"split: {prepared.counts()}", prepared.n_folds, _loads(prepared, models)
        else:
            found = split_cohort(settings, dict.fromkeys(settings.spaces, cases))
            words, folds = f"split, if all can be prepared: {found.counts()}", found.n_folds
            loads = _loads(found, models)
    except ModelError as error:
        # Sites of the whole table: without a cohort there is no better number.
        lines = _model_lines(models, n_folds(settings))
        return [*lines, f"split: not possible with what there is now ({error})"]
    estimates = _estimates(settings, loads, () if settings.mode == "train" else cases)
    return [*_model_lines(models, folds), words, *estimates]


def _loads(cohort: Cohort[AnyCase], models: Sequence[PlannedModel]) -> list[estimate.Load]:
    loads = []
    for model in models:
        cases = []
        for network in planned_networks(model, cohort.n_folds):
            where = model.space, model.inputs
            training, validation = (cohort.part(*where, part, network.fold) for part in ("train", "validation"))
            cases.append((len(training), len(validation)))
        loads.append(estimate.Load(model, tuple(cases)))
    return loads


def _estimates(settings: Settings, loads: Sequence[estimate.Load], cases: Sequence[Case]) -> list[str]:
    """Lines on disk and time; ``cases`` are those to prepare and to apply the models to."""
    n_images = sum(len(case.images) for case in cases)
    sizes = estimate.estimated_sizes(loads, len(cases), n_images, len(settings.output_spaces))
    parts = {
        "networks with their checkpoints": sizes.networks,
        "prepared images": sizes.prepared,
        "synthetic images": sizes.synthetic,
    }
    named = ", ".join(f"{name} {estimate.size_words(size)}" for name, size in parts.items() if size > 0)
    at_most = "at most " if any(load.model.settings.patience for load in loads) else ""
    seconds = estimate.estimated_seconds(
        loads, lambda config: estimate.measure_step(config, settings.device, settings.nprocs)
    )
    lines = [
        f"estimate, disk: {estimate.size_words(sizes.total)} ({named})",
        f"estimate, time: training {at_most}{duration_words(seconds)}, from a step measured now on this machine",
    ]
    if cases:
        each = estimate.PREPARATION_SECONDS[settings.voxel_size]
        lines.append(f"estimate, time: preparation, not in that, roughly {each:g} s a participant on two cores")
    n_ictal = sum(len(ictal_names(case.images)) for case in cases)
    if n_ictal and settings.siscom == "on":
        each = estimate.SISCOM_SECONDS[settings.voxel_size]
        lines.append(f"estimate, time: SISCOM, not in that, roughly {each:g} s a baseline, of {n_ictal} ictal scans")
    return lines
