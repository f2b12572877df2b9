"""Measurements and flags of cases on disk: ``sub-01[/ses-x]/sub-01[_ses-x]_qc.json``."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import bids_spectsynth
from bids_spectsynth.bids.manifests import (
    FileRecord,
    Manifest,
    file_record,
    manifest_path,
    read_manifest,
    write_manifest,
)
from bids_spectsynth.bids.names import case_folder
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, T1W, is_ictal
from bids_spectsynth.bids.sidecars import as_number, read_object, sidecar_path
from bids_spectsynth.bids.transforms import Transform
from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.nifti import READ_ERRORS, content_checksum, opened_image
from bids_spectsynth.quality.judge import QC, Flag
from bids_spectsynth.quality.limits import PAIR, PET
from bids_spectsynth.quality.measures import image_measures, pair_measures
from bids_spectsynth.quality.mirror import mirror_of
from bids_spectsynth.quality.volumes import make_volumes

logger = logging.getLogger(__name__)

_VERSION = 2


@dataclass(frozen=True)
class CaseQuality:
    """What is known of the quality of a case.

    Parameters
    ----------
    measures : mapping of str to float
        ``<role>.<name>``, see :mod:`bids_spectsynth.quality.measures`; ``<role>.score`` and ``<role>.poor`` of the
        registrations.
    metrics : mapping of str to str
        What the scores are, by role.
    inputs : mapping of str to FileRecord
        The files that were measured, as they were then.
    contents : mapping of str to str
        Checksums of what they hold, by the same names.
    """

    measures: Mapping[str, float]
    metrics: Mapping[str, str]
    inputs: Mapping[str, FileRecord] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)


def quality_path(output_dir: Path, case: PreparedCase) -> Path:
    """Where measurements and flags of a case lie."""
    return case_folder(output_dir, case.participant, case.session) / f"{case.name}_qc.json"


def case_quality(
    output_dir: Path, case: PreparedCase, transforms: Sequence[Transform], known: CaseQuality | None = None
) -> CaseQuality:
    """Measure a case, or take its measurements from its file where the images are those that were measured.

    Parameters
    ----------
    output_dir : Path
    case : PreparedCase
    transforms : sequence of Transform
        Of all cases.
    known : CaseQuality, optional
        Measured a moment ago, and taken where the images are still those.

    Raises
    ------
    ImageError
        An image is missing or damaged, or another job wrote it anew meanwhile.
    """
    own = [one for one in transforms if one.case_name == case.name and not is_ictal(one.role)]
    inputs = _records(output_dir, case, own)
    if known is not None and known.inputs == inputs:
        return known
    contents = _contents(_inputs(case, own), inputs)
    stored = read_object(quality_path(output_dir, case))
    earlier = stored.get("Inputs") if stored.get("Version") == _VERSION else None
    is_whole = all(isinstance(stored.get(part), dict) for part in ("Inputs", "Measures", "Metrics"))
    if not is_whole or earlier != contents or not _are_known(output_dir, case, inputs):
        measures = _measured(case) | _registered(own)
        # What is recorded is what was measured, not what lies there by the time that it is written.
        if _records(output_dir, case, own) != inputs:
            raise ImageError("its images were written anew while they were measured; the next run judges them")
        return CaseQuality(measures, {one.role: one.metric for one in own}, inputs, contents)
    return CaseQuality(
        {str(name): _number(value) for name, value in stored["Measures"].items()},
        {str(role): str(metric) for role, metric in stored["Metrics"].items()},
        inputs,
        contents,
    )


def write_quality(output_dir: Path, case: PreparedCase, quality: CaseQuality, flags: Sequence[Flag]) -> None:
    """Write the file of a case where it says something else.

    Times of the files are kept in a manifest, so that the next job reads no image whose time is the same.

    Parameters
    ----------
    output_dir : Path
    case : PreparedCase
    quality : CaseQuality
    flags : sequence of Flag
    """
    path = quality_path(output_dir, case)
    before = read_object(path)
    content = {
        "Description": f"Quality of the prepared images of {case.name}: measurements, and what is doubtful.",
        "GeneratedBy": f"bids_spectsynth {bids_spectsynth.__version__}",
        "Version": _VERSION,
        "Space": case.space,
        QC: [flag.as_json() for flag in flags],
        "Measures": dict(quality.measures),
        "Metrics": dict(quality.metrics),
        "Inputs": dict(quality.contents),
    }
    if before != content:
        write_json(path, content)
    manifest = Manifest(quality.inputs, {}, {})
    if read_manifest(manifest_path(output_dir, path)) != manifest:
        write_manifest(manifest_path(output_dir, path), manifest)


def read_flags(output_dir: Path, case: PreparedCase) -> tuple[Flag, ...]:
    """The flags of a case as its file has them; none without a file."""
    found = read_object(quality_path(output_dir, case)).get(QC)
    return tuple(
        Flag(str(one.get("name")), _number(one.get("value")), _number(one.get("threshold")), str(one.get("sentence")))
        for one in (found if isinstance(found, list) else [])
        if isinstance(one, dict)
    )


def _number(value: Any) -> float:
    """A number; NaN for what is none, or larger than a float can be."""
    try:
        return as_number(value)
    except OverflowError:
        return math.nan


def _inputs(case: PreparedCase, transforms: Sequence[Transform]) -> dict[str, Path]:
    roles = [role for role in (T1W, PET, INTERICTAL) if role in case.images]
    files = {f"image {role}": case.images[role] for role in roles}
    files |= {f"mask {role}": case.masks[role] for role in roles if role in case.masks}
    return files | {f"registration {one.role} {one.path.name}": sidecar_path(one.path) for one in transforms}


def _records(output_dir: Path, case: PreparedCase, transforms: Sequence[Transform]) -> dict[str, FileRecord]:
    """What the files of a case are now; those whose size and time are as recorded are not read."""
    manifest = read_manifest(manifest_path(output_dir, quality_path(output_dir, case)))
    known = manifest.inputs if manifest is not None else {}
    return {name: file_record(path, known.get(name)) for name, path in _inputs(case, transforms).items()}


def _are_known(output_dir: Path, case: PreparedCase, inputs: Mapping[str, FileRecord]) -> bool:
    """Whether the files are byte by byte those that were measured: a damaged one may end as the whole one did."""
    manifest = read_manifest(manifest_path(output_dir, quality_path(output_dir, case)))
    return manifest is not None and {name: one.sha256 for name, one in manifest.inputs.items()} == {
        name: one.sha256 for name, one in inputs.items()
    }


def _contents(paths: Mapping[str, Path], records: Mapping[str, FileRecord]) -> dict[str, str]:
    """Checksums that are the same whenever the same images are made: of what is packed, not of its packing.

    ISA-L was seen to pack one content in two ways, once in some thousand images on a busy machine.
    """
    found = {}
    for name, path in paths.items():
        try:
            found[name] = content_checksum(path) if path.suffix == ".gz" else records[name].sha256
        except OSError as error:
            raise ImageError(f"{path}: cannot be read ({error.strerror}); prepare the participant again") from error
    return found


def _registered(transforms: Sequence[Transform]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in transforms:
        # Of several templates the worst one counts.
        found[f"{one.role}.poor"] = max(float(one.poor), found.get(f"{one.role}.poor", 0.0))
        if math.isfinite(one.score):
            found[f"{one.role}.score"] = one.score
    return found


def _measured(case: PreparedCase) -> dict[str, float]:
    """Measurements of PET and interictal SPECT, as far as the case has them."""
    roles = [role for role in (PET, INTERICTAL) if role in case.images]
    if not roles:
        return {}
    brain, voxel_size = _read(case.masks[T1W])
    t1w, _ = _read(case.images[T1W])
    images = {role: _read(case.images[role])[0] for role in roles}
    masks = {role: _read(case.masks[role])[0] > 0 for role in roles if role in case.masks}
    for role, array in (*images.items(), *masks.items(), (T1W, t1w)):
        if array.shape != brain.shape:
            raise ImageError(f"{case.images[role]}: another grid than the brain mask; prepare the participant again")
    if not np.any(brain > 0):
        raise ImageError(f"{case.masks[T1W]}: the brain mask is empty; prepare the participant again")
    volumes = make_volumes(t1w, brain > 0, images, masks, voxel_size)
    mirror = mirror_of(volumes)
    own = {role: image_measures(volumes, role, mirror) for role in roles}
    found = {f"{role}.{name}": value for role, measures in own.items() for name, value in measures.items()}
    if len(roles) == 2 and all("fwhm" in measures for measures in own.values()):
        widths = own[PET]["fwhm"], own[INTERICTAL]["fwhm"]
        pair = pair_measures(volumes, PET, INTERICTAL, widths, mirror)
        found |= {f"{PAIR}.{name}": value for name, value in pair.items()}
    return found


def _read(path: Path) -> tuple[npt.NDArray[np.float32], float]:
    """Values of a prepared image, and the edge of its voxels in mm."""
    try:
        with opened_image(path) as image:
            data = np.asarray(image.dataobj, dtype=np.float32)
            size = float(np.linalg.norm(np.asarray(image.affine)[:3, 0]))
    except READ_ERRORS as error:
        raise ImageError(f"{path}: cannot be read ({error}); prepare the participant again") from error
    if data.ndim != 3 or not np.isfinite(data).all():
        raise ImageError(f"{path}: no volume of finite numbers; prepare the participant again")
    return data, size
