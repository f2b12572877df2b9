"""Where voxels lie: the affine of NIfTI (RAS+), and position, orientation and spacing of DICOM (LPS+).

A volume has the axes (i, j, k), as NIfTI has them; its frames have (k, row, column), as DICOM stores them: a column is
an i, a row a j, a frame a k.
"""

from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.errors import ImageError

Float64 = npt.NDArray[np.float64]
#: RAS+ to LPS+ and back.
_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Cosine between axes of a volume up to which they count as orthogonal: a degree in 600.
_SHEAR = 2e-3


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a stack of frames lies, in the patient's coordinates of DICOM (LPS+ mm).

    Parameters
    ----------
    position : array, shape (3,)
        Centre of the first pixel of the first frame.
    row, column : array, shape (3,)
        Unit vectors along which columns and rows are counted: the direction of a row of pixels, and of a column.
    pixel_spacing : tuple of float
        Between rows, then between columns, mm, as PixelSpacing has them.
    spacing : float
        From frame to frame along ``row`` x ``column``, mm; negative where frames go the other way.
    """

    position: Float64
    row: Float64
    column: Float64
    pixel_spacing: tuple[float, float]
    spacing: float

    @property
    def normal(self) -> Float64:
        """Unit vector along which a positive ``spacing`` counts."""
        return np.cross(self.row, self.column)

    @property
    def orientation(self) -> list[float]:
        """The six numbers of ImageOrientationPatient."""
        return [*self.row.tolist(), *self.column.tolist()]

    def frame_position(self, number: int) -> Float64:
        """Centre of the first pixel of a frame, counted from 0."""
        return self.position + number * self.spacing * self.normal


def affine_of(placement: Placement) -> Float64:
    """The affine, voxels (i, j, k) to RAS+ mm, of a stack of frames.

    Examples
    --------
    >>> axes = np.eye(3)
    >>> affine_of(Placement(np.zeros(3), axes[0], axes[1], (2.0, 1.0), -3.0)).diagonal().tolist()
    [-1.0, -2.0, -3.0, 1.0]
    """
    between_rows, between_columns = placement.pixel_spacing
    matrix = np.eye(4)
    matrix[:3, 0] = placement.row * between_columns
    matrix[:3, 1] = placement.column * between_rows
    matrix[:3, 2] = placement.normal * placement.spacing
    matrix[:3, 3] = placement.position
    return np.asarray(_FLIP @ matrix, dtype=np.float64)


def placement_of(affine: npt.ArrayLike) -> Placement:
    """The inverse of :func:`affine_of`, with a negative spacing where the axes are a left-handed system.

    Parameters
    ----------
    affine : array, shape (4, 4)

    Raises
    ------
    ImageError
        The axes are not orthogonal, which DICOM cannot say.
    """
    matrix = _FLIP @ np.asarray(affine, dtype=np.float64)
    sizes = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or (sizes == 0).any():
        raise ImageError("the affine cannot be inverted; check the image")
    axes = matrix[:3, :3] / sizes
    if np.abs(axes.T @ axes - np.eye(3)).max() > _SHEAR:
        raise ImageError("the axes of the voxels are not orthogonal, which DICOM cannot say; resample the image")
    row = axes[:, 0]
    # What rounding has left of a shear goes, so that the six numbers are two orthogonal unit vectors.
    column = axes[:, 1] - (axes[:, 1] @ row) * row
    column /= np.linalg.norm(column)
    spacing = float(np.cross(row, column) @ matrix[:3, 2])
    return Placement(matrix[:3, 3], row, column, (float(sizes[1]), float(sizes[0])), spacing)


def frames_of(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Frames, shape (k, rows, columns), of a volume, shape (i, j, k)."""
    return np.ascontiguousarray(values.T)


def volume_of(frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A volume, shape (i, j, k), of frames, shape (k, rows, columns)."""
    return np.ascontiguousarray(frames.T)


def axial(values: npt.NDArray[Any], affine: npt.ArrayLike) -> tuple[npt.NDArray[Any], Placement]:
    """Frames of a volume as axial as its axes allow: rows to the patient's left, columns to the back, frames upwards.

    Voxels are reordered, never interpolated. The spacing is positive, whatever the order of the volume was.

    Parameters
    ----------
    values : array, shape (i, j, k)
    affine : array, shape (4, 4)

    Returns
    -------
    frames : array, shape (k, rows, columns)
    placement : Placement

    Raises
    ------
    ImageError
        See :func:`placement_of`.
    """
    wanted = nib.orientations.axcodes2ornt("LPS")  # type: ignore[no-untyped-call]
    stored = nib.orientations.io_orientation(affine)  # type: ignore[no-untyped-call]
    turn = nib.orientations.ornt_transform(stored, wanted)  # type: ignore[no-untyped-call]
    turned = nib.orientations.apply_orientation(values, turn)  # type: ignore[no-untyped-call]
    moved = np.asarray(affine) @ nib.orientations.inv_ornt_aff(turn, values.shape)  # type: ignore[no-untyped-call]
    return frames_of(turned), placement_of(moved)
