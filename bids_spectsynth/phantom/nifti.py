"""NIfTI files whose bytes depend on their content alone."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.phantom.smooth import Array, FloatArray

#: Bytes of the NIfTI-1 header that hold scl_slope and scl_inter.
_SCALE_FIELDS = slice(112, 120)


def write_volume(
    path: Path, values: Array | npt.NDArray[np.uint8], affine: FloatArray, slope: float | None = None
) -> None:
    """Write a NIfTI-1 file whose bytes depend on its content alone.

    Parameters
    ----------
    path : Path
        Ends in ``.nii.gz``.
    values : array
        uint8, or float32.
    affine : (4, 4) array
    slope : float, optional
        Store int16 with this scale factor in place of the array's own type.
    """
    if slope is not None:
        stored = np.rint(values / np.float32(slope)).astype(np.int16)
    image = nib.nifti1.Nifti1Image(values if slope is None else stored, affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm", "sec")  # type: ignore[no-untyped-call]
    image.set_sform(affine, code="scanner")  # type: ignore[no-untyped-call]
    image.set_qform(affine, code="scanner")  # type: ignore[no-untyped-call]
    content = bytearray(image.to_bytes())
    if slope is not None:
        # nibabel would rescale the array; the integers are ready, only the factor is missing (scl_slope, scl_inter).
        content[_SCALE_FIELDS] = np.array([slope, 0.0], dtype=image.header.endianness + "f4").tobytes()
    path.write_bytes(gzip.compress(bytes(content), compresslevel=1, mtime=0))
