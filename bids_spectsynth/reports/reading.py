"""Reading the images that a report shows, in RAS+ order."""

from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.errors import ImageError, size_text
from bids_spectsynth.images.nifti import opened_image
from bids_spectsynth.reports.pictures.views import Array, Mask


def read_volume(path: Path) -> tuple[Array, npt.NDArray[np.float64]]:
    """Voxels in RAS+ order as float32 with values that are not finite set to 0, and their affine.

    Raises
    ------
    ImageError
        The file is missing, damaged, or not of three dimensions.
    """
    # A damaged file may surface as an error of nibabel, gzip, zlib or numpy.
    try:
        with opened_image(path) as stored:
            image = nib.funcs.as_closest_canonical(stored)  # type: ignore[no-untyped-call]
            data = np.asarray(image.dataobj, dtype=np.float32)
    except Exception as error:
        raise ImageError(f"{path}: cannot read the image ({str(error) or type(error).__name__})") from error
    if data.ndim != 3:
        raise ImageError(f"{path}: an image of three dimensions is needed, not {data.ndim}")
    # Most images are finite; replacing takes several passes over their voxels, asking takes one.
    if not np.isfinite(data).all():
        data = np.nan_to_num(data, nan=0.0, posinf=0.0, neginf=0.0)
    return data, np.asarray(image.affine, dtype=np.float64)


def read_on_grid(path: Path, shape: tuple[int, ...]) -> Array:
    """Voxels of an image that must have a shape.

    Raises
    ------
    ImageError
        As :func:`read_volume`, or the shape is another.
    """
    data, _ = read_volume(path)
    if data.shape != shape:
        raise ImageError(
            f"{path}: the grid is {size_text(data.shape)}, that of the brain mask {size_text(shape)}; prepare it again"
        )
    return data


def read_mask(path: Path) -> tuple[Mask, npt.NDArray[np.float64]]:
    """A brain mask as bool, and its affine; errors as :func:`read_volume`."""
    data, affine = read_volume(path)
    return data > 0.5, affine
