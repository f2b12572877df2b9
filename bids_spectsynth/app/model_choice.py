"""Which models a run applies, and what it must prepare for them; each model's cards are read once."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bids_spectsynth.errors import ModelError, Outcome, UsageError
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.options.spaces import option_of
from bids_spectsynth.synthesis.cohort.hold_out import held_out
from bids_spectsynth.synthesis.cohort.select import finished_models
from bids_spectsynth.synthesis.cohort.sites import read_sites
from bids_spectsynth.synthesis.computing.computation import training_computation
from bids_spectsynth.synthesis.computing.devices import environment_rank, resolve_device
from bids_spectsynth.synthesis.data.harmonising import has_width
from bids_spectsynth.synthesis.models.card import ModelCard
from bids_spectsynth.synthesis.models.ensemble import Member, check_has_measured, load_members, members_for, model_name
from bids_spectsynth.synthesis.models.folder import load_model
from bids_spectsynth.synthesis.models.training_scans import input_widths
from bids_spectsynth.synthesis.study import merge_models, planned_models, trains

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class AppliedModel:
    """A model of one or more networks that a run applies.

    Parameters
    ----------
    folder : Path
        ``models/<label>``, of this output folder or another.
    members : tuple of Member
        Its networks, with their cards.
    """

    folder: Path
    members: tuple[Member, ...]

    @property
    def label(self) -> str:
        """The ``desc-`` of its images."""
        return model_name(self.members)

    @property
    def card(self) -> ModelCard:
        """Of the first network; all share inputs, space, scaling and voxel size."""
        return self.members[0].card

    def members_for(self, participant: str) -> tuple[Member, ...]:
        """The networks that make the image of a participant (label without ``sub-``)."""
        return members_for(self.members, participant)


def load_models(folders: Iterable[Path]) -> tuple[AppliedModel, ...]:
    """The models in these folders.

    Raises
    ------
    ModelError
        A model is missing or damaged.
    """
    return tuple(AppliedModel(folder, load_members(folder)) for folder in folders)


def choose_models(settings: Settings) -> tuple[Settings, tuple[AppliedModel, ...]]:
    """The models to apply that exist already, and settings with all inputs and spaces that the run needs.

    What cannot work is refused before hours of work.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    settings : Settings
        With the inputs and spaces of all models to train, or the inputs of those to apply.
    models : tuple of AppliedModel
        Empty where the run trains its models or applies none.

    Raises
    ------
    UsageError
        The study, ``--model-label``, ``--hold-out`` or ``--template-affine`` does not fit.
    ModelError
        There is no such device, or no compiler; a model is damaged, or works in another space or on other voxels than
        the settings ask for.
    """
    if settings.mode != "preprocess":
        device = resolve_device(settings.device, environment_rank().local_rank)
        if trains(settings):
            training_computation(device, compiling=settings.compile)
    planned = planned_models(settings)
    settings = merge_models(settings, planned)
    if trains(settings):
        held_out(settings)
        read_sites(settings)
        settings = _with_affine(settings, any(model.settings.cohort_prior != "none" for model in planned))
    if settings.model is not None:
        models = load_models([settings.model])
        _check_weights(models)
    elif settings.mode == "apply":
        models = tuple(AppliedModel(folder, members) for folder, members in finished_models(settings).items())
    else:
        return settings, ()
    for model in models:
        check_has_measured(model.members)
    _check_grids(models, settings)
    models = _harmonisable(models, settings)
    settings = _with_affine(settings, any(member.card.prior_sha256 for model in models for member in model.members))
    inputs = tuple(dict.fromkeys(member.card.inputs for model in models for member in model.members))
    return replace(settings, inputs=inputs), models


def _with_affine(settings: Settings, prior: bool) -> Settings:
    """Settings in which everybody is registered to the template, where a network or its calibration needs that."""
    if not prior and settings.is_calibrated and settings.template_affine == "auto":
        return replace(settings, template_affine="on")
    if not prior or settings.templates or settings.template_affine == "on":
        return settings
    if settings.template_affine == "off":
        raise UsageError("--template-affine off: a model with a cohort prior reads the affine; leave the option out")
    return replace(settings, template_affine="on")


def _check_weights(models: Sequence[AppliedModel]) -> None:
    """Refuse damaged weights of a model that was named, whose folder may have been copied."""
    for model in models:
        for member in model.members:
            load_model(member.folder, torch.device("cpu"), member.card)


def _check_grids(models: Sequence[AppliedModel], settings: Settings) -> None:
    for card in (model.card for model in models):
        if card.voxel_size != settings.voxel_size:
            raise ModelError(
                f"model {card.label} works on voxels of {card.voxel_size:g} mm, not {settings.voxel_size:g}; "
                f"use --voxel-size {card.voxel_size:g}"
            )
        if card.space not in settings.spaces:
            raise _other_space(card, settings)


def _harmonisable(models: Sequence[AppliedModel], settings: Settings) -> tuple[AppliedModel, ...]:
    """The models without those of whose training nobody knows the resolution, where inputs are to be brought to it.

    Each that is left out has a line; one that was named, and the last one, are refused instead.
    """
    faults = {model.label: _harmonising_fault(model, settings) for model in models}
    fitting = tuple(model for model in models if not faults[model.label])
    words = [fault for fault in faults.values() if fault]
    if words and (settings.model is not None or not fitting):
        raise ModelError(words[0])
    for fault in words:
        logger.warning("%s; not applied", fault)
    return fitting


def _harmonising_fault(model: AppliedModel, settings: Settings) -> str:
    if settings.harmonise == "none":
        return ""
    for card in (member.card for member in model.members):
        if not any(has_width(role) for role in card.inputs) or input_widths([card], settings.harmonise):
            continue
        name = f"model {model.label}: --harmonise {settings.harmonise}"
        if card.config.get("harmonise", "none") != "none":
            return (
                f"{name} has no resolution to bring inputs to: that of its training scans could not be measured; "
                "leave the option out"
            )
        return (
            f"{name} needs the resolution of the scans that it learned from, which its card does not record; "
            "train it again, or leave the option out"
        )
    return ""


def check_all_applied(outcomes: Sequence[Outcome], models: Sequence[AppliedModel], settings: Settings) -> None:
    """Refuse models of which none fits any case; a case that one of several models fits is enough.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of all models together.
    models : sequence of AppliedModel
    settings : Settings

    Raises
    ------
    ModelError
        Says what the first model needs.
    """
    if any(outcome.status != "skipped" for outcome in outcomes):
        return
    if outcomes:
        raise ModelError(outcomes[0].reason)
    raise _other_space(models[0].card, settings)


def _other_space(card: ModelCard, settings: Settings) -> ModelError:
    return ModelError(
        f"model {card.label} works in space {card.space}, not {' '.join(settings.output_spaces)}; "
        f"use --output-spaces {option_of(card.space)}"
    )
