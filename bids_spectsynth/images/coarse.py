"""A coarser grid for what only smooth images are needed for."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.images.grid import MaskedGrid, apply_affine

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Coarse:
    """Every n-th voxel of a mask's bounding box.

    SPECT resolves 8 mm and more, so that every 4 mm one voxel says all that it has; nothing is averaged.

    Parameters
    ----------
    mask : array of bool, shape (I, J, K)
        On the fine grid; not empty.
    affine : array, shape (4, 4)
        Of the fine grid.
    spacing_mm : float
        Wanted distance of the voxels; never finer than the grid is.
    """

    mask: Mask
    affine: Float64
    spacing_mm: float

    def __post_init__(self) -> None:
        if not self.mask.any():
            raise ValueError("the brain mask is empty")

    @property
    def step(self) -> tuple[int, int, int]:
        """Fine voxels per coarse voxel."""
        a, b, c = (max(1, round(self.spacing_mm / size)) for size in np.linalg.norm(self.affine[:3, :3], axis=0))
        return a, b, c

    @cached_property
    def slices(self) -> tuple[slice, slice, slice]:
        """The voxels of the fine grid that are kept."""
        # The box ends beyond the last voxel, so that no part of the brain is left out of it.
        box = ndimage.find_objects(self.mask.astype(np.uint8))[0]
        a, b, c = (
            slice(part.start + step // 2 if part.stop - part.start > step else part.start, part.stop, step)
            for part, step in zip(box, self.step, strict=True)
        )
        return a, b, c

    def take(self, values: Float32) -> Float32:
        """The kept values of a volume on the fine grid."""
        return np.ascontiguousarray(values[self.slices])

    @cached_property
    def grid(self) -> MaskedGrid:
        """The coarse grid, and which of its voxels lie in the mask."""
        inside = self.mask[self.slices]
        affine = np.array(self.affine, dtype=np.float64)
        affine[:3, :3] = self.affine[:3, :3] * np.array(self.step)
        affine[:3, 3] = apply_affine(self.affine, [part.start for part in self.slices])
        i, j, k = inside.shape
        return MaskedGrid((i, j, k), affine, np.ascontiguousarray(inside))
