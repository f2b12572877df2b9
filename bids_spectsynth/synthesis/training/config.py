"""Everything that the weights of a model depend on."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_spectsynth.options.settings import (
    AdversarialLoss,
    CohortPrior,
    Compile,
    Crop,
    MemoryFormat,
    Orientations,
    Precision,
    Scaling,
    Settings,
    Switch,
)
from bids_spectsynth.synthesis.data.orientation import Orientation
from bids_spectsynth.synthesis.network.losses import loss_weights, needs_discriminator
from bids_spectsynth.synthesis.network.recipe import Recipe, recipe_of
from bids_spectsynth.synthesis.study import model_label

#: How the network is computed changes weights as another machine or another seed does: it makes no other model.
COMPUTATION = ("precision", "memory_format", "compile")
#: What may differ between a checkpoint and the training that goes on from it.
_FREE = ("checkpoint_every", "label", "configuration", *COMPUTATION)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Options of one training; two trainings with equal values on one machine give equal weights.

    ``data`` is a digest of the images (:meth:`bids_spectsynth.synthesis.data.slices.PreparedCases.digest`): a model is
    trained anew when it changes. ``configuration`` is the label without the seed. ``batch_size`` is that of one
    process. The learning rate is constant until the last ``learning_rate_decay_epochs`` epochs, over which it falls
    linearly towards 0. ``loss`` holds name and weight of the losses without an option of their own.
    """

    label: str
    inputs: tuple[str, ...]
    space: str = "T1w"
    scaling: Scaling = "slice"
    voxel_size: float = 1.0
    slices_per_subject: int = 100
    epochs: int = 1000
    batch_size: int = 8
    learning_rate: float = 1e-4
    learning_rate_decay_epochs: int = 0
    adversarial_weight: float = 1.0
    l1_weight: float = 100.0
    ssim_weight: float = 0.0
    base_filters: int = 64
    checkpoint_every: int = 10
    seed: int = 1234
    precision: Precision = "auto"
    memory_format: MemoryFormat = "auto"
    compile: Compile = "auto"
    data: str = ""
    configuration: str = ""
    adversarial_loss: AdversarialLoss = "bce"
    neighbour_slices: int = 0
    cohort_prior: CohortPrior = "none"
    augmentation: tuple[str, ...] = ()
    ema_decay: float = 0.0
    flip_average: Switch = "off"
    orientations: Orientations = "axial"
    orientation: Orientation = "axial"
    crop: Crop = "none"
    loss: tuple[tuple[str, float], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Values of types that JSON has; without ``loss`` where it is empty, as in earlier versions."""
        return _plain(dataclasses.asdict(self))

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

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        left = (self.epochs - epoch) / (self.learning_rate_decay_epochs + 1)
        return self.learning_rate * min(1.0, left)

    def filled(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """Saved values of an earlier version with the defaults of the options that it did not have."""
        defaults = {field.name: field.default for field in dataclasses.fields(self) if field.name != "configuration"}
        return {**_plain(defaults), "configuration": self.configuration, **saved}

    def continues(self, saved: Mapping[str, Any]) -> bool:
        """Whether a training with the values ``saved`` (:meth:`as_json`) can go on with this configuration."""
        own, saved = self.as_json(), self.filled(saved)
        names = {name for name in {*own, *saved} if own.get(name) != saved.get(name)}
        # Where the learning rate falls towards the last epoch, another last epoch is another training.
        return names <= ({*_FREE} if self.learning_rate_decay_epochs > 0 else {*_FREE, "epochs"})

    def same_as(self, saved: Mapping[str, Any]) -> bool:
        """Whether a finished training with the values ``saved`` is the one that this configuration asks for."""
        own, saved = self.as_json(), self.filled(saved)
        aside = {"checkpoint_every", *COMPUTATION}
        return {**own, **dict.fromkeys(aside)} == {**saved, **dict.fromkeys(aside)}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
    further = [list(pair) for pair in plain.pop("loss")]
    return {**plain, "loss": further} if further else plain


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
    """
    default = model_label(inputs, space, settings.intensity_scaling, settings.ssim_weight, settings.preset)
    chosen = label or settings.model_label or default
    return TrainingConfig(
        label=chosen,
        inputs=tuple(inputs),
        space=space,
        scaling=settings.intensity_scaling,
        voxel_size=settings.voxel_size,
        slices_per_subject=settings.n_slices,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        learning_rate_decay_epochs=settings.learning_rate_decay_epochs,
        adversarial_weight=settings.adversarial_weight,
        l1_weight=settings.l1_weight,
        ssim_weight=settings.ssim_weight,
        base_filters=settings.base_filters,
        checkpoint_every=settings.checkpoint_every,
        seed=settings.random_seed if seed is None else seed,
        precision=settings.precision,
        memory_format=settings.memory_format,
        compile=settings.compile,
        data=data,
        configuration=configuration or chosen,
        adversarial_loss=settings.adversarial_loss,
        neighbour_slices=settings.neighbour_slices,
        cohort_prior=settings.cohort_prior,
        augmentation=settings.augmentation,
        ema_decay=settings.ema_decay,
        flip_average=settings.flip_average,
        orientations=settings.orientations,
        orientation=orientation,
        crop=settings.crop,
        loss=tuple(getattr(settings, "loss", ())),
    )
