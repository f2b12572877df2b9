"""Which networks a run trains, on whom, and whether it can."""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.synthesis.cohort.select import AnyCase, Cohort, split_cohort
from bids_spectsynth.synthesis.cohort.split import PARTS
from bids_spectsynth.synthesis.computing.seeds import derived_seed
from bids_spectsynth.synthesis.data.orientation import ORIENTATIONS, Orientation
from bids_spectsynth.synthesis.data.slices import PreparedCases
from bids_spectsynth.synthesis.models.card import CARD_FILE, load_card
from bids_spectsynth.synthesis.models.ensemble import ENSEMBLE_FILE, load_members, member_name
from bids_spectsynth.synthesis.models.initial_model import InitialModel, find_initial_model, load_initial_model
from bids_spectsynth.synthesis.network.losses import predicts_scale
from bids_spectsynth.synthesis.study import PlannedModel, planned_models
from bids_spectsynth.synthesis.training.checkpoint import checkpoint_path
from bids_spectsynth.synthesis.training.config import TrainingConfig, follow_scale, training_config
from bids_spectsynth.synthesis.training.finished import begun_config, check_replaceable, finished_card

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


def planned_networks(model: PlannedModel, n_folds: int) -> tuple[PlannedNetwork, ...]:
    """The networks that a model consists of: every fold, member and orientation.

    The first member has the model's own seed, so that it equals a model without further members; the seeds of the
    others follow from it and do not meet those of models with neighbouring seeds.

    Parameters
    ----------
    model : PlannedModel
    n_folds : int
        Of the cohort; 0 without a cross-validation.
    """
    settings = model.settings
    n_members = settings.ensemble_members
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
    refused: list[NobodyError] = []
    for model in models:
        try:
            for fold in {network.fold for network in planned_networks(model, cohort.n_folds)}:
                _fold_parts(cohort, model, fold)
            check_initial_model(model, cohort.n_folds)
        except NobodyError as error:
            refused.append(error)
    if refused and (settings.study is None or len(refused) == len(models)):
        raise refused[0]
    for reason in refused:
        logger.warning("will be left out of the study: %s", reason)


def check_initial_model(model: PlannedModel, n_folds: int) -> None:
    """Refuse an initial model that is missing or damaged, or that a network of the model cannot start from.

    Parameters
    ----------
    model : PlannedModel
    n_folds : int
        Of the cohort; 0 without a cross-validation.

    Raises
    ------
    ModelError
        Says which, and what differs.
    """
    if model.settings.initial_model is None:
        return
    for network in planned_networks(model, n_folds):
        config = training_config(model.settings, model.inputs, model.space, orientation=network.orientation)
        _initial_model(model.settings.initial_model, network, config)


@dataclass(frozen=True)
class PlannedTraining:
    """One network to train, checked: there is somebody to train on, and nothing else lies in its folder."""

    folder: Path
    network: PlannedNetwork
    config: TrainingConfig
    training: PreparedCases
    validation: PreparedCases
    initial: InitialModel | None = None

    @property
    def is_finished(self) -> bool:
        """Whether its folder holds the model already."""
        return finished_card(self.folder, self.config) is not None


def plan_trainings(
    settings: Settings, cohort: Cohort[PreparedCase], models: Sequence[PlannedModel]
) -> dict[PlannedModel, list[PlannedTraining]]:
    """The networks of every model; of a study, those models are left out that nobody can be trained or tested for.

    Parameters
    ----------
    settings : Settings
    cohort : Cohort of PreparedCase
    models : sequence of PlannedModel

    Returns
    -------
    dict of PlannedModel to list of PlannedTraining

    Raises
    ------
    ModelError
        Nobody can be trained or tested with, or a folder holds another model.
    """
    plans = {}
    refused: list[NobodyError] = []
    for model in models:
        try:
            plans[model] = _plan_model(settings, cohort, model)
        except NobodyError as error:
            if settings.study is None:
                raise
            refused.append(error)
    if not plans:
        raise refused[0]
    for reason in refused:
        logger.warning("left out of the study: %s", reason)
    return plans


class NobodyError(ModelError):
    """A part of the split has no participant with the inputs of a model."""


def _plan_model(settings: Settings, cohort: Cohort[PreparedCase], model: PlannedModel) -> list[PlannedTraining]:
    folder = settings.output_dir / "models" / model.label
    networks = planned_networks(model, cohort.n_folds)
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
        initial = None
        if model.settings.initial_model is not None:
            initial = _initial_model(model.settings.initial_model, network, config)
            config = dataclasses.replace(config, initial_weights=_initial_weights(folder / network.name, initial))
            _warn_of_known(cohort, model, network, initial)
        begun = begun_config(folder / network.name)
        if begun is not None and not predicts_scale(dict(model.settings.loss)):
            config = follow_scale(config, begun)
        check_replaceable(folder / network.name, config)
        trainings.append(PlannedTraining(folder / network.name, network, config, *data[network.fold], initial))
    return trainings


def _initial_model(folder: Path, network: PlannedNetwork, config: TrainingConfig) -> InitialModel:
    member = find_initial_model(folder, network.name, config.as_json())
    return load_initial_model(member, checkpoint_path(member.folder) if config.has_discriminator else None)


def _initial_weights(folder: Path, initial: InitialModel) -> str:
    """Checksum of the weights to start from: that of a model in the folder which has started from this one.

    Whether the initial model still has its discriminator makes no difference to a training that is finished.
    """
    if (folder / CARD_FILE).exists():
        card = load_card(folder)
        parents = [one["weights_sha256"] for one in card.initial_models[:1]]
        if parents == [initial.card.weights_sha256]:
            return str(card.config.get("initial_weights", initial.checksum))
    return initial.checksum


def _warn_of_known(
    cohort: Cohort[PreparedCase], model: PlannedModel, network: PlannedNetwork, initial: InitialModel
) -> None:
    """Say who is held out from a network but not from the model that it starts from; the new card counts them too."""
    split = cohort.folds[max(network.fold - 1, 0)]
    for part, effect in {
        "validation": "they choose the epoch all the same, and favour the initial model",
        "test": "they will not be rated",
    }.items():
        known = initial.known_among([label for label, own in split.items() if own == part])
        if known:
            logger.warning(
                "Model %s: its initial model %s has learned from participants of the %s part: %s; %s. Labels are "
                "compared, not people; with --split-file they can train",
                model.label, initial.card.label, part, " ".join(known), effect,
            )  # fmt: skip


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
            raise NobodyError(f"model {model.label}{where}: no {part} participant has {wanted}; {hint}")
    return parts[0], parts[1]
