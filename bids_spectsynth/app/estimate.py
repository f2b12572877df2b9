"""How long a run will take and how much it will write: estimates for a dry run, by formula and a short measurement."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from bids_spectsynth.options.settings import FIELD_OF_VIEW_MM, T1W_SPACE, Device
from bids_spectsynth.synthesis.computing.computation import training_computation
from bids_spectsynth.synthesis.computing.devices import Processes, resolve_device
from bids_spectsynth.synthesis.data.cropping import STEP, Size
from bids_spectsynth.synthesis.network.networks import (
    PatchDiscriminator,
    UNetGenerator,
    network_levels,
    parameter_count,
)
from bids_spectsynth.synthesis.study import PlannedModel
from bids_spectsynth.synthesis.training.config import TrainingConfig, training_config
from bids_spectsynth.synthesis.training.steps import Stepper

_BYTES = 4  # float32
#: A brain in mm3, and what gzip leaves of its float32 voxels; measured on simulated heads: 6 MB an image at 1 mm.
BRAIN_MM3, BRAIN_COMPRESSION = 1.5e6, 1.0
#: Width and length of a brain of usual size in mm; simulated heads have 128 to 146 and 163 to 188.
BRAIN_MM = (145, 180)
#: What gzip leaves of a synthetic image, which has values outside the brain, too; measured: 0.4 to 0.7.
SYNTHETIC_COMPRESSION = 0.6
#: A synthetic image in the geometry of the original T1w, in bytes; it hardly depends on the voxel size.
ORIGINAL_BYTES = 12e6
#: Preparation of a participant on two cores with the built-in backend, in seconds by voxel size in mm; at 4 mm the
#: registration, which works on its own grid, takes as long as at 2 mm. Each holds 5 s for the brain mask's rim,
#: which is taken away on the T1w's own voxels, of 1 mm here; with those of 2 mm it takes 0.4 s.
PREPARATION_SECONDS = {1.0: 75.0, 2.0: 20.0, 4.0: 20.0}
#: SISCOM of one ictal scan and baseline on one core, in seconds by voxel size in mm.
SISCOM_SECONDS = {1.0: 12.0, 2.0: 7.0, 4.0: 5.0}
#: Validating a slice (generator alone, forwards) over a training step of it.
VALIDATION_SHARE = 0.25
#: Seconds that one measurement may take, roughly.
_BUDGET = 1.0


@dataclass(frozen=True)
class Sizes:
    """Bytes that a run writes: prepared images, networks with their checkpoints, and synthetic images."""

    prepared: float
    networks: float
    synthetic: float

    @property
    def total(self) -> float:
        """Of all together."""
        return self.prepared + self.networks + self.synthetic


@dataclass(frozen=True)
class Load:
    """What one model has to be trained on: one pair of numbers of cases (training, validation) per network."""

    model: PlannedModel
    cases: tuple[tuple[int, int], ...]


def prepared_bytes(n_images: int, n_spaces: int, voxel_size: float) -> float:
    """Bytes of the prepared images.

    Parameters
    ----------
    n_images, n_spaces : int
        Images of all participants together, each of which is written in every space.
    voxel_size : float
        In mm.
    """
    return n_images * n_spaces * BRAIN_MM3 / voxel_size**3 * _BYTES * BRAIN_COMPRESSION


def synthetic_bytes(models: Sequence[PlannedModel], n_cases: int) -> float:
    """Bytes of the synthetic images of ``n_cases`` cases; those of the T1w's space also come in original geometry."""
    total = 0.0
    for model in models:
        voxel_size = model.settings.voxel_size
        on_grid = math.prod(FIELD_OF_VIEW_MM) / voxel_size**3 * _BYTES * SYNTHETIC_COMPRESSION
        # Beside the image its standard deviation, and the ends of an interval.
        images = 4 if model.settings.is_calibrated else 2 if model.settings.samples else 1
        total += n_cases * (images * on_grid + (ORIGINAL_BYTES if model.space == T1W_SPACE else 0))
    return total


def network_bytes(config: TrainingConfig) -> int:
    """Bytes of a trained network: its best weights, and the checkpoint.

    The checkpoint holds the weights and the two moments of Adam of generator and discriminator, the best weights once
    more, and the averaged ones where there are such. Batch norm's statistics are left out of account.
    """
    with torch.device("meta"):
        channels = config.recipe.n_channels
        outputs, levels = 2 if config.predicts_scale else 1, network_levels(*_sizes(config))
        generator = parameter_count(UNetGenerator(channels, outputs, config.base_filters, levels))
        discriminator = parameter_count(PatchDiscriminator(channels + 1, config.base_filters))
    trained = generator + (discriminator if config.has_discriminator else 0)
    copies = 2 + (config.ema_decay > 0)
    return _BYTES * (3 * trained + copies * generator)


def training_seconds(config: TrainingConfig, n_training: int, n_validation: int, per_slice: float) -> float:
    """Seconds of one network's training.

    Parameters
    ----------
    config : TrainingConfig
    n_training, n_validation : int
        Cases.
    per_slice : float
        Seconds of a training step, over the slices in it; :func:`measure_step`.
    """
    slices = config.slices_per_subject * (n_training + VALIDATION_SHARE * n_validation)
    return config.epochs * slices * per_slice


def estimated_sizes(loads: Sequence[Load], n_cases: int, n_images: int, n_spaces: int) -> Sizes:
    """Bytes that training and applying these models write; see the functions for each part.

    Parameters
    ----------
    loads : sequence of Load
        At least one.
    n_cases, n_images, n_spaces : int
        Cases, images of all of them together, and spaces in which they are prepared.
    """
    voxel_size = loads[0].model.settings.voxel_size
    return Sizes(
        prepared=prepared_bytes(n_images, n_spaces, voxel_size),
        networks=sum(len(load.cases) * network_bytes(_config(load.model)) for load in loads),
        synthetic=synthetic_bytes([load.model for load in loads], n_cases),
    )


def estimated_seconds(loads: Sequence[Load], per_slice: Callable[[TrainingConfig], float]) -> float:
    """Seconds of all trainings one after the other.

    Parameters
    ----------
    loads : sequence of Load
    per_slice : callable
        Seconds per training slice of a configuration; called once for each kind of network.
    """
    measured: dict[tuple[bool, int, str], float] = {}
    total = 0.0
    for load in loads:
        config = _config(load.model)
        kind = (config.has_discriminator, config.base_filters, config.crop)
        if kind not in measured:
            measured[kind] = per_slice(config)
        total += sum(training_seconds(config, *cases, measured[kind]) for cases in load.cases)
    return total


def measure_step(config: TrainingConfig, device: Device, threads: int) -> float:
    """Seconds per slice of a training step on this machine, measured on random slices within seconds.

    The second of two steps is measured, on as many slices of a batch as fit into about a second, at least one: where
    there are less than in a batch, the estimate is somewhat long. What else the machine is busy with counts, too.

    Parameters
    ----------
    config : TrainingConfig
    device : {'auto', 'cpu', 'cuda'}
    threads : int
        Of the network, on the CPU.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        where = resolve_device(device)
        with torch.random.fork_rng([where] if where.type == "cuda" else []):
            computation = training_computation(where, config.precision, config.memory_format, "off")
            stepper = Stepper(
                config, config.recipe.n_channels, network_levels(*_sizes(config)), computation, Processes()
            )
            # The first step takes longer than others: memory is taken, and the state of Adam made.
            first = _timed_step(stepper, config, 1)
            n_slices = max(1, min(config.batch_size, int(_BUDGET / first)))
            return _timed_step(stepper, config, n_slices) / n_slices
    finally:
        torch.set_num_threads(before)


def _timed_step(stepper: Stepper, config: TrainingConfig, n_slices: int) -> float:
    size, _ = _sizes(config)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand((n_slices, config.recipe.n_channels, *size), generator=generator) * 2 - 1
    targets = torch.rand((n_slices, 1, *size), generator=generator) * 2 - 1
    started = time.perf_counter()
    # Reading the losses waits for a GPU.
    stepper.step(inputs, targets, 0).tolist()
    return time.perf_counter() - started


def _config(model: PlannedModel) -> TrainingConfig:
    return training_config(model.settings, model.inputs, model.space, label=model.label)


def _sizes(config: TrainingConfig) -> tuple[Size, Size]:
    """Height and width of the slices of a brain of usual size, and of whole ones."""
    whole = [round(mm / config.voxel_size) for mm in FIELD_OF_VIEW_MM[:2]]
    size = [min(n, STEP * math.ceil(mm / config.voxel_size / STEP)) for n, mm in zip(whole, BRAIN_MM, strict=True)]
    height, width = size if config.crop == "brain" else whole
    return (height, width), (whole[0], whole[1])


def size_words(size: float) -> str:
    """A size in MB or GB (powers of ten): ``120 MB``, ``13.5 GB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
