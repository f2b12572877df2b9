"""The slices that a network learns from, and those that its epochs are judged by."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.data.cohort_statistics import CohortStatistics
from bids_spectsynth.synthesis.data.cropping import Size
from bids_spectsynth.synthesis.data.dataset import SliceData, resident
from bids_spectsynth.synthesis.data.gathering import gather_once, gather_slices
from bids_spectsynth.synthesis.data.orientation import slice_size
from bids_spectsynth.synthesis.data.slices import CaseArrays
from bids_spectsynth.synthesis.data.storage import Storage
from bids_spectsynth.synthesis.network.networks import network_levels
from bids_spectsynth.synthesis.training.config import TrainingConfig


@dataclass(frozen=True, eq=False)
class TrainingSlices:
    """What a training learns from and is validated with.

    Parameters
    ----------
    data : SliceData
        Training slices, on a GPU where they fit.
    statistics : CohortStatistics
        Of the training participants.
    held_out : SliceData
        Validation slices, with masks.
    selection : tuple of str
        Labels of the validation participants.
    levels : int
        Halvings of the network that suits these slices.
    """

    data: SliceData
    statistics: CohortStatistics
    held_out: SliceData
    selection: tuple[str, ...]
    levels: int

    @property
    def slice_shape(self) -> Size:
        """Height and width of the training slices."""
        return self.data.layout.height, self.data.layout.width


def gather_training_slices(
    training: Collection[CaseArrays],
    validation: Collection[CaseArrays],
    config: TrainingConfig,
    device: torch.device,
    processes: Processes,
    storage: Storage,
) -> TrainingSlices:
    """Read the slices of a training.

    Parameters
    ----------
    training, validation : collection of CaseArrays
        See :func:`bids_spectsynth.synthesis.training.train.train`.
    config : TrainingConfig
    device : torch.device
    processes : Processes
    storage : Storage
        With a folder where there are several processes.

    Raises
    ------
    ModelError
        A participant trains and validates, nobody trains, or the slices do not fit together or the network.
    """

    def gathered(cases: Collection[CaseArrays], name: str, **how: Any) -> tuple[SliceData, CohortStatistics]:
        part = storage.part(name)
        around: dict[str, Any] = {"neighbours": config.neighbour_slices, "orientation": config.orientation}
        gather = partial(gather_slices, cases, config.slices_per_subject, storage=part, **around, **how)
        return gather_once(part, processes, gather)

    data, statistics = gathered(training, "training", masks=False, crop_to_brain=config.crop == "brain")
    whole = slice_size(statistics.grid_shape, config.orientation)
    size = (data.layout.height, data.layout.width)
    # A larger head among those that choose the epoch gets larger slices, as when the model is applied.
    apart = {"crop_to_brain": size != whole, "at_least": size}
    held_out, held_out_statistics = gathered(validation, "validation", masks=True, **apart)
    _check_apart(statistics, held_out_statistics)
    try:
        levels = network_levels(size, whole)
    except ValueError as error:
        raise ModelError(f"{error}; prepare the images with another --voxel-size") from error
    return TrainingSlices(resident(data, device), statistics, held_out, held_out_statistics.participants, levels)


def _check_apart(training: CohortStatistics, validation: CohortStatistics) -> None:
    shared = sorted(set(training.participants) & set(validation.participants))
    if shared:
        raise ModelError(f"participant {shared[0]} is in training and in validation; correct the split")
