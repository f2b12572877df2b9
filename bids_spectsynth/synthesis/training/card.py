"""The card of a model that has just been trained."""

import datetime
import logging
import platform
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict

import torch

from bids_spectsynth import __version__
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.synthesis.data.cohort_statistics import CohortStatistics
from bids_spectsynth.synthesis.data.cropping import Size
from bids_spectsynth.synthesis.data.through_slice import NODES
from bids_spectsynth.synthesis.models.card import ModelCard, format_version, participant_hash
from bids_spectsynth.synthesis.models.card_schema import FIELDS
from bids_spectsynth.synthesis.models.folder import weights_checksum
from bids_spectsynth.synthesis.models.initial_model import InitialModel
from bids_spectsynth.synthesis.network.networks import parameter_count
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.state import TrainingState
from bids_spectsynth.synthesis.training.steps import BETAS, Stepper

logger = logging.getLogger(__name__)


def make_card(
    config: TrainingConfig,
    statistics: CohortStatistics,
    state: TrainingState,
    stepper: Stepper,
    n_slices: int,
    selection: Sequence[str],
    *,
    slice_shape: Size,
    phantom: bool | None = None,
    prior: str = "",
    initial: InitialModel | None = None,
) -> ModelCard:
    """Describe a finished training.

    Parameters
    ----------
    config : TrainingConfig
    statistics : CohortStatistics
        Of the training participants alone.
    state : TrainingState
        With the best epoch's weights.
    stepper : Stepper
    n_slices : int
        Training slices of all participants.
    selection : sequence of str
        Labels of the validation participants, who chose the epoch.
    slice_shape : tuple of int
        Height and width of the slices that the network learned from.
    phantom : bool, optional
        Whether the images are simulated; None if unknown.
    prior : str
        Checksum of the files that the cohort prior is made of.
    initial : InitialModel, optional
        Whose weights the training started from.
    """
    parts = (statistics.participants, selection)
    return ModelCard(
        label=config.label,
        inputs=config.inputs,
        target=INTERICTAL,
        space=config.space,
        voxel_size=config.voxel_size,
        grid_shape=statistics.grid_shape,
        scaling=config.scaling,
        architecture={**_architecture(config, stepper), "slice_shape": list(slice_shape)},
        losses=config.loss_weights,
        training={**_training(config, state, stepper), **_start(config, initial), **_counts(*parts, n_slices)},
        versions=_versions(),
        target_statistics=_target_statistics(statistics),
        validation=state.best,
        config=config.as_json(),
        **_participants(*parts),
        weights_sha256=weights_checksum(state.best_weights),
        phantom=phantom,
        initial_models=() if initial is None else initial.record(),
        format_version=format_version(initial_models=initial is not None, harmonised=False),
        prior_sha256=prior,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def with_scans(card: ModelCard, scans: Mapping[str, Any], widths: Mapping[str, float]) -> ModelCard:
    """The card with what is known of the training's scans, and with how its inputs were harmonised.

    A description that no reader of the card would take is left out, with a warning: no training is lost for it.

    Parameters
    ----------
    card : ModelCard
    scans : mapping
        Of :func:`bids_spectsynth.synthesis.data.scans.describe_scans`.
    widths : mapping of str to float
        Resolution (FWHM, mm) to which inputs were brought, by role.
    """
    words, is_readable = FIELDS["scans"]
    if not is_readable(dict(scans)):
        logger.warning("Model %s: its card does not record the training scans, which must be %s", card.label, words)
        scans = {}
    version = format_version(initial_models=bool(card.initial_models), harmonised=bool(widths))
    return replace(card, scans=dict(scans), harmonised=dict(widths), format_version=version)


class _Participants(TypedDict):
    salt: str
    participants: tuple[str, ...]
    selection_participants: tuple[str, ...]


def _participants(training: Sequence[str], selection: Sequence[str]) -> _Participants:
    salt = secrets.token_hex(16)
    hashes = (tuple(sorted(participant_hash(salt, label) for label in labels)) for labels in (training, selection))
    return _Participants(salt=salt, participants=next(hashes), selection_participants=next(hashes))


def _counts(training: Sequence[str], selection: Sequence[str], n_slices: int) -> dict[str, int]:
    return {"participants": len(training), "slices": n_slices, "validation_participants": len(selection)}


def _versions() -> dict[str, str]:
    return {
        "bids_spectsynth": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def _target_statistics(statistics: CohortStatistics) -> dict[str, object]:
    return {
        "mean_in_brain": statistics.mean_in_brain,
        "units": statistics.units,
        "heights": NODES.tolist(),
        "log_gain": list(statistics.log_gain),
        "log_step": list(statistics.log_step),
    }


def _architecture(config: TrainingConfig, stepper: Stepper) -> dict[str, object]:
    generator = stepper.generator
    architecture: dict[str, object] = {
        "name": "pix2pix (Isola et al. 2017): U-Net generator",
        "levels": len(generator.downs),
        "base_filters": config.base_filters,
        "input_channels": config.recipe.n_channels,
        "output_channels": 2 if config.predicts_scale else 1,
        "parameters": parameter_count(generator),
    }
    if stepper.discriminator is not None:
        architecture["discriminator"] = "70 x 70 PatchGAN, 3 layers"
        architecture["discriminator_parameters"] = parameter_count(stepper.discriminator)
    return architecture


def _training(config: TrainingConfig, state: TrainingState, stepper: Stepper) -> dict[str, object]:
    return {
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "best_epoch_by": "in-brain RMSE of the validation participants, where their SPECT was measured",
        "batch_size": config.batch_size,
        "batch_parts": stepper.n_parts,
        "processes": stepper.processes.count,
        "optimizer": f"Adam, betas {BETAS[0]} and {BETAS[1]}",
        "learning_rate": config.learning_rate,
        "learning_rate_decay_epochs": config.learning_rate_decay_epochs,
        "slices_per_participant": config.slices_per_subject,
        "seed": config.seed,
        **stepper.computation.facts(),
        **stepper.computation.trial_facts(),
        "slice_format": "16-bit integers, 65,535 steps from -1 to 1",
        **_end(config, state),
    }


def _start(config: TrainingConfig, initial: InitialModel | None) -> dict[str, object]:
    """Where the discriminator's first weights are from, in a training that starts from a model."""
    if initial is None or not config.has_discriminator:
        return {}
    return {"initial_discriminator": "taken" if initial.discriminator else "random"}


def _end(config: TrainingConfig, state: TrainingState) -> dict[str, object]:
    """What is to be said of a training with a model to start from, or with patience."""
    facts: dict[str, object] = {}
    if state.start:
        facts["initial_validation"] = state.start
    if config.learning_rate_schedule != "constant" or config.warmup_epochs:
        facts |= {"learning_rate_schedule": config.learning_rate_schedule, "warmup_epochs": config.warmup_epochs}
    if config.patience:
        ended = "patience" if state.epoch - state.best_epoch >= config.patience else "epochs"
        facts |= {"patience": config.patience, "epochs_at_most": config.epochs, "ended_by": ended}
    return facts
