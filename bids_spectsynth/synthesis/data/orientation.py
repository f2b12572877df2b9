"""Volumes as stacks of axial, coronal or sagittal slices."""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

#: Which slices a network sees.
Orientation = Literal["axial", "coronal", "sagittal"]
ORIENTATIONS: tuple[Orientation, ...] = get_args(Orientation)
#: Axes of the volume (of i, j, k) that become rows, columns and slices.
_AXES: dict[Orientation, tuple[int, int, int]] = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}


def to_slices(volume: npt.NDArray[Any], orientation: Orientation, fill: float) -> npt.NDArray[Any]:
    """Bring the slices of one orientation to the last axis, as squares.

    Parameters
    ----------
    volume : array, shape (..., I, J, K)
        RAS order.
    orientation : {'axial', 'coronal', 'sagittal'}
    fill : float
        Value of the margins that make slices of other orientations than axial square, so that the network can halve
        them as often; half of the margin on each side.

    Returns
    -------
    array, shape (..., H, W, S)
        A view where nothing is padded. Axial slices are left as they are.
    """
    offset = volume.ndim - 3
    moved = volume.transpose(*range(offset), *(offset + axis for axis in _AXES[orientation]))
    if orientation == "axial":
        return moved
    height, width = moved.shape[-3:-1]
    margins = [_margins(max(height, width) - length) for length in (height, width)]
    if not any(map(any, margins)):
        return moved
    return np.pad(moved, [(0, 0)] * offset + [*margins, (0, 0)], constant_values=fill)


def slice_size(shape: tuple[int, int, int], orientation: Orientation) -> tuple[int, int]:
    """Height and width of the slices that :func:`to_slices` makes of a volume of this shape."""
    height, width = (shape[axis] for axis in _AXES[orientation][:2])
    return (height, width) if orientation == "axial" else (max(height, width),) * 2


def from_slices(stack: npt.NDArray[Any], orientation: Orientation, shape: tuple[int, int, int]) -> npt.NDArray[Any]:
    """Undo :func:`to_slices`.

    Parameters
    ----------
    stack : array, shape (H, W, S)
    orientation : {'axial', 'coronal', 'sagittal'}
    shape : tuple of int
        (I, J, K) of the volume.

    Returns
    -------
    array, shape (I, J, K)
    """
    axes = _AXES[orientation]
    if orientation != "axial":
        starts = [_margins(stack.shape[axis] - shape[axes[axis]])[0] for axis in (0, 1)]
        stack = stack[starts[0] : starts[0] + shape[axes[0]], starts[1] : starts[1] + shape[axes[1]]]
    return stack.transpose(*np.argsort(axes))


def _margins(missing: int) -> tuple[int, int]:
    return missing // 2, missing - missing // 2
