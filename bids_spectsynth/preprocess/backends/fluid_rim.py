"""Removing the rim of fluid that a network's brain mask keeps, where the T1w image shows it for sure."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.images.grid import FloatArray
from bids_spectsynth.images.masks import solid_component

BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]

#: Fluid this deep in the mask (mm) is no rim: a sulcus, a fissure, a cistern or a cavity.
RIM_MM = 4.0
# Deep fluid that holds a ball of this radius (mm) is wide, as a cavity is: the mask above it stays as it was.
_WIDE_MM = 3.0
# Tissue in the rim that is thinner than twice this (mm) is dura or a vessel; sulci narrower than twice the other are
# part of the brain.
_THIN_MM, _SULCUS_MM = 1.5, 6.0
# Pure fluid is this percentile of its class, whose mean lies higher, as many of its voxels hold some cortex; between it
# (0) and grey matter (1) lies the limit. Well below one half, so that cortex in part of a voxel stays.
_PURE, _LIMIT = 20, 0.25
# Part of the 27 voxels around one that are fluid or outside, above which it is fluid too.
_MOSTLY = 0.6
# The contrast is sure where fluid is darker than this part of grey matter, and the classes are this many of their
# standard deviations apart.
_DARKEST, _LEAST_DISTANCE = 0.7, 2.5
# A step that would take more than this part of the mask away is in error.
_MOST_REMOVED = 0.2
# Edge of the box (mm) over which the tissue's mean follows the coil's sensitivity.
_BOX_MM = 40.0
_BINS = 128


def remove_fluid_rim(data: Float32Array, inside: npt.NDArray[np.uint8], affine: FloatArray) -> npt.NDArray[np.uint8]:
    """Brain mask without the fluid between its edge and the cortex.

    Voxels darker than grey matter that are joined to the outside within 4 mm of the mask's edge are taken away; sulci
    are closed again, and the mask is left as it was over wide fluid that goes deeper (cavities, cisterns).

    Parameters
    ----------
    data : array, shape (i, j, k)
        T1w: fluid dark, grey matter brighter, white matter brightest.
    inside : array, shape (i, j, k), uint8
        Brain mask, one component without holes.
    affine : array, shape (4, 4)
        Voxels to world, mm; nothing but the voxels' sizes is used.

    Returns
    -------
    array, shape (i, j, k), uint8
        Part of ``inside``; one component without holes. Equal to ``inside`` where fluid is not clearly darker than
        grey matter, where the mask's edge is not darker than its core, or where more than 20 % would go.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    box = _bounding_box(inside)
    mask = np.pad(inside[box] > 0, 1)
    values = np.pad(np.asarray(data[box], dtype=np.float32), 1)
    classes = _fluid_and_grey(values[mask])
    if classes is None:
        return inside
    depth = ndimage.distance_transform_edt(mask, sampling=sizes)
    edge, core = mask & (depth <= max(RIM_MM / 2, float(sizes.max()))), depth > RIM_MM
    if not core.any() or np.median(values[edge]) >= np.median(values[core]):
        return inside
    kept = _tightened(mask, _fluid(values, mask, *classes, sizes), depth, sizes)
    if np.count_nonzero(kept) < (1 - _MOST_REMOVED) * np.count_nonzero(mask):
        return inside
    result = np.zeros_like(inside)
    result[box] = kept[1:-1, 1:-1, 1:-1]
    return result


def _bounding_box(inside: npt.NDArray[np.uint8]) -> tuple[slice, ...]:
    return ndimage.find_objects((inside > 0).astype(np.uint8))[0]


def _fluid_and_grey(values: Float32Array) -> tuple[float, float] | None:
    """Intensities of pure fluid and of grey matter (Otsu's method for three classes), or None if they are not sure."""
    values = values[values > 0]
    if len(values) < _BINS:
        return None
    low, high = np.percentile(values, [0.5, 99.5])
    if high <= low:
        return None
    counts, edges = np.histogram(values, _BINS, (low, high))
    middles = (edges[:-1] + edges[1:]) / 2
    n = np.concatenate([[0], np.cumsum(counts)]).astype(np.float64)
    total = np.concatenate([[0], np.cumsum(counts * middles)])
    # Between-class variance but for a constant, of the parts [0, a), [a, b) and [b, end).
    gain = np.square(total[None, :] - total[:, None]) / np.maximum(n[None, :] - n[:, None], 1)
    a, b = np.unravel_index(np.argmax(np.triu(gain[0][:, None] + gain + gain[:, -1][None, :], 1)), gain.shape)
    fluid, grey = values[values < edges[a]], values[(values >= edges[a]) & (values < edges[b])]
    if min(len(fluid), len(grey)) < 0.02 * len(values):
        return None
    spread = np.sqrt((fluid.var() + grey.var()) / 2)
    sure = fluid.mean() < _DARKEST * grey.mean() and grey.mean() - fluid.mean() > _LEAST_DISTANCE * spread
    return (float(np.percentile(fluid, _PURE)), float(grey.mean())) if sure else None


def _fluid(values: Float32Array, mask: BoolArray, fluid: float, grey: float, sizes: FloatArray) -> BoolArray:
    """Voxels of fluid: below the limit, and noise up to half way to grey matter with hardly anything else around."""
    relative = values / _level(values, mask & (values > (fluid + grey) / 2), sizes)
    sure = mask & (relative < fluid + _LIMIT * (grey - fluid))
    around = ndimage.uniform_filter((sure | ~mask).astype(np.float32), 3)
    return np.asarray(sure | (mask & (relative < (fluid + grey) / 2) & (around > _MOSTLY)))


def _level(values: Float32Array, tissue: BoolArray, sizes: FloatArray) -> Float32Array:
    """Mean of the tissue around each voxel by that of all: follows the coil's sensitivity."""
    box = np.maximum(1, np.rint(_BOX_MM / sizes)).astype(int).tolist()
    near = ndimage.uniform_filter(tissue.astype(np.float32), box)
    level = ndimage.uniform_filter(np.where(tissue, values, 0).astype(np.float32), box)
    local = level / np.maximum(near, 0.01) / float(values[tissue].mean())
    return np.asarray(np.where(near > 0.01, local, 1), dtype=np.float32)


def _tightened(mask: BoolArray, fluid: BoolArray, depth: FloatArray, sizes: FloatArray) -> BoolArray:
    rim = depth <= RIM_MM
    labels, _ = ndimage.label((fluid & rim) | ~mask)
    tissue = mask & (labels != labels[0, 0, 0])
    tissue = _opened(tissue, _THIN_MM, sizes) | (tissue & ~rim)
    tissue = solid_component(tissue) > 0
    closed = ~_opened(~tissue, _SULCUS_MM, sizes)
    wide = _opened(fluid & ~rim, _WIDE_MM, sizes)
    under = _within(wide, RIM_MM + _WIDE_MM, sizes) if wide.any() else wide
    return np.asarray(solid_component(mask & (closed | under)) > 0)


def _opened(mask: BoolArray, radius: float, sizes: FloatArray) -> BoolArray:
    """Union of the balls of ``radius`` mm in the mask; the array's outside continues its border."""
    core = ndimage.distance_transform_edt(mask, sampling=sizes) > radius
    return _within(core, radius, sizes) & mask if core.any() else core


def _within(mask: BoolArray, radius: float, sizes: FloatArray) -> BoolArray:
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=sizes) <= radius)
