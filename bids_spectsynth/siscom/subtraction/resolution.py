"""How sharp two scans of one brain are, and making them equally sharp."""

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from bids_spectsynth.images.level import mode_of_ratio
from bids_spectsynth.images.resampling import FWHM_PER_SIGMA
from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.records import Float32, Float64, Mask
from bids_spectsynth.siscom.subtraction.coarse import Coarse

#: Widest difference of two scans' resolution that is looked for, mm^2: 8 mm against 16 mm.
_MOST = 192.0
#: Both scans are smoothed about so while they are compared (FWHM, mm), which keeps noise from deciding.
_BASE_MM = 9.0
#: Voxels of the grid on which they are compared, mm.
_SPACING_MM = 3.0


@dataclass(frozen=True)
class Resolution:
    """What is to be added to each scan.

    Parameters
    ----------
    mismatch : float
        FWHM^2 of the baseline minus that of the ictal scan, mm^2: positive where the ictal scan is sharper.
    ictal_kernel, baseline_kernel : float
        FWHM (mm) of the Gaussian that makes each as blurred as the other; one of them is 0.
    """

    mismatch: float

    @property
    def ictal_kernel(self) -> float:
        """For the ictal scan."""
        return float(np.sqrt(max(self.mismatch, 0)))

    @property
    def baseline_kernel(self) -> float:
        """For the baseline."""
        return float(np.sqrt(max(-self.mismatch, 0)))


def match(ictal: Float32, baseline: Float32, mask: Mask, affine: Float64) -> Resolution:
    """Estimate by how much one scan is sharper than the other, from how they fit.

    Both are smoothed by Gaussians whose squared widths sum up to the same; the split between the two at which they fit
    best (least robust spread of the difference) is the difference of their own. As the sum is constant, noise does not
    draw the answer to more smoothing.

    Parameters
    ----------
    ictal, baseline : array, shape (I, J, K)
        Aligned.
    mask : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)

    Returns
    -------
    Resolution
    """
    coarse = Coarse(mask, affine, _SPACING_MM)
    x, y, grid = coarse.take(ictal), coarse.take(baseline), coarse.grid
    total = 2 * _BASE_MM**2

    def spread(mismatch: float) -> float:
        first, second = (
            MaskedSmoother(grid.inside, grid.voxel_sizes, float(np.sqrt(squared / 2)))(values)[grid.inside].astype(
                np.float64
            )
            for values, squared in ((x, total + mismatch), (y, total - mismatch))
        )
        difference = first / mode_of_ratio(first, second) - second
        return float(np.median(np.abs(difference - np.median(difference))) / second.mean())

    limit = min(_MOST, total - 1)
    found = optimize.minimize_scalar(spread, bounds=(-limit, limit), method="bounded", options={"xatol": 2.0})
    return Resolution(float(found.x))


def smoothed_fwhm(own_fwhm: float, kernel: float) -> float:
    """Resolution of a scan after a Gaussian, both FWHM in mm."""
    return float(np.hypot(own_fwhm, kernel))


def sigma(fwhm: float) -> float:
    """Standard deviation of a Gaussian of that full width at half maximum."""
    return float(fwhm / FWHM_PER_SIGMA)
