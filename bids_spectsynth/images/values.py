"""Values below 0: padding, shifted and standardised images, integers that wrapped, noise about 0."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Float32Array = npt.NDArray[np.float32]

# Padding is held by at least this part of the voxels, and the others stay above half of it.
_PADDING_SHARE = 1e-3
# An exact 0 in more than this part of the voxels is an empty background.
_EMPTY_SHARE = 0.05
# Standardised: the 5th percentile is this deep below 0 (of the 99th), or the mean this near to 0 (of the deviation).
_DEEP, _CENTRED = 0.25, 0.02
# The commonest value lies this far below 0, of the range above it, where all values are shifted.
_SHIFTED = 0.05
# A value this many times lower than the others are high is none.
_OUTLIER = 3.0
# Step between a background of 0 and the lowest value inside a mask, of the range of values inside.
_MASK_STEP = 1.0
# One negative value that is held this much more often than any other is no noise.
_FILL_RATIO = 10
# Wrapped integers: types that hold unsigned numbers as signed ones.
_WRAPPING_TYPES = ("int8", "int16")
# Least value of integers that is padding: held by this part of the voxels, with a gap of a part of the type's range.
_PADDING_SHARE_OF_INTEGERS = 0.01
_GAP = 0.02


def begin_at_zero(data: Float32Array) -> tuple[Float32Array, tuple[str, ...]]:
    """Bring the background of an image with negative values to 0.

    - Padding (one value far below all others, -1024 say) becomes 0.
    - Values that were shifted or standardised as a whole (a background at -1024, z-scores, MP2RAGE's ratio) are shifted
      so that they begin at 0. Where the background of standardised values is exactly 0, it stays so.
    - Otherwise 0 is the background and negative values are its noise (filtered back projection): they stay, but for
      single ones far below all others.

    Parameters
    ----------
    data : array, shape (i, j, k), float32
        Finite. Returned as it is where no value is below 0.

    Returns
    -------
    data : array, shape (i, j, k), float32
    notes : tuple of str
        What was changed, one line each.
    """
    if not data.min() < 0:
        return data, ()
    notes: list[str] = []
    background = np.zeros(data.shape, dtype=bool)
    padding = _padding(data)
    if padding is not None:
        background = data == np.float32(padding)
        notes.append(f"{background.mean():.1%} of the voxels hold {padding:g} and are taken as empty (0)")
    outliers = ~background & (data < -_OUTLIER * np.percentile(np.abs(data[~background]), 99.9))
    if outliers.any():
        background |= outliers
        notes.append(f"{np.count_nonzero(outliers)} voxels lie far below all others and are taken as 0")
    values = data[~background]
    held = values[values != 0]
    in_mask = bool(held.size and np.mean(data == 0) > _EMPTY_SHARE and _is_standardised(held))
    if in_mask:
        # Inside the mask 0 is a value like others.
        background |= connected_to_border(data == 0)
        values = data[~background]
    shift = _shift(values)
    if shift is None:
        return np.where(background, np.float32(0), data), tuple(notes)
    if in_mask:
        # What the mask left out must stay darker than all that is inside.
        shift += _MASK_STEP * (float(values.max()) + shift)
    notes.append(f"the values begin at {values.min():.4g}, not at 0, and were shifted by {shift:.4g}")
    return np.where(background, np.float32(0), np.maximum(data + np.float32(shift), 0)), tuple(notes)


def unwrap(data: Float32Array, voxels: Any) -> tuple[Float32Array, int]:
    """Undo what comes of unsigned integers that are stored as signed ones: the highest values became negative.

    They are told from true negative values by their neighbours, which are high.

    Parameters
    ----------
    data : array, shape (i, j, k), float32
        Values with the file's scaling applied.
    voxels : nibabel array proxy or array
        Where they come from: its type of number and scaling.

    Returns
    -------
    data : array, shape (i, j, k), float32
    n : int
        How many voxels were corrected.
    """
    kind = np.dtype(voxels.dtype)
    if kind.name not in _WRAPPING_TYPES:
        return data, 0
    slope, inter = float(getattr(voxels, "slope", 1.0)), float(getattr(voxels, "inter", 0.0))
    stored = np.nan_to_num((data - np.float32(inter)) / np.float32(slope or 1.0))
    negative = stored < -0.5
    if slope <= 0 or not negative.any():
        return data, 0
    period = float(2 ** (8 * kind.itemsize))
    lowest = stored.min()
    at_lowest = stored <= lowest + 0.5
    others = stored[~at_lowest]
    if others.size and at_lowest.mean() > _PADDING_SHARE_OF_INTEGERS and others.min() - lowest > _GAP * period:
        negative &= ~at_lowest
    as_it_is, unwrapped = _jumps(stored, negative), _jumps(np.where(negative, stored + period, stored), negative)
    if not unwrapped < as_it_is:
        return data, 0
    return np.where(negative, data + np.float32(period * slope), data), int(np.count_nonzero(negative))


def negative_note(values: npt.NDArray[Any]) -> str | None:
    """A line about the values of a brain that are below 0 and will be lost, with their share; None without any."""
    n = int(np.count_nonzero(values < 0))
    if not n:
        return None
    return f"{n} voxels of the brain ({n / values.size:.2%}) are below 0 and become 0"


def connected_to_border(voxels: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The components (6-connected) of some voxels that reach the border of the image; shape (i, j, k)."""
    labels, _ = ndimage.label(voxels)
    at_border = [np.take(labels, end, axis=axis).ravel() for axis in range(3) for end in (0, -1)]
    return np.isin(labels, np.setdiff1d(np.concatenate(at_border), [0]))


def _padding(data: Float32Array) -> float | None:
    """The value that empty voxels hold instead of 0: far below all others, or held far more often than any other."""
    found, counts = np.unique(data[data < 0], return_counts=True)
    order = np.argsort(counts)
    value, often = float(found[order[-1]]), int(counts[order[-1]])
    if often < _PADDING_SHARE * data.size:
        return None
    if value > found[0]:
        return value if often > 10 * _PADDING_SHARE * data.size and often > _FILL_RATIO * counts[order[-2]] else None
    others = data[data > found[0]]
    if not others.size or others.min() <= value / 2:
        return None
    # A whole number, as programs write it, or beyond the image's own range; a background of z-scores is neither.
    return value if value == round(value) or -value > np.percentile(others, 99.9) else None


def _is_standardised(values: Float32Array) -> bool:
    low, high = np.percentile(values, [5, 99])
    centred = abs(float(values.mean(dtype=np.float64))) < _CENTRED * float(values.std(dtype=np.float64))
    return bool(centred or low < -_DEEP * abs(high))


def _shift(values: Float32Array) -> float | None:
    """What to add so that values begin at 0; None where 0 is their background already."""
    lowest = float(values.min())
    if lowest >= 0:
        return None
    held = np.count_nonzero(values == np.float32(lowest)) / values.size
    low, high = (float(value) for value in np.percentile(values, [0.05, 99.9]))
    if held < _PADDING_SHARE and not _is_standardised(values):
        counts, edges = np.histogram(values, bins=256, range=(low, high))
        mode = float(edges[counts.argmax()] + edges[counts.argmax() + 1]) / 2
        if mode > -_SHIFTED * (high - mode):
            return None
    # A single voxel far below the others does not decide.
    return -lowest if low - lowest < (high - low) / 2 else -low


def _jumps(stored: Float32Array, negative: npt.NDArray[np.bool_]) -> float:
    """Sum of the differences between negative voxels and neighbours that are not."""
    total = 0.0
    for axis in range(3):
        first, second = np.swapaxes(stored, 0, axis)[:-1], np.swapaxes(stored, 0, axis)[1:]
        border = np.swapaxes(negative, 0, axis)[:-1] != np.swapaxes(negative, 0, axis)[1:]
        total += float(np.abs(first - second)[border].sum(dtype=np.float64))
    return total
