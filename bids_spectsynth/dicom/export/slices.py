"""A volume as a series of single slices, each with its position: what every navigation system reads."""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.uid import UID, MRImageStorage

from bids_spectsynth.dicom.export.headers import Series, Subject, new_file
from bids_spectsynth.dicom.export.nuclear import Image
from bids_spectsynth.dicom.export.pixels import add_pixels, add_plane, add_window
from bids_spectsynth.dicom.values import Stored, decimal_string, store


def plain_slices(image: Image, subject: Subject, series: Series, sop_class: UID, modality: str) -> Iterator[Dataset]:
    """Single slices with what all classes of them have in common.

    One slope holds for all of them: many readers take that of the first.

    Parameters
    ----------
    image : Image
    subject : Subject
    series : Series
    sop_class : UID
    modality : str
    """
    stored = store(image.frames)
    placement = image.placement
    for number, pixels in enumerate(stored.pixels):
        file = new_file(subject, series, sop_class, modality, number + 1)
        add_pixels(file, Stored(pixels, stored.slope), image.units)
        add_window(file, *image.window)
        add_plane(file, placement, number)
        file.PixelSpacing = [decimal_string(value) for value in placement.pixel_spacing]
        file.SliceThickness = decimal_string(abs(placement.spacing))
        file.SpacingBetweenSlices = decimal_string(abs(placement.spacing))
        file.PatientPosition = ""
        file.SliceLocation = decimal_string(float(placement.frame_position(number) @ placement.normal))
        yield file


def magnetic_files(image: Image, subject: Subject, series: Series) -> Iterator[Dataset]:
    """A series of MR images.

    Parameters
    ----------
    image : Image
    subject : Subject
    series : Series
    """
    for file in plain_slices(image, subject, series, MRImageStorage, "MR"):
        file.ImageType = [*series.origin, "OTHER"]
        # No MR sequence made it: RM is the standard's word for research.
        file.ScanningSequence = "RM"
        file.SequenceVariant = "NONE"
        file.ScanOptions = ""
        file.MRAcquisitionType = "3D"
        file.RepetitionTime = file.EchoTime = file.EchoTrainLength = ""
        yield file
