"""What a synthetic SPECT would add to a SISCOM as its baseline: the smoothed difference of the real SPECT from it.

A SISCOM takes a baseline from an ictal scan, smooths, and looks for what stands out. The same done with the interictal
scan, where there is nothing to be found, shows what would stand out falsely.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_spectsynth.evaluation.case.regions import Regions
from bids_spectsynth.images.level import mode_of_ratio
from bids_spectsynth.images.masks import without_edge
from bids_spectsynth.images.smoothing import MaskedSmoother

#: Gaussian that smooths both images (FWHM), and what is taken off the edge of the evaluation mask, as in a SISCOM; mm.
FWHM_MM = 12.0
EDGE_MM = 4.0
#: Of a finer grid so many mm apart voxels are looked at: what is smoothed so far has no more to say.
SPACING_MM = 3.0
#: A standard deviation (percent) below this is rounding (of the level too), of which no region has a share.
_ROUNDING = 0.01

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sampling:
    """Where the residuals of a case are looked at; the same for all methods.

    Parameters
    ----------
    smoother : MaskedSmoother
        Of every n-th voxel of the evaluation mask.
    slices : tuple of slice
        Which voxels of the grid these are.
    deep : array of bool, shape (n,)
        Which voxels of the smoother's mask are not at the edge.
    chosen : array of int, shape (m,)
        Where those of them lie among the voxels of the evaluation mask, in the order of ``np.nonzero``.
    """

    smoother: MaskedSmoother
    slices: tuple[slice, ...]
    deep: Mask
    chosen: npt.NDArray[np.intp]


def residual_sampling(evaluation_mask: Mask, voxel_sizes: Sequence[float], fwhm: float = FWHM_MM) -> Sampling:
    """Prepare the residuals of a case.

    Parameters
    ----------
    evaluation_mask : array of bool, shape (I, J, K)
        Brain where the SPECT was measured.
    voxel_sizes : sequence of float
        mm.
    fwhm : float
        Of the Gaussian, mm; 0: no smoothing, and every voxel is looked at.

    Raises
    ------
    ValueError
        Nothing is left without the edge.
    """
    deep = without_edge(evaluation_mask, voxel_sizes, EDGE_MM)
    steps = [max(1, int(SPACING_MM / size + 1e-6)) if fwhm > 0 else 1 for size in voxel_sizes]
    slices = tuple(slice(step // 2, None, step) for step in steps)
    inside = np.ascontiguousarray(evaluation_mask[slices])
    looked_at = np.zeros_like(deep)
    looked_at[slices] = deep[slices]
    chosen = np.flatnonzero(looked_at[evaluation_mask])
    if len(chosen) < 2:
        raise ValueError(f"the evaluation mask is nowhere thick enough to lose {EDGE_MM:g} mm of its edge")
    smoother = MaskedSmoother(inside, np.array(voxel_sizes) * steps, fwhm)
    return Sampling(smoother, slices, deep[slices][inside], chosen)


def residual(real: Float32, synthetic: Float32, sampling: Sampling) -> Float64:
    """The smoothed difference real minus synthetic, at one level, in percent of the brain mean.

    The level is the mode of the voxels' ratio, as in a SISCOM, so that a region that is wrong does not make all others
    seem wrong too.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        Each in units of its own.
    sampling : Sampling

    Returns
    -------
    array, shape (m,)
        At the voxels of ``sampling.chosen``; above 0 where the synthetic image is too low, which would look like
        hyperperfusion.

    Raises
    ------
    ValueError
        An image has values that are not finite in the evaluation mask, or no signal.
    """
    mask = sampling.smoother.mask
    pair = [image[sampling.slices][mask] for image in (real, synthetic)]
    if not np.isfinite(pair).all():
        raise ValueError("an image has values that are not finite")
    x, y = (sampling.smoother.values(values)[sampling.deep].astype(np.float64) for values in pair)
    mean = float(y.mean())
    level = mode_of_ratio(x, y) if mean > 0 else np.nan
    if not level > 0:
        raise ValueError("an image has no signal")
    return np.asarray(100 * (x / level - y) / mean)


def residual_by_region(values: Float64, sampling: Sampling, regions: Regions) -> tuple[Float64, Float64]:
    """Each region's share of the variance of a residual, and its mean residual.

    Parameters
    ----------
    values : array, shape (m,)
        Of :func:`residual`.
    sampling : Sampling
    regions : Regions
        Of the same evaluation mask.

    Returns
    -------
    share : array, shape (rows of ``regions.table``,)
        Sum of the squared deviations from the residual's mean over the region, percent of that over all voxels; NaN
        where there is no residual but rounding. Both hemispheres have all of it; blocks lack what lies in none.
    mean : array, shape (rows of ``regions.table``,)
        In percent of the brain mean; NaN where the region has no voxel that is not at the edge.
    """
    n = len(regions.table)
    squares = np.square(values - values.mean())
    counts, sums, parts = np.zeros(n), np.zeros(n), np.zeros(n)
    for rows in regions.members[sampling.chosen].T:
        inside = rows >= 0
        counts += np.bincount(rows[inside], minlength=n)
        sums += np.bincount(rows[inside], weights=values[inside], minlength=n)
        parts += np.bincount(rows[inside], weights=squares[inside], minlength=n)
    varies = values.std() > _ROUNDING
    share = 100 * parts / squares.sum() if varies else np.full(n, np.nan)
    return share, np.divide(sums, counts, out=np.full(n, np.nan), where=counts > 0)
