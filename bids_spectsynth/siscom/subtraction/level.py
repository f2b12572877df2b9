"""What brings an ictal scan and its baseline to one level: several answers, of which one is used and all are told.

A seizure lifts the brain's mean, so that dividing by it makes all the rest seem to sink. The mode of the voxels' ratio
follows the voxels that did not change, as long as they are the most frequent.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bids_spectsynth.images.level import mode_of_ratio, voxel_ratios
from bids_spectsynth.siscom.records import Float32, Float64, Mask

#: Where two answers differ by more than this (percent), readers are warned.
WARN_PERCENT = 3.0
#: Boussion's reference: voxels whose difference is within this many standard deviations of its mean.
_UNCHANGED_Z = 1.0
_MAX_ITERATIONS = 50


@dataclass(frozen=True)
class Level:
    """One way to estimate the ratio of ictal to baseline where nothing has changed.

    Parameters
    ----------
    name, description : str
    estimate : callable
        From ictal and baseline values of the mask's voxels, shape (n,), and which of them are cerebellum, to the ratio;
        NaN where it cannot be told.
    """

    name: str
    description: str
    estimate: Callable[[Float64, Float64, Mask | None], float]


def mean_ratio(ictal: Float64, baseline: Float64, cerebellum: Mask | None = None) -> float:
    """Ratio of the means (proportional scaling to the brain's mean).

    Parameters
    ----------
    ictal, baseline : array, shape (n,)
    cerebellum : array of bool, optional
        Not used.
    """
    return float(ictal.mean() / baseline.mean())


def median_ratio(ictal: Float64, baseline: Float64, cerebellum: Mask | None = None) -> float:
    """Median of the voxels' ratio.

    Parameters
    ----------
    ictal, baseline : array, shape (n,)
    cerebellum : array of bool, optional
        Not used.
    """
    return float(np.median(voxel_ratios(ictal, baseline)))


def unchanged_ratio(ictal: Float64, baseline: Float64, cerebellum: Mask | None = None) -> float:
    """Ratio of the means over voxels that do not differ, found by repetition (after Boussion et al. 2002).

    Parameters
    ----------
    ictal, baseline : array, shape (n,)
    cerebellum : array of bool, optional
        Not used.

    References
    ----------
    Boussion et al. 2002, J Nucl Med 43:1419-1425: the reference are voxels within one standard deviation of no change.
    """
    chosen = np.ones(len(ictal), dtype=bool)
    for _ in range(_MAX_ITERATIONS):
        ratio = ictal[chosen].mean() / baseline[chosen].mean()
        difference = ictal / ratio - baseline
        following = np.abs(difference - difference[chosen].mean()) < _UNCHANGED_Z * difference.std()
        if not following.any() or np.array_equal(following, chosen):
            break
        chosen = following
    return float(ictal[chosen].mean() / baseline[chosen].mean())


def cerebellar_ratio(ictal: Float64, baseline: Float64, cerebellum: Mask | None = None) -> float:
    """Ratio of the means over the cerebellum; crossed cerebellar hyperperfusion makes it unsafe in epilepsy.

    Parameters
    ----------
    ictal, baseline : array, shape (n,)
    cerebellum : array of bool, optional
        Which voxels are cerebellum; NaN without.
    """
    if cerebellum is None or not cerebellum.any():
        return float("nan")
    return float(ictal[cerebellum].mean() / baseline[cerebellum].mean())


#: All ways, in the order in which sidecars name them.
LEVELS: dict[str, Level] = {
    level.name: level
    for level in (
        Level("mode", "mode of the voxels' ratio", lambda x, y, _: mode_of_ratio(x, y)),
        Level("mean", "ratio of the brain means", mean_ratio),
        Level("median", "median of the voxels' ratio", median_ratio),
        Level("unchanged", "ratio of the means over voxels that do not differ", unchanged_ratio),
        Level("cerebellum", "ratio of the cerebellar means", cerebellar_ratio),
    )
}


def levels(ictal: Float32, baseline: Float32, mask: Mask, cerebellum: Mask | None = None) -> dict[str, float]:
    """Every estimate of the ratio of ictal to baseline, by name.

    Parameters
    ----------
    ictal, baseline : array, shape (I, J, K)
        Smoothed alike, not negative.
    mask : array of bool, shape (I, J, K)
        Eroded brain mask without scalp.
    cerebellum : array of bool, shape (I, J, K), optional

    Returns
    -------
    dict of str to float
        NaN for an estimate that cannot be had.

    Raises
    ------
    ValueError
        The mask is empty, or one of the scans has no signal in it.
    """
    x, y = ictal[mask].astype(np.float64), baseline[mask].astype(np.float64)
    if not x.size or not x.mean() > 0 or not y.mean() > 0:
        raise ValueError("no signal in the brain")
    inside = None if cerebellum is None else cerebellum[mask]
    return {name: level.estimate(x, y, inside) for name, level in LEVELS.items()}


def disagreement(found: dict[str, float], used: str) -> float:
    """Largest difference of another estimate from the one that is used, percent; the cerebellum does not count.

    Parameters
    ----------
    found : dict of str to float
        Of :func:`levels`.
    used : str
    """
    others = [value for name, value in found.items() if name not in (used, "cerebellum") and np.isfinite(value)]
    return max((100 * abs(value / found[used] - 1) for value in others), default=0.0)
