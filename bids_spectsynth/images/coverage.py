"""How much of a mask falls into each voxel of another grid."""

import numpy as np
import numpy.typing as npt

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import FloatArray, Grid

# Points of the mask on the shortest edge of the grid's voxels, at least as many along each edge of its own.
_POINTS_ON_EDGE = 2
_MOST_POINTS = 64
# Points that are looked at together: some hundred megabytes.
_AT_ONCE = 1_000_000


def coverage(inside: npt.NDArray[np.bool_], own: Grid, grid: Grid, matrix: npt.ArrayLike) -> FloatArray:
    """Volume of a mask in each voxel of a grid.

    Interpolation at the centres of a grid misses what is thinner than its voxels. Here the mask's voxels are filled
    with points, and those that fall in each voxel of the grid are counted.

    Parameters
    ----------
    inside : array of bool, shape of ``own``
        The mask.
    own : Grid
        Of the mask.
    grid : Grid
    matrix : array, shape (4, 4)
        World coordinates (RAS+ mm) of the grid to those of the mask.

    Returns
    -------
    array, shape of ``grid``
        In voxels of the grid: 0 where nothing of the mask is. With few points in a voxel single values are rough, and
        may be above 1; sums over many are not.

    Raises
    ------
    ImageError
        The mask's voxels are very much larger than the grid's.

    Examples
    --------
    >>> fine = np.zeros((8, 1, 1), dtype=bool)
    >>> fine[2:5] = True
    >>> coarse = Grid((3, 1, 1), np.diag([4.0, 1.0, 1.0, 1.0]))
    >>> coarse.affine[0, 3] = 1.5
    >>> coverage(fine, Grid((8, 1, 1), np.eye(4)), coarse, np.eye(4)).ravel().tolist()
    [0.5, 0.25, 0.0]
    """
    in_mask_world = np.asarray(matrix, dtype=np.float64) @ grid.affine
    edges = np.linalg.norm(in_mask_world[:3, :3], axis=0)
    numbers = np.maximum(np.ceil(_POINTS_ON_EDGE * own.voxel_sizes / edges.min()), _POINTS_ON_EDGE).astype(int)
    if numbers.max() > _MOST_POINTS:
        raise ImageError(
            f"its voxels of {own.voxel_sizes.max():.3g} mm are too coarse for a grid of {edges.min():.3g} mm"
        )
    steps = [(np.arange(number) + 0.5) / number - 0.5 for number in numbers]
    offsets = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    to_grid = np.linalg.inv(in_mask_world) @ own.affine
    voxels, counts = np.argwhere(inside), np.zeros(int(np.prod(grid.shape)))
    together = max(1, _AT_ONCE // len(offsets))
    for start in range(0, len(voxels), together):
        centres = voxels[start : start + together] @ to_grid[:3, :3].T + to_grid[:3, 3]
        points = centres[:, None] + offsets @ to_grid[:3, :3].T
        counts += _counts(np.floor(points.reshape(-1, 3) + 0.5).astype(np.int64), grid.shape)
    filled = abs(np.linalg.det(to_grid[:3, :3])) / len(offsets)
    return np.asarray((counts * filled).reshape(grid.shape))


def _counts(indices: npt.NDArray[np.int64], shape: tuple[int, int, int]) -> npt.NDArray[np.int64]:
    """How many points lie in each voxel, in one row."""
    there = indices[np.all((indices >= 0) & (indices < np.array(shape)), axis=1)]
    flat = np.ravel_multi_index(tuple(there.T), shape)
    return np.bincount(flat, minlength=int(np.prod(shape)))
