"""Exports of participants: what is current is left as it is."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bids_spectsynth import __version__
from bids_spectsynth.bids.manifests import (
    Product,
    file_record,
    make_if_outdated,
    manifest_path,
    read_manifest,
    write_manifest,
)
from bids_spectsynth.bids.names import case_folder
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.sidecars import sidecar_path
from bids_spectsynth.dicom.export.case import DicomClass, series_files, write_case
from bids_spectsynth.dicom.export.contents import source_files
from bids_spectsynth.dicom.export.donor import donor_place, owner_of
from bids_spectsynth.dicom.export.series_table import table_path
from bids_spectsynth.errors import Outcome, SpectSynthError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be exported, and how.

    Parameters
    ----------
    output_dir : Path
    dicom_class : {'NM', 'MR'}
        Of images and maps.
    donor : Path or None
        A file or folder of DICOM, or a folder with one for each participant.
    force : bool
        Take a donor that is not recognised.
    """

    output_dir: Path
    dicom_class: DicomClass = "NM"
    donor: Path | None = None
    force: bool = False


def export_folder(output_dir: Path, case: PreparedCase) -> Path:
    """Where the series of a case lie."""
    return case_folder(output_dir, case.participant, case.session) / "dicom"


def export_case(case: PreparedCase, request: Request) -> Outcome:
    """Export a case, where anything has changed since it was done.

    Parameters
    ----------
    case : PreparedCase
        In T1w space.
    request : Request
    """
    try:
        problems = _export(case, request)
    except SpectSynthError as error:
        return Outcome(case.participant, case.session, "export", "failed", str(error))
    return Outcome(case.participant, case.session, "export", "failed" if problems else "ok", "; ".join(problems))


def _export(case: PreparedCase, request: Request) -> list[str]:
    output_dir, folder = request.output_dir, export_folder(request.output_dir, case)
    place = None if request.donor is None else donor_place(request.donor, case.participant)
    problems: list[str] = []
    product = _product(case, request, folder, place)

    def make() -> None:
        product.manifest.unlink(missing_ok=True)
        owner = owner_of(case, output_dir, place, force=request.force)
        files, lines = write_case(case, folder, output_dir, owner, request.dicom_class)
        problems.extend(lines)
        who = "without identity" if place is None else "with the donor's patient and study: identifying data"
        logger.info("%s: %d DICOM files %s in %s", case.name, len(files), who, folder)

    if make_if_outdated(product, make):
        made = read_manifest(product.manifest)
        if problems:
            # What is incomplete does not count as made.
            product.manifest.unlink(missing_ok=True)
        elif made is not None:
            files = [*folder.glob("*/*.dcm"), *product.outputs[:2]]
            write_manifest(product.manifest, replace(made, outputs={path.name: file_record(path) for path in files}))
    return problems


def _product(case: PreparedCase, request: Request, folder: Path, place: Path | None) -> Product:
    table = table_path(folder)
    manifest = manifest_path(request.output_dir, table)
    earlier = read_manifest(manifest)
    return Product(
        name=f"{case.name}: DICOM",
        manifest=manifest,
        inputs=dict(_inputs(case, request.output_dir, place)),
        options={
            "the class": request.dicom_class,
            "the donor": place is not None,
            "--force": request.force,
            "the version": __version__,
        },
        outputs=(table, sidecar_path(table), *series_files(folder, earlier.outputs if earlier else ())),
        is_current=lambda: False,
    )


def _inputs(case: PreparedCase, output_dir: Path, place: Path | None) -> Iterator[tuple[str, Path]]:
    for path in source_files(case, output_dir):
        yield path.name, path
        yield f"the sidecar of {path.name}", sidecar_path(path)
    if place is not None:
        paths = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
        for number, path in enumerate(paths, start=1):
            yield f"file {number} of the donor", path
