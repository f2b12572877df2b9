"""The null of one patient's pair of scans, from the prepared grid to the coarse one and back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.images.coarse import Coarse
from bids_spectsynth.images.grid import MaskedGrid
from bids_spectsynth.images.resampling import resample_linear
from bids_spectsynth.siscom.records import Float32, Float64, Mask
from bids_spectsynth.siscom.significance.null import (
    SPACING_MM,
    Errors,
    Null,
    expected_deviation,
    patient_variability,
    simulate_null,
)
from bids_spectsynth.siscom.significance.trend import Trend, fit_trend
from bids_spectsynth.siscom.significance.variability import Variability

Indices = npt.NDArray[np.intp]

#: Below this a voxel of the prepared grid knows nothing of the coarse one.
_LEAST_WEIGHT = 1e-3


@dataclass(frozen=True, eq=False)
class Pair:
    """Two scans of one brain on a coarse grid, which shows all that there is in a smoothed map.

    Parameters
    ----------
    coarse : Coarse
        From the prepared grid to the coarse one.
    evaluated : array of bool, shape (i, j, k)
        Evaluation mask on the coarse grid.
    difference : array, shape (i, j, k)
        Ictal minus baseline at one level, not smoothed, percent of the brain mean.
    baseline : array, shape (i, j, k)
        Not smoothed.
    variability : Variability
        Of the difference.
    fwhm : float
        Of the map's smoothing, mm.
    """

    coarse: Coarse
    evaluated: Mask
    difference: Float32
    baseline: Float32
    variability: Variability
    fwhm: float

    def fit_trend(self) -> Trend:
        """What is slow in maps of these scans."""
        grid = self.coarse.grid
        return fit_trend(MaskedGrid(grid.shape, grid.affine, self.evaluated), self.variability, self.fwhm)

    def peak(self, trend: Trend, values: Float32) -> float:
        """Largest absolute value, over what is expected, of a map on the prepared grid less its slow part.

        On the coarse grid, as in the simulated maps: on a finer one there are higher peaks.
        """
        expected = expected_deviation(trend, self.baseline, self.coarse.grid, self.fwhm, Errors())
        return float(np.abs(self.coarse.take(values) / expected)[self.evaluated].max())

    def on_coarse(self, values: Float32) -> Float32:
        """A volume with 0 at all voxels but those of the coarse grid, which here goes on beyond its box.

        The box is that of the brain outside a lesion; a focus in a lesion at the border of the brain lies beyond it.
        """
        out, (a, b, c) = np.zeros_like(values), self.coarse.slices
        every = tuple(slice(one.start % one.step, None, one.step) for one in (a, b, c))
        out[every] = values[every]
        return out

    def trend_of(
        self, trend: Trend, values: Float32, inside: Mask, affine: Float64, lesion: Mask | None = None
    ) -> Float32:
        """The slow part of a map on the prepared grid.

        Parameters
        ----------
        trend : Trend
        values : array, shape (I, J, K)
            The map.
        inside : array of bool, shape (I, J, K)
            Elsewhere the result is 0.
        affine : array, shape (4, 4)
        lesion : array of bool, shape (I, J, K), optional
            Where the slow part is that of the surroundings, also beyond the box of the coarse grid.
        """
        found = trend.of(self.coarse.take(values))
        known = self.evaluated if lesion is None else self.evaluated | (lesion & inside)[self.coarse.slices]
        (slow,) = _on_prepared_grid(known, self.coarse.grid.affine, [found], inside, affine, lesion)
        return slow


def coarse_pair(
    scans: tuple[Float32, Float32], level: float, brain: Mask, evaluated: Mask, affine: Float64, fwhm: float
) -> Pair:
    """Bring two scans to a coarse grid.

    Parameters
    ----------
    scans : tuple of array, shape (I, J, K)
        Ictal scan and baseline, aligned and equally sharp, not smoothed further.
    level : float
        Ratio of ictal to baseline where nothing has changed.
    brain, evaluated : array of bool, shape (I, J, K)
        Brain that both have measured, and the evaluation mask.
    affine : array, shape (4, 4)
    fwhm : float
        Of the map's smoothing, mm.
    """
    coarse = Coarse(brain, affine, SPACING_MM)
    grid, inside = coarse.grid, np.ascontiguousarray(evaluated[coarse.slices])
    # A thin evaluation mask may have no voxel on the coarse grid.
    inside = inside if inside.any() else grid.inside
    x, y = (coarse.take(scan) for scan in scans)
    difference = np.where(grid.inside, 100 * (x / level - y) / y[inside].mean(dtype=np.float64), 0).astype(np.float32)
    variability = patient_variability(difference, y, grid, inside, fwhm, Errors())
    return Pair(coarse, inside, difference, y, variability, fwhm)


def patient_null(pair: Pair, *, threshold: float, seed: int, trend: Trend | None = None) -> Null:
    """Simulate what two scans can produce without a seizure.

    Parameters
    ----------
    pair : Pair
    threshold : float
        z from which a cluster counts.
    seed : int
    trend : Trend, optional
        What is taken off the map.
    """
    return simulate_null(
        pair.variability,
        pair.baseline,
        pair.coarse.grid,
        pair.evaluated,
        fwhm=pair.fwhm,
        threshold=threshold,
        errors=Errors(),
        seed=seed,
        trend=trend,
    )


def on_prepared_grid(
    null: Null, maps: Sequence[Float32], evaluated: Mask, affine: Float64, lesion: Mask | None = None
) -> list[Float32]:
    """Maps of the null on the prepared grid: linear between voxels, each weighted by whether it is in the mask.

    Parameters
    ----------
    null : Null
    maps : sequence of array, shape (i, j, k)
        On its grid.
    evaluated : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
        Of the prepared grid.
    lesion : array of bool, shape (I, J, K), optional
        Part of the brain that the null knows nothing of.

    Returns
    -------
    list of array, shape (I, J, K), float32
        Where no voxel of the null is near, the nearest value in the lesion, and the mask's mean elsewhere; 0 outside
        ``evaluated``.
    """
    return _on_prepared_grid(null.mask, null.affine, maps, evaluated, affine, lesion)


def _on_prepared_grid(
    mask: Mask, own: Float64, maps: Sequence[Float32], evaluated: Mask, affine: Float64, lesion: Mask | None
) -> list[Float32]:
    shape = (evaluated.shape[0], evaluated.shape[1], evaluated.shape[2])
    weight = resample_linear(mask.astype(np.float32), own, shape, affine)
    known = evaluated & (weight > _LEAST_WEIGHT)
    missing = np.zeros_like(known) if lesion is None or not known.any() else evaluated & lesion & ~known
    nearest = _nearest(known, missing, affine)
    out = []
    for values in maps:
        total = resample_linear(np.where(mask, values, 0), own, shape, affine)
        typical = float(values[mask].mean())
        found = np.where(known, total / np.maximum(weight, _LEAST_WEIGHT), np.where(evaluated, typical, 0))
        found[missing] = found[nearest]
        out.append(found.astype(np.float32))
    return out


def _nearest(known: Mask, missing: Mask, affine: Float64) -> tuple[Indices, ...]:
    """Indices of the known voxel that is nearest to each missing one, in their order."""
    if not missing.any():
        return tuple(np.zeros((3, 0), dtype=np.intp))
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    box = _box(missing, (1, 1, 1))
    if known[box].any():
        # Nothing nearer than in the box can lie farther from it than that.
        farthest = ndimage.distance_transform_edt(~known[box], sampling=sizes.tolist())[missing[box]].max()
        box = _box(missing, np.ceil(farthest / sizes).astype(int) + 1)
    else:
        box = _box(missing, known.shape)
    indices = ndimage.distance_transform_edt(
        ~known[box], sampling=sizes.tolist(), return_distances=False, return_indices=True
    )
    return tuple(axis[missing[box]] + part.start for axis, part in zip(indices, box, strict=True))


def _box(inside: Mask, rim: Sequence[int] | Indices) -> tuple[slice, ...]:
    """The part of a volume that goes as many voxels beyond a mask, as far as there are any."""
    (around,) = ndimage.find_objects(inside.astype(np.uint8))
    return tuple(slice(max(part.start - more, 0), part.stop + more) for part, more in zip(around, rim, strict=True))
