"""The plane between the halves of a brain."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_spectsynth.images.grid import Grid, apply_affine

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: What is no farther than this from the plane lies in the middle, mm.
MIDDLE_MM = 2.0


@dataclass(frozen=True, eq=False)
class Midplane:
    """A plane in world coordinates.

    Parameters
    ----------
    normal : array, shape (3,)
        Of length 1, to the right.
    offset : float
        So that ``normal @ point + offset`` is the distance to the right, mm.
    """

    normal: Float64
    offset: float

    def distance(self, points: npt.ArrayLike) -> Float64:
        """Distance (n,) of points (n, 3) from the plane in mm, positive to the right."""
        return np.asarray(np.asarray(points, dtype=np.float64) @ self.normal + self.offset)

    def sides(self, points: npt.ArrayLike) -> list[str]:
        """``L``, ``R``, or ``M`` within :data:`MIDDLE_MM`, of points (n, 3)."""
        return [
            "M" if abs(distance) <= MIDDLE_MM else "R" if distance > 0 else "L" for distance in self.distance(points)
        ]

    def side_map(self, grid: Grid) -> npt.NDArray[np.int8]:
        """-1 left, 1 right, 0 within :data:`MIDDLE_MM`, for each voxel of a grid.

        Returns
        -------
        array, shape of the grid, int8
        """
        steps = self.normal @ grid.affine[:3, :3]
        i, j, k = ((step * np.arange(n)).astype(np.float32) for step, n in zip(steps, grid.shape, strict=True))
        start = np.float32(self.distance(grid.affine[:3, 3][None])[0])
        distance = (i + start)[:, None, None] + j[:, None] + k
        return np.asarray((distance > MIDDLE_MM).astype(np.int8) - (distance < -MIDDLE_MM).astype(np.int8))


def template_midplane(matrix: npt.ArrayLike) -> Midplane:
    """The plane x = 0 of a template.

    Parameters
    ----------
    matrix : array, shape (4, 4)
        Template world to the head's world, RAS+ mm.
    """
    x, y, z, offset = np.linalg.inv(np.asarray(matrix, dtype=np.float64))[0]
    length = float(np.linalg.norm((x, y, z)))
    return Midplane(np.array([x, y, z]) / length, float(offset) / length)


def mask_midplane(mask: Mask, affine: npt.ArrayLike) -> Midplane:
    """The sagittal plane through the centre of a brain mask, which must not be empty.

    Parameters
    ----------
    mask : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
        To world RAS+ mm.
    """
    centre = apply_affine(affine, np.argwhere(mask).mean(axis=0, keepdims=True))[0]
    return Midplane(np.array([1.0, 0.0, 0.0]), -float(centre[0]))


def labelled_midplane(points: Float64, sides: Float64) -> Midplane:
    """The plane that parts points of the left from those of the right, by least squares.

    Halves that mirror each other give the plane between them.

    Parameters
    ----------
    points : array, shape (N, 3)
        World, RAS+ mm.
    sides : array, shape (N,)
        -1 for left, 1 for right, both of them present.
    """
    # Both sides weigh the same, however many voxels each has.
    weight = np.sqrt(np.where(sides < 0, 1 / np.sum(sides < 0), 1 / np.sum(sides > 0)))[:, None]
    design = np.column_stack([points, np.ones(len(points))])
    solution = np.linalg.lstsq(weight * design, weight[:, 0] * sides, rcond=None)[0]
    length = float(np.linalg.norm(solution[:3]))
    return Midplane(solution[:3] / length, float(solution[3]) / length)
