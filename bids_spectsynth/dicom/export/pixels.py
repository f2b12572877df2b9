"""Pixels of grey images: whole numbers of 16 bits, what they are worth, and how they are best shown."""

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from bids_spectsynth.dicom.export.headers import coded
from bids_spectsynth.dicom.geometry import Placement
from bids_spectsynth.dicom.values import Stored, decimal_string

#: Units of values by their name in sidecars: UCUM code and meaning.
_UNITS = {
    "percent": ("%", "percent"),
    "1": ("1", "no units"),
    "Bq/mL": ("Bq/ml", "Becquerels/milliliter"),
    "counts": ("{counts}", "counts"),
}


def unit_code(units: str) -> Code:
    """UCUM code of a unit of a sidecar; an unknown one is ``arbitrary unit``."""
    value, meaning = _UNITS.get(units, ("[arb'U]", "arbitrary unit"))
    return Code(value, "UCUM", meaning)


def add_pixels(file: Dataset, stored: Stored, units: str) -> None:
    """Rows, columns, pixels, rescale and window of a grey image.

    Parameters
    ----------
    file : Dataset
    stored : Stored
        Pixels of shape (rows, columns) or (k, rows, columns).
    units : str
        Of the values, as in sidecars.
    """
    pixels = stored.pixels
    file.Rows, file.Columns = pixels.shape[-2:]
    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit = 15
    file.PixelRepresentation = int(stored.is_signed)
    file.RescaleIntercept = "0"
    file.RescaleSlope = stored.slope
    file.RescaleType = "US"
    file.RealWorldValueMappingSequence = [_mapping(stored, units)]
    file.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()


def add_window(file: Dataset, low: float, high: float) -> None:
    """The values between which a viewer spreads its greys at first.

    Parameters
    ----------
    file : Dataset
    low, high : float
    """
    file.WindowCenter = decimal_string((low + high) / 2)
    file.WindowWidth = decimal_string(max(high - low, 1e-6))


def add_plane(file: Dataset, placement: Placement, number: int = 0) -> None:
    """Position and orientation of a frame; of the first one for a whole stack.

    Parameters
    ----------
    file : Dataset
        Also an item of a sequence.
    placement : Placement
    number : int
        Of the frame, from 0.
    """
    file.ImagePositionPatient = [decimal_string(value) for value in placement.frame_position(number)]
    file.ImageOrientationPatient = [decimal_string(value) for value in placement.orientation]


def _mapping(stored: Stored, units: str) -> Dataset:
    item = Dataset()
    limits = (-32768, 32767) if stored.is_signed else (0, 65535)
    kind = "SS" if stored.is_signed else "US"
    item.add_new("RealWorldValueFirstValueMapped", kind, limits[0])
    item.add_new("RealWorldValueLastValueMapped", kind, limits[1])
    item.RealWorldValueIntercept = 0.0
    item.RealWorldValueSlope = float(stored.slope)
    item.LUTExplanation = units[:64]
    item.LUTLabel = "VALUES"
    item.MeasurementUnitsCodeSequence = [coded(unit_code(units))]
    return item
