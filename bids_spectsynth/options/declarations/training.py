"""Options that the weights of a model depend on: the training configuration has the same fields.

Where an option is added here, it is in the help, the configuration file, the checkpoints, the cards of the models, the
Boutiques descriptor and the usage page.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from bids_spectsynth.options.choices import (
    AdversarialLoss,
    Augmentation,
    CohortPrior,
    Compile,
    Crop,
    Freeze,
    Harmonise,
    MemoryFormat,
    Orientations,
    Precision,
    Schedule,
    Switch,
)
from bids_spectsynth.options.declarations.groups import COMPUTATION, PREPARATION, RECIPE, SYNTHESIS
from bids_spectsynth.options.declare import option
from bids_spectsynth.options.losses import read_losses, write_losses
from bids_spectsynth.options.ranges import not_negative, one_of, positive, within

#: At this voxel size, in millimetres, the recommended preset crops slices to the brain where ``--crop`` is not given:
#: there no loss was shown. At 4 mm nothing of a usual head's slice is left to cut. No part of the recipe.
_CROP_AT = 2.0
#: Epochs without a better one after which the recommended preset ends a training; the article trains all of its 1,000.
_PATIENCE = 50
#: How a model that has learned already goes on: slower, and not as long. Reasoned, not measured on patients.
_TUNED_RATE, _TUNED_EPOCHS, _TUNED_WARMUP = 3e-5, 200, 3


def _voxel_size(preset: str, values: Mapping[str, Any]) -> float:
    # For the recommended preset no loss was shown at 2 mm, in a fifth to a tenth of the time (docs/performance.md). No
    # part of the recipe: a study has one voxel size.
    return 2.0 if preset == "best" else 1.0


def _crop(preset: str, values: Mapping[str, Any]) -> Crop:
    return "brain" if preset == "best" and values["voxel_size"] == _CROP_AT else "none"


def _if_fine_tuned(otherwise: Any, suggestion: Any) -> Callable[[str, Mapping[str, Any]], Any]:
    """One value where the training starts from a model, another where it starts from random weights."""
    return lambda preset, values: otherwise if values.get("initial_model") is None else suggestion


def _schedule(preset: str, values: Mapping[str, Any]) -> Schedule:
    return "cosine" if values.get("initial_model") and not values.get("learning_rate_decay_epochs") else "constant"


def _patience(preset: str, values: Mapping[str, Any]) -> int:
    # No part of the recipe: a study has one patience for all of its models.
    return _PATIENCE if preset == "best" else 0


def _read_augmentation(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else [str(v) for v in value]
    if names == ["none"]:
        return ()
    known = get_args(Augmentation)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{unknown[0]}: choose from none, {', '.join(known)}")
    # One order, so that one set has one meaning.
    return tuple(name for name in known if name in names)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What the weights of a model depend on, besides data, inputs, scaling and seed."""

    voxel_size: float = field(
        default=1.0,
        metadata=option(
            PREPARATION,
            "1: 256x256x192 as in the article; 2: 128x128x96; 4: 64x64x48 ({default}; with --preset best 2)",
            "1, 2 or 4 mm; the field of view is always 256 x 256 x 192 mm [{default}, as in the article; 2 with "
            "`--preset best`]",
            metavar="MM",
            check=one_of((1.0, 2.0, 4.0), "the network halves its grid"),
            suggest=_voxel_size,
        ),
    )
    precision: Precision = field(
        default="auto",
        metadata=option(
            COMPUTATION,
            "number format (auto: bfloat16 where it is in hardware; a long training tries what is faster)",
            "of convolutions; weights and losses stay in float32 [bfloat16 on GPUs from Ampere on and on CPUs with "
            "AVX512-BF16 or AMX, else float32]",
        ),
    )
    memory_format: MemoryFormat = field(
        default="auto",
        metadata=option(
            COMPUTATION,
            "layout of images and weights in memory (auto: channels_last; a long training tries what is faster)",
            "layout of images and weights in memory [channels_last, the faster one]",
        ),
    )
    compile: Compile = field(
        default="auto",
        metadata=option(
            COMPUTATION,
            "torch.compile in training (auto: long trainings on a GPU)",
            "`torch.compile` in training: takes up to a minute at the start; needs Triton on a GPU, a C++ compiler on "
            "a CPU [on GPUs, for 1,000 steps and more]",
            of_training=True,
        ),
    )
    epochs: int = field(
        default=1000,
        metadata=option(
            SYNTHESIS,
            "epochs of training ({default}, as in the article; from an initial model 200), at most where there is "
            "--patience",
            "epochs of training, with `--patience` at most [{default}, as in the article; 200 with `--initial-model`]",
            metavar="N",
            check=positive,
            suggest=_if_fine_tuned(1000, _TUNED_EPOCHS),
        ),
    )
    patience: int = field(
        default=0,
        metadata=option(
            SYNTHESIS,
            "end the training when N epochs have brought no better one; 0: train all epochs ({default}; with --preset "
            "best 50)",
            "end the training when N epochs have brought none that is better on the validation participants; 0 trains "
            "all epochs [{default}; 50 with `--preset best`; in a study one value for all models]",
            metavar="N",
            check=not_negative,
            suggest=_patience,
        ),
    )
    batch_size: int = field(
        default=8, metadata=option(SYNTHESIS, "slices in a batch ({default})", metavar="N", check=positive)
    )
    learning_rate: float = field(
        default=1e-4,
        metadata=option(
            SYNTHESIS,
            "learning rate of Adam (1e-4; from an initial model 3e-5)",
            "learning rate of Adam; 0, with `--initial-model` alone, changes nothing [1e-4; 3e-5 with "
            "`--initial-model`]",
            metavar="R",
            check=not_negative,
            suggest=_if_fine_tuned(1e-4, _TUNED_RATE),
        ),
    )
    learning_rate_schedule: Schedule = field(
        default="constant",
        metadata=option(
            SYNTHESIS,
            "cosine: the rate falls as half a cosine wave over all epochs ({default}; from an initial model cosine)",
            "`constant`, or `cosine`: the rate falls as half a cosine wave over all epochs [`{default}`; `cosine` with "
            "`--initial-model`]",
            suggest=_schedule,
        ),
    )
    warmup_epochs: int = field(
        default=0,
        metadata=option(
            SYNTHESIS,
            "the rate rises linearly over the first N epochs ({default}; from an initial model 3)",
            "the rate rises linearly over the first N epochs [{default}; 3 with `--initial-model`]",
            metavar="N",
            check=not_negative,
            suggest=_if_fine_tuned(0, _TUNED_WARMUP),
        ),
    )
    freeze: Freeze = field(
        default="none",
        metadata=option(
            SYNTHESIS,
            "which weights of the initial model stay as they are ({default})",
            "which weights of the initial model stay as they are: `encoder`, the way down of the U-Net with the "
            "statistics of its batch norm [`{default}`]",
        ),
    )
    harmonise: Harmonise = field(
        default="none",
        metadata=option(
            SYNTHESIS,
            "smooth a PET that is sharper than those of the training ({default})",
            "`resolution`: in training, PETs are brought to the resolution of the blurriest scanner; where a model is "
            "applied, a PET that is sharper than the training's median is made as blurred as that "
            "([several scanners](method.md#several-scanners)) [`{default}`; a model that was trained so is applied so]",
            of_training=False,
        ),
    )
    learning_rate_decay_epochs: int = field(
        default=0,
        metadata=option(
            SYNTHESIS, "linear decay to zero over the last N epochs ({default})", metavar="N", check=not_negative
        ),
    )
    base_filters: int = field(
        default=64,
        metadata=option(
            SYNTHESIS,
            "filters of the first layer ({default})",
            "feature maps of the outermost level of both networks [{default}]",
            metavar="N",
            check=positive,
        ),
    )
    checkpoint_every: int = field(
        default=10,
        metadata=option(SYNTHESIS, "epochs between two checkpoints ({default})", metavar="N", check=positive),
    )
    adversarial_weight: float = field(
        default=1.0,
        metadata=option(
            RECIPE,
            "weight of the adversarial loss ({default})",
            "weight of the adversarial loss; 0 trains the generator alone [{default}]",
            metavar="W",
            check=not_negative,
            presets={"best": 0.0},
            of_loss=True,
        ),
    )
    l1_weight: float = field(
        default=100.0,
        metadata=option(
            RECIPE,
            "weight of the L1 loss ({default})",
            "weight of the mean absolute error [{default}]",
            metavar="W",
            check=not_negative,
            presets={},
            of_loss=True,
        ),
    )
    ssim_weight: float = field(
        default=0.0,
        metadata=option(
            RECIPE,
            "weight of 1 - SSIM ({default}; the article's variant: 1)",
            "weight of 1 - SSIM; the article's variant has 1 [{default}]",
            metavar="W",
            check=not_negative,
            presets={},
            of_loss=True,
        ),
    )
    loss: tuple[tuple[str, float], ...] = field(
        default=(),
        metadata=option(
            RECIPE,
            "weight of a term of the loss; several, or repeat the option. Terms: {losses}",
            "weight of a term of the loss; several, or repeat the option; a term of weight 0 is not computed. Those "
            "with an option of their own are the same by either. Terms: {losses}",
            metavar="NAME=WEIGHT",
            action="extend",
            read=read_losses,
            write=write_losses,
            presets={},
            of_loss=True,
        ),
    )
    adversarial_loss: AdversarialLoss = field(
        default="bce",
        metadata=option(
            RECIPE,
            "binary cross-entropy or least squares ({default})",
            presets={},
            of_loss=True,
        ),
    )
    neighbour_slices: int = field(
        default=0,
        metadata=option(
            RECIPE,
            "slices on each side that the network sees too: 2.5D ({default})",
            metavar="N",
            check=not_negative,
            presets={"best": 1},
        ),
    )
    cohort_prior: CohortPrior = field(
        default="none",
        metadata=option(
            RECIPE,
            "the training cohort's mean SPECT, times the PET ratio where there is PET, as a further input channel, or "
            "as what the network adds to ({default})",
            presets={"best": "residual"},
        ),
    )
    augmentation: tuple[str, ...] = field(
        default=(),
        metadata=option(
            RECIPE,
            "of training slices: none, flip, affine, elastic, intensity",
            "of training slices: `none`, or some of `flip`, `affine`, `elastic`, `intensity` [`none`]",
            metavar="KIND",
            read=_read_augmentation,
            presets={"best": ("flip", "affine", "intensity")},
        ),
    )
    ema_decay: float = field(
        default=0.0,
        metadata=option(
            RECIPE,
            "averaged weights: decay per step; 0: none ({default})",
            "averaged weights: decay per step, below 1; 0: none [{default}]",
            metavar="D",
            check=within(0, 1, below=True),
            presets={"best": 0.99},
        ),
    )
    flip_average: Switch = field(
        default="off",
        metadata=option(
            RECIPE, "average over the slice and its left-right mirror image ({default})", presets={"best": "on"}
        ),
    )
    orientations: Orientations = field(
        default="axial",
        metadata=option(
            RECIPE,
            "axial slices, or one network each for axial, coronal and sagittal ones, averaged ({default})",
            "`three`: one network each for axial, coronal and sagittal slices, averaged; needs `--intensity-scaling "
            "volume` [`{default}`]",
            presets={},
        ),
    )
    crop: Crop = field(
        default="none",
        metadata=option(
            RECIPE,
            "whole slices, or the box of 32-pixel steps that holds the brains that the network learns from ({default})",
            "`brain`: slices cut to the box around their middle, in steps of 32 pixels, that holds the brains that the "
            "network learns from ([method.md](method.md#cropped-slices)) [`{default}`; `brain` with `--preset best` at "
            "2 mm; in a study one value for all models]",
            suggest=_crop,
        ),
    )
