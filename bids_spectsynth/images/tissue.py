"""Fluid, grey and white matter of a brain, from the T1w alone."""

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

#: Classes by ascending brightness in a T1w.
TISSUES = ("fluid", "grey", "white")
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


def tissue_classes(values: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """Class of each brain voxel of a T1w, as an index of :data:`TISSUES`.

    Parameters
    ----------
    values : array, shape (n,)

    Returns
    -------
    array of int, shape (n,)
    """
    wide = np.asarray(values, dtype=np.float64)
    means = class_means(wide)
    return np.digitize(wide, (means[:-1] + means[1:]) / 2)
