"""Volumes as text in a page: integers with a slope and an intercept, compressed, in base64."""

import base64
import gzip
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Affine = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int16] | npt.NDArray[np.int32]

#: Steps from the lowest to the highest value: one byte for anatomy, which is looked at; two for what is read off.
COARSE, FINE = 254, 1022
#: Level of gzip: higher ones take three times as long for 2 % less.
_EFFORT = 6


@dataclass(frozen=True, eq=False)
class Packed:
    """A volume in a page.

    Parameters
    ----------
    shape : tuple of int
        Voxels along i, j, k.
    affine : array, shape (4, 4)
        Voxels to the world of the T1w (RAS+ mm); it may turn and shear.
    bits : int
        8 or 16.
    slope, intercept : float
        Value of a stored integer: ``slope * integer + intercept``. 0 is stored exactly.
    axes : int
        1 or 3: along so many axes, i first, each integer is less the one before it (the first one stays).
    data : str
        Base64 of gzip of these changes (modulo ``2**bits``), i fastest, as 0, -1, 1, -2 are 0, 1, 2, 3; of two
        bytes all low ones come first, then all high ones.
    """

    shape: tuple[int, int, int]
    affine: Affine
    bits: int
    slope: float
    intercept: float
    axes: int
    data: str


def pack(values: Array, affine: Affine, steps: int = FINE, highest: float | None = None) -> Packed:
    """Store a volume.

    Parameters
    ----------
    values : array, shape (i, j, k)
        Finite.
    affine : array, shape (4, 4)
        Voxels to world.
    steps : int
        Steps between the lowest and the highest value; up to 254 take one byte a voxel, up to 65534 two.
    highest : float, optional
        Values above it are stored as it.

    Returns
    -------
    Packed
        Values between the lowest and ``highest`` are off by half of its slope at most.

    Raises
    ------
    ValueError
        ``steps`` is below 1 or above 65534.
    """
    if not 1 <= steps <= 65534:
        raise ValueError(f"{steps} steps cannot be stored in two bytes")
    top = float(values.max(initial=0.0)) if highest is None else highest
    bottom, top = min(float(values.min(initial=0.0)), 0.0), max(top, 0.0)
    slope = (top - bottom) / steps if top > bottom else 1.0
    # 0 falls on a step, so that the outside of a brain stays what it is; rounding it may take one step more.
    zero = round(-bottom / slope)
    bits = 8 if steps <= 254 else 16
    stored = np.clip(np.rint(values / slope) + zero, 0, steps + 1)
    # Changes along three axes are sums of eight values: those of most maps fit into two bytes.
    axes, changes = _changes(stored.astype(np.int16 if 8 * (steps + 1) < 2**15 else np.int32))
    flat = changes.ravel(order="F")
    # As an integer of so many bits, with its sign: what is beyond wraps around.
    signed = flat.astype(np.int8 if bits == 8 else np.int16)
    # Small changes of either sign become small numbers, whose high bytes are 0.
    zigzag = np.bitwise_xor(np.left_shift(signed, 1), np.right_shift(signed, bits - 1))
    numbers = zigzag.view(np.uint8 if bits == 8 else np.uint16)
    parts = [numbers] if bits == 8 else [(numbers & 0xFF).astype(np.uint8), (numbers >> 8).astype(np.uint8)]
    stream = b"".join(part.tobytes() for part in parts)
    text = base64.b64encode(gzip.compress(stream, _EFFORT, mtime=0)).decode("ascii")
    i, j, k = values.shape
    return Packed((i, j, k), np.array(affine, dtype=np.float64), bits, slope, -zero * slope, axes, text)


def _changes(stored: Integers) -> tuple[int, Integers]:
    """Changes along one axis or all three, whichever are smaller: smooth maps have hardly any along three."""
    one = np.diff(stored, axis=0, prepend=0)
    three = np.diff(np.diff(one, axis=1, prepend=0), axis=2, prepend=0)
    return (1, one) if np.abs(one).sum(dtype=np.int64) <= np.abs(three).sum(dtype=np.int64) else (3, three)


def unpack(packed: Packed) -> Array:
    """The volume as the page's script reads it, shape (i, j, k)."""
    numbers = np.frombuffer(gzip.decompress(base64.b64decode(packed.data)), dtype=np.uint8).astype(np.int32)
    if packed.bits == 16:
        low, high = np.split(numbers, 2)
        numbers = low | (high << 8)
    stored = ((numbers >> 1) ^ -(numbers & 1)).reshape(packed.shape, order="F")
    for axis in range(packed.axes):
        stored = np.cumsum(stored, axis=axis, dtype=np.int32)
    stored &= 2**packed.bits - 1
    return (stored * packed.slope + packed.intercept).astype(np.float32)


def crop(values: Array, affine: Affine, box: tuple[slice, slice, slice]) -> tuple[Array, Affine]:
    """A part of a volume with its own affine.

    Parameters
    ----------
    values : array, shape (i, j, k)
    affine : array, shape (4, 4)
    box : tuple of slice
        With starts.
    """
    moved = np.array(affine, dtype=np.float64)
    moved[:3, 3] += moved[:3, :3] @ [part.start for part in box]
    return values[box], moved


def brain_box(mask: Mask, margin: int = 2) -> tuple[slice, slice, slice]:
    """The box around a mask with a margin in voxels, as far as the grid reaches; all of it where the mask is empty."""
    box = []
    for axis, size in enumerate(mask.shape):
        found = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        first, last = (found[0], found[-1]) if found.size else (0, size - 1)
        box.append(slice(max(int(first) - margin, 0), min(int(last) + 1 + margin, size)))
    return box[0], box[1], box[2]


def coarsen(values: Array, affine: Affine, inside: Mask, spacing: float = 2.0) -> tuple[Array, Affine]:
    """Means of blocks of voxels, where the grid is finer than what it shows.

    Parameters
    ----------
    values : array, shape (i, j, k)
        What lies outside ``inside`` is left out.
    affine : array, shape (4, 4)
    inside : array of bool, shape (i, j, k)
        A mean is taken over the block's voxels in here, and is 0 where they are less than half of it: the edge stays
        sharp.
    spacing : float
        Distance of the blocks, mm; each has as many voxels along an axis as come nearest to it without exceeding it.

    Returns
    -------
    array
        The means; the values themselves where no two voxels fit into ``spacing``.
    array, shape (4, 4)
        Their affine.
    """
    sizes = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    step = np.maximum(np.floor(spacing / sizes + 1e-3), 1).astype(int)
    if (step == 1).all():
        return np.where(inside, values, np.float32(0)), affine
    count = _block_sums(inside.astype(np.float32), step)
    total = _block_sums(np.where(inside, values, 0).astype(np.float32), step)
    means = np.divide(total, count, out=np.zeros_like(total), where=2 * count >= step.prod())
    moved = np.array(affine, dtype=np.float64)
    moved[:3, 3] += moved[:3, :3] @ ((step - 1) / 2)
    moved[:3, :3] *= step
    return means, moved


def _block_sums(values: Array, step: npt.NDArray[np.intp]) -> Array:
    sums = np.pad(values, [(0, -size % own) for size, own in zip(values.shape, step, strict=True)])
    # One axis after the other, as sums of every second, third, ... plane: much faster than over all axes at once.
    for axis, own in enumerate(step):
        planes = (sums[(slice(None),) * axis + (slice(first, None, own),)] for first in range(own))
        sums = reduce(np.add, planes)
    return np.asarray(sums, dtype=np.float32)
