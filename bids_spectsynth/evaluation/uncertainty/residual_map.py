"""Where in the template's world synthetic images are wrong: mean squares of held-out residuals in coarse cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Float64 = npt.NDArray[np.float64]

#: Cells of a lattice in the template's world that holds every head, RAS+ mm.
CELL_MM = 8.0
_FIRST_MM = np.array([-104.0, -144.0, -104.0])
SHAPE = (26, 34, 28)
#: The map is smoothed by this, cells.
_SIGMA = 1.0
#: Weight of the mean over the brain against that of one participant, where few participants have brain.
_PRIOR = 1.0
_LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class ResidualSums:
    """Squared residuals of one participant or several in the cells of the lattice.

    Parameters
    ----------
    squares, weights : array, shape (26, 34, 28)
        Smoothed sums of squares (fraction of the in-brain mean, squared) and of voxels; a participant's weights are at
        most 1, so that all participants weigh the same.
    """

    squares: Float64
    weights: Float64

    def without(self, *others: "ResidualSums") -> "ResidualSums":
        """The sums less those of others that went into them."""
        squares = self.squares - sum(other.squares for other in others)
        weights = self.weights - sum(other.weights for other in others)
        # Rounding may leave a trace of what was subtracted.
        return ResidualSums(np.maximum(squares, 0), np.maximum(weights, 0))

    def weighted(self, weight: float) -> "ResidualSums":
        """The sums with another weight."""
        return ResidualSums(weight * self.squares, weight * self.weights)

    @property
    def _level(self) -> float:
        total = float(self.weights.sum())
        return float(self.squares.sum()) / total if total > 0 else _LEAST

    @property
    def usual_log_rms(self) -> float:
        """Logarithm of the root mean square over the whole brain."""
        return float(0.5 * np.log(self._level + _LEAST))

    def log_rms(self, points: Float64) -> Float64:
        """Logarithm of the root mean square of residuals at points.

        Parameters
        ----------
        points : array, shape (3, n)
            In the template's world, RAS+ mm.

        Returns
        -------
        array, shape (n,)
        """
        mean = (self.squares + _PRIOR * self._level) / (self.weights + _PRIOR)
        at = (points - _FIRST_MM[:, np.newaxis]) / CELL_MM - 0.5
        return np.asarray(
            0.5 * np.log(ndimage.map_coordinates(mean, at, order=1, mode="nearest") + _LEAST), dtype=np.float64
        )


def residual_sums(residuals: Float64, points: Float64) -> ResidualSums:
    """Sums of one participant.

    Parameters
    ----------
    residuals : array, shape (n,)
        Fractions of the in-brain mean.
    points : array, shape (3, n)
        Where they are in the template's world, RAS+ mm; those outside the lattice count for its outermost cells.
    """
    cells = np.floor((points - _FIRST_MM[:, np.newaxis]) / CELL_MM).astype(np.intp)
    cells = np.clip(cells, 0, np.array(SHAPE)[:, np.newaxis] - 1)
    index = np.ravel_multi_index((cells[0], cells[1], cells[2]), SHAPE)
    size = int(np.prod(SHAPE))
    counts = np.bincount(index, minlength=size).reshape(SHAPE).astype(np.float64)
    squares = np.bincount(index, weights=residuals**2, minlength=size).reshape(SHAPE)
    smooth_counts = ndimage.gaussian_filter(counts, _SIGMA, mode="constant")
    smooth_squares = ndimage.gaussian_filter(squares, _SIGMA, mode="constant")
    # A cell half full of brain tells as much as a full one.
    full = float(smooth_counts.max())
    weights = np.minimum(smooth_counts / (full / 2), 1.0)
    mean = np.divide(smooth_squares, smooth_counts, out=np.zeros(SHAPE), where=smooth_counts > 1e-9)
    return ResidualSums(weights * mean, weights)


def added(parts: Sequence[ResidualSums]) -> ResidualSums:
    """Sums of several participants; of none at all zero."""
    squares, weights = np.zeros(SHAPE), np.zeros(SHAPE)
    for part in parts:
        squares, weights = squares + part.squares, weights + part.weights
    return ResidualSums(squares, weights)
