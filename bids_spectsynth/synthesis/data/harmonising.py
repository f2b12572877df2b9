"""Bringing the PETs of several scanners to one resolution before a network sees them.

An image can be made blurrier, never sharper: all are brought to the blurriest group of the training, later ones to what
the training had.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, T1W, role_of
from bids_spectsynth.errors import ImageError, size_text
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.images.resolution import AnatomicalBlur
from bids_spectsynth.images.smoothing import as_by_blurrier_camera

Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Resolutions that differ by less than this factor are not told apart: twice the standard deviation with which the
#: measured width differs between heads on one camera (8 % of it, docs/method.md).
TOLERANCE = 1.15
#: Once that deviation. What is sharper by less is not smoothed: to smooth a little for nothing costs next to nothing,
#: to leave a sharp image costs more (benchmarks/several_scanners.py).
LEAST_FACTOR = 1.075
#: Of fewer scans one is a group by itself, of more a group has two, and this share.
_FEW, _LEAST_SHARE = 5, 0.1
#: A smoothing that takes away what a PET shows of the cortex, mm (FWHM).
_STRONG_MM = 8.0
#: Voxels of a brain below which no resolution is measured; a brain has thousands at any size of the program's.
_LEAST_VOXELS = 1000


def has_width(role: str) -> bool:
    """Whether a resolution is measured of images of a role: of PET and interictal SPECT, not of MR."""
    return (role_of(role).is_input and role_of(role).is_nuclear) or role == INTERICTAL


def case_widths(prepared: PreparedCase, roles: Iterable[str]) -> dict[str, float]:
    """Resolution of the PET and the SPECT of a case, as its files are.

    Parameters
    ----------
    prepared : PreparedCase
    roles : iterable of str
        Others than PET and interictal SPECT, and those that the case does not have, are left out.

    Returns
    -------
    dict of str to float
        FWHM, mm, of 4 to 20 (:class:`bids_spectsynth.images.resolution.AnatomicalBlur`), by role; NaN where too little
        of the brain was measured, the width is at a bound, or no blur of the T1w explains the image.

    Raises
    ------
    ImageError
        An image or a mask is missing, damaged, or on another grid than the brain mask.
    """
    own = [role for role in roles if has_width(role) and role in prepared.images]
    if own and not (T1W in prepared.images and T1W in prepared.masks):
        raise ImageError(f"{prepared.name}: no prepared T1w image with a brain mask; prepare the participant again")
    anatomy = [files[T1W] for files in (prepared.images, prepared.masks) if T1W in files]
    return {
        role: _width(*(_stamped(path) for path in (prepared.images[role], *anatomy, *_own_mask(prepared, role))))
        for role in own
    }


def _own_mask(prepared: PreparedCase, role: str) -> tuple[Path, ...]:
    return (prepared.masks[role],) if role in prepared.masks else ()


def _stamped(path: Path) -> tuple[Path, int, int]:
    """A file, and what tells whether it is still the same."""
    try:
        found = path.stat()
    except OSError as error:
        raise ImageError(f"{path}: cannot read it ({error.strerror}); prepare the participant again") from error
    return path, found.st_size, found.st_mtime_ns


# Several models and stages of a run ask for the same images, each of which takes seconds at 1 mm.
@functools.lru_cache(maxsize=4096)
def _width(
    scan: tuple[Path, int, int], t1w: tuple[Path, int, int], brain: tuple[Path, int, int], *own: tuple[Path, int, int]
) -> float:
    mask, affine = _values(brain[0])
    inside = mask > 0
    for other in own:
        inside &= _same_grid(other[0], mask) > 0
    if inside.sum() < _LEAST_VOXELS:
        return float("nan")
    image, anatomy = _same_grid(scan[0], mask), _same_grid(t1w[0], mask)
    # The whole field of view holds little but air.
    box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(inside))
    if image[inside].std() == 0 or anatomy[inside].std() == 0:
        return float("nan")
    return AnatomicalBlur(anatomy[box], inside[box], affine).measured_fwhm(image[box])


def _values(path: Path) -> tuple[Float32, npt.NDArray[np.float64]]:
    image = load_image(path)[0]
    return np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine, dtype=np.float64)


def _same_grid(path: Path, mask: npt.NDArray[np.float32]) -> Float32:
    values = _values(path)[0]
    if values.shape != mask.shape:
        raise ImageError(
            f"{path}: {size_text(values.shape)} voxels, the brain mask has {size_text(mask.shape)}; prepare it again"
        )
    return values


def common_width(widths: Sequence[float]) -> float:
    """The resolution to which the scans of several cameras are brought: that of the blurriest group among them.

    A group are scans within a factor of ``TOLERANCE ** 2``; their median counts. One of five scans or more is no group,
    of twenty or more a group has a tenth of them: blur that a single patient's motion made sets no standard for the
    others. Where no so many are alike it is the median of all.

    Parameters
    ----------
    widths : sequence of float
        FWHM, mm; those that are NaN do not count.

    Returns
    -------
    float
        mm; NaN where none is known.

    Examples
    --------
    >>> common_width([5.4, 5.5, 5.6, 8.8, 9.0, 9.2]), common_width([7.0, 7.2, 7.4]), common_width([6, 6, 6, 6, 15])
    (9.0, 7.2, 6.0)
    """
    known = np.sort([width for width in widths if np.isfinite(width)])[::-1]
    if not known.size:
        return float("nan")
    least = 1 if known.size < _FEW else max(2, int(np.ceil(_LEAST_SHARE * known.size)))
    for last in range(least - 1, known.size):
        # The last of so many, not the most blurred: that one lies the further out the more scans there are.
        if known[last - least + 1] <= known[last] * TOLERANCE**2:
            near = np.abs(np.log(known / known[last])) <= 2 * np.log(TOLERANCE)
            return float(np.median(known[near]))
    return float(np.median(known))


def group_notes(widths: Mapping[str, float], target: float) -> list[str]:
    """What deserves a look where scans are brought to a common resolution: sentences without a full stop.

    Parameters
    ----------
    widths : mapping of str to float
        FWHM, mm, by the name of the case.
    target : float
        Common resolution, mm.

    Returns
    -------
    list of str
        Scans that are more blurred and stay so, a resolution that one scan alone has set, scans that are smoothed by
        more than 8 mm, and those that stay as they are because their resolution could not be measured.

    Examples
    --------
    >>> group_notes({"sub-01": 6.0, "sub-02": 6.1, "sub-03": 15.0}, 6.1)
    ['sub-03 (15.0 mm) is more blurred than 6.1 mm and stays so; see whether it moved']
    """
    notes = [
        f"{name} ({width:.1f} mm) is more blurred than {target:.1f} mm and stays so; see whether it moved"
        for name, width in widths.items()
        if width > target * TOLERANCE**2
    ]
    alike = [name for name, width in widths.items() if width >= target / TOLERANCE]
    if len(alike) == 1 < len(widths):
        notes.append(f"{alike[0]} alone sets the {target:.1f} mm: see that it is no single scan that moved")
    much = [name for name, width in widths.items() if kernel(width, target) > _STRONG_MM]
    if much:
        words = f"smoothed by more than {_STRONG_MM:g} mm: {_some_of(much)}"
        notes.append(f"{words} ({len(much)} of {len(widths)}); detail is lost")
    return [*notes, *unmeasured_notes(widths)]


def unmeasured_notes(widths: Mapping[str, float]) -> list[str]:
    """The scans that nothing is smoothed of because their resolution is not known: one sentence, or none.

    Parameters
    ----------
    widths : mapping of str to float
        FWHM, mm, by the name of the case; NaN where it could not be measured.

    Examples
    --------
    >>> unmeasured_notes({"sub-01": float("nan"), "sub-02": 6.0})
    ['resolution of sub-01 not measured, not smoothed (1 of 2): may be sharper than the others; look at it']
    """
    unknown = [name for name, width in widths.items() if not np.isfinite(width)]
    if not unknown:
        return []
    words = f"resolution of {_some_of(unknown)} not measured, not smoothed ({len(unknown)} of {len(widths)})"
    return [f"{words}: may be sharper than the others; look at {'it' if len(unknown) == 1 else 'them'}"]


def _some_of(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def kernel(width: float, target: float) -> float:
    """Gaussian (FWHM, mm) that a scan lacks to be as blurred as others.

    Parameters
    ----------
    width, target : float
        Resolutions of the scan and of the others, mm.

    Returns
    -------
    float
        0 where the scan is as blurred or hardly sharper (:data:`LEAST_FACTOR`), or a resolution is not known.

    Examples
    --------
    >>> kernel(6.0, 10.0), kernel(9.5, 10.0), kernel(12.0, 10.0)
    (8.0, 0.0, 0.0)
    """
    return float(np.sqrt(target**2 - width**2)) if width * LEAST_FACTOR < target else 0.0


def harmonised(prepared: PreparedCase, targets: Mapping[str, float]) -> PreparedCase:
    """The case with inputs that are smoothed when they are read, as far as they are sharper than they should be.

    Parameters
    ----------
    prepared : PreparedCase
    targets : mapping of str to float
        Resolutions (FWHM, mm) of the training, by role.

    Returns
    -------
    PreparedCase
        With ``smoothing``, by role; without roles that stay as they are.

    Raises
    ------
    ImageError
        An image or a mask is missing, damaged, or on another grid than the brain mask.
    """
    if not targets:
        return prepared
    kernels = {role: kernel(width, targets[role]) for role, width in case_widths(prepared, targets).items()}
    return replace(prepared, smoothing={role: fwhm for role, fwhm in kernels.items() if fwhm > 0})


def smoothed(prepared: PreparedCase, role: str, volume: Float32, mask: Mask | None = None) -> Float32:
    """A prepared image, smoothed in the brain as the case says.

    Parameters
    ----------
    prepared : PreparedCase
    role : str
    volume : array, shape (I, J, K)
        Its values.
    mask : array of bool, shape (I, J, K), optional
        Brain mask of the case; read where it is not given and needed.

    Returns
    -------
    array, shape (I, J, K), float32
        The volume itself where the case has no smoothing of this role; else 0 outside the brain, or outside the part
        of it that was measured.

    Raises
    ------
    ImageError
        A mask is missing, damaged, or of another shape.
    """
    fwhm = prepared.smoothing.get(role, 0.0)
    if not fwhm:
        return volume
    brain, affine = _values(prepared.masks[T1W])
    inside = measured = brain > 0 if mask is None else mask
    for path in _own_mask(prepared, role):
        measured = measured & (_same_grid(path, brain) > 0)
    if not measured.any():
        return volume
    return as_by_blurrier_camera(volume, inside, measured, np.linalg.norm(affine[:3, :3], axis=0), fwhm)
