"""Which values of the settings are usable, and which go together."""

from typing import TYPE_CHECKING

from bids_spectsynth.errors import UsageError

if TYPE_CHECKING:
    from bids_spectsynth.options.settings import Settings


def check_settings(settings: "Settings") -> None:
    """Refuse values that are out of range or that do not go together.

    Raises
    ------
    UsageError
        One line that names the option.
    """
    positive = ("nprocs", "omp_nthreads", "mem_mb", "epochs", "batch_size", "learning_rate", "base_filters",
                "checkpoint_every", "slices_per_subject", "data_range", "ensemble_members")  # fmt: skip
    for name in positive:
        value = getattr(settings, name)
        if value is not None and value <= 0:
            raise UsageError(f"--{name.replace('_', '-')}: {value} is not above zero")
    weights = ("adversarial_weight", "l1_weight", "ssim_weight", "learning_rate_decay_epochs", "random_seed",
               "neighbour_slices", "uncertainty", "cross_validate", "bootstrap_samples")  # fmt: skip
    for name in weights:
        if getattr(settings, name) < 0:
            raise UsageError(f"--{name.replace('_', '-')}: {getattr(settings, name)} is below zero")
    if settings.adversarial_weight + settings.l1_weight + settings.ssim_weight == 0:
        raise UsageError("--adversarial-weight, --l1-weight, --ssim-weight: at least one must be above zero")
    if settings.voxel_size not in (1.0, 2.0, 4.0):
        raise UsageError(f"--voxel-size: {settings.voxel_size} is not 1, 2 or 4 (the network halves its grid)")
    if min(settings.split) < 0 or min(settings.split[:2]) == 0:
        raise UsageError("--split: proportions for training, validation, test; the first two above zero")
    _check_splits(settings)
    _check_recipe(settings)
    _check_fsl(settings)
    if settings.model_label is not None and not (settings.model_label.isascii() and settings.model_label.isalnum()):
        raise UsageError(f"--model-label: {settings.model_label!r} has other characters than letters and digits")
    if settings.model is not None and settings.mode in ("train", "preprocess"):
        raise UsageError(f"--model: --mode {settings.mode} applies no model; leave one of the two options out")
    if not settings.output_spaces:
        raise UsageError("--output-spaces: at least one space needed")


def _check_splits(settings: "Settings") -> None:
    counts = settings.split_counts
    if counts is not None and (min(counts) < 0 or min(counts[:2]) == 0):
        raise UsageError("--split-counts: participants for training, validation, test; the first two above zero")
    if settings.cross_validate == 1 or settings.cross_validate == 2:
        raise UsageError("--cross-validate: 3 folds at least (one held out, one to choose the epoch, one to train on)")
    others = [name for name in ("split_counts", "split_file") if getattr(settings, name) is not None]
    if settings.cross_validate and others:
        raise UsageError(f"--cross-validate: makes its own splits; leave --{others[0].replace('_', '-')} out")
    if len(others) > 1:
        raise UsageError("--split-counts: the split file says who is in which part; leave one of the two options out")
    for condition in settings.hold_out:
        if not all(part.strip() for part in condition.partition("=")):
            raise UsageError(f"--hold-out: {condition!r} is not COLUMN=VALUE, e.g. resection=yes")
    if settings.hold_out and settings.split_file is not None:
        raise UsageError("--hold-out: the split file says who is in which part; leave one of the two options out")


def _check_recipe(settings: "Settings") -> None:
    if not 0 <= settings.ema_decay < 1:
        raise UsageError(f"--ema-decay: {settings.ema_decay} is not in 0 to below 1")
    if settings.uncertainty == 1:
        raise UsageError("--uncertainty: 2 samples at least")
    if min(settings.equivalence_margins) <= 0:
        raise UsageError("--equivalence-margins: three numbers above zero")
    if settings.orientations == "three" and settings.intensity_scaling == "slice":
        raise UsageError(
            "--orientations three: needs --intensity-scaling volume; slices of different orientations that are each "
            "scaled on their own cannot be averaged"
        )


def _check_fsl(settings: "Settings") -> None:
    if not 0 <= settings.bet_fractional_intensity <= 1:
        raise UsageError(f"--bet-fractional-intensity: {settings.bet_fractional_intensity} is not in 0 to 1")
    image = settings.fsl_image
    if image is not None and (not image.strip() or image.startswith("-")):
        raise UsageError(f"--fsl-image: {image!r} is no name of an image")
    given = settings.fsl_options
    if given and settings.backend == "embedded":
        raise UsageError(f"{given[0]}: --backend embedded does not use FSL; leave one of the two options out")
