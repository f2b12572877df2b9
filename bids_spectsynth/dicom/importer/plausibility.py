"""Whether a scan may be what it is said to be: its size, and which way the brain lies.

Left and right cannot be checked: a mirrored brain looks like a brain.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.dicom.reading.volumes import Volume
from bids_spectsynth.images.grid import apply_affine

Float64 = npt.NDArray[np.float64]
LEFT_RIGHT = "Left and right are as the DICOM header says; no image can show whether that is right"
#: Least extent of a scan of a head, and its largest and smallest voxels, mm.
_LEAST_MM, _VOXELS_MM = 100.0, (0.3, 12.0)
#: Longest side of a usual matrix (64 voxels of 7 mm are 448), and how much longer than the next one it may be: of two
#: stacks on top of each other it is twice as long.
_MOST_MM, _MOST_RATIO = 600.0, 1.4
#: Points of a brain; fewer show no shape.
_LEAST_POINTS = 50
#: Voxels of the comparison with a template, mm; part of the 99th percentile from which a voxel counts as brain.
_STEP_MM, _SHARE = 6.0, 0.4
#: Pitches that heads are scanned in, degrees, and what the other way up must fit better (Dice).
_PITCHES, _MARGIN = (-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0), 0.02


def doubts(volume: Volume, *, is_brain: bool) -> list[str]:
    """What is odd about a scan, one line each.

    Parameters
    ----------
    volume : Volume
    is_brain : bool
        Whether its brightest part is the brain, as in PET and SPECT.
    """
    sizes = np.linalg.norm(volume.affine[:3, :3], axis=0)
    extent = sizes * volume.values.shape
    lines = []
    if extent.min() < _LEAST_MM:
        text = " x ".join(f"{length:.0f}" for length in extent)
        lines.append(f"the field of view is small for a head ({text} mm); look whether the brain is cut")
    elif extent.max() > min(_MOST_MM, _MOST_RATIO * float(np.median(extent))):
        text = " x ".join(f"{length:.0f}" for length in extent)
        lines.append(f"the field of view is large for a head ({text} mm); look whether it is one head, once")
    if sizes.min() < _VOXELS_MM[0] or sizes.max() > _VOXELS_MM[1]:
        text = " x ".join(f"{size:.2f}" for size in sizes)
        lines.append(f"the voxels are unusual ({text} mm); look whether the header is right")
    if not (volume.values > 0).any():
        lines.append("no voxel is above 0")
    elif is_brain and is_upside_down(volume):
        lines.append("the brain seems to lie upside down; look at it before you use it")
    return lines


def is_upside_down(volume: Volume) -> bool:
    """Whether the brain fits a template better with top and bottom exchanged, front and back along with them or not.

    Both are laid on each other by their centres and volumes, at several pitches.

    Parameters
    ----------
    volume : Volume
        With a brain that is brighter than what is around it.
    """
    points = _bright_points(volume)
    if len(points) < _LEAST_POINTS:
        return False
    turned = max(_fit(points * [1, sign, -1]) for sign in (1, -1))
    return turned > _fit(points) + _MARGIN


def _bright_points(volume: Volume) -> Float64:
    """World coordinates of the largest bright part, about its centre, one for each 6 mm."""
    sizes = np.linalg.norm(volume.affine[:3, :3], axis=0)
    steps = [max(1, int(_STEP_MM // size)) for size in sizes]
    coarse = volume.values[:: steps[0], :: steps[1], :: steps[2]]
    if not (coarse > 0).any():
        return np.zeros((0, 3))
    bright = coarse > _SHARE * np.percentile(coarse[coarse > 0], 99)
    labels, _ = ndimage.label(bright)
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return _centred(apply_affine(volume.affine, np.argwhere(ndimage.binary_fill_holes(largest)) * steps))


def _fit(points: Float64) -> float:
    """The best Dice coefficient with the template's brain over pitches; centres lie on each other."""
    template = _template_points()
    # As large as the template in the root mean square.
    scaled = points * np.sqrt((template**2).sum() / len(template) / ((points**2).sum() / len(points)))
    reference = _voxels(template)
    return max(_dice(_voxels(scaled @ _pitch(degrees).T), reference) for degrees in _PITCHES)


def _pitch(degrees: float) -> Float64:
    angle = np.deg2rad(degrees)
    return np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])


def _voxels(points: Float64) -> npt.NDArray[np.bool_]:
    """A coarse mask of points about the origin, gaps closed."""
    grid = np.zeros((32, 40, 32), bool)
    at = np.rint(points / _STEP_MM).astype(int) + np.array([16, 20, 16])
    inside = ((at >= 0) & (at < grid.shape)).all(axis=1)
    grid[tuple(at[inside].T)] = True
    return np.asarray(ndimage.binary_closing(grid), dtype=np.bool_)


def _dice(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    return 2 * float((a & b).sum()) / max(1, int(a.sum() + b.sum()))


@lru_cache(maxsize=1)
def _template_points() -> Float64:
    from nilearn.datasets import load_mni152_gm_template

    image = load_mni152_gm_template(resolution=3)
    return _centred(apply_affine(image.affine, np.argwhere(ndimage.binary_fill_holes(image.get_fdata() > 0.3))))


def _centred(points: Float64) -> Float64:
    return np.asarray(points - points.mean(axis=0), dtype=np.float64)
