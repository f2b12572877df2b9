"""The slices of a cohort as tensors in memory, their batches, and what is kept of the cohort's real SPECTs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bids_spectsynth.errors import ModelError
from bids_spectsynth.preprocess.intensity import slice_block
from bids_spectsynth.synthesis.orientation import Orientation, to_slices
from bids_spectsynth.synthesis.slices import UNKNOWN_UNITS, CaseArrays
from bids_spectsynth.synthesis.through_slice import NODES, case_profiles

FloatArray = npt.NDArray[np.float64]

#: Slices of an orientation for each axial one, so that the block leaves out no more of a brain than the axial one does.
SLICES_OF: Mapping[Orientation, float] = {"axial": 1.0, "coronal": 1.4, "sagittal": 1.1}


@dataclass(frozen=True, eq=False)
class SliceData:
    """Slices of a cohort.

    Parameters
    ----------
    images : tensor, shape (M, C, I, J), float32
        The N slices and, with neighbours, the slices around each case's block; C input images.
    centres : tensor, shape (N,), int64
        Where the slices are in ``images``.
    targets : tensor, shape (N, 1, I, J), float32
    masks : tensor, shape (N, 1, I, J), bool
        Brain where the SPECT was measured (:attr:`CaseArrays.rated`); without slices (N = 0) where nobody needs it,
        because a large cohort's masks are large.
    cases : tensor, shape (N,), int64
        Which case a slice is of, counted from 0.
    neighbours : int
        Slices on each side of a slice that are input channels too.
    """

    images: Tensor
    centres: Tensor
    targets: Tensor
    masks: Tensor
    cases: Tensor
    neighbours: int = 0

    def __len__(self) -> int:
        return self.targets.shape[0]

    def inputs(self, rows: Tensor) -> Tensor:
        """Input channels (len(rows), C (2 neighbours + 1), I, J) of slices; those of one image follow each other."""
        if not self.neighbours:
            return self.images[self.centres[rows]]
        offsets = torch.arange(-self.neighbours, self.neighbours + 1)
        return self.images[self.centres[rows][:, None] + offsets].transpose(1, 2).flatten(1, 2)


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
        See :func:`bids_spectsynth.synthesis.through_slice.case_profiles`.
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
) -> tuple[SliceData, CohortStatistics]:
    """Take the block of slices with the most brain from every case.

    Parameters
    ----------
    cases : collection of CaseArrays
        With targets; iterated over once.
    n_slices : int
        Slices per case (all of them where a volume has fewer).
    masks : bool
        Whether to keep the masks of the slices in which a synthetic SPECT is rated.
    neighbours : int
        Slices on each side that are input channels too; at a volume's ends the last slice is repeated.
    orientation : {'axial', 'coronal', 'sagittal'}
        Of the slices; the statistics are of the axial ones always. A brain has more coronal and sagittal slices than
        axial ones: their number is ``n_slices`` times :data:`SLICES_OF`.

    Raises
    ------
    ModelError
        There is no case, or the cases lie on grids of different shapes.
    """
    n_slices = round(n_slices * SLICES_OF[orientation])
    data: SliceData | None = None
    facts: list[_CaseFacts] = []
    for number, case in enumerate(cases):
        if data is None:
            shape = case.inputs.shape
            data = _allocate(len(cases), case, n_slices, masks=masks, neighbours=neighbours, orientation=orientation)
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


def _allocate(
    n_cases: int, case: CaseArrays, n_slices: int, *, masks: bool, neighbours: int, orientation: Orientation
) -> SliceData:
    # One allocation for the cohort: collecting and concatenating would need the memory twice.
    height, width, depth = to_slices(case.mask, orientation, False).shape
    per_case = min(n_slices, depth)
    n, stored = n_cases * per_case, per_case + 2 * neighbours
    first = torch.arange(n_cases)[:, None] * stored + neighbours
    return SliceData(
        torch.empty(n_cases * stored, case.inputs.shape[0], height, width),
        (first + torch.arange(per_case)).flatten(),
        torch.empty(n, 1, height, width),
        torch.empty(n if masks else 0, 1, height, width, dtype=torch.bool),
        torch.arange(n_cases).repeat_interleave(per_case),
        neighbours,
    )


def _fill(data: SliceData, number: int, case: CaseArrays, n_slices: int, orientation: Orientation) -> None:
    mask = to_slices(case.mask, orientation, False)
    block = slice_block(mask, n_slices)
    per_case = block.stop - block.start
    rows = slice(number * per_case, (number + 1) * per_case)
    around = np.arange(block.start - data.neighbours, block.stop + data.neighbours).clip(0, mask.shape[2] - 1)
    stored = slice(number * len(around), (number + 1) * len(around))
    assert case.target is not None
    data.images[stored] = _slices(case.inputs, orientation, -1, around)
    data.targets[rows, 0] = _slices(case.target, orientation, -1, np.arange(block.start, block.stop))
    if len(data.masks):
        rated = case.mask if case.rated is None else case.rated
        data.masks[rows, 0] = _slices(rated, orientation, False, np.arange(block.start, block.stop))


def _slices(volume: npt.NDArray[Any], orientation: Orientation, fill: float, k: npt.NDArray[np.intp]) -> Tensor:
    """Slices (len(k), ..., H, W) of a volume (..., I, J, K)."""
    return torch.from_numpy(np.moveaxis(to_slices(volume, orientation, fill)[..., k], -1, 0).copy())


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
