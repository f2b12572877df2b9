"""The slices of a cohort as tensors in memory, their batches, and what is kept of the cohort's real SPECTs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bids_spectsynth.errors import ModelError
from bids_spectsynth.preprocess.intensity import slice_block
from bids_spectsynth.synthesis.slices import UNKNOWN_UNITS, CaseArrays
from bids_spectsynth.synthesis.through_slice import NODES, case_profiles

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SliceData:
    """Slices of a cohort.

    Parameters
    ----------
    inputs : tensor, shape (N, C, I, J), float32
    targets : tensor, shape (N, 1, I, J), float32
    masks : tensor, shape (N, 1, I, J), bool
        Brain where the SPECT was measured (:attr:`CaseArrays.rated`); without slices (N = 0) where nobody needs it,
        because a large cohort's masks are large.
    cases : tensor, shape (N,), int64
        Which case a slice is of, counted from 0.
    """

    inputs: Tensor
    targets: Tensor
    masks: Tensor
    cases: Tensor

    def __len__(self) -> int:
        return self.inputs.shape[0]


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


def gather_slices(cases: Collection[CaseArrays], n_slices: int, *, masks: bool) -> tuple[SliceData, CohortStatistics]:
    """Take the block of slices with the most brain from every case.

    Parameters
    ----------
    cases : collection of CaseArrays
        With targets; iterated over once.
    n_slices : int
        Slices per case (all of them where a volume has fewer).
    masks : bool
        Whether to keep the masks of the slices in which a synthetic SPECT is rated.

    Raises
    ------
    ModelError
        There is no case, or the cases lie on grids of different shapes.
    """
    data: SliceData | None = None
    facts: list[_CaseFacts] = []
    for number, case in enumerate(cases):
        if data is None:
            data = _allocate(len(cases), case, min(n_slices, case.mask.shape[2]), masks=masks)
            shape = case.inputs.shape
        if case.inputs.shape != shape or case.target is None or case.target.shape != case.mask.shape:
            raise ModelError(
                f"sub-{case.participant}: inputs {case.inputs.shape} where others have {shape}, or no SPECT; "
                "prepare all participants with the same --voxel-size"
            )
        _fill(data, number, case, n_slices)
        facts.append(_case_facts(case))
    if data is None:
        raise ModelError("no participant to train on; run --mode preprocess on participants with an interictal SPECT")
    return data, _statistics(facts)


def _allocate(n_cases: int, case: CaseArrays, per_case: int, *, masks: bool) -> SliceData:
    # One allocation for the cohort: collecting and concatenating would need the memory twice.
    channels, i, j, _ = case.inputs.shape
    n = n_cases * per_case
    return SliceData(
        torch.empty(n, channels, i, j),
        torch.empty(n, 1, i, j),
        torch.empty(n if masks else 0, 1, i, j, dtype=torch.bool),
        torch.arange(n_cases).repeat_interleave(per_case),
    )


def _fill(data: SliceData, number: int, case: CaseArrays, n_slices: int) -> None:
    block = slice_block(case.mask, n_slices)
    rows = slice(number * (block.stop - block.start), (number + 1) * (block.stop - block.start))
    assert case.target is not None
    data.inputs[rows] = torch.from_numpy(np.moveaxis(case.inputs[..., block], -1, 0).copy())
    data.targets[rows, 0] = torch.from_numpy(np.moveaxis(case.target[..., block], -1, 0).copy())
    if len(data.masks):
        rated = case.mask if case.rated is None else case.rated
        data.masks[rows, 0] = torch.from_numpy(np.moveaxis(rated[..., block], -1, 0).copy())


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
    n_bytes = sum(tensor.nbytes for tensor in (data.inputs, data.targets))
    if n_bytes > torch.cuda.mem_get_info(device)[0] / 4:
        return data
    return SliceData(data.inputs.to(device), data.targets.to(device), data.masks, data.cases)
