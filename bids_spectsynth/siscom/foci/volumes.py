"""Volumes of labels: reading them, looking up points in them, and whether one fits a brain."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from bids_spectsynth.bids.access import read_problem
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.forms import matrix_problem
from bids_spectsynth.images.grid import Grid, apply_affine
from bids_spectsynth.images.nifti import READ_ERRORS, opened_image
from bids_spectsynth.siscom.foci.labels import CORTICAL_LOBES, Label
from bids_spectsynth.siscom.foci.midplane import Midplane

Float64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

#: No label farther than this from a point names it, mm.
REACH_MM = 10.0
#: Fewer labels than these make no segmentation of a brain.
_MIN_LABELS = 10
# A segmentation of this head lies in its brain mask but for what masks cut from the brainstem and the rim.
_MIN_INSIDE, _MAX_CENTRE_MM = 0.85, 20.0
# Of labels with a side, so many lie on it, apart from those near the middle.
_MIN_AGREEING, _MIDDLE_MM = 0.75, 10.0
#: As many points are enough to judge a fit.
_SAMPLE = 20_000


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelVolume:
    """A segmentation whose numbers are explained.

    Parameters
    ----------
    data : array, shape (I, J, K), int32
        A label's number per voxel.
    affine : array, shape (4, 4)
        Voxel indices to world coordinates, RAS+ mm.
    labels : mapping of int to Label
        What the numbers stand for; voxels of others name nothing.
    source : str
        For sidecars.
    """

    data: Integers
    affine: Float64
    labels: Mapping[int, Label]
    source: str

    @cached_property
    def present(self) -> dict[int, Label]:
        """Labels that at least one voxel has."""
        return {
            number: self.labels[number] for number in pd.unique(self.data.ravel()).tolist() if number in self.labels
        }

    @property
    def has_lobes(self) -> bool:
        """Whether it parts the cortex, and not only names it."""
        return {label.lobe for label in self.present.values()} >= CORTICAL_LOBES

    def moved(self, matrix: Float64) -> "LabelVolume":
        """The same in another world, to which a 4x4 matrix leads from its own."""
        return replace(self, affine=matrix @ self.affine)

    def nearest(self, point: npt.ArrayLike) -> tuple[Label | None, float]:
        """The label nearest to a point of the world, and the distance to the centre of its nearest voxel in mm.

        The distance is 0 where the point lies in a voxel of the label. None and NaN where none lies within
        :data:`REACH_MM`.
        """
        centre = apply_affine(np.linalg.inv(self.affine), np.reshape(point, (1, 3)))[0]
        # Half the box, in voxels, that a sphere of this radius fills.
        half = REACH_MM * np.linalg.norm(np.linalg.inv(self.affine)[:3, :3], axis=1)
        low = np.maximum(np.ceil(centre - half), 0).astype(int)
        high = np.minimum(np.floor(centre + half) + 1, self.data.shape).astype(int)
        if np.any(low >= high):
            return None, float("nan")
        box = self.data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        inside = np.argwhere(np.isin(box, list(self.present)))
        if not len(inside):
            return None, float("nan")
        distances = np.linalg.norm(apply_affine(self.affine, inside + low) - np.reshape(point, (1, 3)), axis=1)
        first = int(np.argmin(distances))
        if distances[first] > REACH_MM:
            return None, float("nan")
        within = bool(np.all(np.abs(inside[first] + low - centre) <= 0.5))
        return self.present[int(box[tuple(inside[first])])], 0.0 if within else float(distances[first])

    def mask(self, wanted: Callable[[Label], bool], inside: Mask, affine: Float64) -> Mask:
        """Voxels of a mask, on another grid of the same world, whose label is wanted; by the nearest voxel.

        Parameters
        ----------
        wanted : callable
        inside : array of bool, shape (I, J, K)
        affine : array, shape (4, 4)
            Of ``inside``.
        """
        numbers = [number for number, label in self.present.items() if wanted(label)]
        chosen = np.isin(self.data, numbers).astype(np.uint8)
        index = apply_affine(np.linalg.inv(self.affine) @ affine, np.argwhere(inside)).T
        out = np.zeros(inside.shape, dtype=bool)
        out[inside] = ndimage.map_coordinates(chosen, index, order=0, mode="constant") > 0
        return out

    def points(self) -> tuple[Float64, Integers]:
        """World coordinates (N, 3) and numbers (N,) of voxels that have a label, at most 20 000, evenly taken."""
        flat = np.flatnonzero(np.isin(self.data, list(self.present)))
        flat = flat[:: max(1, len(flat) // _SAMPLE)]
        where = np.stack(np.unravel_index(flat, self.data.shape), axis=1)
        return apply_affine(self.affine, where), self.data.ravel()[flat]

    def sides(self) -> tuple[Float64, Float64]:
        """World coordinates (N, 3) of labelled voxels that have a side, and -1 for left, 1 for right."""
        points, numbers = self.points()
        sign = np.array([{"L": -1.0, "R": 1.0}.get(self.present[number].side, 0.0) for number in numbers.tolist()])
        return points[sign != 0], sign[sign != 0]


def read_labels(path: Path) -> tuple[Integers, Float64]:
    """Numbers and affine of a segmentation, cut to the box that holds all that are not 0.

    Parameters
    ----------
    path : Path
        ``.nii``, ``.nii.gz``, ``.mgz`` or ``.mgh``.

    Returns
    -------
    data : array, shape (I, J, K), int32
    affine : array, shape (4, 4)
        To world RAS+ mm; of FreeSurfer's formats that of the scanner, as of NIfTI.

    Raises
    ------
    ImageError
        The file is missing, damaged, not three-dimensional, empty, or holds other than whole numbers.
    """
    problem = read_problem(path)
    if problem is not None:
        raise ImageError(f"{path}: {problem}")
    try:
        if path.name.endswith((".nii", ".nii.gz")):
            with opened_image(path) as image:
                values, affine = np.asanyarray(image.dataobj), np.array(image.affine, dtype=np.float64)
        else:
            other: Any = nib.load(path)
            values, affine = np.asanyarray(other.dataobj), np.array(other.affine, dtype=np.float64)
    except PermissionError as error:
        raise ImageError(f"{path}: permission denied; ask its owner for access") from error
    except READ_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path}: damaged or truncated ({reason}); copy it again") from error
    if matrix_problem(affine) is not None:
        raise ImageError(f"{path}: the header's affine {matrix_problem(affine)}; write the segmentation again")
    if values.ndim < 3 or any(n != 1 for n in values.shape[3:]) or values.dtype.kind not in "iufb":
        raise ImageError(f"{path}: shape {values.shape}, type {values.dtype}; one volume of labels is needed")
    return _cut(values.reshape(values.shape[:3]), affine, path)


def _cut(values: npt.NDArray[Any], affine: Float64, path: Path) -> tuple[Integers, Float64]:
    filled = values != 0
    if not filled.any():
        raise ImageError(f"{path}: not a segmentation, all voxels are 0; segment again")
    ends = [np.flatnonzero(filled.any(axis=others))[[0, -1]] for others in ((1, 2), (0, 2), (0, 1))]
    part = values[tuple(slice(first, last + 1) for first, last in ends)]
    if part.dtype.kind == "f":
        part = np.nan_to_num(part, posinf=0.5, neginf=0.5)
        if np.abs(part - np.rint(part)).max() > 1e-3 or np.abs(part).max() > np.iinfo(np.int32).max:
            raise ImageError(f"{path}: not a segmentation, its values are no whole numbers; give the file of labels")
        part = np.rint(part)
    moved = affine.copy()
    moved[:3, 3] = apply_affine(affine, [[first for first, _ in ends]])[0]
    return np.ascontiguousarray(part, dtype=np.int32), moved


def misfit(volume: LabelVolume, brain_mask: Mask, grid: Grid, midplane: Midplane) -> str | None:
    """Why a segmentation cannot be one of this brain; None where it can.

    Parameters
    ----------
    volume : LabelVolume
    brain_mask : array of bool, shape of the grid
    grid : Grid
        Of the mask, in the same world.
    midplane : Midplane
        Of the brain, by something else than the segmentation.
    """
    if len(volume.present) < _MIN_LABELS:
        return f"{len(volume.present)} known regions; a segmentation into named regions is needed"
    points, _ = volume.points()
    index = np.rint(apply_affine(np.linalg.inv(grid.affine), points)).astype(int)
    valid = np.all((index >= 0) & (index < grid.shape), axis=1)
    share = float(np.count_nonzero(brain_mask[tuple(index[valid].T)])) / len(points)
    centre = apply_affine(grid.affine, np.argwhere(brain_mask).mean(axis=0, keepdims=True))[0]
    distance = float(np.linalg.norm(points.mean(axis=0) - centre))
    if share < _MIN_INSIDE or distance > _MAX_CENTRE_MM:
        return f"{100 * share:.0f} % of it lies in the T1w's brain, centres {distance:.0f} mm apart: of another image"
    at, sides = volume.sides()
    if len(at):
        signed = midplane.distance(at)
        clear = np.abs(signed) > _MIDDLE_MM
        if clear.any() and np.mean(np.sign(signed[clear]) == sides[clear]) < _MIN_AGREEING:
            return "its left and right contradict those of the T1w"
    return None
