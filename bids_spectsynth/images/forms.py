"""Where a NIfTI header says that the voxels lie: sform, qform, voxel sizes and the unit of length."""

from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np

from bids_spectsynth.images.grid import FloatArray, apply_affine

#: sform and qform that differ by more than this at a corner of the image (mm) are reported.
FORM_TOLERANCE_MM = 1.0
#: Said of an image whose header gives no orientation at all.
NO_ORIENTATION = "neither sform nor qform is set: orientation taken from the voxel order, left and right unknown"

# The sform's voxel sizes are those of pixdim where they differ by no more than this part.
_SIZE_TOLERANCE = 1e-3
# A quaternion may be longer than 1 by so much (squared length) before it is no rotation: rounding, text in between.
_QUATERNION_EXCESS = 0.02
# Units of length by their code in xyzt_units, with the millimetres in one of them.
_UNITS = {1: ("metre", 1e3), 2: ("millimetre", 1.0), 3: ("micron", 1e-3)}
# Length of the longest axis, mm, beyond which numbers are in another unit than the header says.
_PLAUSIBLE_MM = (2.0, 5000.0)


@dataclass(frozen=True, eq=False)
class Placement:
    """What is made of the forms of a header.

    Parameters
    ----------
    affine : array, shape (4, 4)
        Voxel indices to world RAS+ millimetres; not finite where ``problem`` says why.
    notes : tuple of str
        One line each: which form was not used, and why; which unit was converted.
    problem : str or None
        Why the header gives no usable position.
    """

    affine: FloatArray
    notes: tuple[str, ...] = ()
    problem: str | None = None


def matrix_problem(affine: FloatArray) -> str | None:
    """Why a 4x4 matrix cannot be an affine: its numbers are not finite, or it cannot be inverted; or None."""
    if not np.all(np.isfinite(affine)):
        return "has no finite numbers"
    sizes = _sizes(affine)
    if np.any(sizes < 1e-9) or abs(np.linalg.det(affine[:3, :3] / np.maximum(sizes, 1e-12))) < 1e-3:
        return "cannot be inverted"
    return None


def placement(header: nib.nifti1.Nifti1Header) -> Placement:
    """Choose between sform and qform, as niworkflows does, and bring lengths to millimetres.

    The sform is used unless it cannot be (not finite, not invertible) or its voxel sizes contradict ``pixdim`` (and so
    the qform, by more than 1 mm at a corner), and the qform can be used. A form whose code is 0 is not set.

    Parameters
    ----------
    header : Nifti1Header
        Or that of NIfTI-2.

    Returns
    -------
    Placement
    """
    sizes = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    shape = np.array([*header.get_data_shape(), 1, 1, 1][:3])  # type: ignore[no-untyped-call]
    s_set, q_set = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    sform = np.asarray(header.get_sform(), dtype=np.float64) if s_set else None  # type: ignore[no-untyped-call]
    qform = _qform(header) if q_set else None
    s_problem = None if sform is None else matrix_problem(sform)
    q_problem = "is no rotation" if q_set and qform is None else None if qform is None else matrix_problem(qform)
    unit, factor = _UNITS.get(int(header["xyzt_units"]) & 7, ("none", 1.0))
    usable_q = qform is not None and q_problem is None
    notes: list[str] = []
    if sform is not None and s_problem is None:
        affine = sform
        same = bool(np.allclose(_sizes(sform), sizes, rtol=_SIZE_TOLERANCE, atol=0))
        contradiction = f"the sform's voxel sizes ({_by(_sizes(sform))}) are not those of pixdim ({_by(sizes)})"
        if usable_q:
            gap = _gap(sform, np.asarray(qform), shape) * factor
            if not gap <= FORM_TOLERANCE_MM:
                affine = sform if same else np.asarray(qform)
                used = "the sform is used" if same else f"the qform is used: {contradiction}"
                notes.append(f"sform and qform disagree by up to {gap:.1f} mm; {used}")
        elif q_problem:
            notes.append(f"the qform {q_problem}; the sform is used")
        elif not same:
            notes.append(f"{contradiction}; the sform is used")
    elif usable_q:
        affine = np.asarray(qform)
        if s_problem:
            notes.append(f"the sform {s_problem}; the qform is used")
    elif s_problem or q_problem:
        return Placement(np.full((4, 4), np.nan), (), f"the header's affine {s_problem or q_problem}")
    else:
        affine = np.asarray(header.get_base_affine(), dtype=np.float64)  # type: ignore[no-untyped-call]
        notes.append(NO_ORIENTATION)
        if problem := matrix_problem(affine):
            return Placement(np.full((4, 4), np.nan), (), f"the header's affine {problem}")
    return _in_millimetres(affine, tuple(notes), shape, unit, factor)


def _in_millimetres(affine: FloatArray, notes: tuple[str, ...], shape: Any, unit: str, factor: float) -> Placement:
    length = float((_sizes(affine) * shape).max())
    low, high = _PLAUSIBLE_MM
    if low <= length * factor <= high:
        if factor == 1:
            return Placement(affine, notes)
        converted = affine.copy()
        converted[:3] *= factor
        return Placement(converted, (*notes, f"the header's lengths are in {unit}s and were converted to millimetres"))
    if factor != 1 and low <= length <= high:
        line = f"the header's unit of length is {unit}, but voxels of {_by(_sizes(affine))} can only be in millimetres"
        return Placement(affine, (*notes, line))
    problem = (
        f"voxels of {_by(_sizes(affine))} (unit of length in the header: {unit}) would make an image of "
        f"{length * factor:.3g} mm; correct the voxel sizes or the unit (xyzt_units)"
    )
    return Placement(affine, notes, problem)


def _qform(header: nib.nifti1.Nifti1Header) -> FloatArray | None:
    """The qform; None where its quaternion is no rotation."""
    try:
        return np.asarray(header.get_qform(), dtype=np.float64)  # type: ignore[no-untyped-call]
    except (ValueError, nib.spatialimages.HeaderDataError):
        pass
    vector = np.array([float(header[f"quatern_{axis}"]) for axis in "bcd"])
    offset = np.array([float(header[f"qoffset_{axis}"]) for axis in "xyz"])
    if not 1 <= vector @ vector <= 1 + _QUATERNION_EXCESS:
        return None
    turn = nib.quaternions.quat2mat([0, *vector / np.linalg.norm(vector)])  # type: ignore[no-untyped-call]
    sizes = np.asarray(header["pixdim"][1:4], dtype=np.float64) * [1, 1, -1 if header["pixdim"][0] < 0 else 1]
    return np.asarray(nib.affines.from_matvec(turn * sizes, offset))  # type: ignore[no-untyped-call]


def _sizes(affine: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(np.sum(affine[:3, :3] ** 2, axis=0)))


def _gap(first: FloatArray, second: FloatArray, shape: Any) -> float:
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * shape
    return float(np.linalg.norm(apply_affine(first - second, corners), axis=1).max())


def _by(sizes: FloatArray) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)
