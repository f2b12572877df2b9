"""Voxel grids: where an image's voxels lie in world space (RAS+ millimetres)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape (i, j, k) and 4x4 affine from voxel indices to world RAS+ millimetres."""

    shape: tuple[int, int, int]
    affine: FloatArray
