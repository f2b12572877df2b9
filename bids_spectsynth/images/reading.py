"""Image files read safely: finite values, one affine, frames averaged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.access import ASK_OWNER, read_problem
from bids_spectsynth.errors import ImageError, size_text
from bids_spectsynth.images.forms import matrix_problem, placement
from bids_spectsynth.images.grid import FloatArray, new_image
from bids_spectsynth.images.nifti import READ_ERRORS, opened_image
from bids_spectsynth.images.values import begin_at_zero, unwrap
from bids_spectsynth.images.wrapping import wrapped_voxels, wrapping_note

# Codes of intent (NIfTI) of what the fifth dimension holds where it does not hold frames: matrices, vectors, colours.
_COMPONENT_INTENTS = (1003, 1004, 1005, 1006, 1007, 1009, 2003, 2004)
#: An image thinner than this along an axis is a slice or a slab, and cannot be registered.
MIN_VOXELS_PER_AXIS = 4
#: Voxels with a longer edge (mm) show no brain, and would be resampled to millions of times their number.
MAX_VOXEL_MM = 30


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
            affine, notes = _checked_affine(image, path)
            data: Any = image
            if _frame_axis(image.shape) is not None:
                data, more = _averaged(image, frame_durations, path)
                notes += more
            clean, more_notes = _clean_volume(data, affine, path)
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
    return clean, (*notes, *more_notes)


def _frame_axis(shape: tuple[int, ...]) -> int | None:
    """The one dimension behind the third that is longer than 1; None where there is none or more than one."""
    longer = [axis for axis in range(3, len(shape)) if shape[axis] > 1]
    return longer[0] if len(longer) == 1 and 0 not in shape else None


def _averaged(
    image: nib.Nifti1Image, durations: Sequence[float] | None, path: Path
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    axis = _frame_axis(image.shape)
    intent = int(image.header["intent_code"])
    if axis != 3 and intent in _COMPONENT_INTENTS:
        raise ImageError(
            f"{path}: {image.shape[axis or 4]} components per voxel (intent code {intent}); no series of frames"
        )
    n = image.shape[axis or 3]
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
    mean, n_corrected, n_wrapped = _mean_of_frames(image.dataobj, durations)
    weights = "weighted by their durations" if durations is not None else "all weighted alike (no durations known)"
    notes = [f"{n} frames averaged, {weights}", *([_corrected_note(n_corrected)] if n_corrected else [])]
    if n_wrapped:
        notes.append(wrapping_note(path.name, n_wrapped, mean.size * n))
    return mean, tuple(notes)


def average_frames(data4d: Any, durations: Sequence[float] | None = None) -> npt.NDArray[np.float32]:
    """Mean of the frames of a series, weighted by their durations.

    Parameters
    ----------
    data4d : array or nibabel array proxy, shape (i, j, k, t)
        Or with further dimensions of length 1 before or behind the frames. Voxels that are not finite count as 0 in
        their frame.
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
    return _mean_of_frames(data4d, durations)[0]


def _mean_of_frames(data4d: Any, durations: Sequence[float] | None) -> tuple[npt.NDArray[np.float32], int, int]:
    """The mean, and the numbers of voxels, in all frames, whose wrapped integers were corrected and were not."""
    shape = data4d.shape
    axis = _frame_axis(shape) or 3
    n = shape[axis]
    weights = np.ones(n) if durations is None else np.asarray(durations, dtype=np.float64)
    if weights.shape != (n,) or np.any(weights < 0) or weights.sum() <= 0:
        raise ValueError(f"{n} frames need {n} durations, none negative and not all zero")
    weights = weights / weights.sum()
    mean, n_corrected, n_wrapped = np.zeros(shape[:3], dtype=np.float32), 0, 0
    for t in range(n):
        if weights[t] > 0:
            index = tuple(t if other == axis else 0 for other in range(3, len(shape)))
            frame, n = unwrap(np.array(data4d[(slice(None),) * 3 + index], dtype=np.float32), data4d)
            n_corrected += n
            n_wrapped += wrapped_voxels(frame, data4d)
            mean += np.float32(weights[t]) * np.nan_to_num(frame, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return mean, n_corrected, n_wrapped


def _corrected_note(n: int) -> str:
    return f"{n} voxels were negative because unsigned integers are stored as signed ones; corrected"


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
    clean, more = _clean_volume(image, affine, path)
    return clean, (*notes, *more)


def _clean_volume(
    image: nib.spatialimages.SpatialImage | npt.NDArray[np.float32], affine: FloatArray, path: Path
) -> tuple[nib.Nifti1Image, tuple[str, ...]]:
    """Finite values of three dimensions, of an image or of the mean of its frames."""
    notes: list[str] = []
    shape = image.shape
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or 0 in shape:
        raise ImageError(f"{path}: {size_text(shape)} voxels; one volume of three dimensions is needed")
    if min(shape[:3]) < MIN_VOXELS_PER_AXIS:
        raise ImageError(f"{path}: {size_text(shape[:3])} voxels are a single slice or slab; a whole volume is needed")
    if isinstance(image, np.ndarray):
        data = image
    else:
        if np.dtype(image.get_data_dtype()).kind not in "iufb":
            raise ImageError(f"{path}: voxels of type {image.get_data_dtype()}; one number per voxel is needed")
        data = np.array(image.dataobj, dtype=np.float32).reshape(shape[:3])
        data, n_corrected = unwrap(data, image.dataobj)
        if n_corrected:
            notes.append(_corrected_note(n_corrected))
        n_wrapped = wrapped_voxels(data, image.dataobj)
        if n_wrapped:
            notes.append(wrapping_note(path.name, n_wrapped, data.size))
    finite = np.isfinite(data)
    n_bad = data.size - int(np.count_nonzero(finite))
    if n_bad == data.size:
        raise ImageError(f"{path}: no voxel holds a number (all NaN or infinite); convert or reconstruct it again")
    if n_bad:
        data[~finite] = 0
        notes.append(f"{n_bad} voxels were NaN or infinite and are taken as 0")
    low, high = float(data.min()), float(data.max())
    if low < high:
        data, more = begin_at_zero(data)
        notes += more
        low, high = float(data.min()), float(data.max())
    if low == high:
        what = "all voxels are zero" if low == 0 else f"all voxels hold the same value ({low:g})"
        raise ImageError(f"{path}: {what}; convert or reconstruct it again")
    return new_image(data, affine), tuple(notes)


def _checked_affine(image: nib.spatialimages.SpatialImage, path: Path) -> tuple[FloatArray, list[str]]:
    affine = np.full((4, 4), np.nan) if image.affine is None else np.array(image.affine, dtype=np.float64)
    notes: list[str] = []
    problem = matrix_problem(affine)
    if problem is not None:
        problem = f"the header's affine {problem}"
    if isinstance(image, nib.Nifti1Image):
        found = placement(image.header)
        problem, notes = found.problem, [*found.notes]
        # The header holds single precision, an image that is no file may hold double.
        if not np.allclose(affine, found.affine, rtol=1e-5, atol=1e-5):
            affine = found.affine
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if problem is None and sizes.max() > MAX_VOXEL_MM:
        problem = f"voxels of {' x '.join(f'{size:.4g}' for size in sizes)} mm are too large to show a brain"
    if problem is not None:
        raise ImageError(f"{path}: {problem}" + ("" if "correct" in problem else "; convert the image again"))
    return affine, notes
