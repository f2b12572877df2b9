"""Which slices of a volume are shown, and which part of them.

Volumes are in RAS+ voxel order on a grid without rotation, so that indices grow to the patient's right, front and top.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Plane = Literal["axial", "coronal", "sagittal"]

#: As many values give a percentile to a fraction of a step of the colours.
_SAMPLE = 200_000
#: The array axis that each plane cuts through.
AXIS: dict[Plane, int] = {"sagittal": 0, "coronal": 1, "axial": 2}


class View(NamedTuple):
    """One slice: the plane and the voxel number across it."""

    plane: Plane
    at: int


@dataclass(frozen=True, eq=False)
class Frame:
    """The part of a grid that is shown: ``box`` in voxels, and the grid's affine (RAS+ mm, no rotation)."""

    box: tuple[slice, slice, slice]
    affine: npt.NDArray[np.float64]

    @property
    def zooms(self) -> tuple[float, float, float]:
        """Voxel size in millimetres."""
        size = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return float(size[0]), float(size[1]), float(size[2])

    def position(self, view: View) -> float:
        """World coordinate of a slice along its normal, in millimetres."""
        axis = AXIS[view.plane]
        return float(self.affine[axis, axis] * view.at + self.affine[axis, 3])

    def size_mm(self, plane: Plane) -> tuple[float, float]:
        """Width and height of a slice of that plane."""
        across, up = (axis for axis in range(3) if axis != AXIS[plane])
        return (
            (self.box[across].stop - self.box[across].start) * self.zooms[across],
            (self.box[up].stop - self.box[up].start) * self.zooms[up],
        )


def frame_of(mask: Mask, affine: npt.NDArray[np.float64], margin_mm: float = 6.0) -> Frame:
    """The box around a mask with a margin; the whole grid where the mask is empty.

    Parameters
    ----------
    mask : array of bool, shape (i, j, k)
    affine : array, shape (4, 4)
    margin_mm : float
        Added on every side, as far as the grid reaches.
    """
    whole = Frame((slice(0, mask.shape[0]), slice(0, mask.shape[1]), slice(0, mask.shape[2])), affine)
    if not mask.any():
        return whole
    box = []
    for axis in range(3):
        margin = round(margin_mm / whole.zooms[axis])
        first, last = _extent(mask, axis)
        box.append(slice(max(first - margin, 0), min(last + 1 + margin, mask.shape[axis])))
    return Frame((box[0], box[1], box[2]), affine)


def shown_part(mask: Mask, affine: npt.NDArray[np.float64], images: Sequence[Array]) -> tuple[Frame, Mask, list[Array]]:
    """A frame of the brain with its mask and images cut to it: the air around it would take most of the time.

    Parameters
    ----------
    mask : array of bool, shape (i, j, k)
    affine : array, shape (4, 4)
    images : sequence of array, shape (i, j, k)
    """
    frame = frame_of(mask, affine)
    mask, images = mask[frame.box], [image[frame.box] for image in images]
    affine = affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in frame.box]
    i, j, k = (slice(0, n) for n in mask.shape)
    return Frame((i, j, k), affine), mask, images


def percentile_in(data: Array, mask: Mask, percentile: float) -> float:
    """A percentile of an image in a mask, of the whole image where that is empty; of a large one from a sample.

    Parameters
    ----------
    data : array, shape (i, j, k)
    mask : array of bool, shape (i, j, k)
    percentile : float
    """
    values = values_in(data, mask)
    return float(np.percentile(values[:: values.size // _SAMPLE + 1], percentile))


def values_in(data: Array, mask: Mask) -> Array:
    """The values of an image in a mask, of the whole image where that is empty, in no particular order."""
    # Transposed, arrays in the order of NIfTI files are read as they lie in memory: three times as fast.
    return data.T[mask.T] if mask.any() else data.ravel()


def views_across(mask: Mask, plane: Plane, n: int) -> list[View]:
    """``n`` slices at equal distances across a mask, keeping 10 % of its extent away from both ends.

    Parameters
    ----------
    mask : array of bool, shape (i, j, k)
        An empty one counts as full.
    plane : {'axial', 'coronal', 'sagittal'}
    n : int
        One slice lies in the middle.
    """
    axis = AXIS[plane]
    first, last = _extent(mask if mask.any() else np.ones_like(mask), axis)
    fractions = np.linspace(0.1, 0.9, n) if n > 1 else np.array([0.5])
    # Rounded before it is added: a mask that is cut out of a larger grid gives the same slices.
    return [View(plane, first + round(float(f) * (last - first))) for f in fractions]


def _extent(mask: Mask, axis: int) -> tuple[int, int]:
    others = tuple(a for a in range(3) if a != axis)
    found = np.flatnonzero(mask.any(axis=others))
    return int(found[0]), int(found[-1])


def slice_of(data: Array, view: View, frame: Frame) -> Array:
    """The shown part of a slice, first row at the bottom.

    Parameters
    ----------
    data : array, shape (i, j, k)
    view : View
    frame : Frame

    Returns
    -------
    array, shape (up, across)
    """
    # Plain indexing gives a view; np.take would copy the whole volume where its order is Fortran's, as in NIfTI.
    i, j, k = frame.box
    match view.plane:
        case "axial":
            return data[i, j, view.at].T
        case "coronal":
            return data[i, view.at, k].T
        case "sagittal":
            return data[view.at, j, k].T
