"""Image files read safely: finite values, one affine, frames averaged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.access import ASK_OWNER, read_problem
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import FloatArray, apply_affine, new_image
from bids_spectsynth.images.nifti import READ_ERRORS, opened_image

#: An image thinner than this along an axis is a slice or a slab, and cannot be registered.
MIN_VOXELS_PER_AXIS = 4
#: sform and qform that differ by more than this at a corner of the image (mm) are reported.
FORM_TOLERANCE_MM = 1.0


def load_image(path: Path, frame_durations: Sequence[float] | None = None) -> tuple[nib.Nifti1Image, tuple[str, ...]]:
    """Read a NIfTI file as a sanitised image of three dimensions.

    The file is opened and decompressed once. Frames of a 4D image are averaged (:func:`average_frames`), read one by
    one to spare memory.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``.
    frame_durations : sequence of float, optional
        Seconds per frame, the weights of the average; None weights all frames alike.

    Returns
    -------
    image : Nifti1Image, shape (i, j, k), float32
        See :func:`sanitise`.
    notes : tuple of str
        One line for each thing that was repaired or deserves a warning.

    Raises
    ------
    ImageError
        The file is missing, empty, truncated, no NIfTI, or its content is not usable.
    """
    problem = read_problem(path)
    if problem is not None:
        raise ImageError(f"{path}: {problem}")
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: the file is empty (0 bytes); copy or convert it again")
    try:
        with opened_image(path) as image:
            notes: tuple[str, ...] = ()
            if len(image.shape) == 4 and image.shape[3] > 1:
                image, notes = _averaged(image, frame_durations, path)
            clean, more = sanitise(image, path)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{path}: too large for the memory of this machine") from error
    except PermissionError as error:
        # Some file systems tell only now.
        raise ImageError(f"{path}: {ASK_OWNER}") from error
    except READ_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path}: damaged or truncated ({reason}); copy or convert it again") from error
    return clean, notes + more


def _averaged(
    image: nib.spatialimages.SpatialImage, durations: Sequence[float] | None, path: Path
) -> tuple[nib.Nifti1Image, tuple[str, ...]]:
    n = image.shape[3]
    if durations is not None and len(durations) != n:
        raise ImageError(
            f"{path}: {n} frames, but {len(durations)} frame durations in the sidecar; correct one of them"
        )
    if durations is not None and not (all(0 <= one < np.inf for one in durations) and sum(durations) > 0):
        wrong = next((one for one in durations if not 0 < one < np.inf), 0)
        raise ImageError(
            f"{path}: the frame durations in the sidecar are not positive numbers (FrameDuration holds {wrong:g}); "
            "correct them"
        )
    mean = average_frames(image.dataobj, durations)
    weights = "weighted by their durations" if durations is not None else "all weighted alike (no durations known)"
    # With the header both forms stay, so that a disagreement between them is still noticed.
    header = image.header if isinstance(image, nib.Nifti1Image) else None
    averaged = new_image(mean, image.affine, header)
    return averaged, (f"{n} frames averaged, {weights}",)


def average_frames(data4d: Any, durations: Sequence[float] | None = None) -> npt.NDArray[np.float32]:
    """Mean of the frames of a series, weighted by their durations.

    Parameters
    ----------
    data4d : array or nibabel array proxy, shape (i, j, k, t)
        Voxels that are not finite count as 0 in their frame.
    durations : sequence of float, length t, optional
        Seconds, not negative, with a positive sum; None weights all frames alike.

    Returns
    -------
    array, shape (i, j, k), float32

    Raises
    ------
    ValueError
        The durations do not fit the frames.
    """
    n = data4d.shape[3]
    weights = np.ones(n) if durations is None else np.asarray(durations, dtype=np.float64)
    if weights.shape != (n,) or np.any(weights < 0) or weights.sum() <= 0:
        raise ValueError(f"{n} frames need {n} durations, none negative and not all zero")
    weights = weights / weights.sum()
    mean = np.zeros(data4d.shape[:3], dtype=np.float32)
    for t in range(n):
        if weights[t] > 0:
            frame = np.array(data4d[..., t], dtype=np.float32)
            mean += np.float32(weights[t]) * np.nan_to_num(frame, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return mean


def sanitise(image: nib.spatialimages.SpatialImage, path: Path) -> tuple[nib.Nifti1Image, tuple[str, ...]]:
    """Bring an image into the one form that the other functions take.

    Parameters
    ----------
    image : image
        Three dimensions, or more of length 1 behind them; integer, scaled or float.
    path : Path
        For messages only.

    Returns
    -------
    image : Nifti1Image, shape (i, j, k), float32
        Finite values with the file's scaling applied, and the sform (else the qform) as the only affine.
    notes : tuple of str
        What was repaired, one line each.

    Raises
    ------
    ImageError
        Not three-dimensional, too thin, affine not invertible, no finite voxel, or the same value everywhere.
    """
    affine, notes = _checked_affine(image, path)
    shape = image.shape
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or 0 in shape:
        raise ImageError(f"{path}: shape {shape}; one volume of three dimensions is needed")
    if min(shape[:3]) < MIN_VOXELS_PER_AXIS:
        raise ImageError(f"{path}: shape {shape[:3]} is a single slice or slab; a whole volume is needed")
    if np.dtype(image.get_data_dtype()).kind not in "iufb":
        raise ImageError(f"{path}: voxels of type {image.get_data_dtype()}; one number per voxel is needed")
    data = np.array(image.dataobj, dtype=np.float32).reshape(shape[:3])
    finite = np.isfinite(data)
    n_bad = data.size - int(np.count_nonzero(finite))
    if n_bad == data.size:
        raise ImageError(f"{path}: no voxel holds a number (all NaN or infinite); convert or reconstruct it again")
    if n_bad:
        data[~finite] = 0
        notes.append(f"{n_bad} voxels were NaN or infinite and are taken as 0")
    low, high = float(data.min()), float(data.max())
    if low == high:
        what = "all voxels are zero" if low == 0 else f"all voxels hold the same value ({low:g})"
        raise ImageError(f"{path}: {what}; convert or reconstruct it again")
    return new_image(data, affine), tuple(notes)


def _checked_affine(image: nib.spatialimages.SpatialImage, path: Path) -> tuple[FloatArray, list[str]]:
    affine = None if image.affine is None else np.array(image.affine, dtype=np.float64)
    notes: list[str] = []
    if affine is None or not np.all(np.isfinite(affine)):
        raise ImageError(f"{path}: the header's affine has no finite numbers; convert the image again")
    sizes = np.sqrt(np.sum(affine[:3, :3] ** 2, axis=0))
    if np.any(sizes < 1e-3) or abs(np.linalg.det(affine[:3, :3] / np.maximum(sizes, 1e-12))) < 1e-3:
        raise ImageError(f"{path}: the header's affine cannot be inverted; convert the image again")
    if not isinstance(image, nib.Nifti1Image):
        return affine, notes
    sform, s_code = image.get_sform(coded=True)  # type: ignore[no-untyped-call]
    qform, q_code = image.get_qform(coded=True)  # type: ignore[no-untyped-call]
    if not s_code and not q_code:
        notes.append("neither sform nor qform is set: orientation taken from the voxel order, left and right unknown")
    elif s_code and q_code and sform is not None and qform is not None:
        corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * np.array(image.shape[:3])
        gap = np.linalg.norm(apply_affine(np.asarray(sform) - np.asarray(qform), corners), axis=1).max()
        if not gap <= FORM_TOLERANCE_MM:
            notes.append(f"sform and qform disagree by up to {gap:.1f} mm; the sform is used")
    return affine, notes
