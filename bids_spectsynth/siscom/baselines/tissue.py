"""How much of each voxel is white matter, from the T1w alone."""

import numpy as np

from bids_spectsynth.siscom.records import Float32, Float64, Mask

#: Where the three classes begin their search: fluid, grey and white matter, percentiles of the brain.
_START = (5, 40, 85)
_MAX_ITERATIONS = 50


def class_means(values: Float64) -> Float64:
    """Means of three classes of a T1w's brain voxels (k-means in one dimension), ascending.

    Parameters
    ----------
    values : array, shape (n,)

    Returns
    -------
    array, shape (3,)
        Of fluid, grey and white matter. Equal ones where there are no classes.
    """
    means = np.percentile(values, _START)
    for _ in range(_MAX_ITERATIONS):
        nearest = np.digitize(values, (means[:-1] + means[1:]) / 2)
        following = np.array([values[nearest == k].mean() if (nearest == k).any() else means[k] for k in range(3)])
        if np.allclose(following, means, rtol=1e-5, atol=0):
            break
        means = following
    return means


def white_matter(t1w: Float32, mask: Mask) -> Float32:
    """Share of white matter in each voxel: 0 up to the mean of grey matter, 1 from that of white matter on.

    A voxel between both is a mixture. Deep grey matter counts in part as white, as its brightness does.

    Parameters
    ----------
    t1w : array, shape (I, J, K)
    mask : array of bool, shape (I, J, K)
        Brain; not empty.

    Returns
    -------
    array, shape (I, J, K), float32
        0 outside the mask, and everywhere where the T1w is constant.
    """
    values = t1w[mask].astype(np.float64)
    _, grey, white = class_means(values)
    share = np.zeros(mask.shape, dtype=np.float32)
    if white > grey:
        share[mask] = np.clip((values - grey) / (white - grey), 0, 1)
    return share
