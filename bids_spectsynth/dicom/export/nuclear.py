"""A volume as one multi-frame image of nuclear medicine (NM), reconstructed tomography."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import NuclearMedicineImageStorage

from bids_spectsynth.dicom.export.headers import Series, Subject, add_sources, new_file
from bids_spectsynth.dicom.export.pixels import add_pixels, add_plane, add_window
from bids_spectsynth.dicom.geometry import Placement
from bids_spectsynth.dicom.values import decimal_string, store

#: Tags that frames are counted by: SliceVector.
_SLICE_VECTOR = 0x00540080


@dataclass(frozen=True, eq=False)
class Image:
    """Frames, where they lie, and what their values are.

    Parameters
    ----------
    frames : array, shape (k, rows, columns)
    placement : Placement
    units : str
        Of the values, as in sidecars.
    window : tuple of float
        Values between which they are shown at first.
    """

    frames: npt.NDArray[np.float32]
    placement: Placement
    units: str
    window: tuple[float, float]


def nuclear_file(image: Image, subject: Subject, series: Series, instance: int = 1) -> Dataset:
    """A multi-frame NM image.

    Position and orientation stand in the detector's item, where the standard has them, and at the top, where many
    readers look.

    Parameters
    ----------
    image : Image
    subject : Subject
    series : Series
    instance : int
    """
    placement = image.placement
    file = new_file(subject, series, NuclearMedicineImageStorage, "NM", instance)
    # Of this class the second value is always PRIMARY.
    file.ImageType = [series.origin[0], "PRIMARY", "RECON TOMO", "EMISSION"]
    file.PatientOrientationCodeSequence = []
    file.PatientGantryRelationshipCodeSequence = []
    add_pixels(file, store(image.frames), image.units)
    add_window(file, *image.window)
    add_sources(file, subject.sources)
    count = len(image.frames)
    file.NumberOfFrames = count
    file.FrameIncrementPointer = _SLICE_VECTOR
    file.SliceVector = list(range(1, count + 1))
    file.NumberOfSlices = count
    file.NumberOfEnergyWindows = file.NumberOfDetectors = file.NumberOfRotations = 1
    file.EnergyWindowInformationSequence = []
    file.RadiopharmaceuticalInformationSequence = []
    file.RotationInformationSequence = []
    file.PixelSpacing = [decimal_string(value) for value in placement.pixel_spacing]
    file.SpacingBetweenSlices = decimal_string(placement.spacing)
    file.SliceThickness = decimal_string(abs(placement.spacing))
    file.CountsAccumulated = ""
    add_plane(file, placement)
    detector = Dataset()
    detector.CollimatorType = ""
    detector.FocalDistance = ""
    add_plane(detector, placement)
    file.DetectorInformationSequence = [detector]
    return file
