"""The slices of a cohort as tensors in memory, their batches, and what is kept of the cohort's real SPECTs."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.data.cropping import Size, case_sizes, common_size, crop
from bids_spectsynth.synthesis.data.orientation import Orientation, to_slices
from bids_spectsynth.synthesis.data.scaling import slice_block
from bids_spectsynth.synthesis.data.slices import UNKNOWN_UNITS, CaseArrays
from bids_spectsynth.synthesis.data.storage import Storage, encode, mapped, read_index, write_index
from bids_spectsynth.synthesis.data.through_slice import NODES, case_profiles

FloatArray = npt.NDArray[np.float64]

#: Slices of an orientation for each axial one, so that the block leaves out no more of a brain than the axial one does.
SLICES_OF: Mapping[Orientation, float] = {"axial": 1.0, "coronal": 1.4, "sagittal": 1.1}


@dataclass(frozen=True)
class SliceLayout:
    """Numbers that say how the slices of a cohort are laid out.

    Parameters
    ----------
    n_cases, per_case : int
        Cases, and slices of each.
    channels, height, width : int
        Input images, and the size of a slice.
    neighbours : int
        Slices on each side of a slice that are input channels too.
    masks : bool
        Whether masks are kept; without them where nobody needs them, because a large cohort's are large.
    sizes : sequence of (int, int)
        Height and width of each case's own box, where slices are cropped: the part of them that its brain needs. Empty
        where they are whole.
    """

    n_cases: int
    per_case: int
    channels: int
    height: int
    width: int
    neighbours: int
    masks: bool
    sizes: Sequence[Sequence[int]] = ()

    @property
    def stored(self) -> int:
        """Slices of a case with those around its block."""
        return self.per_case + 2 * self.neighbours

    @property
    def specs(self) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """Shapes and types of what is stored."""
        n, size = self.n_cases * self.per_case, (self.height, self.width)
        return {
            "images": ((self.n_cases * self.stored, self.channels, *size), torch.int16),
            "targets": ((n, 1, *size), torch.int16),
            "masks": ((n if self.masks else 0, 1, *size), torch.bool),
        }


@dataclass(frozen=True, eq=False)
class SliceData:
    """Slices of a cohort.

    Parameters
    ----------
    layout : SliceLayout
    images : tensor, shape (M, C, I, J), int16
        The N slices and, with neighbours, the slices around each case's block; C input images.
        :func:`bids_spectsynth.synthesis.data.storage.decode` gives them in (-1, 1).
    targets : tensor, shape (N, 1, I, J), int16
    masks : tensor, shape (N, 1, I, J), bool
        Brain where the SPECT was measured (:attr:`CaseArrays.rated`); N = 0 where masks are not kept.
    """

    layout: SliceLayout
    images: Tensor
    targets: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return self.targets.shape[0]

    @property
    def cases(self) -> Tensor:
        """Which case a slice is of, counted from 0: (N,), int64."""
        return torch.arange(self.layout.n_cases).repeat_interleave(self.layout.per_case)

    def by_size(self) -> dict[Size, Tensor]:
        """The slices, as rows, by the height and width that their case's brain needs."""
        layout = self.layout
        found: dict[Size, list[int]] = {}
        for case in range(layout.n_cases):
            height, width = layout.sizes[case] if layout.sizes else (layout.height, layout.width)
            found.setdefault((height, width), []).extend(range(case * layout.per_case, (case + 1) * layout.per_case))
        return {size: torch.tensor(rows) for size, rows in found.items()}

    def inputs(self, rows: Tensor) -> Tensor:
        """Input channels (len(rows), C (2 neighbours + 1), I, J), int16; those of one image follow each other."""
        layout = self.layout
        centres = rows // layout.per_case * layout.stored + rows % layout.per_case + layout.neighbours
        if not layout.neighbours:
            return self.images[centres]
        offsets = torch.arange(-layout.neighbours, layout.neighbours + 1)
        return self.images[centres[:, None] + offsets].transpose(1, 2).flatten(1, 2)


@dataclass(frozen=True)
class CohortStatistics:
    """What is kept of the real SPECTs of a cohort, to give synthetic ones a unit and a shape along the axis.

    Parameters
    ----------
    participants : tuple of str
        Labels, each once.
    mean_in_brain : float
        Mean over the cases of the in-brain mean of the unscaled SPECT.
    units : str
        Their common unit, or ``arbitrary``.
    grid_shape : tuple of int
        (I, J, K) of the volumes.
    log_gain, log_step : tuple of 33 floats
        See :func:`bids_spectsynth.synthesis.data.through_slice.case_profiles`.
    """

    participants: tuple[str, ...]
    mean_in_brain: float
    units: str
    grid_shape: tuple[int, int, int]
    log_gain: tuple[float, ...]
    log_step: tuple[float, ...]


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
        Whether to keep the masks of the slices in which a synthetic SPECT is rated.
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
    facts: list[_CaseFacts] = []
    for number, case in enumerate(cases):
        if data is None:
            shape = case.inputs.shape
            stack = to_slices(case.mask, orientation, False)
            height, width = common_size(sizes) if sizes else stack.shape[:2]
            per_case, channels = min(n_slices, stack.shape[2]), case.inputs.shape[0]
            layout = SliceLayout(len(cases), per_case, channels, height, width, neighbours, masks, sizes)
            # One allocation for the cohort: collecting and concatenating would need the memory twice.
            data = SliceData(layout, **(storage or Storage()).allocate(layout.specs))
        if case.inputs.shape != shape or case.target is None or case.target.shape != case.mask.shape:
            raise ModelError(
                f"sub-{case.participant}: inputs {case.inputs.shape} where others have {shape}, or no SPECT; "
                "prepare all participants with the same --voxel-size"
            )
        _fill(data, number, case, n_slices, orientation)
        facts.append(_case_facts(case))
    if data is None:
        raise ModelError("no participant to train on; run --mode preprocess on participants with an interictal SPECT")
    return data, _statistics(facts)


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
        rated = case.mask if case.rated is None else case.rated
        data.masks[rows, 0] = _slices(rated, orientation, False, within, size)


def _slices(
    volume: npt.NDArray[Any], orientation: Orientation, fill: float, k: npt.NDArray[np.intp], size: Size
) -> Tensor:
    """The middle of slices (len(k), ..., *size) of a volume (..., I, J, K)."""
    return torch.from_numpy(np.moveaxis(crop(to_slices(volume, orientation, fill), size)[..., k], -1, 0).copy())


@dataclass(frozen=True, eq=False)
class _CaseFacts:
    participant: str
    mean: float
    units: str
    grid_shape: tuple[int, int, int]
    profiles: tuple[FloatArray, FloatArray] | None


def _case_facts(case: CaseArrays) -> _CaseFacts:
    assert case.target is not None
    assert case.target_slope is not None
    assert case.target_mean is not None
    profiles = case_profiles(case.target, case.target_slope, case.mask, case.target_mean)
    return _CaseFacts(case.participant, case.target_mean, case.target_units, case.target.shape, profiles)


def _statistics(facts: Sequence[_CaseFacts]) -> CohortStatistics:
    units = {fact.units for fact in facts}
    profiles = [fact.profiles for fact in facts if fact.profiles is not None] or [(np.zeros(len(NODES)),) * 2]
    log_gain, log_step = np.mean(profiles, axis=0)
    return CohortStatistics(
        participants=tuple(dict.fromkeys(fact.participant for fact in facts)),
        mean_in_brain=float(np.mean([fact.mean for fact in facts])),
        units=units.pop() if len(units) == 1 else UNKNOWN_UNITS,
        grid_shape=facts[0].grid_shape,
        log_gain=tuple(log_gain.tolist()),
        log_step=tuple(log_step.tolist()),
    )


def shuffled_batches(
    n: int, batch_size: int, generator: torch.Generator, *, rank: int = 0, processes: int = 1
) -> list[Tensor]:
    """Indices of one epoch's batches: every slice once, in random order.

    Parameters
    ----------
    n : int
        Number of slices.
    batch_size : int
        Of one process; the last batch may be smaller.
    generator : torch.Generator
        On the CPU, in the same state in every process.
    rank, processes : int
        Each process takes every ``processes``-th slice of the same order. The order is repeated from its start until
        it divides evenly, so that all processes make the same number of steps.

    Returns
    -------
    list of tensor, int64
    """
    order = torch.randperm(n, generator=generator)
    missing = -n % processes
    order = torch.cat([order, order.repeat(-(-missing // n))[:missing]]) if missing else order
    return list(torch.split(order[rank::processes], batch_size))


def resident(data: SliceData, device: torch.device) -> SliceData:
    """The slices on the GPU, if they take at most a quarter of its free memory; else as they are."""
    if device.type != "cuda":
        return data
    n_bytes = sum(tensor.nbytes for tensor in (data.images, data.targets))
    if n_bytes > torch.cuda.mem_get_info(device)[0] / 4:
        return data
    return replace(data, images=data.images.to(device), targets=data.targets.to(device))
