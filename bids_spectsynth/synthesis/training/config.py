"""Everything that the weights of a model depend on."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_spectsynth.options.choices import Scaling
from bids_spectsynth.options.declarations.training import TrainingOptions
from bids_spectsynth.options.presets import CONFIG_NAMES
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.synthesis.data.harmonising import has_width
from bids_spectsynth.synthesis.data.orientation import Orientation
from bids_spectsynth.synthesis.network.losses import (
    LOSSES,
    SCALE,
    loss_weights,
    needs_discriminator,
    predicts_scale,
)
from bids_spectsynth.synthesis.network.recipe import Recipe, recipe_of
from bids_spectsynth.synthesis.study import model_label

#: How the network is computed changes weights as another machine or another seed does: it makes no other model.
COMPUTATION = ("precision", "memory_format", "compile")
#: What may differ between a checkpoint and the training that goes on from it; patience changes no epoch's weights.
_FREE = ("checkpoint_every", "label", "configuration", "patience", *COMPUTATION)
#: What every card has, in its order; what came later follows where it is not the default, so that the cards of models
#: that do not use it stay as they are.
_CARD_ORDER = (
    "label", "inputs", "space", "scaling", "voxel_size", "slices_per_subject", "epochs", "batch_size", "learning_rate",
    "learning_rate_decay_epochs", "adversarial_weight", "l1_weight", "ssim_weight", "base_filters", "checkpoint_every",
    "seed", "precision", "memory_format", "compile", "data", "configuration", "adversarial_loss", "neighbour_slices",
    "cohort_prior", "augmentation", "ema_decay", "flip_average", "orientations", "orientation", "crop",
)  # fmt: skip


def _plain(value: Any) -> Any:
    """A value of types that JSON has; pairs of name and number become an object."""
    if isinstance(value, tuple):
        return dict(value) if value and isinstance(value[0], tuple) else list(value)
    return value


def _without_scale(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of :meth:`TrainingConfig.as_json` without the loss that changes no image."""
    loss = {name: weight for name, weight in dict(values.get("loss") or {}).items() if name != SCALE}
    others = {name: value for name, value in values.items() if name != "loss"}
    return {**others, "loss": loss} if loss else others


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(TrainingOptions):
    """Options of one training; two trainings with equal values on one machine give equal weights.

    Besides the fields below it has those of
    :class:`bids_spectsynth.options.declarations.training.TrainingOptions`. ``batch_size`` is that of one process. The
    learning rate is constant until the last ``learning_rate_decay_epochs`` epochs, over which it falls linearly
    towards 0; or it falls as half a cosine wave from the end of the ``warmup_epochs`` on.

    Parameters
    ----------
    label : str
    inputs : tuple of str
    space : str
    scaling : {'slice', 'volume'}
    slices_per_subject : int
    seed : int
        Of initial weights, order and dropout.
    data : str
        A digest of the images (:meth:`bids_spectsynth.synthesis.data.slices.PreparedCases.digest`): a model is
        trained anew when it changes.
    configuration : str
        The label without the seed.
    orientation : {'axial', 'coronal', 'sagittal'}
    initial_weights : str
        Checksum of the weights that the training starts from
        (:class:`bids_spectsynth.synthesis.models.initial_model.InitialModel`); empty where they are random.
    """

    label: str
    inputs: tuple[str, ...]
    space: str = "T1w"
    scaling: Scaling = "slice"
    slices_per_subject: int = 100
    seed: int = 1234
    data: str = ""
    configuration: str = ""
    orientation: Orientation = "axial"
    initial_weights: str = ""

    def as_json(self) -> dict[str, Any]:
        """Values of types that JSON has, in the order of a card."""
        fields = {f.name: f for f in dataclasses.fields(self)}
        used = [name for name, f in fields.items() if name not in _CARD_ORDER and getattr(self, name) != f.default]
        return {name: _plain(getattr(self, name)) for name in (*_CARD_ORDER, *used)}

    @property
    def recipe(self) -> Recipe:
        """What is done around the network."""
        return recipe_of(self.as_json(), len(self.inputs))

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weights of the losses, see :func:`bids_spectsynth.synthesis.network.losses.loss_weights`."""
        return loss_weights(self)

    @property
    def has_discriminator(self) -> bool:
        """Whether there is a second network that judges the first one's slices."""
        return needs_discriminator(self.loss_weights)

    @property
    def predicts_scale(self) -> bool:
        """Whether the network also predicts how large its error is."""
        return predicts_scale(self.loss_weights)

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        if epoch < self.warmup_epochs:
            return self.learning_rate * (epoch + 1) / (self.warmup_epochs + 1)
        if self.learning_rate_schedule == "cosine":
            passed = (epoch - self.warmup_epochs) / max(1, self.epochs - self.warmup_epochs)
            return self.learning_rate * (1 + math.cos(math.pi * passed)) / 2
        left = (self.epochs - epoch) / (self.learning_rate_decay_epochs + 1)
        return self.learning_rate * min(1.0, left)

    @property
    def changes_nothing(self) -> bool:
        """Whether the training leaves the weights that it starts from, batch norm's statistics included."""
        return self.learning_rate == 0

    def filled(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """Saved values of an earlier version with the defaults of the options that it did not have."""
        defaults = {f.name: _plain(f.default) for f in dataclasses.fields(self) if f.name in _CARD_ORDER}
        return {**defaults, "configuration": self.configuration, **saved}

    def continues(self, saved: Mapping[str, Any]) -> bool:
        """Whether a training with the values ``saved`` (:meth:`as_json`) can go on with this configuration."""
        own, saved = self.as_json(), self.filled(saved)
        names = {name for name in {*own, *saved} if own.get(name) != saved.get(name)}
        # Where the learning rate falls towards the last epoch, another last epoch is another training.
        falls = self.learning_rate_decay_epochs > 0 or self.learning_rate_schedule == "cosine"
        return names <= ({*_FREE} if falls else {*_FREE, "epochs"})

    def same_as(self, saved: Mapping[str, Any]) -> bool:
        """Whether a finished training with the values ``saved`` is the one that this configuration asks for.

        Whether it also predicts the scale of its error makes no difference: its images are the same.
        """
        own, saved = (_without_scale(values) for values in (self.as_json(), self.filled(saved)))
        aside = {"checkpoint_every", *COMPUTATION}
        return {**own, **dict.fromkeys(aside)} == {**saved, **dict.fromkeys(aside)}


def follow_scale(config: TrainingConfig, saved: Mapping[str, Any]) -> TrainingConfig:
    """The configuration with the scale of the error predicted as in a training that has begun or ended.

    That changes no image: whoever asks for calibrated uncertainty later, or no longer, goes on with what is there.

    Parameters
    ----------
    config : TrainingConfig
    saved : mapping
        Values of the other training (:meth:`TrainingConfig.as_json`).

    Returns
    -------
    TrainingConfig
        As it was where the two differ in more.
    """
    own = tuple((name, weight) for name, weight in config.loss if name != SCALE)
    scale = dict(saved.get("loss") or {}).get(SCALE)
    other = dataclasses.replace(config, loss=own if scale is None else (*own, (SCALE, float(scale))))
    return other if other.continues(saved) or other.same_as(saved) else config


def training_config(
    settings: Settings,
    inputs: Sequence[str],
    space: str,
    data: str = "",
    *,
    label: str | None = None,
    configuration: str | None = None,
    seed: int | None = None,
    orientation: Orientation = "axial",
    initial_weights: str = "",
    kind: type[TrainingConfig] = TrainingConfig,
) -> TrainingConfig:
    """Configuration of the model for one set of inputs and one space, from the settings of a run.

    Parameters
    ----------
    settings : Settings
    inputs : sequence of str
    space : str
    data : str
        Digest of the images.
    label, configuration : str, optional
        By default ``model_label`` of the settings, or the label that the inputs, the space and the recipe give.
    seed : int, optional
        By default ``random_seed`` of the settings, which also makes the split.
    orientation : {'axial', 'coronal', 'sagittal'}
    initial_weights : str
        Checksum of the weights to start from; empty for random ones.
    kind : type
        :class:`TrainingConfig`, or a subclass with further options of the settings.
    """
    recipe = (settings.intensity_scaling, settings.ssim_weight, settings.preset, settings.loss)
    default = model_label(inputs, space, *recipe)
    chosen = label or settings.model_label or default
    own = {field.name for field in dataclasses.fields(kind)}
    names = {CONFIG_NAMES.get(field.name, field.name): field.name for field in dataclasses.fields(settings)}
    values = {name: getattr(settings, option) for name, option in names.items() if name in own}
    if settings.is_calibrated and not predicts_scale(dict(settings.loss)):
        values["loss"] = (*settings.loss, (SCALE, LOSSES[SCALE].default_weight))
    if not any(map(has_width, inputs)):
        # It does nothing where no input is a PET, and makes no other model.
        values["harmonise"] = "none"
    values |= {
        "label": chosen,
        "inputs": tuple(inputs),
        "space": space,
        "slices_per_subject": settings.n_slices,
        "data": data,
        "configuration": configuration or chosen,
        "orientation": orientation,
        "initial_weights": initial_weights,
    }
    return kind(**values if seed is None else {**values, "seed": seed})
