"""A model of what another scan of the same head should look like, built from one image and its brain mask.

The intensities of the fixed image (T1w) are split into overlapping classes inside and outside the brain, each class map
is blurred to the resolution of the moving image, and the brain's classes may vary smoothly over the head. Any sum of
these maps is a possible PET, SPECT or other MR image; how much of the moving image such a sum explains tells how well
the two are aligned. Without blur and variation this is the correlation ratio (Roche et al. 1998).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations_with_replacement

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.images.grid import FloatArray, Grid, mask_bounds
from bids_spectsynth.images.resampling import FWHM_PER_SIGMA, resample_image

Float32Array = npt.NDArray[np.float32]

#: Edge of the model's voxels, mm.
SPACING_MM = 2.0
#: Samples are taken in the brain and this far around it, so that its outline counts.
MARGIN_MM = 10.0
# The class maps reach further than the samples by three sigma of the widest blur (16 mm FWHM).
_PADDING_MM = MARGIN_MM + 20.0
_CLASSES_INSIDE = 8
_CLASSES_OUTSIDE = 3
# Unit of the polynomials that let uptake vary over the head, about the radius of a brain.
_RADIUS_MM = 60.0
# Degrees of the polynomials by which each class, and the brain as a whole, may vary.
_CLASS_DEGREES, _BRAIN_DEGREES = (1, 2), (3, 4, 5, 6)
# Directions of the model with less than this part of the strongest one's power are rounding errors.
_LEAST_POWER = 1e-9


@dataclass(frozen=True, eq=False)
class Samples:
    """Points of the fixed image and an orthonormal basis of what a moving image may be there.

    Parameters
    ----------
    points : array, shape (n, 3)
        World coordinates of the fixed image, RAS+ mm.
    basis : array, shape (n, k), float32
        Orthonormal columns; their span holds the constant.
    """

    points: FloatArray
    basis: Float32Array


@dataclass(frozen=True, eq=False)
class IntensityModel:
    """Class maps of a fixed image on a regular grid around its brain.

    Parameters
    ----------
    grid : Grid
        Axis-aligned, ``SPACING_MM``.
    inside, outside : list of array, shape of the grid, float32
        Class maps in the brain and around it; all of them add up to 1.
    near : array of bool, shape of the grid
        Brain and its surroundings, where samples are taken.
    brain : array of bool, shape of the grid
    centre : array, shape (3,)
        Centroid of the brain, world mm.
    """

    grid: Grid
    inside: list[Float32Array]
    outside: list[Float32Array]
    near: npt.NDArray[np.bool_]
    brain: npt.NDArray[np.bool_]
    centre: FloatArray

    def brain_points(self, step: int) -> FloatArray:
        """World coordinates of every ``step``-th brain voxel; shape (n, 3)."""
        return np.argwhere(self.brain[::step, ::step, ::step]) * (step * SPACING_MM) + self.grid.affine[:3, 3]

    def samples(self, fwhm: float, block: int, *, varying: bool) -> "ModelSamples":
        """Model at a resolution of ``fwhm`` mm, on every second voxel of the grid shrunk by ``block``.

        Parameters
        ----------
        fwhm : float
            Gaussian blur of the class maps, mm.
        block : int
            Voxels of the grid that are averaged along each axis.
        varying : bool
            Let uptake vary smoothly over the head: each class inside as a polynomial of degree 2, and all of them
            together as one of degree 6. Without it, what a region takes up more than its tissue would elsewhere (a
            deficit, a gradient from front to back) pulls the alignment by up to 1 mm.
        """
        where = np.nonzero(_block_means(self.near.astype(np.float32), block)[::2, ::2, ::2] >= 0.5)
        spacing = SPACING_MM * block
        points = np.stack(where, axis=1) * (2 * spacing) + self.grid.affine[:3, 3] + (spacing - SPACING_MM) / 2
        sigma = fwhm / FWHM_PER_SIGMA / spacing
        inside, outside = (
            np.stack([_every_second(_block_means(m, block), sigma)[where] for m in maps], axis=1)
            for maps in (self.inside, self.outside)
        )
        columns = [inside, outside]
        if varying:
            position = ((points - self.centre) / _RADIUS_MM).astype(np.float32)
            columns += [inside * factor for factor in monomials(position, _CLASS_DEGREES)]
            columns += [inside.sum(axis=1, keepdims=True) * factor for factor in monomials(position, _BRAIN_DEGREES)]
        return ModelSamples(points, np.concatenate(columns, axis=1))


def monomials(position: Float32Array, degrees: Iterable[int]) -> list[Float32Array]:
    """All products of the coordinates (n, 3) of the given degrees; each of shape (n, 1)."""
    choices = [c for degree in degrees for c in combinations_with_replacement(range(3), degree)]
    return [np.prod(position[:, list(choice)], axis=1, keepdims=True) for choice in choices]


def _block_means(volume: Float32Array, block: int) -> Float32Array:
    """Means over cubes of ``block`` voxels; a rest at the far ends is left out."""
    if block == 1:
        return volume
    i, j, k = (n // block for n in volume.shape)
    cubes = volume[: i * block, : j * block, : k * block].reshape(i, block, j, block, k, block)
    return np.asarray(cubes.mean(axis=(1, 3, 5)), dtype=np.float32)


def _every_second(volume: Float32Array, sigma: float) -> Float32Array:
    """Gaussian blur (``sigma`` in voxels) at every second voxel; each axis is thinned before the next is filtered."""
    for axis in range(3):
        volume = ndimage.gaussian_filter1d(volume, sigma, axis=axis, truncate=3.0)
        volume = volume[(slice(None),) * axis + (slice(None, None, 2),)]
    return volume


@dataclass(frozen=True, eq=False)
class ModelSamples:
    """Points (n, 3) in world mm, and the columns (n, k) of the model there, before they are made orthonormal."""

    points: FloatArray
    columns: Float32Array

    def orthonormal(self, keep: npt.NDArray[np.bool_] | None = None) -> Samples:
        """Samples at all points, or at those where ``keep`` (n,) is true."""
        points = self.points if keep is None else self.points[keep]
        columns = (self.columns if keep is None else self.columns[keep]).astype(np.float64)
        length = np.linalg.norm(columns, axis=0)
        columns = columns[:, length > 0] / length[length > 0]
        # Principal axes of the columns: much faster than QR for so many rows, and they show which are dependent.
        power, axes = np.linalg.eigh(columns.T @ columns)
        independent = power > _LEAST_POWER * power[-1]
        q = columns @ (axes[:, independent] / np.sqrt(power[independent]))
        return Samples(points, np.ascontiguousarray(q, dtype=np.float32))


def build_model(fixed: nib.Nifti1Image, mask: nib.Nifti1Image) -> IntensityModel:
    """Model of the other scans of a head, from its image and brain mask.

    Parameters
    ----------
    fixed : Nifti1Image
        T1w with or without skull, or a template's brain.
    mask : Nifti1Image
        Brain mask in the same world, on any grid; not empty.
    """
    low, high = mask_bounds(mask)
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = low - _PADDING_MM
    i, j, k = np.ceil((high - low + 2 * _PADDING_MM) / SPACING_MM).astype(int).tolist()
    grid = Grid((i, j, k), affine)
    values = np.asanyarray(resample_image(fixed, grid, np.eye(4), 1).dataobj)
    part = np.clip(np.asanyarray(resample_image(mask, grid, np.eye(4), 1).dataobj), 0, 1)
    brain = part >= 0.5
    distance = ndimage.distance_transform_edt(~brain) * SPACING_MM
    around = (distance > 0) & (distance <= MARGIN_MM)
    inside = _classes(values, np.quantile(values[brain], np.linspace(0.01, 0.99, _CLASSES_INSIDE)))
    outside = _classes(values, np.quantile(values[around], np.linspace(0.05, 0.95, _CLASSES_OUTSIDE)))
    centre = np.argwhere(brain).mean(axis=0) * SPACING_MM + affine[:3, 3]
    return IntensityModel(
        grid,
        [c * part for c in inside],
        [c * (1 - part) for c in outside],
        distance <= MARGIN_MM,
        brain,
        centre,
    )


def _classes(values: Float32Array, nodes: FloatArray) -> list[Float32Array]:
    """Membership, 0 to 1, of triangular classes centred on the distinct ``nodes``; they add up to 1 everywhere."""
    # Nodes that (nearly) coincide, as in the black background of a brain-extracted image, are one class.
    gap = 1e-3 * max(float(nodes[-1] - nodes[0]), 1e-12)
    distinct = [nodes[0]]
    for node in nodes[1:]:
        if node - distinct[-1] > gap:
            distinct.append(node)
    if len(distinct) == 1:
        return [np.ones_like(values)]
    position = np.interp(values, distinct, np.arange(len(distinct))).astype(np.float32)
    return [np.clip(1 - np.abs(position - n), 0, 1) for n in range(len(distinct))]
