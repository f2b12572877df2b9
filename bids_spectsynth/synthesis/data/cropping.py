"""Slices cropped to the brain: a box around their middle, of a size that the network can halve.

Prepared grids are centred on the brain, so that one box serves all participants. A network for cropped slices has fewer
levels than one for whole ones and ends at a few pixels instead of one; like every convolution it takes larger slices
too, and so a head that is larger than those it learned from.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bids_spectsynth.synthesis.data.orientation import Orientation, to_slices
from bids_spectsynth.synthesis.data.slices import CaseArrays, PreparedCases

#: Halvings of a cropped slice, and the steps in pixels in which its box therefore grows.
LEVELS = 5
STEP = 2**LEVELS

#: Rows and columns.
Size = tuple[int, int]
Mask = npt.NDArray[np.bool_]


def brain_size(stack: Mask, at_least: Size = (0, 0)) -> Size:
    """Size of the smallest box around the middle of all slices that holds the brain.

    Parameters
    ----------
    stack : array, shape (H, W, S), bool
        Brain mask, slices last.
    at_least : tuple of int
        A size that the box does not fall below.

    Returns
    -------
    tuple of int
        Multiples of :data:`STEP`, or the length of the slice where that is less.
    """
    lengths = []
    for axis, length in enumerate(stack.shape[:2]):
        inside = np.flatnonzero(stack.any(axis=(1 - axis, 2)))
        # The box begins at (length - size) // 2: below it lies that much of the slice, above it the rest.
        below, above = (length - inside[0], inside[-1] + 1) if len(inside) else (0, 0)
        needed = max(2 * below - length, 2 * above - length, at_least[axis])
        lengths.append(min(length, STEP * math.ceil(needed / STEP)))
    return lengths[0], lengths[1]


def case_sizes(cases: Collection[CaseArrays], orientation: Orientation, at_least: Size = (0, 0)) -> list[Size]:
    """Size of the smallest box of each case, see :func:`brain_size`.

    Parameters
    ----------
    cases : collection of CaseArrays
        Of cases on disk only the masks are read.
    orientation : {'axial', 'coronal', 'sagittal'}
    at_least : tuple of int
        A size that no box falls below.
    """
    return [brain_size(to_slices(mask, orientation, False), at_least) for mask in _masks(cases)]


def common_size(sizes: Sequence[Size]) -> Size:
    """The smallest box that holds all of these, (0, 0) for none."""
    return max((size[0] for size in sizes), default=0), max((size[1] for size in sizes), default=0)


def _masks(cases: Collection[CaseArrays]) -> Iterator[Mask]:
    if isinstance(cases, PreparedCases):
        yield from cases.masks()
    else:
        for case in cases:
            yield case.mask


def middle(length: int, size: int) -> slice:
    """The middle ``size`` of ``length`` pixels."""
    start = (length - size) // 2
    return slice(start, start + size)


def crop(stack: npt.NDArray[Any], size: Size) -> npt.NDArray[Any]:
    """The box around the middle of slices (..., H, W, S): a view of shape (..., *size, S)."""
    height, width = stack.shape[-3:-1]
    return stack[..., middle(height, size[0]), middle(width, size[1]), :]


def crop_batch(batch: Tensor, size: Size) -> Tensor:
    """The box around the middle of slices (N, C, H, W): a view of shape (N, C, *size)."""
    height, width = batch.shape[-2:]
    return batch[..., middle(height, size[0]), middle(width, size[1])]
