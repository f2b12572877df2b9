"""A series as a volume with its affine: multi-frame NM, enhanced multi-frame, single slices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import NuclearMedicineImageStorage

from bids_spectsynth.dicom.geometry import Placement, affine_of, volume_of
from bids_spectsynth.dicom.reading.files import Header, Series
from bids_spectsynth.dicom.reading.kinds import ENHANCED
from bids_spectsynth.dicom.reading.numbers import number
from bids_spectsynth.dicom.reading.stacking import LEAST_PLANES, Plane, stack
from bids_spectsynth.errors import ImageError

Float32 = npt.NDArray[np.float32]
#: Transaxial, head first, supine: rows to the patient's left, columns to the back.
_TRANSAXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
#: Recumbent, supine, head first, each in SNOMED's two codings; and no code.
_SUPINE_CODES = ("F-10450", "102538003", "F-10340", "40199007", "F-10470", "102540008", "")


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan.

    Parameters
    ----------
    values : array, shape (i, j, k), float32
        After the rescale.
    affine : array, shape (4, 4)
        Voxels to RAS+ mm.
    header : Header
        Of one of its files.
    notes : tuple of str
        One line for each thing that deserves a look.
    """

    values: Float32
    affine: npt.NDArray[np.float64]
    header: Header
    notes: tuple[str, ...] = ()


def read_volumes(series: Series, *, assume_orientation: bool = False) -> list[Volume]:
    """The volumes of a series: each file of multi-frame NM is one, all others make one together.

    Parameters
    ----------
    series : Series
    assume_orientation : bool
        Whether an NM image that does not say how it lies is taken for transaxial, head first, supine.

    Raises
    ------
    ImageError
        The pixels cannot be decoded, or the frames are no volume.
    """
    try:
        if series.first.SOPClassUID == NuclearMedicineImageStorage:
            return [_nuclear(header, assume_orientation) for header in series.headers]
        if series.first.SOPClassUID in ENHANCED:
            return [_enhanced(header) for header in series.headers]
        return [_slices(series.headers)]
    except ImageError as error:
        raise ImageError(f"{series.title}: {error}") from error
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ImageError(f"{series.title}: the header is damaged or incomplete ({error})") from error


def check_geometry(series: Series) -> None:
    """Refuse a series whose slices are no volume, by its headers alone.

    Raises
    ------
    ImageError
        A slice is missing, orientations are mixed, or several images lie at one place.
    """
    try:
        if series.first.SOPClassUID in ENHANCED:
            for header in series.headers:
                stack(_enhanced_planes(header))
        elif series.first.SOPClassUID != NuclearMedicineImageStorage:
            stack(_single_planes(series.headers))
    except ImageError as error:
        raise ImageError(f"{series.title}: {error}") from error
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ImageError(f"{series.title}: the header is damaged or incomplete ({error})") from error


def read_plane(header: Header) -> Volume | None:
    """A file of a series of single slices as a volume of one slice; None where a file is a volume of its own.

    Raises
    ------
    ImageError
        The pixels cannot be decoded, or it does not say where it lies.
    """
    if header.SOPClassUID == NuclearMedicineImageStorage or header.SOPClassUID in ENHANCED:
        return None
    try:
        plane = _plane(header, header, header.ImagePositionPatient, header.ImageOrientationPatient)
    except (AttributeError, TypeError, ValueError) as error:
        raise ImageError(f"{Path(str(header.filename))}: does not say where it lies ({error})") from error
    placement = Placement(plane.position, plane.row, plane.column, plane.pixel_spacing, 1.0)
    return Volume(volume_of(_rescaled(_pixels(header), header)[np.newaxis]), affine_of(placement), header)


def _nuclear(header: Header, assume_orientation: bool) -> Volume:
    count = int(header.get("NumberOfFrames") or 1)
    slices = int(header.get("NumberOfSlices") or count)
    if count < LEAST_PLANES:
        raise ImageError(f"{count} frames are no volume")
    if slices != count:
        raise ImageError(f"{count} frames of {slices} slices: several energy windows, detectors or times")
    _check_one_image(header)
    placement, notes = _nuclear_placement(header, count, assume_orientation)
    frames = _rescaled(_pixels(header), header)
    vector = [int(number) for number in header.get("SliceVector") or range(1, count + 1)]
    if sorted(vector) != list(range(1, count + 1)):
        raise ImageError("a slice is missing or there twice (SliceVector); export the series again")
    return Volume(volume_of(frames[np.argsort(vector)]), affine_of(placement), header, notes)


def _check_one_image(header: Header) -> None:
    """Refuse frames of several windows, detectors or times, counted as slices of one."""
    # Reconstructions of cameras with two heads may name both, and count slices all the same.
    counted = header.get("NumberOfSlices") or header.get("SliceVector")
    keywords = ("NumberOfEnergyWindows", "NumberOfTimeSlices", *(() if counted else ("NumberOfDetectors",)))
    for keyword in keywords:
        if (number(header, keyword) or 1) > 1:
            raise ImageError(f"several energy windows, detectors or times ({keyword})")
    for keyword in ("EnergyWindowVector", "DetectorVector"):
        vector = header.get(keyword)
        if isinstance(vector, Iterable) and len(set(vector)) > 1:
            raise ImageError(f"several energy windows or detectors ({keyword})")


def _check_supine(header: Header) -> None:
    """Refuse a patient who is said to lie otherwise than head first and supine."""
    position = str(header.get("PatientPosition") or "HFS").strip().upper()
    if position != "HFS":
        raise ImageError("lies otherwise than head first and supine (PatientPosition); export it with its orientation")
    codes: list[Dataset] = []
    for orientation in header.get("PatientOrientationCodeSequence") or []:
        codes += [orientation, *(orientation.get("PatientOrientationModifierCodeSequence") or [])]
    codes += header.get("PatientGantryRelationshipCodeSequence") or []
    if any(str(code.get("CodeValue") or "") not in _SUPINE_CODES for code in codes):
        raise ImageError(
            "lies otherwise than head first and supine (codes of orientation, gantry); export it with its orientation"
        )


def _nuclear_placement(header: Header, count: int, assume_orientation: bool) -> tuple[Placement, tuple[str, ...]]:
    detectors = header.get("DetectorInformationSequence") or []
    places: list[Dataset] = [*detectors[:1], header]
    orientation = _first(places, "ImageOrientationPatient")
    position = _first(places, "ImagePositionPatient")
    notes = []
    if orientation is None:
        if not assume_orientation:
            raise ImageError(
                "does not say how it lies (ImageOrientationPatient); look at it, and if it is transaxial, head first "
                "and supine, add --force"
            )
        _check_supine(header)
        orientation = np.array(_TRANSAXIAL)
        notes.append("The file does not say how it lies: taken for transaxial, head first, supine, as asked")
    between_rows, between_columns = (float(value) for value in header.PixelSpacing)
    spacing = float(header.get("SpacingBetweenSlices") or 0)
    if spacing == 0:
        spacing = float(header.get("SliceThickness") or 0)
        notes.append("The distance of slices is not given: the thickness of a slice was taken")
    if spacing == 0 or between_rows <= 0 or between_columns <= 0:
        raise ImageError("does not say how large its voxels are")
    row, column = _directions(orientation)
    if position is None:
        position = np.zeros(3)
        found = Placement(position, row, column, (between_rows, between_columns), spacing)
        middle = affine_of(found)[:3] @ [(int(header.Columns) - 1) / 2, (int(header.Rows) - 1) / 2, (count - 1) / 2, 1]
        # To LPS+, in which positions are.
        position = -middle * [-1, -1, 1]
        notes.append("The file does not say where it lies: its middle was taken for the origin")
    return Placement(position, row, column, (between_rows, between_columns), spacing), tuple(notes)


def _first(places: Sequence[Dataset], keyword: str) -> npt.NDArray[np.float64] | None:
    """The first value that is there and is not empty."""
    for place in places:
        value = place.get(keyword)
        if value is not None and len(value):
            return np.array([float(number) for number in value])
    return None


def _directions(orientation: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    row, column = orientation[:3], orientation[3:6]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.5 or abs(row @ column) > 1e-2:
        raise ImageError("the orientation is damaged (ImageOrientationPatient)")
    row = row / lengths[0]
    column = column - (column @ row) * row
    return row, column / np.linalg.norm(column)


def _slices(headers: Sequence[Header]) -> Volume:
    order, placement = stack(_single_planes(headers))
    frames = np.stack([_rescaled(_pixels(headers[number]), headers[number]) for number in order])
    return Volume(volume_of(frames), affine_of(placement), headers[order[0]])


def _single_planes(headers: Sequence[Header]) -> list[Plane]:
    return [_plane(header, header, header.ImagePositionPatient, header.ImageOrientationPatient) for header in headers]


def _plane(header: Header, measures: Dataset, position: Any, orientation: Any) -> Plane:
    row, column = _directions(np.array([float(value) for value in orientation]))
    between_rows, between_columns = (float(value) for value in measures.PixelSpacing)
    size = int(header.Rows), int(header.Columns)
    return Plane(np.array([float(v) for v in position]), row, column, (between_rows, between_columns), size)


def _enhanced(header: Header) -> Volume:
    order, placement = stack(_enhanced_planes(header))
    pixels = _pixels(header)
    transforms = [_group(header, frame, "PixelValueTransformationSequence") for frame in _frames(header)]
    frames = np.stack([_rescaled(pixels[number], transforms[number]) for number in order])
    return Volume(volume_of(frames), affine_of(placement), header)


def _enhanced_planes(header: Header) -> list[Plane]:
    return [
        _plane(
            header,
            _group(header, frame, "PixelMeasuresSequence"),
            _group(header, frame, "PlanePositionSequence").ImagePositionPatient,
            _group(header, frame, "PlaneOrientationSequence").ImageOrientationPatient,
        )
        for frame in _frames(header)
    ]


def _frames(header: Header) -> Sequence[Dataset]:
    frames: Sequence[Dataset] = header.PerFrameFunctionalGroupsSequence
    return frames


def _group(header: Header, frame: Dataset, keyword: str) -> Dataset:
    """Facts of a frame: its own, else those that all frames share."""
    shared = header.SharedFunctionalGroupsSequence[0]
    sequence = frame.get(keyword) or shared.get(keyword) or [Dataset()]
    item: Dataset = sequence[0]
    return item


def _rescaled(pixels: npt.NDArray[Any], facts: Dataset) -> Float32:
    slope, intercept = facts.get("RescaleSlope"), facts.get("RescaleIntercept")
    factor = 1.0 if slope in (None, "") else float(slope)
    offset = 0.0 if intercept in (None, "") else float(intercept)
    return np.asarray(pixels * factor + offset, dtype=np.float32)


def _pixels(header: Header) -> npt.NDArray[Any]:
    path = str(header.filename)
    syntax = header.file_meta.TransferSyntaxUID
    try:
        # pydicom has an array of any type.
        pixels: npt.NDArray[Any] = pydicom.dcmread(path).pixel_array
    except Exception as error:
        if syntax.is_compressed:
            raise ImageError(
                f"compressed ({syntax.name}), and no decoder for it is installed or it fails; decompress the series "
                "(gdcmconv --raw, dcmdjpeg), or pip install pylibjpeg[all]"
            ) from error
        raise ImageError(f"the pixels cannot be read ({' '.join(str(error).split())})") from error
    if pixels.ndim > 2 and int(header.get("SamplesPerPixel") or 1) > 1:
        raise ImageError("a picture in colours, no volume")
    return pixels
