"""The import: read what was chosen, look at it, write it."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bids_spectsynth.bids.roles import SpectState, role_of
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.dicom.importer.choosing import Choice, choose
from bids_spectsynth.dicom.importer.converter import convert
from bids_spectsynth.dicom.importer.dataset import image_path, write_dataset
from bids_spectsynth.dicom.importer.plausibility import LEFT_RIGHT, doubts
from bids_spectsynth.dicom.importer.sidecars import anatomical_sidecar, converted_by, nuclear_sidecar
from bids_spectsynth.dicom.reading.files import check_one_patient, group_series, read_headers
from bids_spectsynth.dicom.reading.kinds import kind_of
from bids_spectsynth.dicom.reading.numbers import number
from bids_spectsynth.dicom.reading.volumes import Volume, check_geometry, read_volumes
from bids_spectsynth.errors import ExitCode, ImageError, UsageError, size_text
from bids_spectsynth.images.grid import new_image

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """What is imported, and as what.

    Parameters
    ----------
    source : Path
        A folder with the DICOM files of one patient.
    bids_dir : Path
    participant, session : str, str or None
        Labels without prefix.
    task : {'ictal', 'interictal', None}
        What every SPECT is whose descriptions do not say it.
    named : mapping of str to str
        Roles of series by their number.
    force : bool
        Write over files that there are, and take an NM image that does not say how it lies for transaxial, and
        believe ``task`` where a description says otherwise.
    """

    source: Path
    bids_dir: Path
    participant: str
    session: str | None = None
    task: SpectState | None = None
    named: Mapping[str, str] = field(default_factory=dict)
    force: bool = False


@dataclass(frozen=True, eq=False)
class _Scan:
    """A volume to be written."""

    role: str
    volume: Volume
    sidecar: dict[str, Any]


def import_patient(request: ImportRequest) -> ExitCode:
    """Import a patient's scans.

    Parameters
    ----------
    request : ImportRequest

    Returns
    -------
    ExitCode
        1 where a scan cannot be read and others were imported, 4 where none was.

    Raises
    ------
    DatasetError
        The folder holds no DICOM, or that of several patients.
    UsageError
        It is not clear what a series is, there is none to import, or a file exists already.
    """
    headers = read_headers(request.source)
    check_one_patient(headers, request.source)
    series = group_series(headers)
    choices = choose(series, request.task, request.named, force=request.force)
    for one, reason in choices.left_out:
        logger.warning("left out: %s: %s", one.title, reason)
    if not choices.taken:
        raise UsageError(f"{request.source}: none of {len(series)} series is a T1w, PET or SPECT that can be imported")
    scans: list[_Scan] = []
    failed = 0
    for choice in choices.taken:
        try:
            scans += _read(choice, force=request.force)
        except ImageError as error:
            logger.error("%s", error)
            failed += 1
    if not scans:
        return ExitCode.NOBODY_LEFT
    _write(scans, request)
    return ExitCode.SOME_FAILED if failed else ExitCode.OK


def _read(choice: Choice, *, force: bool) -> Iterator[_Scan]:
    series, role = choice.series, choice.role
    state = role_of(role).task
    volumes, written = _volumes(choice, force=force)
    if len(volumes) > 1 and state is not None:
        logger.warning("%s: %d volumes, written as runs; remove those that are not wanted", series.title, len(volumes))
    for volume in volumes:
        facts = nuclear_sidecar(volume.header, state) if role_of(role).is_nuclear else {}
        facts = facts or anatomical_sidecar(volume.header, written)
        if volume.values.ndim == 4:
            facts |= {key: written[key] for key in ("FrameTimesStart", "FrameDuration") if key in written}
        one = volume if volume.values.ndim == 3 else Volume(volume.values.mean(axis=3), volume.affine, volume.header)
        odd = doubts(one, is_brain=role_of(role).is_nuclear)
        for line in [*volume.notes, *odd]:
            logger.warning("%s: %s", series.title, line)
        notes = [*volume.notes, *(f"{line[0].upper()}{line[1:]}" for line in odd), LEFT_RIGHT]
        yield _Scan(role, volume, {**facts, "Notes": notes, **converted_by()})


def _volumes(choice: Choice, *, force: bool) -> tuple[list[Volume], Mapping[str, Any]]:
    """What a series holds, and what dcm2niix says of it where it was used."""
    series = choice.series
    # SPECT is always read here: dcm2niix turns some reconstructions upside down.
    if kind_of(series).datatype == "spect":
        return read_volumes(series, assume_orientation=force), {}
    is_dynamic = (number(series.first, "NumberOfTimeSlices") or 1) > 1
    if not is_dynamic:
        check_geometry(series)
    converted = convert(series)
    if converted is not None:
        return [converted[0]], converted[1]
    if is_dynamic:
        raise ImageError(f"{series.title}: a dynamic PET needs dcm2niix; install it, or give a static series")
    return read_volumes(series), {}


def _write(scans: Sequence[_Scan], request: ImportRequest) -> None:
    counts = Counter(_plain_path(scan, request) for scan in scans)
    seen: Counter[Path] = Counter()
    places = []
    for scan in scans:
        plain = _plain_path(scan, request)
        seen[plain] += 1
        places.append(_plain_path(scan, request, seen[plain]) if counts[plain] > 1 else plain)
    there = [path for path in places if path.exists()]
    if there and not request.force:
        raise UsageError(f"{there[0]}: exists already; add --force to write over it, or another --session-label")
    for scan, path in zip(scans, places, strict=True):
        write_image(path, new_image(_compact(scan.volume), scan.volume.affine), scan.sidecar)
        logger.info("%s: %s voxels", path, size_text(scan.volume.values.shape))
    simulated = all(scan.sidecar.get("Simulated") is True for scan in scans)
    write_dataset(request.bids_dir, request.participant, simulated=simulated)
    logger.warning("%s", LEFT_RIGHT)


def _plain_path(scan: _Scan, request: ImportRequest, run: int | None = None) -> Path:
    tracer = scan.sidecar.get("TracerName")
    return image_path(request.bids_dir, request.participant, request.session, scan.role, tracer=tracer, run=run)


def _compact(volume: Volume) -> np.ndarray[Any, Any]:
    """Whole numbers as such, as scanners store a T1w."""
    values = volume.values
    whole = np.rint(values)
    if np.abs(values).max(initial=0) < 32768 and (values == whole).all():
        return whole.astype(np.int16)
    return values
