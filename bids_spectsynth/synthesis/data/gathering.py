"""Gathering the slices of a cohort: the block with the most brain of every case."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bids_spectsynth.errors import ModelError, size_text
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.data.cohort_statistics import CaseFacts, CohortStatistics, case_facts, cohort_statistics
from bids_spectsynth.synthesis.data.cropping import Size, case_sizes, common_size, crop
from bids_spectsynth.synthesis.data.dataset import SliceData, SliceLayout
from bids_spectsynth.synthesis.data.orientation import Orientation, to_slices
from bids_spectsynth.synthesis.data.scaling import slice_block
from bids_spectsynth.synthesis.data.slices import CaseArrays
from bids_spectsynth.synthesis.data.storage import Storage, encode, mapped, read_index, write_index

#: Slices of an orientation for each axial one, so that the block leaves out no more of a brain than the axial one does.
SLICES_OF: Mapping[Orientation, float] = {"axial": 1.0, "coronal": 1.4, "sagittal": 1.1}


def gather_slices(
    cases: Collection[CaseArrays],
    n_slices: int,
    *,
    masks: bool,
    neighbours: int = 0,
    orientation: Orientation = "axial",
    storage: Storage | None = None,
    crop_to_brain: bool = False,
    at_least: Size = (0, 0),
) -> tuple[SliceData, CohortStatistics]:
    """Take the block of slices with the most brain from every case.

    Parameters
    ----------
    cases : collection of CaseArrays
        With targets; iterated over once, or twice where slices are cropped.
    n_slices : int
        Slices per case (all of them where a volume has fewer).
    masks : bool
        Whether to keep the evaluation masks of the slices.
    neighbours : int
        Slices on each side that are input channels too; at a volume's ends the last slice is repeated.
    orientation : {'axial', 'coronal', 'sagittal'}
        Of the slices; the statistics are of the axial ones always. A brain has more coronal and sagittal slices than
        axial ones: their number is ``n_slices`` times :data:`SLICES_OF`.
    storage : Storage, optional
        Where the slices lie; by default in memory.
    crop_to_brain : bool
        Whether slices are cropped to the box that holds the brains of all cases; each case's own is kept besides.
    at_least : tuple of int
        A size that this box does not fall below.

    Raises
    ------
    ModelError
        There is no case, the cases lie on grids of different shapes, or there is no room for the slices.
    """
    n_slices = round(n_slices * SLICES_OF[orientation])
    sizes = case_sizes(cases, orientation, at_least) if crop_to_brain else []
    data: SliceData | None = None
    facts: list[CaseFacts] = []
    for number, case in enumerate(cases):
        if data is None:
            shape = case.inputs.shape
            stack = to_slices(case.mask, orientation, False).shape
            height, width = common_size(sizes) if sizes else stack[:2]
            layout = SliceLayout(len(cases), min(n_slices, stack[2]), shape[0], height, width, neighbours, masks, sizes)
            # One allocation for the cohort: collecting and concatenating would need the memory twice.
            data = SliceData(layout, **(storage or Storage()).allocate(layout.specs))
        if case.inputs.shape != shape or case.target is None or case.target.shape != case.mask.shape:
            raise ModelError(
                f"sub-{case.participant}: inputs of {size_text(case.inputs.shape)} where others have "
                f"{size_text(shape)}, or no SPECT; prepare all participants with the same --voxel-size"
            )
        _fill(data, number, case, n_slices, orientation)
        facts.append(case_facts(case))
    if data is None:
        raise ModelError("no participant to train on; run --mode preprocess on participants with an interictal SPECT")
    return data, cohort_statistics(facts)


def gather_once(
    storage: Storage, processes: Processes, gather: Callable[[], tuple[SliceData, CohortStatistics]]
) -> tuple[SliceData, CohortStatistics]:
    """What ``gather`` gives, done by one process of each machine and mapped by its others.

    Parameters
    ----------
    storage : Storage
        With a folder where there are several processes.
    processes : Processes
    gather : callable
        Fills that storage.
    """
    if processes.count == 1 or storage.folder is None:
        return gather()
    if processes.local_rank == 0:
        data, statistics = gather()
        write_index(storage.folder, layout=data.layout, statistics=statistics)
    processes.wait()
    if processes.local_rank != 0:
        index = read_index(storage.folder)
        layout = SliceLayout(**index["layout"])
        data = SliceData(layout, **mapped(storage.folder, layout.specs))
        lists = {name: tuple(value) for name, value in index["statistics"].items() if isinstance(value, list)}
        statistics = CohortStatistics(**{**index["statistics"], **lists})
    return data, statistics


def _fill(data: SliceData, number: int, case: CaseArrays, n_slices: int, orientation: Orientation) -> None:
    mask = to_slices(case.mask, orientation, False)
    block = slice_block(mask, n_slices)
    layout = data.layout
    size, within = (layout.height, layout.width), np.arange(block.start, block.stop)
    rows = slice(number * layout.per_case, (number + 1) * layout.per_case)
    around = np.arange(block.start - layout.neighbours, block.stop + layout.neighbours).clip(0, mask.shape[2] - 1)
    stored = slice(number * layout.stored, (number + 1) * layout.stored)
    assert case.target is not None
    data.images[stored] = encode(_slices(case.inputs, orientation, -1, around, size))
    data.targets[rows, 0] = encode(_slices(case.target, orientation, -1, within, size))
    if layout.masks:
        inside = case.mask if case.evaluation_mask is None else case.evaluation_mask
        data.masks[rows, 0] = _slices(inside, orientation, False, within, size)


def _slices(
    volume: npt.NDArray[Any], orientation: Orientation, fill: float, k: npt.NDArray[np.intp], size: Size
) -> Tensor:
    """The middle of slices (len(k), ..., *size) of a volume (..., I, J, K)."""
    return torch.from_numpy(np.moveaxis(crop(to_slices(volume, orientation, fill), size)[..., k], -1, 0).copy())
