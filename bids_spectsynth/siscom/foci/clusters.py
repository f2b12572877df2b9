"""Foci of a map: clusters of its z map beyond a threshold, with what each map says of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from bids_spectsynth.images.grid import apply_affine
from bids_spectsynth.siscom.records import Float32, Float64, Focus, Maps, Mask, Sign

#: A peak so near to the edge of the brain (mm) is flagged: registration and masks decide there.
EDGE_MM = 8.0
#: A cluster so near to the lesion (mm) is flagged: SPECT resolves no less, and a cavity may have an edge of its own.
LESION_MM = 8.0
#: Words of ``flags``.
EDGE, WITHIN_NULL, SEEN, LARGE, LESION = "edge", "within-null", "seen", "large", "lesion"
#: Corrected p below which a cluster is more than these scans produce without a seizure.
SIGNIFICANT = 0.05
#: A cluster of more than this share of the mask is flagged: with so much, there is no focus.
LARGE_SHARE = 0.2


def find_foci(
    maps: Maps,
    affine: Float64,
    *,
    threshold: float,
    least_ml: float,
    p_of: Callable[[float, float], float],
    budget: Mapping[str, Float32],
    brain: Mask,
    heights: Float32 | None = None,
    seen: bool = False,
) -> list[Focus]:
    """The clusters of both signs, ranked by their peak.

    Clusters are those of ``maps.z`` (neighbours share a face), their peaks and ranks those of ``maps.znull``.

    Parameters
    ----------
    maps : Maps
    affine : array, shape (4, 4)
        Voxels to the T1w's world, RAS+ mm.
    threshold : float
        z from which a voxel belongs to a cluster.
    least_ml : float
        Smaller clusters are left out.
    p_of : callable
        From a cluster's mass (mL times z above the threshold) and its largest absolute value in ``heights`` to its
        corrected p.
    budget : mapping of str to array, shape (I, J, K)
        Standard deviation, percent, that each source of error can produce.
    brain : array of bool, shape (I, J, K)
        Brain mask, whose edge is meant by ``edge_mm``.
    heights : array, shape (I, J, K), optional
        ``maps.znull`` where the maps that a cluster is compared with have voxels, else 0; by default all of it.
    seen : bool
        Whether the model behind the baseline has learned from this participant.

    Returns
    -------
    list of Focus
        Without names.
    """
    voxel_ml = float(abs(np.linalg.det(affine[:3, :3]))) / 1000
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    depth = ndimage.distance_transform_edt(np.pad(brain, 1), sampling=sizes)[1:-1, 1:-1, 1:-1]
    heights = maps.znull if heights is None else heights
    lesion = _Lesion.of(maps, sizes)
    found = []
    for sign, factor, voxels in _clusters(maps.z, threshold):
        if len(voxels) * voxel_ml >= least_ml:
            at = tuple(voxels.T)
            mass = voxel_ml * float(np.sum(factor * maps.z[at] - threshold))
            p = p_of(mass, float(np.max(factor * heights[at])))
            found.append(_focus(maps, affine, voxels, sign, factor, voxel_ml, p, budget, depth, seen, lesion))
    found.sort(key=lambda focus: -abs(focus.znull_max))
    return [replace(focus, rank=rank) for rank, focus in enumerate(found, start=1)]


@dataclass(frozen=True, eq=False)
class _Lesion:
    """The lesion mask, the same with what is near it, and the distance of every voxel to it, mm."""

    mask: Mask
    around: Mask
    distance: Float64

    @classmethod
    def of(cls, maps: Maps, sizes: Float64) -> "_Lesion | None":
        if maps.lesion is None:
            return None
        distance = ndimage.distance_transform_edt(~maps.lesion, sampling=sizes)
        # Of coarse grids the next voxel at least.
        return cls(maps.lesion, np.asarray(distance <= max(LESION_MM, 1.01 * float(sizes.max()))), distance)


def _clusters(z: Float32, threshold: float) -> Iterator[tuple[Sign, int, np.ndarray]]:
    """Sign, its factor and the voxels, shape (n, 3), of each cluster."""
    signs: tuple[tuple[Sign, int], ...] = (("hyper", 1), ("hypo", -1))
    for sign, factor in signs:
        labels, n = ndimage.label(factor * z >= threshold)
        for index, box in enumerate(ndimage.find_objects(labels, max_label=n), start=1):
            yield sign, factor, np.argwhere(labels[box] == index) + np.array([part.start for part in box])


def _focus(
    maps: Maps,
    affine: Float64,
    voxels: np.ndarray,
    sign: Sign,
    factor: int,
    voxel_ml: float,
    p_corrected: float,
    budget: Mapping[str, Float32],
    depth: Float64,
    seen: bool,
    lesion: "_Lesion | None",
) -> Focus:
    at = tuple(voxels.T)
    peak = voxels[int(np.argmax(factor * maps.znull[at]))]
    # A map against a cohort is 0 where too few participants tell of a voxel.
    cohort = np.zeros(0) if maps.zcohort is None else maps.zcohort[at][maps.zcohort[at] != 0]
    here = tuple(int(index) for index in peak)
    volume = len(voxels) * voxel_ml
    edge = float(depth[here])
    applies = {
        EDGE: edge < EDGE_MM,
        WITHIN_NULL: p_corrected >= SIGNIFICANT,
        SEEN: seen,
        LARGE: len(voxels) > LARGE_SHARE * np.count_nonzero(maps.mask),
        LESION: lesion is not None and bool(lesion.around[at].any()),
    }
    return Focus(
        rank=0,
        sign=sign,
        peak_mm=_point(affine, peak),
        centroid_mm=_point(affine, voxels.mean(axis=0)),
        volume_ml=volume,
        z_max=_extreme(maps.z, at, factor),
        znull_max=_extreme(maps.znull, at, factor),
        zcohort_max=factor * float((factor * cohort).max()) if len(cohort) else float("nan"),
        percent_max=float(maps.difference[here]),
        percent_mean=float(maps.difference[at].mean(dtype=np.float64)),
        p_corrected=p_corrected,
        edge_mm=edge,
        budget={name: float(values[here]) for name, values in budget.items()},
        flags=tuple(flag for flag, holds in applies.items() if holds),
        lesion_percent=float("nan") if lesion is None else 100 * float(lesion.mask[at].mean()),
        lesion_mm=float("nan") if lesion is None else float(lesion.distance[here]),
    )


def _extreme(values: Float32, at: tuple[np.ndarray, ...], factor: int) -> float:
    return factor * float(np.max(factor * values[at]))


def _point(affine: Float64, voxel: np.ndarray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in apply_affine(affine, voxel))
    return x, y, z
