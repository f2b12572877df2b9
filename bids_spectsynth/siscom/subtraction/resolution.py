"""Making two scans of one brain equally sharp."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Matching:
    """Gaussians (FWHM, mm) that make two scans equally sharp; one of them is 0."""

    ictal: float
    baseline: float


def match(fwhm_ictal: float, fwhm_baseline: float) -> Matching:
    """What each scan lacks to be as blurred as the other.

    Parameters
    ----------
    fwhm_ictal, fwhm_baseline : float
        Resolutions as :func:`~bids_spectsynth.images.resolution.estimate_fwhm` finds them, mm. Both are
        estimated from one anatomy, so that what that gets wrong is the same in both.

    Examples
    --------
    >>> match(8.0, 10.0)
    Matching(ictal=6.0, baseline=0.0)
    """
    lacking = fwhm_baseline**2 - fwhm_ictal**2
    return Matching(float(np.sqrt(max(lacking, 0))), float(np.sqrt(max(-lacking, 0))))
