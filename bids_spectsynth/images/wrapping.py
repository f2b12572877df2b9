"""Integers that wrapped past their range, of which no correction is sure: recognised, and left as they are."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_spectsynth.images.values import connected_to_border

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

# Ranges after which numbers begin anew: of 8, 12 and 16 bits. An image that wrapped fills almost all of one.
_PERIODS = (2**8, 2**12, 2**16)
_FILLED = 0.95
# A jump between neighbours of more than this part of the range, which no edge in a head has: scanners blur them.
_JUMP = 0.75
# Voxels below this part of the range that are joined to the border are air, beside which anything may lie.
_DARK = 0.25
# As many jumps are no defect of single voxels.
_LEAST_JUMPS = 20
# Images that were cut off at the top of the range have sharp edges, and far more voxels that hold it than jumps.
_CUT_OFF = 10


def wrapped_voxels(data: Float32Array, voxels: Any) -> int:
    """How many voxels, at least, hold a number that was too large for its type and began anew at the lowest one.

    They lie beside voxels that are higher by almost the whole range, inside the head. Only those at such a jump are
    counted; further in they may hold anything.

    Parameters
    ----------
    data : array, shape (i, j, k), float32
        Values with the file's scaling applied. Those that are not finite count as 0.
    voxels : nibabel array proxy or array
        Where they come from: its scaling. Numbers that are not whole have not wrapped.

    Returns
    -------
    int
        0 where nothing shows that numbers wrapped.
    """
    slope, inter = float(getattr(voxels, "slope", 1.0)), float(getattr(voxels, "inter", 0.0))
    if slope <= 0:
        return 0
    stored = np.nan_to_num((data - np.float32(inter)) / np.float32(slope), posinf=0.0, neginf=0.0)
    low, high = float(stored.min()), float(stored.max())
    period = next((p for p in _PERIODS if high - min(low, 0.0) < p), None)
    if period is None or high - min(low, 0.0) < _FILLED * period or np.any(np.abs(stored - np.rint(stored)) > 0.01):
        return 0
    n_jumps, at_jump = 0, np.zeros(stored.shape, dtype=bool)
    if not any(np.any(jump) for jump, _, _ in _jumps(stored, period)):
        return 0
    air = connected_to_border(stored < min(low, 0.0) + _DARK * period)
    for axis, (jump, first, second) in enumerate(_jumps(stored, period)):
        before, after = np.swapaxes(air, 0, axis)[:-1], np.swapaxes(air, 0, axis)[1:]
        inside = jump & ~before & ~after
        n_jumps += int(np.count_nonzero(inside))
        marked = np.swapaxes(at_jump, 0, axis)
        marked[:-1] |= inside & (first < second)
        marked[1:] |= inside & (second < first)
    if n_jumps < _LEAST_JUMPS or np.count_nonzero(stored == high) > _CUT_OFF * n_jumps:
        return 0
    return int(np.count_nonzero(at_jump))


def _jumps(stored: Float32Array, period: int) -> Iterator[tuple[BoolArray, Float32Array, Float32Array]]:
    """Along each axis: where neighbours differ by almost the whole range, and the neighbours."""
    for axis in range(3):
        first, second = np.swapaxes(stored, 0, axis)[:-1], np.swapaxes(stored, 0, axis)[1:]
        yield np.abs(first - second) > _JUMP * period, first, second


def wrapping_note(name: str, n: int, size: int) -> str:
    """A line about numbers that wrapped.

    Parameters
    ----------
    name : str
        Of the file.
    n : int
        Of :func:`wrapped_voxels`.
    size : int
        Voxels of the image, in all frames.
    """
    return (
        f"{name}: {n} voxels ({n / size:.2%}), and maybe those they enclose, lie inside the head below their "
        "neighbours by almost the whole range of the stored numbers: integers seem to have wrapped past their type's "
        "range; they stay as they are, export the image again with a larger type or a scaling"
    )
