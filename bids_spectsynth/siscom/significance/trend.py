"""What differs slowly over the brain between a scan and a baseline, foretold at each place from its surroundings.

What a network, a cohort's mean or a PET gets wrong of a person is broad; a focus is not. The broad part at a place is
therefore known from what lies around it, and the place itself has no say: nothing within :data:`RADIUS_MM` is looked
at, so that a focus is not taken for an error of the baseline. The foretelling is kriging (the best linear one, for the
covariance that the patient's own difference map shows) with a ball left out around each place.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg, ndimage, sparse
from scipy.spatial import cKDTree

from bids_spectsynth.images.grid import MaskedGrid, apply_affine
from bids_spectsynth.images.resampling import FWHM_PER_SIGMA
from bids_spectsynth.siscom.records import Float32, Float64, Mask
from bids_spectsynth.siscom.significance.variability import WIDTHS_MM, Variability

#: Radius of the ball that a place is not foretold from, mm: a focus of 30 mL has 19 mm, and half as much of blur.
RADIUS_MM = 28.0
#: Distance of the cells on which the slow part is computed, mm.
SPACING_MM = 8.0
#: Standard deviation of the level, percent: it is not known.
_LEVEL = 100.0
#: Share of the variance that each cell has for itself; keeps the covariance far from singular.
_NUGGET = 0.01
#: Percent squared: two scans that are equal have no errors, and no covariance that could be inverted.
_LEAST_VARIANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Trend:
    """The slow part of maps of one brain.

    Parameters
    ----------
    cells : array of bool, shape (i, j, k)
        Voxels of the map's coarse grid that are cells, n of them.
    weights : array, shape (n, n), float32
        From the cells' values to those foretold; 0 from a cell to itself and to all within the radius.
    deviation : array, shape (n,)
        Standard deviation of the values about those foretold, percent.
    spread : sparse matrix, shape (voxels of the grid, n)
        From cells to all voxels: linear, of those corners that are cells.
    """

    cells: Mask
    weights: Float32
    deviation: Float64
    spread: sparse.csr_matrix

    def of(self, values: Float32) -> Float32:
        """The slow part of a map.

        Parameters
        ----------
        values : array, shape (i, j, k)

        Returns
        -------
        array, shape (i, j, k), float32
            At all voxels of the grid.
        """
        return self._everywhere(self.weights @ values[self.cells].astype(np.float32))

    def expected(self) -> Float32:
        """Standard deviation of a map less its slow part, shape (i, j, k), percent."""
        return self._everywhere(self.deviation.astype(np.float32))

    def _everywhere(self, found: Float32) -> Float32:
        return np.asarray(self.spread @ found, dtype=np.float32).reshape(self.cells.shape)


def fit_trend(grid: MaskedGrid, variability: Variability, fwhm: float, radius_mm: float = RADIUS_MM) -> Trend:
    """The slow part of maps on a grid, for the covariance that a patient's difference map has.

    Parameters
    ----------
    grid : MaskedGrid
        Coarse grid of the map, with its evaluation mask; not empty.
    variability : Variability
        Of the map before smoothing.
    fwhm : float
        Of the map's smoothing, mm.
    radius_mm : float
        Nothing nearer has a say.

    References
    ----------
    Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, eq. 5.12 (leaving out by the precision).
    """
    cells = _cells(grid)
    places = np.argwhere(cells)
    covariance = _covariance(places, grid.affine, variability, fwhm)
    # Lower triangle of the inverse, from its Cholesky factor: half the work of a general inverse.
    factor, info = linalg.lapack.dpotrf(covariance, lower=1, overwrite_a=1)
    if info:
        raise ValueError("the covariance of the map is singular")
    precision, _ = linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    precision = np.tril(precision) + np.tril(precision, -1).T
    tree = cKDTree(apply_affine(grid.affine, places))
    near = [np.array(ball) for ball in tree.query_ball_point(tree.data, radius_mm, return_sorted=True)]
    solved, deviation = np.zeros(precision.shape, dtype=np.float32), np.empty(len(places))
    for index, ball in enumerate(near):
        solved[index, ball], deviation[index] = _solved(precision, index, ball)
    # Relative to the largest entries, rounding in single precision is far below the noise of a map.
    weights = -(solved @ precision.astype(np.float32))
    for index, ball in enumerate(near):
        weights[index, ball] = 0
    return Trend(cells, weights, deviation, _spread(grid.shape, cells))


def _solved(precision: Float64, index: int, left_out: np.ndarray) -> tuple[Float64, float]:
    """A row of the inverse of the precision of the cells left out, and the deviation from what the others foretell."""
    unit = (left_out == index).astype(np.float64)
    _, solved, info = linalg.lapack.dposv(precision[np.ix_(left_out, left_out)], unit)
    if info:
        raise ValueError("the covariance of the map is singular")
    return np.asarray(solved), float(np.sqrt(solved @ unit))


def _covariance(places: np.ndarray, affine: Float64, variability: Variability, fwhm: float) -> Float64:
    """Of the map at some voxels, shape (n, n). Voxels lie on a lattice: few distances, each computed once."""
    extent = places.max(axis=0) - places.min(axis=0) + 1
    offsets = np.indices(2 * extent - 1).reshape(3, -1).T - (extent - 1)
    squared = np.sum(np.square(offsets @ affine[:3, :3].T), axis=1)
    table = np.zeros(len(squared))
    kernel = (fwhm / FWHM_PER_SIGMA) ** 2
    for width, deviation in zip(WIDTHS_MM, variability.deviations, strict=True):
        if deviation > 0:
            own = (width / FWHM_PER_SIGMA) ** 2
            table += deviation**2 * (own / (own + kernel)) ** 1.5 * np.exp(-squared / (4 * (own + kernel)))
    variance = float(table.max())
    strides = np.array([(2 * extent[1] - 1) * (2 * extent[2] - 1), 2 * extent[2] - 1, 1])
    flat, middle = places @ strides, (extent - 1) @ strides
    out = np.asfortranarray((table + _LEVEL**2)[flat[:, None] - flat[None] + middle])
    out[np.diag_indices_from(out)] += max(_NUGGET * variance, _LEAST_VARIANCE)
    return out


def _steps(affine: Float64) -> tuple[int, int, int]:
    a, b, c = (max(1, round(SPACING_MM / float(size))) for size in np.linalg.norm(affine[:3, :3], axis=0))
    return a, b, c


def _cells(grid: MaskedGrid) -> Mask:
    """Every n-th voxel of the mask; all of a mask that has none of them."""
    kept = np.zeros(grid.shape, dtype=bool)
    kept[tuple(slice(None, None, step) for step in _steps(grid.affine))] = True
    kept &= grid.inside
    return kept if kept.any() else grid.inside


def _spread(shape: tuple[int, int, int], cells: Mask) -> sparse.csr_matrix:
    """Trilinear weights from the cells to every voxel; the nearest cell's where none is a corner."""
    steps = [_step_of(cells, axis) for axis in range(3)]
    voxels = np.indices(shape).reshape(3, -1).T
    base, position = np.divmod(voxels, steps)
    share = position / steps
    number = np.full(cells.shape, -1)
    number[cells] = np.arange(np.count_nonzero(cells))
    rows, columns, values = [], [], []
    for corner in np.ndindex(2, 2, 2):
        at = (base + corner) * steps
        weight = np.prod(np.where(corner, share, 1 - share), axis=1)
        usable = (weight > 0) & np.all(at < shape, axis=1)
        index = number[tuple(at[usable].T)]
        known = index >= 0
        rows.append(np.flatnonzero(usable)[known])
        columns.append(index[known])
        values.append(weight[usable][known])
    total = np.bincount(np.concatenate(rows), np.concatenate(values), minlength=len(voxels))
    lonely = np.flatnonzero(total == 0)
    nearest = ndimage.distance_transform_edt(~cells, return_distances=False, return_indices=True)
    rows.append(lonely)
    columns.append(number[tuple(axis.ravel()[lonely] for axis in nearest)])
    values.append(np.ones(len(lonely)))
    total[lonely] = 1.0
    row, value = np.concatenate(rows), np.concatenate(values)
    size = (len(voxels), int(np.count_nonzero(cells)))
    return sparse.csr_matrix((value / total[row], (row, np.concatenate(columns))), shape=size, dtype=np.float32)


def _step_of(cells: Mask, axis: int) -> int:
    """Distance of the cells' planes along an axis, voxels."""
    planes = np.flatnonzero(cells.any(axis=tuple(other for other in range(3) if other != axis)))
    return int(np.gcd.reduce(planes)) or 1
