"""A donor: a DICOM series of the participant, which gives patient, study and, if it is the T1w, frame of reference.

Whether it is the participant's is decided by what it shows, not by names: its voxels must be those that were prepared.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from scipy import ndimage

from bids_spectsynth.bids.access import shown
from bids_spectsynth.bids.manifests import file_record
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import NUCLEAR, T1W, is_ictal, role_of
from bids_spectsynth.bids.transforms import find_transforms
from bids_spectsynth.bids.writing import read_matrix
from bids_spectsynth.dicom.export.headers import PATIENT_KEYWORDS, Subject, own_subject
from bids_spectsynth.dicom.reading.files import Header, check_one_patient, group_series, read_headers
from bids_spectsynth.dicom.reading.kinds import kind_of
from bids_spectsynth.dicom.reading.volumes import Volume, read_plane, read_volumes
from bids_spectsynth.errors import ImageError, UsageError
from bids_spectsynth.images.grid import apply_affine
from bids_spectsynth.reports.reading import read_volume

#: Correlation in the brain from which two images are one and the same scan. Of simulated heads it is 0.92 and more even
#: where the prepared image has voxels of 4 mm, and 0.51 at most for another scan or another person.
_SAME = 0.85
#: Points that are compared, and how many must lie in the brain.
_POINTS, _LEAST = 200_000, 100


@dataclass(frozen=True, eq=False)
class Donor:
    """A series of the participant.

    Parameters
    ----------
    headers : tuple of Header
    volume : Volume
        One plane where the donor is a single file of a series of single slices.
    """

    headers: tuple[Header, ...]
    volume: Volume


@dataclass(frozen=True, eq=False)
class Owner:
    """Whose an export is, and on which grid navigation systems want it.

    Parameters
    ----------
    subject : Subject
    t1w : Volume or None
        The donor, where it is the T1w.
    """

    subject: Subject
    t1w: Volume | None = None


def donor_place(given: Path, participant: str) -> Path:
    """The part of the donor's folder that is a participant's: a folder with its label in it, else the whole.

    Parameters
    ----------
    given : Path
    participant : str
        Label without ``sub-``.
    """
    for name in (f"sub-{participant}", participant):
        if (given / name).is_dir():
            return given / name
    return given


def read_donors(place: Path) -> list[Donor]:
    """Read the scans that may be a donor.

    Parameters
    ----------
    place : Path
        A file, or a folder with series of one patient.

    Raises
    ------
    DatasetError
        There is no DICOM file, or they are of several patients.
    ImageError
        There is no MR, PET or SPECT whose pixels can be read.
    """
    headers = read_headers(place)
    check_one_patient(headers, place)
    donors, reasons = [], []
    for series in group_series(headers):
        kind = kind_of(series)
        try:
            if kind.datatype is None:
                reasons.append(f"{series.title}: {kind.reason}")
                continue
            plane = read_plane(series.first) if len(series.headers) == 1 else None
            volumes = [plane] if plane is not None else read_volumes(series)
            donors += [Donor(series.headers, volume) for volume in volumes]
        except ImageError as error:
            reasons.append(str(error))
    if not donors:
        raise ImageError(f"--dicom-donor: {shown(place)}: {'; '.join(reasons)}")
    return donors


def owner_of(case: PreparedCase, output_dir: Path, place: Path | None, *, force: bool = False) -> Owner:
    """Whose the export of a case is.

    Parameters
    ----------
    case : PreparedCase
        In T1w space.
    output_dir : Path
    place : Path or None
        The donor; of several series the T1w if it is among them.
    force : bool
        Take a donor that is not recognised, for patient and study alone.

    Raises
    ------
    UsageError
        No series is a scan of this participant that was prepared.
    DatasetError, ImageError
        See :func:`read_donors`.
    """
    # Tells participants of one label in several datasets apart.
    own = own_subject(case.participant, file_record(case.images[T1W]).sha256)
    if place is None:
        return Owner(own)
    donors = read_donors(place)
    known = {_recognised(donor.volume, case, output_dir): donor for donor in reversed(donors)}
    role = next((role for role in (T1W, *known) if role is not None and role in known), None)
    if role is None and not force:
        raise UsageError(
            f"--dicom-donor: {shown(place)} is not the T1w, PET or SPECT of {case.name} that was prepared, but another "
            "scan or another patient's; give that one, or --force to take patient and study from it all the same"
        )
    donor = known[role]
    first = donor.headers[0]
    patient = Dataset()
    # Names in the donor's character set become text: files are written in another one.
    first.decode()
    for keyword in PATIENT_KEYWORDS:
        if keyword in first:
            patient[keyword] = first[keyword]
    sources = tuple((str(one.SOPClassUID), str(one.SOPInstanceUID)) for one in donor.headers) if role else ()
    # Images lie in the world of the T1w: another scan's coordinates are not theirs.
    frame = str(first.get("FrameOfReferenceUID") or "") if role == T1W else ""
    is_stack = role == T1W and min(donor.volume.values.shape) > 1
    return Owner(Subject(patient, frame or own.frame_of_reference, sources), donor.volume if is_stack else None)


def _recognised(volume: Volume, case: PreparedCase, output_dir: Path) -> str | None:
    """The role of the prepared image that was made from the donor."""
    to_t1w = _to_t1w(case, output_dir)
    found = {
        role: agreement(volume, path, case.masks[T1W], to_t1w[role])
        for role, path in case.images.items()
        if role in to_t1w
    }
    best = max(found, key=lambda role: found[role])
    return best if found[best] >= _SAME else None


def _to_t1w(case: PreparedCase, output_dir: Path) -> dict[str, npt.NDArray[np.float64]]:
    """World of a scan to that of the T1w, by role."""
    found = {T1W: np.eye(4)}
    for transform in find_transforms(output_dir, case.participant):
        is_nuclear = transform.role in NUCLEAR or is_ictal(transform.role)
        if transform.case_name == case.name and is_nuclear and role_of(transform.role).is_nuclear:
            # The file maps the world of the T1w to that of the scan.
            found[transform.role] = np.asarray(np.linalg.inv(read_matrix(transform.path)), dtype=np.float64)
    return found


def agreement(volume: Volume, prepared: Path, mask: Path, to_prepared: npt.NDArray[np.float64]) -> float:
    """Correlation of a scan with a prepared image at the scan's voxels in the brain; 0 where too few are.

    Parameters
    ----------
    volume : Volume
    prepared, mask : Path
        On one grid.
    to_prepared : array, shape (4, 4)
        World of the scan to that of the prepared image.
    """
    step = max(1, round((volume.values.size / _POINTS) ** (1 / 3)))
    starts = tuple(slice(0, None, step if size > step else 1) for size in volume.values.shape)
    values = volume.values[starts].ravel()
    voxels = np.stack(np.meshgrid(*(np.arange(n)[s] for n, s in zip(volume.values.shape, starts, strict=True)),
                                  indexing="ij"), axis=-1).reshape(-1, 3)  # fmt: skip
    image, affine = read_volume(prepared)
    inside, _ = read_volume(mask)
    if inside.shape != image.shape:
        raise ImageError(f"{mask}: not on the grid of {prepared.name}; prepare it again")
    points = apply_affine(np.linalg.inv(affine) @ to_prepared @ volume.affine, voxels).T
    in_brain = ndimage.map_coordinates(inside, points, order=0) > 0.5
    if in_brain.sum() < _LEAST:
        return 0.0
    there = ndimage.map_coordinates(image, points[:, in_brain], order=1)
    here = values[in_brain]
    measured = there > 0
    if measured.sum() < _LEAST or np.ptp(here[measured]) == 0 or np.ptp(there[measured]) == 0:
        return 0.0
    return float(np.corrcoef(here[measured], there[measured])[0, 1])
