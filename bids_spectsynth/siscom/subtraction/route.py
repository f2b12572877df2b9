"""How an ictal scan comes to a baseline: directly, or through the T1w."""

from dataclasses import dataclass

import nibabel as nib

from bids_spectsynth.siscom.records import BaselineImage, Float64, Mask
from bids_spectsynth.siscom.subtraction.alignment import align, displacement

#: Routes from the ictal scan to the baseline.
DIRECT, THROUGH_T1W = "direct", "through the T1w"
#: Mean distance over the brain (mm) up to which both ways to a baseline that was not measured agree. On the phantom the
#: way through the T1w is off by 0.2 mm, the direct one by 0.3 mm, at worst 0.7.
AGREE_MM = 1.0
#: The direct route is not taken where it leaves the scans this much less alike, or moves the brain further than this.
_WORSE, _FURTHEST_MM = 1.02, 6.0


@dataclass(frozen=True, kw_only=True, eq=False)
class IctalScan:
    """An ictal scan and the way to it.

    Parameters
    ----------
    image : Nifti1Image
        On its own voxels, finite.
    matrix : array, shape (4, 4)
        World of the T1w to that of the scan, RAS+ mm: the registration of the preparation.
    mask : array of bool, shape (I, J, K)
        Brain where it was measured, on the prepared grid.
    """

    image: nib.Nifti1Image
    matrix: Float64
    mask: Mask


@dataclass(frozen=True, kw_only=True, eq=False)
class Route:
    """How the ictal scan was brought to the baseline, and how far two ways of doing it disagree over the brain.

    Parameters
    ----------
    name : str
        :data:`DIRECT` or :data:`THROUGH_T1W`.
    matrix : array, shape (4, 4)
        World of the T1w to that of the scan, RAS+ mm.
    mean_mm, largest_mm : float
        Distance between the two ways over the brain.
    residual_percent, other_residual_percent : float
        Robust standard deviation of what is left after this way, and after the other, percent of the brain mean.
    note : str
        One sentence for readers; empty for nothing.
    """

    name: str
    matrix: Float64
    mean_mm: float
    largest_mm: float
    residual_percent: float
    other_residual_percent: float
    note: str = ""


def choose_route(ictal: IctalScan, baseline: BaselineImage, brain: Mask, affine: Float64) -> Route:
    """Align the ictal scan with the baseline, or keep the way through the T1w.

    With a measured baseline the direct way is taken. A baseline that was not measured lies on the T1w by nature, and
    its errors pull: the way through the T1w is kept, unless the direct one is so far from it (:data:`AGREE_MM`) that
    the registration to the T1w must have failed. A direct way that leaves both less alike, or is far off, is never
    taken.

    Parameters
    ----------
    ictal : IctalScan
    baseline : BaselineImage
    brain : array of bool, shape (I, J, K)
        Where both were measured.
    affine : array, shape (4, 4)

    Raises
    ------
    ValueError
        One of the scans is constant in the brain.
    """
    found = align(ictal.image, baseline.values, brain, affine, ictal.matrix)
    mean, largest = displacement(found.matrix, ictal.matrix, brain, affine)
    worse = found.residual_percent > _WORSE * found.start_residual_percent
    plausible = not worse and largest <= _FURTHEST_MM
    direct = plausible and (baseline.kind == "real" or mean > AGREE_MM)
    residuals = found.residual_percent, found.start_residual_percent
    note = (
        f"The direct registration to the baseline is not plausible (it moves the brain by up to {largest:.1f} mm); the "
        "one through the T1w is kept."
    )
    return Route(
        name=DIRECT if direct else THROUGH_T1W,
        matrix=found.matrix if direct else ictal.matrix,
        mean_mm=mean,
        largest_mm=largest,
        residual_percent=residuals[0 if direct else 1],
        other_residual_percent=residuals[1 if direct else 0],
        note="" if plausible else note,
    )
