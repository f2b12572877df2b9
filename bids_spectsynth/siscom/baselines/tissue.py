"""How much of each voxel is white matter, from the T1w alone."""

import numpy as np

from bids_spectsynth.images.tissue import class_means
from bids_spectsynth.siscom.records import Float32, Mask


def white_matter(t1w: Float32, mask: Mask, apart: Mask | None = None) -> Float32:
    """Share of white matter in each voxel: 0 up to the mean of grey matter, 1 from that of white matter on.

    A voxel between both is a mixture. Deep grey matter counts in part as white, as its brightness does.

    Parameters
    ----------
    t1w : array, shape (I, J, K)
    mask : array of bool, shape (I, J, K)
        Brain; not empty.
    apart : array of bool, shape (I, J, K), optional
        A lesion: it tells nothing of what grey and white matter look like.

    Returns
    -------
    array, shape (I, J, K), float32
        0 outside the mask, and everywhere where the T1w is constant.
    """
    values = t1w[mask].astype(np.float64)
    healthy = values if apart is None else t1w[mask & ~apart].astype(np.float64)
    _, grey, white = class_means(healthy)
    share = np.zeros(mask.shape, dtype=np.float32)
    if white > grey:
        share[mask] = np.clip((values - grey) / (white - grey), 0, 1)
    return share
