"""Training all models of a run on a prepared cohort: every network of every model, each beside its baselines."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_spectsynth.bids.cases import Case
from bids_spectsynth.bids.dataset import add_descriptions, has_phantom_data
from bids_spectsynth.bids.prepared import PreparedCase, update_participants
from bids_spectsynth.errors import ModelError, Outcome
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.synthesis.baselines.files import has_baselines, remove_baselines
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.fitting import fit_baselines
from bids_spectsynth.synthesis.cohort.select import AnyCase, Cohort, make_cohort, split_cohort
from bids_spectsynth.synthesis.cohort.split import PARTS
from bids_spectsynth.synthesis.computing.devices import Processes, connected_processes, environment_rank, resolve_device
from bids_spectsynth.synthesis.computing.seeds import derived_seed
from bids_spectsynth.synthesis.data.orientation import ORIENTATIONS, Orientation
from bids_spectsynth.synthesis.data.slices import PreparedCases
from bids_spectsynth.synthesis.data.storage import storage_for
from bids_spectsynth.synthesis.models.ensemble import ENSEMBLE_FILE, load_members, member_name, write_ensemble
from bids_spectsynth.synthesis.models.folder import CARD_FILE
from bids_spectsynth.synthesis.study import PlannedModel, planned_models, united
from bids_spectsynth.synthesis.training.finished import check_replaceable, finished_card
from bids_spectsynth.synthesis.training.loop import TrainingConfig, train, training_config

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedNetwork:
    """One network of a model.

    Parameters
    ----------
    name : str
        Its folder within that of the model; empty where the model is this network alone.
    fold : int
        Of the cross-validation, from 1; 0 without one.
    seed : int
    orientation : {'axial', 'coronal', 'sagittal'}
    """

    name: str
    fold: int
    seed: int
    orientation: Orientation


def planned_networks(model: PlannedModel) -> tuple[PlannedNetwork, ...]:
    """The networks that a model consists of: every fold, member and orientation.

    The first member has the model's own seed, so that it equals a model without further members; the seeds of the
    others follow from it and do not meet those of models with neighbouring seeds.
    """
    settings = model.settings
    n_folds, n_members = settings.cross_validate, settings.ensemble_members
    orientations = ORIENTATIONS if settings.orientations == "three" else ORIENTATIONS[:1]
    counts = {"n_folds": n_folds, "n_members": n_members, "n_orientations": len(orientations)}
    return tuple(
        PlannedNetwork(
            name=member_name(fold, number, orientation, **counts),
            fold=fold,
            seed=model.seed if number == 1 else derived_seed(model.seed, "member", number),
            orientation=orientation,
        )
        for fold in (range(1, n_folds + 1) if n_folds else (0,))
        for number in range(1, n_members + 1)
        for orientation in orientations
    )


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
    settings = united(settings, models)
    cohort = make_cohort(settings, names)
    plans = _plan_models(settings, cohort, models)
    fitted: dict[tuple[str, str], Path] = {}
    folders = []
    # One connection for all networks; it begins when every process has read what was there before.
    with connected_processes(resolve_device(settings.device, environment_rank().local_rank)) as processes:
        if processes.is_first:
            # Only now that no model refuses to be trained may the split of earlier models be written over.
            others = {case.participant: "n/a" for cases in cohort.cases.values() for case in cases}
            parts = {**others, **dict.fromkeys(cohort.left_out, "excluded"), **cohort.split}
            update_participants(settings.output_dir, {label: {"split": part} for label, part in parts.items()})
        logger.info("Split by participant: %s", cohort.counts())
        for number, (model, plan) in enumerate(plans.items(), start=1):
            logger.info("Model %d of %d, %s: networks: %d", number, len(models), model.label, len(plan))
            folders.append(_train_model(settings, model, plan, fitted, processes))
    return folders, [Outcome(label, None, "train", "ok") for label in sorted(cohort.split)]


def check_trainable(settings: Settings, cases: Sequence[Case]) -> None:
    """Refuse what cannot be trained even if all cases can be prepared, before that takes hours.

    Models of a study that nobody has the images for are only warned of, as long as one can be trained.

    Parameters
    ----------
    settings : Settings
        With the inputs and spaces of all models.
    cases : sequence of Case
        As found in the dataset.

    Raises
    ------
    ModelError
        The cases cannot be split, or a part of the split has nobody with the inputs of a model.
    UsageError
        The split file does not fit the participants.
    """
    models = planned_models(settings)
    cohort = split_cohort(settings, dict.fromkeys(settings.spaces, cases))
    refused: list[_NobodyError] = []
    for model in models:
        try:
            for fold in {network.fold for network in planned_networks(model)}:
                _fold_parts(cohort, model, fold)
        except _NobodyError as error:
            refused.append(error)
    if refused and (settings.study is None or len(refused) == len(models)):
        raise refused[0]
    for reason in refused:
        logger.warning("will be left out of the study: %s", reason)


@dataclass(frozen=True)
class _Training:
    """One network to train, checked: there is somebody to train on, and nothing else lies in its folder."""

    folder: Path
    network: PlannedNetwork
    config: TrainingConfig
    training: PreparedCases
    validation: PreparedCases

    @property
    def is_finished(self) -> bool:
        return finished_card(self.folder, self.config) is not None


def _plan_models(
    settings: Settings, cohort: Cohort[PreparedCase], models: Sequence[PlannedModel]
) -> dict[PlannedModel, list[_Training]]:
    """The networks of every model; of a study, those models are left out that nobody can be trained or tested for."""
    plans = {}
    refused: list[_NobodyError] = []
    for model in models:
        try:
            plans[model] = _plan_model(settings, cohort, model)
        except _NobodyError as error:
            if settings.study is None:
                raise
            refused.append(error)
    if not plans:
        raise refused[0]
    for reason in refused:
        logger.warning("left out of the study: %s", reason)
    return plans


class _NobodyError(ModelError):
    """A part of the split has no participant with the inputs of a model."""


def _plan_model(settings: Settings, cohort: Cohort[PreparedCase], model: PlannedModel) -> list[_Training]:
    folder = settings.output_dir / "models" / model.label
    networks = planned_networks(model)
    _check_layout(folder, networks)
    prior = model.settings.cohort_prior != "none"
    data = {fold: _fold_data(cohort, model, fold) for fold in {network.fold for network in networks}}
    digests = {fold: "".join(part.digest(transforms=prior) for part in parts) for fold, parts in data.items()}
    trainings = []
    for network in networks:
        config = training_config(
            model.settings,
            model.inputs,
            model.space,
            digests[network.fold],
            label=model.label,
            configuration=model.configuration,
            seed=network.seed,
            orientation=network.orientation,
        )
        check_replaceable(folder / network.name, config)
        trainings.append(_Training(folder / network.name, network, config, *data[network.fold]))
    return trainings


def _check_layout(folder: Path, networks: Sequence[PlannedNetwork]) -> None:
    """Refuse to put an ensemble over a single network, a network over an ensemble, or one ensemble over another."""
    if (folder / ENSEMBLE_FILE).exists():
        present = [member.folder.name for member in load_members(folder)]
    elif (folder / CARD_FILE).exists():
        present = [""]
    else:
        return
    if present != [network.name for network in networks]:
        raise ModelError(
            f"{folder}: holds a model of {len(present)} network(s), which are other ones than the {len(networks)} to "
            "be trained (--cross-validate, --ensemble-members, --orientations); keep it and give --model-label NAME "
            "to train another, or remove the folder"
        )


def _fold_data(cohort: Cohort[PreparedCase], model: PlannedModel, fold: int) -> tuple[PreparedCases, PreparedCases]:
    scaling = model.settings.intensity_scaling
    training, validation = (PreparedCases(cases, model.inputs, scaling) for cases in _fold_parts(cohort, model, fold))
    return training, validation


def _fold_parts(
    cohort: Cohort[AnyCase], model: PlannedModel, fold: int
) -> tuple[tuple[AnyCase, ...], tuple[AnyCase, ...]]:
    """Cases to train on and to validate with; refuses a model that there are none for."""
    parts = []
    for part in PARTS[:2]:
        parts.append(cohort.part(model.space, model.inputs, part, fold))
        if not parts[-1]:
            where, hint = (f", fold {fold}", "use fewer folds") if fold else ("", "see --split-file")
            wanted = " and ".join(model.inputs)
            raise _NobodyError(f"model {model.label}{where}: no {part} participant has {wanted}; {hint}")
    return parts[0], parts[1]


def _train_model(
    settings: Settings,
    model: PlannedModel,
    plan: Sequence[_Training],
    fitted: dict[tuple[str, str], Path],
    processes: Processes,
) -> Path:
    folder = settings.output_dir / "models" / model.label
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
        write_ensemble(folder, model.label, [(planned.network.name, planned.network.fold) for planned in plan])
    inputs = " and ".join(model.inputs)
    words = f"Synthetic interictal SPECT of the pix2pix model trained on {inputs} in space {model.space}."
    add_descriptions(settings.output_dir, {model.label: words})
    return folder


def _train_network(
    settings: Settings, planned: _Training, fitted: dict[tuple[str, str], Path], processes: Processes
) -> None:
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
    )


def _provide_baselines(planned: _Training, fitted: dict[tuple[str, str], Path]) -> None:
    """Fit the baselines of a network, or take over those of another one with the same training images.

    ``fitted`` maps training images and space to a folder with baselines, and is added to.
    """
    folder, key = planned.folder, (planned.training.digest(), planned.config.space)
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
