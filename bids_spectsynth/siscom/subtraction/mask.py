"""Where a SISCOM is evaluated: brain that both scans have measured, without its edge."""

from bids_spectsynth.images.masks import without_edge
from bids_spectsynth.siscom.records import Mask

#: What is taken off the edge, mm: there a shift of a scan and the smoothing make their largest errors.
EROSION_MM = 4.0


def siscom_mask(brain: Mask, voxel_sizes: tuple[float, ...], erosion_mm: float = EROSION_MM) -> Mask:
    """The brain without its edge: voxels whose distance to the nearest voxel outside is above a length.

    Parameters
    ----------
    brain : array of bool, shape (I, J, K)
        Brain mask of the T1w, and of both scans.
    voxel_sizes : tuple of float
        mm.
    erosion_mm : float

    Returns
    -------
    array of bool, shape (I, J, K)
        Beyond the array there is no brain. Empty where the brain is nowhere thicker.
    """
    return without_edge(brain, voxel_sizes, erosion_mm)
