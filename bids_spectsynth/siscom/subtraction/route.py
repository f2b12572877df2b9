"""How an ictal scan comes to a baseline: directly, or through the T1w."""

from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np

from bids_spectsynth.siscom.records import BaselineImage, Float64, Mask
from bids_spectsynth.siscom.subtraction.alignment import align, displacement
from bids_spectsynth.siscom.subtraction.lesion import around, without_lesion

#: Routes from the ictal scan to the baseline.
DIRECT, THROUGH_T1W = "direct", "through the T1w"
#: Mean distance over the brain (mm) up to which both ways to a baseline that was not measured agree. On the phantom the
#: way through the T1w is off by 0.2 mm, the direct one by 0.3 mm, at worst 0.7.
AGREE_MM = 1.0
#: The direct route is not taken where it leaves the scans this much less alike, or moves the brain further than this.
_WORSE, _FURTHEST_MM = 1.02, 6.0
#: A rotation moves the corner of a voxel a little further than its centre.
_SLACK = 1.1


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


def choose_route(
    ictal: IctalScan, baseline: BaselineImage, brain: Mask, affine: Float64, lesion: Mask | None = None
) -> Route:
    """Align the ictal scan with the baseline, or keep the way through the T1w.

    With a measured baseline the direct way is taken. A baseline that was not measured lies on the T1w by nature, and
    its errors pull: the way through the T1w is kept, unless the direct one is so far from it (:data:`AGREE_MM`) that
    the registration to the T1w must have failed. A direct way that leaves both less alike, or is far off, is never
    taken.

    A lesion has no say: neither what the scan has in it by the way that is taken, nor by that of the preparation.

    Parameters
    ----------
    ictal : IctalScan
    baseline : BaselineImage
    brain : array of bool, shape (I, J, K)
        Where both were measured.
    affine : array, shape (4, 4)
    lesion : array of bool, shape (I, J, K), optional
        Not all of ``brain``.

    Raises
    ------
    ValueError
        One of the scans is constant in the brain.
    """
    seen, compared, extent = ictal, brain, brain
    if lesion is not None:
        seen, compared = _beside(ictal, brain, affine, lesion)
        extent = brain | lesion
    found = align(seen.image, baseline.values, compared, affine, ictal.matrix)
    mean, largest = displacement(found.matrix, ictal.matrix, extent, affine)
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


def _beside(ictal: IctalScan, brain: Mask, affine: Float64, lesion: Mask) -> tuple[IctalScan, Mask]:
    """The scan without whatever may turn out to lie in the lesion, and the brain that it is compared in.

    Where the lesion lies in the scan is known once the way is: what no way that can be taken brings into it is looked
    at.
    """
    # The centre of a voxel of the scan may lie off that of the mask's, before and after, by half of a diagonal each.
    reach = _FURTHEST_MM + _SLACK * float(np.linalg.norm(np.linalg.norm(affine[:3, :3], axis=0)))
    near, own = around(lesion, affine, reach)
    rim = [(n - m) // 2 for n, m in zip(near.shape, lesion.shape, strict=True)]
    away = brain & ~near[tuple(slice(one, one + n) for one, n in zip(rim, lesion.shape, strict=True))]
    healthy = brain & ~lesion
    # Many small lesions leave little that is far from all of them: then what was filled in is compared as well.
    enough = np.count_nonzero(away) >= np.count_nonzero(healthy) / 2
    image = without_lesion(ictal.image, near, own, ictal.matrix)
    if image is ictal.image:
        # All of the scan is near, and there is nothing to fill it with: at least what lies in them as it was prepared.
        image = without_lesion(ictal.image, lesion, affine, ictal.matrix)
    return replace(ictal, image=image), away if enough else healthy
