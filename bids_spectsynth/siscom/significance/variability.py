"""How two scans of one brain differ without a seizure, read from how their difference shrinks when it is smoothed.

Camera noise falls fast under smoothing, slow variation between two injections hardly. A sum of Gaussian random fields
of several widths, fitted to the robust variance at several widths of smoothing, says how much there is of each; a
focus, which is rare among the brain's voxels, has no vote in a robust variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.records import Float32, Float64, Mask

#: Widths (FWHM, mm) of the kernels that make a random field of white noise. Up to 10 mm it is noise of the camera.
WIDTHS_MM = (3.0, 5.0, 7.0, 10.0, 16.0, 24.0, 36.0, 54.0)
NOISE_UP_TO_MM = 10.0
#: Widths of smoothing (FWHM, mm) at which the variance is taken.
SMOOTHINGS_MM = (0.0, 3.0, 6.0, 9.0, 12.0, 16.0, 20.0, 24.0)
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Variability:
    """Standard deviations (percent of the brain mean, before smoothing) of the fields, one for each of the widths."""

    deviations: tuple[float, ...]

    def smoothed(self, fwhm: float, widths: Sequence[float] = WIDTHS_MM) -> float:
        """Standard deviation after smoothing, percent, of the fields of some widths together.

        Parameters
        ----------
        fwhm : float
            mm.
        widths : sequence of float
            Of :data:`WIDTHS_MM`; all by default.
        """
        chosen = [
            deviation if width in widths else 0.0 for width, deviation in zip(WIDTHS_MM, self.deviations, strict=True)
        ]
        return float(np.sqrt(np.square(chosen) @ shrinkage([fwhm])[0]))

    @property
    def noise_widths(self) -> tuple[float, ...]:
        """Widths of the camera's noise."""
        return tuple(width for width in WIDTHS_MM if width <= NOISE_UP_TO_MM)


def shrinkage(smoothings: Sequence[float]) -> Float64:
    """Share of each field's variance that is left after smoothing, shape (smoothings, widths)."""
    kernel, width = np.asarray(smoothings)[:, None], np.asarray(WIDTHS_MM)[None]
    return np.asarray((width**2 / (width**2 + kernel**2)) ** 1.5)


def estimate_variability(
    difference: Float32,
    brain: Mask,
    evaluation_mask: Mask,
    voxel_sizes: npt.ArrayLike,
    known: Sequence[float] | None = None,
) -> Variability:
    """Fit the fields to a difference map.

    Parameters
    ----------
    difference : array, shape (I, J, K)
        Not smoothed, percent of the brain mean.
    brain, evaluation_mask : array of bool, shape (I, J, K)
        Smoothed in the first, looked at in the second.
    voxel_sizes : array, shape (3,)
        mm.
    known : sequence of float, optional
        Variance at each of :data:`SMOOTHINGS_MM` that has another cause and is taken off.

    Returns
    -------
    Variability
    """
    variances = np.array(
        [
            robust_variance(MaskedSmoother(brain, voxel_sizes, fwhm)(difference)[evaluation_mask])
            for fwhm in SMOOTHINGS_MM
        ]
    )
    left = variances - (0 if known is None else np.asarray(known))
    # What is known may be more than what is there; a tenth is always left.
    target = np.maximum(left, 0.1 * variances)
    weights = 1 / np.maximum(target, 1e-12)
    fitted, _ = optimize.nnls(shrinkage(SMOOTHINGS_MM) * weights[:, None], np.ones(len(target)))
    return Variability(tuple(float(value) for value in np.sqrt(fitted)))


def robust_variance(values: npt.NDArray[np.floating]) -> float:
    """Variance of a normal distribution of the same median absolute deviation."""
    x = values.astype(np.float64)
    return float((_MAD_TO_SIGMA * np.median(np.abs(x - np.median(x)))) ** 2)
