"""What is read back from images and their sidecars: the voxels of a participant's own T1w, and network output."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.sidecars import VALUE_ERRORS, load_object, sidecar_path
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.nifti import READ_ERRORS, opened_image

FloatArray = npt.NDArray[np.float64]
Volume = npt.NDArray[np.float32]

#: Sidecar keys of the prepared T1w that tell the voxels of the participant's own T1w.
SHAPE_KEY = "OriginalShape"
AFFINE_KEY = "OriginalAffine"


def original_grid(path: Path) -> tuple[tuple[int, int, int], FloatArray]:
    """Shape and affine of a participant's own T1w, from the sidecar of the prepared one.

    Raises
    ------
    ImageError
        The sidecar is missing or does not tell.
    """
    sidecar = sidecar_path(path)
    content = _read_sidecar(sidecar)
    try:
        i, j, k = (int(n) for n in content[SHAPE_KEY])
        affine = np.asarray(content[AFFINE_KEY], dtype=np.float64)
        if affine.shape != (4, 4) or not abs(np.linalg.det(affine)) > 0 or min(i, j, k) < 1:
            raise ValueError("not a usable grid")
    except VALUE_ERRORS as error:
        raise ImageError(
            f"{sidecar}: {SHAPE_KEY} or {AFFINE_KEY} missing or damaged ({error}); prepare the participant again"
        ) from error
    return (i, j, k), affine


def _read_sidecar(path: Path) -> Mapping[str, Any]:
    try:
        return load_object(path)
    except (OSError, ValueError, TypeError) as error:
        raise ImageError(f"{path}: cannot read the sidecar ({error}); run this participant again") from error


def network_output(path: Path) -> Volume:
    """Network output (I, J, K) in [-1, 1] of a synthetic SPECT on the prepared grid, from image and sidecar.

    Slices without brain, whose scale is 0, are -1.

    Raises
    ------
    ImageError
        Image or sidecar are missing or damaged, or are not of
        :func:`bids_spectsynth.synthesis.prediction.synthetic_image.synthesise`.
    """
    content = _read_sidecar(sidecar_path(path))
    try:
        with opened_image(path) as image:
            values = np.asarray(image.dataobj, dtype=np.float32)
        slope = np.asarray(content["ScaleSlope"], dtype=np.float64)
        intercept = np.asarray(content["ScaleIntercept"], dtype=np.float64)
        if values.ndim != 3 or slope.shape != (values.shape[2],) or intercept.shape != slope.shape:
            raise ValueError("the scales do not fit the image")
    except (*READ_ERRORS, *VALUE_ERRORS) as error:
        raise ImageError(
            f"{path}: no synthetic SPECT of this software, or damaged ({error}); apply the model again"
        ) from error
    inverse = np.divide(1.0, slope, out=np.zeros_like(slope), where=slope > 0)
    output = np.where(slope > 0, (values - intercept) * inverse, -1.0)
    return np.clip(output, -1, 1).astype(np.float32)
