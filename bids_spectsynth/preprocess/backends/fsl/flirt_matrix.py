"""FLIRT's matrices, converted into world matrices with fslpy.

FLIRT maps scaled voxel coordinates of the moving image to those of the fixed one: voxel indices times voxel sizes, with
x counted from the other end where the affine has a positive determinant. World matrices here map RAS+ millimetres of
the fixed image to those of the moving image.
"""

from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from fsl.data.image import Nifti
from fsl.transform.flirt import fromFlirt

FloatArray = npt.NDArray[np.float64]


def world_from_flirt(inverse_flirt: FloatArray, moving: nib.Nifti1Image, fixed: nib.Nifti1Image) -> FloatArray:
    """World matrix, fixed to moving, of a FLIRT matrix that leads from fixed to moving.

    Parameters
    ----------
    inverse_flirt : array, shape (4, 4)
        Inverse of the matrix that ``flirt -in moving -ref fixed -omat`` writes (``convert_xfm -inverse``).
    moving, fixed : Nifti1Image
        Only shape and affine are used.
    """
    matrix = fromFlirt(np.asarray(inverse_flirt, dtype=np.float64), _fslpy(fixed), _fslpy(moving), "world", "world")
    return np.asarray(matrix, dtype=np.float64)


def upright(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """The image with its voxels stored as near to RAS+ as whole axes allow; world coordinates stay.

    FLIRT ignores headers and searches 90 degrees about each axis, which only then covers all that a header may mean.
    """
    return nib.as_closest_canonical(image)  # type: ignore[no-any-return, no-untyped-call]


def as_stored(values: npt.NDArray[Any], image: nib.Nifti1Image) -> npt.NDArray[Any]:
    """``values`` on the voxels of :func:`upright` of ``image``, brought to the voxel order of ``image``."""
    own = nib.orientations.io_orientation(image.affine)  # type: ignore[no-untyped-call]
    back = nib.orientations.ornt_transform(np.array([[0, 1], [1, 1], [2, 1]]), own)  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(nib.orientations.apply_orientation(values, back))  # type: ignore[no-untyped-call]


def fsl_ready(image: nib.Nifti1Image, data: npt.NDArray[Any] | None = None) -> nib.Nifti1Image:
    """Copy of an image as FSL reads it: float32, sform and qform both set to its affine.

    A qform cannot hold shear; FSL prefers the sform, so nothing is lost where there is some.
    """
    values = np.asarray(image.dataobj if data is None else data, dtype=np.float32)
    ready = nib.Nifti1Image(values, None)  # type: ignore[no-untyped-call]
    ready.set_sform(image.affine, code=1)  # type: ignore[no-untyped-call]
    ready.set_qform(image.affine, code=1)  # type: ignore[no-untyped-call]
    ready.header.set_xyzt_units("mm", "sec")  # type: ignore[no-untyped-call]
    return ready


def _fslpy(image: nib.Nifti1Image) -> Nifti:
    header = nib.Nifti1Header()  # type: ignore[no-untyped-call]
    header.set_data_shape(image.shape[:3])  # type: ignore[no-untyped-call]
    header.set_sform(image.affine, code=1)  # type: ignore[no-untyped-call]
    header.set_qform(image.affine, code=1)  # type: ignore[no-untyped-call]
    return Nifti(header)
