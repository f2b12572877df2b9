"""The template anatomy of the phantom: ICBM152 tissue maps, and the distance from the brain around them.

The maps are those that nilearn ships in its wheel (ICBM152 2009a, nonlinear symmetric, 1 mm, brain-extracted).
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.errors import DatasetError

FILE_NAME = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
#: The medulla is cut at z = -72 mm; from this height downwards its cross-section is continued as the cord.
CORD_Z = -69.0
#: Voxel size and padding of the distance map, millimetres.
DISTANCE_STEP = 2.0
DISTANCE_PADDING = 40

Array = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Atlas:
    """Template maps, all in one world (MNI, RAS+ millimetres).

    Parameters
    ----------
    grey, white, brain : (197, 233, 189) uint8 arrays
        Tissue fractions and the template's own brain mask, times 255; voxel (0, 0, 0) lies at `origin`, 1 mm.
    origin : (3,) array
    distance : (i, j, k) array
        Millimetres outside the brain's hull (negative inside), with the cord continued downwards;
        voxel (0, 0, 0) lies at `distance_origin`, 2 mm.
    distance_origin : (3,) array
    """

    grey: Bytes
    white: Bytes
    brain: Bytes
    origin: Array
    distance: Array
    distance_origin: Array


def _read(name: str) -> tuple[Bytes, Array]:
    """Voxels (uint8) and origin of one of nilearn's ICBM152 maps."""
    # Found without importing nilearn, which takes seconds.
    package = find_spec("nilearn")
    if package is None or package.origin is None:
        raise DatasetError("nilearn, which ships the template of the phantom, is not installed: pip install nilearn")
    path = Path(package.origin).parent / "datasets" / "data" / FILE_NAME.format(name)
    image = nib.nifti1.load(path)  # type: ignore[no-untyped-call]
    voxels = np.asarray(image.dataobj).astype(np.uint8)
    affine = image.affine
    if affine is None or not np.allclose(affine[:3, :3], np.eye(3)):
        raise ValueError(f"{FILE_NAME.format(name)}: expected 1 mm voxels in RAS order")
    return voxels, affine[:3, 3].astype(np.float32)


def _hull_distance(brain: Bytes, origin: Array) -> tuple[Array, Array]:
    """Signed distance from the closed brain mask with its cord, on a padded 2 mm grid."""
    step = int(DISTANCE_STEP)
    coarse = np.pad(brain[::step, ::step, ::step] > 0, DISTANCE_PADDING // step)
    hull = ndimage.binary_closing(coarse, ndimage.generate_binary_structure(3, 1), iterations=3)
    coarse_origin = origin - np.float32(DISTANCE_PADDING)
    cord = round((CORD_Z - float(coarse_origin[2])) / DISTANCE_STEP)
    hull[:, :, :cord] = hull[:, :, cord : cord + 1]
    outside = ndimage.distance_transform_edt(~hull, DISTANCE_STEP)
    inside = ndimage.distance_transform_edt(hull, DISTANCE_STEP)
    distance = ndimage.gaussian_filter(np.asarray(outside) - np.asarray(inside), 0.7)
    return distance.astype(np.float32), coarse_origin.astype(np.float32)


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """Read the template maps and compute the distance map (about a second, once per process)."""
    grey, origin = _read("gm")
    white, _ = _read("wm")
    t1w, _ = _read("t1")
    brain: Bytes = np.where(t1w > 0, 255, 0).astype(np.uint8)
    distance, distance_origin = _hull_distance(brain, origin)
    return Atlas(grey, white, brain, origin, distance, distance_origin)
