"""From slices that were each scaled on their own back to a volume without steps.

Slice scaling divides every axial slice by its own maximum, so a stack of network outputs has steps from slice to slice.
What is lost is one gain per slice. It is estimated from three facts: neighbouring slices show nearly the same tissue,
so the medians over the brain voxels that both share tell the ratio of their gains, once the change that real SPECT
shows at that height of the brain is taken off; and the cohort's mean gains at each height bound the drift that would
add up over a hundred such ratios.
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Relative heights, 0 at the lowest slice with brain and 1 at the highest, at which the cohort's profiles are kept.
NODES = np.linspace(0.0, 1.0, 33)
#: Weight of the cohort's gain against one neighbour ratio. An ideal output (a real volume, slice-scaled) is restored
#: best with 0.003 to 0.03. The outputs of trained networks, whose medians are less sure, want more: on training and
#: validation heads of the phantom (three heads, two models) the in-brain error fell from .153 of the mean at 0.03 to
#: .138 at 0.3 and .136 at 1, and the change from slice to slice was 1.02, 1.06 and 1.09 times the real one.
COHORT_WEIGHT = 0.3
#: Slices that share fewer voxels of sufficient signal than this are not compared.
MIN_COMMON_VOXELS = 10
#: Least signal, as a fraction of the slice's range: where almost nothing is, ratios say nothing.
MIN_SIGNAL = 0.02


def brain_slices(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Indices k of the axial slices of a mask (i, j, k) that hold brain, ascending."""
    return np.flatnonzero(mask.any(axis=(0, 1)))


def relative_heights(mask: npt.NDArray[np.bool_]) -> FloatArray:
    """Height of each slice of :func:`brain_slices` within the brain, 0 (lowest) to 1 (highest)."""
    k = brain_slices(mask).astype(np.float64)
    return (k - k[0]) / max(k[-1] - k[0], 1.0) if k.size else k


def case_profiles(
    target: npt.NDArray[np.float32], slope: FloatArray, mask: npt.NDArray[np.bool_], mean: float
) -> tuple[FloatArray, FloatArray] | None:
    """Gains and slice-to-slice changes of one real SPECT, by relative height.

    Parameters
    ----------
    target : array, shape (i, j, k)
        Real SPECT, slice-scaled to (-1, 1).
    slope : array, shape (k,)
        Slope of that scaling; 0 where a slice is constant.
    mask : array, shape (i, j, k), bool
    mean : float
        In-brain mean of the unscaled SPECT.

    Returns
    -------
    log_gain, log_step : array, shape (33,)
        At :data:`NODES`: log of the slice's range over the in-brain mean; change of the log median over the brain
        voxels shared with the next slice, per unit of relative height. None if the case tells nothing.
    """
    k, heights = brain_slices(mask), relative_heights(mask)
    useful = slope[k] > 0
    if np.count_nonzero(useful) < 2 or mean <= 0:
        return None
    gain = np.divide(2.0, slope, out=np.zeros_like(slope), where=slope > 0)
    log_gain = np.interp(NODES, heights[useful], np.log(gain[k][useful] / mean))
    steps, at = neighbour_steps(target, mask)
    if not steps.size:
        return log_gain, np.zeros_like(NODES)
    with_gain = np.log(gain[k[at + 1]]) - np.log(gain[k[at]])
    middle = (heights[at] + heights[at + 1]) / 2
    per_height = (steps + with_gain) / (heights[at + 1] - heights[at])
    return log_gain, np.interp(NODES, middle, per_height)


def neighbour_steps(
    scaled: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]
) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """Change of the log median from each brain slice to the next, over the brain voxels that both share.

    Parameters
    ----------
    scaled : array, shape (i, j, k)
        In (-1, 1), -1 being no signal.
    mask : array, shape (i, j, k), bool

    Returns
    -------
    steps : array, shape (m,)
        ``log(median of the upper slice / median of the lower)``.
    at : array, shape (m,)
        Position of the lower slice within :func:`brain_slices`; pairs with a gap or too little in common are left out.
    """
    k = brain_slices(mask)
    steps: list[float] = []
    at: list[int] = []
    for position in range(len(k) - 1):
        lower, upper = k[position], k[position + 1]
        common = mask[..., lower] & mask[..., upper]
        pair = (scaled[..., lower : lower + 2][common].astype(np.float64) + 1) / 2
        pair = pair[(pair > MIN_SIGNAL).all(axis=1)]
        if upper == lower + 1 and len(pair) >= MIN_COMMON_VOXELS:
            medians = np.median(pair, axis=0)
            steps.append(float(np.log(medians[1] / medians[0])))
            at.append(position)
    return np.asarray(steps, dtype=np.float64), np.asarray(at, dtype=np.intp)


def slice_gains(
    output: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], log_gain: FloatArray, log_step: FloatArray
) -> FloatArray:
    """Gain of every slice of a network output, up to one common factor.

    Least squares over the log gains g of the brain slices: ``g[a + 1] - g[a]`` should be the cohort's change at that
    height minus the change that the output shows (:func:`neighbour_steps`), and with the weight
    :data:`COHORT_WEIGHT` g should follow the cohort's gains, up to a constant.

    Parameters
    ----------
    output : array, shape (i, j, k)
        Network output in (-1, 1).
    mask : array, shape (i, j, k), bool
    log_gain, log_step : array, shape (33,)
        Means of :func:`case_profiles` over the training subjects.

    Returns
    -------
    array, shape (k,)
        Positive in slices with brain, 0 elsewhere; ``gain * (output + 1) / 2`` is a volume without steps.
    """
    gains = np.zeros(output.shape[2])
    k, heights = brain_slices(mask), relative_heights(mask)
    if not k.size:
        return gains
    steps, at = neighbour_steps(output, mask)
    middle = (heights[at] + heights[at + 1]) / 2
    expected = np.interp(middle, NODES, log_step) * (heights[at + 1] - heights[at])
    neighbours = np.zeros((len(at), len(k)))
    neighbours[np.arange(len(at)), at] = -1
    neighbours[np.arange(len(at)), at + 1] = 1
    # Subtracting the mean leaves the common factor free: the pull is towards the shape of the profile only.
    pull = np.sqrt(COHORT_WEIGHT) * (np.eye(len(k)) - 1 / len(k))
    system = np.vstack([neighbours, pull])
    wanted = np.concatenate([expected - steps, pull @ np.interp(heights, NODES, log_gain)])
    log_gains = np.linalg.lstsq(system, wanted, rcond=None)[0]
    gains[k] = np.exp(log_gains)
    return gains
