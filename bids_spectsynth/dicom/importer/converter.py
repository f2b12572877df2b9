"""dcm2niix, where it is installed: the T1w and PET of many scanners, with what their vendors do otherwise."""

import logging
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bids_spectsynth.bids.sidecars import read_object, sidecar_path
from bids_spectsynth.dicom.reading.files import Series
from bids_spectsynth.dicom.reading.volumes import Volume
from bids_spectsynth.images.nifti import READ_ERRORS, opened_image

logger = logging.getLogger(__name__)
PROGRAM = "dcm2niix"
#: Seconds after which it is given up.
_PATIENCE = 900


def convert(series: Series) -> tuple[Volume, dict[str, Any]] | None:
    """A series by dcm2niix.

    Parameters
    ----------
    series : Series

    Returns
    -------
    volume : Volume
        Frames of a dynamic scan in a fourth dimension.
    sidecar : dict
        What it has written; it holds what must not be kept.
    None
        The program is not installed, or does not make exactly one image of the series.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place) / "in", Path(place) / "out"
        source.mkdir()
        target.mkdir()
        for number, header in enumerate(series.headers):
            # It reads nothing but this series.
            (source / f"{number:06d}.dcm").symlink_to(Path(str(header.filename)).resolve())
        command = [program, "-b", "y", "-ba", "y", "-z", "n", "-f", "image", "-o", str(target), str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            logger.warning("%s: %s failed (%s); read by pydicom instead", series.title, PROGRAM, error)
            return None
        images = sorted(target.glob("*.nii"))
        if done.returncode or len(images) != 1:
            logger.warning("%s: %s made %d images; read by pydicom instead", series.title, PROGRAM, len(images))
            return None
        try:
            with opened_image(images[0]) as image:
                values = np.asarray(image.dataobj, dtype=np.float32)
                affine = np.asarray(image.affine, dtype=np.float64)
        except READ_ERRORS:
            return None
        return Volume(values, affine, series.first), read_object(sidecar_path(images[0]))
