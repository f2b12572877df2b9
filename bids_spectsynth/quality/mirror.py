"""The brain's mirror image on its own voxels: the reference that a single head has."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from bids_spectsynth.quality.volumes import Float64, Volumes

#: The plane is looked for on tissue smoothed by this, mm.
_FWHM_MM = 8.0
#: First steps of the search: voxels and degrees.
_STEPS = (2.0, 4.0, 4.0)
#: Voxels that are compared while it is looked for.
_POINTS = 6000

Mirror = Callable[[Float64], Float64]


def mirror_of(volumes: Volumes) -> Mirror:
    """Find the plane about which the brain is most symmetric; gives a function that mirrors a volume about it.

    Axes are those of the common grid: the first one leads from left to right.
    """
    tissue = volumes.blurred(volumes.white + 0.5 * volumes.brain, _FWHM_MM)
    voxels = np.argwhere(volumes.brain).astype(np.float64)
    centre = voxels.mean(axis=0)
    few = voxels[:: max(1, len(voxels) // _POINTS)]
    values = ndimage.map_coordinates(tissue, few.T, order=1)

    def loss(change: Float64) -> float:
        mirrored = ndimage.map_coordinates(tissue, _mirrored(few, centre, change).T, order=1)
        return float(((mirrored - values) ** 2).mean())

    simplex = np.vstack([np.zeros(3), np.diag(_STEPS)])
    plane = optimize.minimize(
        loss, np.zeros(3), method="Nelder-Mead", options={"initial_simplex": simplex, "maxfev": 120, "xatol": 0.02}
    ).x
    grid = np.indices(volumes.brain.shape).reshape(3, -1).T.astype(np.float64)
    places = _mirrored(grid, centre, plane).T

    def mirror(volume: Float64) -> Float64:
        return np.asarray(ndimage.map_coordinates(volume, places, order=1).reshape(volume.shape))

    return mirror


def _mirrored(points: Float64, centre: Float64, plane: Float64) -> Float64:
    """Points, shape (n, 3), on the other side of a plane: its shift from the centre, and two turns in degrees."""
    normal = Rotation.from_euler("yz", plane[1:], degrees=True).apply([1.0, 0.0, 0.0])
    distance = (points - centre) @ normal - plane[0]
    return np.asarray(points - 2 * distance[:, None] * normal)
