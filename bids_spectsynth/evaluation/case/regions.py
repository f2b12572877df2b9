"""Regions of a brain, left and right alike: blocks of a lattice in the template's world, and the two hemispheres.

No labelled atlas is used: those that pip packages ship either have a licence that is not permissive (AAL, FreeSurfer's,
FSL's) or none that is stated. Blocks name no anatomy, but they lie at the same place in every head, and those of the
two sides mirror each other exactly, because the template is symmetric.
"""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.synthesis.baselines.template import template_matrix

logger = logging.getLogger(__name__)

#: Width of a block in the template's world, mm: about two to three times the resolution of SPECT.
BLOCK_MM = 24.0
#: A block counts if each side holds this much of the evaluation mask, mL (a full block has 13.8 mL of template).
MIN_VOLUME_ML = 3.0
#: Name of the region that is a whole half of the brain.
HEMISPHERE = "hemisphere"

#: More cells than any head needs, so that a cell is one number.
_LATTICE = (256, 512, 512)
_OFFSET = np.array([[0], [256], [256]])

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions of one case.

    Parameters
    ----------
    table : DataFrame
        One row per region and side: ``region``, ``hemisphere`` (``L`` or ``R``), ``x_mm``, ``y_mm``, ``z_mm`` (centre
        of the block in the template's world, NaN for the hemispheres), ``voxels``, ``volume_ml``. Left and right of
        a region follow each other.
    members : array of int, shape (N, 2)
        Rows of the table that each of the N voxels of the evaluation mask belongs to, block and hemisphere; -1 for
        none. Voxels in the order of ``np.nonzero(evaluation_mask)``.
    """

    table: pd.DataFrame
    members: npt.NDArray[np.intp]

    def means(self, values: npt.NDArray[np.floating]) -> Float64:
        """Mean of values (N,) in the evaluation mask over each row's voxels."""
        sums = np.zeros(len(self.table))
        for rows in self.members.T:
            inside = rows >= 0
            sums += np.bincount(rows[inside], weights=values[inside], minlength=len(sums))
        means: Float64 = sums / self.table["voxels"].to_numpy(dtype=np.float64)
        return means


def asymmetry_index(left: npt.ArrayLike, right: npt.ArrayLike) -> Float64:
    """``200 (left - right) / (left + right)``, percent; NaN where the sum is not above zero.

    Positive where the left side takes up more. -200 to 200 for values that are not negative.
    """
    a, b = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    total = a + b
    return np.asarray(200 * np.divide(a - b, total, out=np.full(total.shape, np.nan), where=total > 0))


def case_regions(prepared: PreparedCase, evaluation_mask: Mask, affine: Float64) -> Regions:
    """Regions of a case: the lattice's blocks and the hemispheres.

    Parameters
    ----------
    prepared : PreparedCase
        Its transform to the template places the lattice; without one the brain is halved at its middle and has no
        blocks, which is logged.
    evaluation_mask : array of bool, shape (I, J, K)
        Brain where the SPECT was measured.
    affine : array, shape (4, 4)
        Of ``evaluation_mask``, to world RAS+ mm.

    Raises
    ------
    ImageError
        The transform cannot be read.
    """
    voxel_ml = float(abs(np.linalg.det(affine[:3, :3]))) / 1000
    if prepared.space == T1W_SPACE and prepared.template_xfm is None:
        logger.info("%s: no transform to a template; rated by hemisphere, not by region", prepared.name)
        points = world_points(evaluation_mask, affine)
        return regions_of(points - [[points[0].mean()], [0], [0]], voxel_ml, blocks=False)
    return regions_of(world_points(evaluation_mask, np.linalg.inv(template_matrix(prepared)) @ affine), voxel_ml)


def world_points(mask: Mask, affine: Float64) -> Float64:
    """World coordinates (3, N) of a mask's voxels, in the order of ``np.nonzero``."""
    return np.asarray(affine[:3, :3] @ np.stack(np.nonzero(mask)) + affine[:3, 3:], dtype=np.float64)


def regions_of(points: Float64, voxel_ml: float, *, blocks: bool = True) -> Regions:
    """Sort points of a brain into the blocks of the lattice and the hemispheres.

    Parameters
    ----------
    points : array, shape (3, N)
        In the template's world, RAS+ mm; x = 0 parts left (negative) from right.
    voxel_ml : float
        Volume that a point stands for.
    blocks : bool
        Whether to use the lattice.

    Returns
    -------
    Regions
        Blocks that hold at least :data:`MIN_VOLUME_ML` on each side, by position, then the hemispheres if both are
        there.
    """
    cells = np.floor(np.vstack([np.abs(points[:1]), points[1:]]) / BLOCK_MM).astype(np.intp)
    right = (points[0] >= 0).astype(np.intp)
    lattice, place = np.unique(np.ravel_multi_index(tuple(cells + _OFFSET), _LATTICE), return_inverse=True)
    centres = (np.stack(np.unravel_index(lattice, _LATTICE)) - _OFFSET + 0.5) * BLOCK_MM
    tables, members = [], []
    if blocks:
        table, member = _group(place, right, centres, voxel_ml, MIN_VOLUME_ML)
        tables.append(table)
        members.append(member)
    whole = np.zeros(len(right), dtype=np.intp)
    table, member = _group(whole, right, np.full((3, 1), np.nan), voxel_ml, 0.0)
    members.append(np.where(member < 0, -1, member + sum(len(earlier) for earlier in tables)))
    return Regions(pd.concat([*tables, table], ignore_index=True), np.stack(members, axis=1))


def _group(
    place: npt.NDArray[np.intp], right: npt.NDArray[np.intp], centres: Float64, voxel_ml: float, least_ml: float
) -> tuple[pd.DataFrame, npt.NDArray[np.intp]]:
    """Rows of the regions (3, M) that have enough of the points on both sides, and the row of each point."""
    n = centres.shape[1]
    counts = np.bincount(2 * place + right, minlength=2 * n).reshape(n, 2)
    smaller = counts.min(axis=1)
    kept = (smaller > 0) & (smaller * voxel_ml >= least_ml)
    rows = np.where(kept, 2 * (np.cumsum(kept) - 1), -1)
    return _rows(centres[:, kept], counts[kept], voxel_ml), np.where(kept[place], rows[place] + right, -1)


def _rows(centres: Float64, counts: npt.NDArray[np.intp], voxel_ml: float) -> pd.DataFrame:
    """Two rows, left and right, for each centre (3, M), NaN for a hemisphere; counts (M, 2) of their voxels."""
    x, y, z = np.repeat(centres, 2, axis=1)
    names = [HEMISPHERE if np.isnan(a) else f"x{a:.0f}_y{b:.0f}_z{c:.0f}" for a, b, c in zip(x, y, z, strict=True)]
    return pd.DataFrame(
        {
            "region": np.array(names, dtype=object),
            "hemisphere": np.array(["L", "R"] * len(counts), dtype=object),
            "x_mm": np.tile([-1.0, 1.0], len(counts)) * x,
            "y_mm": y,
            "z_mm": z,
            "voxels": counts.ravel(),
            "volume_ml": counts.ravel() * voxel_ml,
        }
    )
