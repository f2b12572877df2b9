"""The training cohort's mean image on a grid in template space, and its way back to a subject."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import Grid, grid_of, mask_bounds, new_image
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.images.resampling import resample_linear
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.synthesis.baselines.template import template_matrix

#: Half a subject's brain must cover a voxel of the mean; elsewhere the nearest such voxel's mean is taken.
MIN_COVERAGE = 0.5
#: Voxels around the covered box in which the mean is continued.
FILL_MARGIN = 16

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def mean_grid(cases: Sequence[PreparedCase]) -> Grid:
    """Grid in the template's world that holds the brains of all cases, at their voxel size.

    In template space it is the grid of the cases themselves, so that nothing is interpolated.

    Raises
    ------
    ImageError
        A mask or transform is missing or damaged.
    """
    masks = (load_image(case.masks[T1W])[0] for case in cases)
    if cases[0].space != T1W_SPACE:
        return grid_of(next(masks))
    lows, highs, sizes = [], [], []
    for case, mask in zip(cases, masks, strict=True):
        sizes.append(float(grid_of(mask).voxel_sizes[0]))
        to_template = np.linalg.inv(template_matrix(case)) @ np.asarray(mask.affine, dtype=np.float64)
        low, high = mask_bounds(new_image(np.asarray(mask.dataobj), to_template))
        lows.append(low)
        highs.append(high)
    size = sizes[0]
    # Whole multiples of the voxel size: a subject more or less does not shift the voxels of the others.
    first = np.floor(np.min(lows, axis=0) / size)
    last = np.ceil(np.max(highs, axis=0) / size)
    affine = np.diag([size, size, size, 1.0])
    affine[:3, 3] = first * size
    i, j, k = (int(n) for n in last - first + 1)
    return Grid((i, j, k), affine)


class CohortMean:
    """Sums images on a template grid, each divided by its in-brain mean, brain voxels only.

    A voxel's mean is over the subjects whose brain covers it, so that the rim does not fade where brains differ.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._sum = np.zeros(grid.shape, dtype=np.float64)
        self._coverage = np.zeros(grid.shape, dtype=np.float64)

    def add(self, case: PreparedCase, volume: Float32, mask: Mask, affine: Float64) -> None:
        """Add one image.

        Parameters
        ----------
        case : PreparedCase
        volume : array, shape (I, J, K)
            Unscaled; a volume without any signal in the brain is not counted.
        mask : array of bool, shape (I, J, K)
        affine : array, shape (4, 4)
            Of both, to world RAS+ mm.
        """
        self.add_through(template_matrix(case), volume, mask, affine)

    def add_through(self, matrix: Float64, volume: Float32, mask: Mask, affine: Float64) -> None:
        """Add one image of a head whose way to the template is known, see :meth:`add`.

        Parameters
        ----------
        matrix : array, shape (4, 4)
            World coordinates of the template to those of the image, mm.
        volume, mask, affine : array
        """
        mean = float(volume[mask].mean(dtype=np.float64))
        if not mean > 0:
            return
        wanted = matrix @ self.grid.affine
        inside = mask.astype(np.float32)
        self._sum += _resample(volume * inside / np.float32(mean), affine, self.grid.shape, wanted)
        self._coverage += _resample(inside, affine, self.grid.shape, wanted)

    @property
    def coverage(self) -> Float32:
        """How many brains cover each voxel, shape of the grid."""
        return self._coverage.astype(np.float32)

    @classmethod
    def from_result(cls, grid: Grid, mean: Float32, coverage: Float32) -> "CohortMean":
        """The sums behind a :meth:`result`; they are exact wherever it is a mean and not a nearest voxel's.

        Parameters
        ----------
        grid : Grid
        mean, coverage : array, shape of the grid, float32
            The result, and how many brains cover each of its voxels.
        """
        sums = cls(grid)
        sums._coverage = coverage.astype(np.float64)
        sums._sum = mean * sums._coverage
        return sums

    def without(self, other: "CohortMean") -> "CohortMean":
        """The sums less those of another that went into them."""
        left = CohortMean(self.grid)
        left._sum, left._coverage = self._sum - other._sum, self._coverage - other._coverage
        return left

    def with_others(self, others: Sequence["CohortMean"]) -> "CohortMean":
        """The sums and those of others on the same grid."""
        total = CohortMean(self.grid)
        total._sum = sum((one._sum for one in others), self._sum)
        total._coverage = sum((one._coverage for one in others), self._coverage)
        return total

    def result(self) -> Float32:
        """The mean, shape of the grid; beyond all brains the value of the nearest covered voxel, far away 0.

        Raises
        ------
        ImageError
            No image with signal was added.
        """
        # Rounding may leave a trace of what was subtracted.
        covered = self._coverage >= MIN_COVERAGE - 1e-6
        if not covered.any():
            raise ImageError("no training image has any signal in the brain; check the prepared images")
        mean = np.zeros(self.grid.shape, dtype=np.float32)
        mean[covered] = np.maximum(self._sum[covered] / self._coverage[covered], 0)
        # A brain reaches beyond those of the cohort by millimetres; the far field is not looked at.
        box = tuple(
            slice(max(part.start - FILL_MARGIN, 0), part.stop + FILL_MARGIN)
            for part in ndimage.find_objects(covered.astype(np.uint8))[0]
        )
        nearest = ndimage.distance_transform_edt(~covered[box], return_distances=False, return_indices=True)
        mean[box] = mean[box][tuple(nearest)]
        return mean


def sample_in_brain(mean: Float32, mean_affine: Float64, case: PreparedCase, mask: Mask, affine: Float64) -> Float32:
    """Bring a mean image to a subject: linear interpolation at the subject's brain voxels, 0 elsewhere.

    Parameters
    ----------
    mean : array, shape (i, j, k)
        On a grid in template space.
    mean_affine : array, shape (4, 4)
        Of that grid, from voxels to world RAS+ mm.
    case : PreparedCase
        Whose transform is used.
    mask : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
        Of the mask, to world RAS+ mm.

    Returns
    -------
    array, shape (I, J, K), float32
    """
    return sample_through(mean, mean_affine, template_matrix(case), mask, affine)


def sample_through(mean: Float32, mean_affine: Float64, matrix: Float64, mask: Mask, affine: Float64) -> Float32:
    """Bring a mean image to a head whose way to the template is known, see :func:`sample_in_brain`.

    Parameters
    ----------
    mean, mean_affine : array
    matrix : array, shape (4, 4)
        World coordinates of the template to those of the head's images, mm.
    mask, affine : array

    Returns
    -------
    array, shape (I, J, K), float32
    """
    to_voxels = np.linalg.inv(mean_affine) @ np.linalg.inv(matrix) @ affine
    points = to_voxels[:3, :3] @ np.stack(np.nonzero(mask)) + to_voxels[:3, 3:]
    volume = np.zeros(mask.shape, dtype=np.float32)
    volume[mask] = ndimage.map_coordinates(mean, points, order=1, mode="nearest")
    return volume


def _resample(volume: Float32, affine: Float64, shape: tuple[int, int, int], wanted: Float64) -> Float32:
    if volume.shape == shape and np.allclose(np.linalg.inv(affine) @ wanted, np.eye(4), atol=1e-6):
        return volume
    return resample_linear(volume, affine, shape, wanted)
