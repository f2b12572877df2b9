"""Training all models of a run on a prepared cohort: every network of every model, each beside its baselines."""

import dataclasses
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from bids_spectsynth.bids.dataset import add_descriptions, has_phantom_data
from bids_spectsynth.bids.output_files import models_folder
from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.errors import ModelError, Outcome
from bids_spectsynth.options.settings import BY_SITE, Settings
from bids_spectsynth.synthesis.baselines.files import has_baselines, remove_baselines
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.fitting import fit_baselines
from bids_spectsynth.synthesis.cohort.select import make_cohort
from bids_spectsynth.synthesis.cohort.sites import describe_folds, read_sites
from bids_spectsynth.synthesis.computing.devices import Processes, connected_processes, environment_rank, resolve_device
from bids_spectsynth.synthesis.data.harmonising import (
    TOLERANCE,
    case_widths,
    common_width,
    group_notes,
    harmonised,
    has_width,
    unmeasured_notes,
)
from bids_spectsynth.synthesis.data.slices import PreparedCases
from bids_spectsynth.synthesis.data.storage import storage_for
from bids_spectsynth.synthesis.models.ensemble import ENSEMBLE_FILE, write_ensemble
from bids_spectsynth.synthesis.study import PlannedModel, merge_models, planned_models
from bids_spectsynth.synthesis.training.planning import PlannedTraining, plan_trainings
from bids_spectsynth.synthesis.training.train import train

logger = logging.getLogger(__name__)


def train_models(settings: Settings, names: Collection[str] | None) -> tuple[list[Path], list[Outcome]]:
    """Train every model that the settings ask for, each with its baselines; finished networks are left as they are.

    Parameters
    ----------
    settings : Settings
    names : collection of str, optional
        See :func:`bids_spectsynth.synthesis.cohort.select.make_cohort`.

    Returns
    -------
    folders : list of Path
        ``models/<label>``.
    outcomes : list of Outcome
        One per participant of the split.

    Raises
    ------
    ModelError
        The cohort cannot be split; or a model lacks training or validation participants; or a folder holds another
        model.
    UsageError
        The study or the split cannot be followed.
    """
    models = planned_models(settings)
    settings = merge_models(settings, models)
    cohort = make_cohort(settings, names)
    plans = plan_trainings(settings, cohort, models)
    fitted: dict[tuple[str, str, str], Path] = {}
    folders = []
    # One connection for all networks; it begins when every process has read what was there before.
    with connected_processes(resolve_device(settings.device, environment_rank().local_rank)) as processes:
        if processes.is_first:
            # Only now that no model refuses to be trained may the split of earlier models be written over.
            others = {case.participant: "n/a" for cases in cohort.cases.values() for case in cases}
            parts = {**others, **dict.fromkeys(cohort.left_out, "excluded"), **cohort.split}
            update_participants(settings.output_dir, {label: {"split": part} for label, part in parts.items()})
        logger.info("Split by participant: %s", cohort.counts())
        if settings.cross_validate == BY_SITE:
            logger.info("Sites that the networks hold out: %s", describe_folds(cohort.folds, read_sites(settings)))
        for number, (model, plan) in enumerate(plans.items(), start=1):
            logger.info("Model %d of %d, %s: networks: %d", number, len(models), model.label, len(plan))
            folders.append(_train_model(settings, model, plan, fitted, processes))
    return folders, [Outcome(label, None, "train", "ok") for label in sorted(cohort.split)]


def _train_model(
    settings: Settings,
    model: PlannedModel,
    plan: Sequence[PlannedTraining],
    fitted: dict[tuple[str, str, str], Path],
    processes: Processes,
) -> Path:
    folder = models_folder(settings.output_dir) / model.label
    ensemble = folder / ENSEMBLE_FILE
    if processes.is_first and not all(planned.is_finished for planned in plan):
        # Members that are trained for longer are incomplete for a while: the ensemble exists when all are done.
        ensemble.unlink(missing_ok=True)
    for planned in plan:
        if planned.network.name:
            logger.info("Model %s: %s", model.label, planned.network.name)
        _train_network(settings, planned, fitted, processes)
    if not processes.is_first:
        return folder
    if any(planned.network.name for planned in plan) and not ensemble.exists():
        networks = [(planned.network.name, planned.network.fold) for planned in plan]
        write_ensemble(folder, model.label, networks, by_site=settings.cross_validate == BY_SITE)
    inputs = " and ".join(model.inputs)
    words = f"Synthetic interictal SPECT of the pix2pix model trained on {inputs} in space {model.space}."
    add_descriptions(settings.output_dir, {model.label: words})
    return folder


def _train_network(
    settings: Settings, planned: PlannedTraining, fitted: dict[tuple[str, str, str], Path], processes: Processes
) -> None:
    if not (planned.is_finished and has_baselines(planned.folder)):
        if settings.harmonise != planned.config.harmonise and processes.is_first:
            logger.info("Model %s: sees no PET that could be harmonised", planned.config.label)
        planned = with_common_widths(planned)
    # The cohort's mean, which a network may see, is one of the baselines: they come first.
    if processes.is_first:
        _provide_baselines(planned, fitted)
    processes.wait()
    train(
        planned.training,
        planned.validation,
        planned.config,
        planned.folder,
        device=settings.device,
        threads=settings.nprocs,
        phantom=has_phantom_data(settings) or None,
        storage=storage_for(settings, planned.folder, processes.count),
        initial=planned.initial,
    )


def _provide_baselines(planned: PlannedTraining, fitted: dict[tuple[str, str, str], Path]) -> None:
    """Fit the baselines of a network, or take over those of another one with the same training images.

    ``fitted`` maps training images, space and harmonising to a folder with baselines, and is added to.
    """
    folder, key = planned.folder, (planned.training.digest(), planned.config.space, planned.config.harmonise)
    finished = planned.is_finished
    if not finished:
        # Baselines of an earlier training would be of another cohort.
        remove_baselines(folder)
    if not (finished and has_baselines(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        if key in fitted:
            Baselines.load(fitted[key]).save(folder)
        else:
            fit_baselines(planned.training.cases, planned.config.inputs, planned.config.scaling).save(folder)
    fitted.setdefault(key, folder)


def with_common_widths(planned: PlannedTraining) -> PlannedTraining:
    """The training with PETs that are smoothed to the blurriest scanner's resolution where ``--harmonise`` says so.

    The resolution is that of the training participants alone; those of the validation are brought to the same. The
    measured SPECT stays as it is: it is what the network is to make, and what it is rated against.

    Parameters
    ----------
    planned : PlannedTraining

    Returns
    -------
    PlannedTraining
        As it was without the option, and where the model sees no PET.

    Raises
    ------
    ImageError
        An image or a mask is missing or damaged.
    ModelError
        The resolution of no training PET could be measured.
    """
    roles = tuple(role for role in planned.config.inputs if has_width(role))
    if planned.config.harmonise != "resolution" or not roles:
        return planned
    found = {case.name: case_widths(case, roles) for case in planned.training.cases}
    common = {role: round(common_width([own[role] for own in found.values()]), 2) for role in roles}
    targets = {role: width for role, width in common.items() if np.isfinite(width)}
    if not targets:
        raise ModelError(
            f"model {planned.config.label}: --harmonise {planned.config.harmonise}: the resolution of none of its "
            f"{len(planned.training.cases)} training PETs could be measured; look at their brain masks, or leave the "
            "option out"
        )
    _warn_of_other_widths(planned, targets)
    parts = [_brought_to(part, targets) for part in (planned.training, planned.validation)]
    smoothed = sum(bool(case.smoothing) for part in parts for case in part.cases)
    words = ", ".join(f"{role} {width:g} mm" for role, width in targets.items())
    n = sum(map(len, parts))
    logger.info("Model %s: inputs brought to %s; %d of %d smoothed", planned.config.label, words, smoothed, n)
    validation = {case.name: case_widths(case, targets) for case in planned.validation.cases}
    for role, width in targets.items():
        learned, chosen = ({name: own[role] for name, own in part.items()} for part in (found, validation))
        for note in [*group_notes(learned, width), *(f"validation: {one}" for one in unmeasured_notes(chosen))]:
            logger.warning("Model %s, %s: %s", planned.config.label, role, note)
    return dataclasses.replace(planned, training=parts[0], validation=parts[1])


def _warn_of_other_widths(planned: PlannedTraining, targets: Mapping[str, float]) -> None:
    """Say where the model that a training starts from has learned from inputs of another common resolution."""
    earlier = {} if planned.initial is None else dict(planned.initial.card.harmonised)
    for role, width in targets.items():
        there = float(earlier.get(role, width))
        if max(there, width) > min(there, width) * TOLERANCE:
            words = "Model %s: --initial-model learned from a %s of %.1f mm, here it is %.1f mm; it must get used to it"
            logger.warning(words, planned.config.label, role_of(role).sentence, there, width)


def _brought_to(part: PreparedCases, targets: dict[str, float]) -> PreparedCases:
    cases = tuple(harmonised(case, targets) for case in part.cases)
    return dataclasses.replace(part, cases=cases, widths=targets)
