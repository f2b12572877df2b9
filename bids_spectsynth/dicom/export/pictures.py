"""Pictures in colours as secondary captures, which every PACS shows, and a PDF as a document."""

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from bids_spectsynth.dicom.export.headers import Series, Subject, add_sources, new_file


def picture_file(pixels: npt.NDArray[np.uint8], subject: Subject, series: Series, instance: int) -> Dataset:
    """A picture. It has no place in space: its planes are several.

    Parameters
    ----------
    pixels : array of uint8, shape (rows, columns, 3)
        RGB.
    subject : Subject
    series : Series
    instance : int
        From 1 within the series.
    """
    file = new_file(subject, series, SecondaryCaptureImageStorage, "OT", instance)
    del file.FrameOfReferenceUID, file.PositionReferenceIndicator
    file.ImageType = [*series.origin, "FUSION"]
    file.ConversionType = "WSD"
    file.PatientOrientation = ""
    add_sources(file, subject.sources)
    file.SamplesPerPixel = 3
    file.PhotometricInterpretation = "RGB"
    file.PlanarConfiguration = 0
    file.Rows, file.Columns = pixels.shape[:2]
    file.BitsAllocated = file.BitsStored = 8
    file.HighBit = 7
    file.PixelRepresentation = 0
    content = np.ascontiguousarray(pixels).tobytes()
    file.PixelData = content + b"\0" * (len(content) % 2)
    return file


def document_file(pdf: bytes, subject: Subject, series: Series, title: str) -> Dataset:
    """A PDF as an encapsulated document.

    Parameters
    ----------
    pdf : bytes
    subject : Subject
    series : Series
    title : str
        Of the document.
    """
    file = new_file(subject, series, EncapsulatedPDFStorage, "DOC")
    # Modules of images.
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator", "DerivationDescription"):
        delattr(file, keyword)
    file.ConversionType = "WSD"
    file.ContentDate = file.ContentTime = file.AcquisitionDateTime = ""
    file.DocumentTitle = title
    file.ConceptNameCodeSequence = []
    file.MIMETypeOfEncapsulatedDocument = "application/pdf"
    file.EncapsulatedDocumentLength = len(pdf)
    file.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return file
