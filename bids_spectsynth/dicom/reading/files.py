"""Headers of the DICOM files of a folder, by series; and whether they are of one patient."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage

from bids_spectsynth.bids.access import shown
from bids_spectsynth.dicom.reading.identity import blanked
from bids_spectsynth.dicom.reading.numbers import number
from bids_spectsynth.errors import DatasetError

Header = FileDataset


@dataclass(frozen=True, eq=False)
class Series:
    """Files of one series and one class.

    Parameters
    ----------
    number : int
        SeriesNumber; 0 where it has none.
    description : str
        SeriesDescription.
    modality : str
    headers : tuple of Header
        All but the pixels; ``filename`` says where the file is.
    suffix : str
        Follows the number where several series have it: ``.1``.
    """

    number: int
    description: str
    modality: str
    headers: tuple[Header, ...]
    suffix: str = ""

    @property
    def first(self) -> Header:
        """One of its headers, for what all share."""
        return self.headers[0]

    @property
    def name(self) -> str:
        """By which ``--series`` names it."""
        return f"{self.number}{self.suffix}"

    @property
    def title(self) -> str:
        """What a message calls it: the name and the description, without what identifies somebody."""
        return f"series {self.name} ({self.modality}, {blanked(self.description, self.first) or 'no description'})"


def read_headers(place: Path) -> list[Header]:
    """Headers of a DICOM file, or of all in a folder and the folders in it; other files are passed over.

    Parameters
    ----------
    place : Path

    Raises
    ------
    DatasetError
        There is no such place, or no DICOM file in it.
    """
    if not place.exists():
        raise DatasetError(f"{shown(place)}: no such file or folder")
    paths = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
    headers = [header for header in map(_read_header, paths) if header is not None]
    if not headers:
        raise DatasetError(f"{shown(place)}: holds no DICOM file among {len(paths)}; name the folder of the scans")
    return headers


def _read_header(path: Path) -> Header | None:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        is_directory = header.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage
        return None if is_directory or "SOPClassUID" not in header else header
    except (InvalidDicomError, OSError, ValueError, AttributeError, EOFError):
        return None


def group_series(headers: Iterable[Header]) -> list[Series]:
    """The series, by number; files of one series but of several classes are several."""
    groups: dict[tuple[str, str], list[Header]] = {}
    for header in headers:
        groups.setdefault((str(header.get("SeriesInstanceUID", "")), str(header.SOPClassUID)), []).append(header)
    found = [
        Series(
            int(number(own[0], "SeriesNumber") or 0),
            " ".join(str(own[0].get("SeriesDescription") or "").split()),
            str(own[0].get("Modality") or "?"),
            tuple(own),
        )
        for own in groups.values()
    ]
    return sorted(found, key=lambda one: (one.number, one.modality, one.description))


def _name_of(header: Header) -> str:
    """PatientName without capitals and the marks between its parts."""
    name = str(header.get("PatientName") or "")
    return " ".join(name.partition("=")[0].replace("^", " ").casefold().split())


def check_one_patient(headers: Sequence[Header], place: Path) -> None:
    """Refuse files of several patients; the message names nobody.

    Raises
    ------
    DatasetError
        Identifiers, issuers, dates of birth or sexes differ; or names, where a file has no identifier.
    """
    for keyword in ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"):
        series: dict[str, set[str]] = {}
        for header in headers:
            value = str(header.get(keyword) or "").strip()
            if value:
                series.setdefault(value, set()).add(str(header.get("SeriesInstanceUID", "")))
        if len(series) > 1:
            counts = Counter({value: len(own) for value, own in series.items()})
            numbers = " and ".join(str(count) for _, count in counts.most_common())
            raise DatasetError(
                f"{shown(place)}: holds series of {len(series)} patients ({keyword} differs: {numbers} series); "
                "give one patient's folder"
            )
    if not all(str(header.get("PatientID") or "").strip() for header in headers):
        names = len(set(map(_name_of, headers)))
        if names > 1:
            raise DatasetError(
                f"{shown(place)}: holds series of {names} patients (not all have a PatientID, and PatientName "
                "differs); give one patient's folder"
            )
