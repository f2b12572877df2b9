"""Small text files between the steps: cases, registrations, what was written, why a case failed."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bids_spectsynth.bids.access import read_problem
from bids_spectsynth.bids.finding.cases import Case, SourceImage
from bids_spectsynth.bids.sidecars import load_object, read_object
from bids_spectsynth.bids.writing import write_json, write_text
from bids_spectsynth.errors import SpectSynthError, is_out_of_memory, reason_of
from bids_spectsynth.preprocess.registration.result import Registration


def case_to_text(case: Case) -> str:
    """JSON text of a case: equal cases give equal text, so that it can stand in a cache key."""
    content = {
        "participant": case.participant,
        "session": case.session,
        "images": {role: _image_to_dict(image) for role, image in sorted(case.images.items())},
        "warnings": list(case.warnings),
    }
    return json.dumps(content, sort_keys=True, default=str)


def _image_to_dict(image: SourceImage) -> dict[str, Any]:
    return {
        "path": str(image.path),
        "role": image.role,
        "entities": dict(image.entities),
        "metadata": dict(image.metadata),
        "reason": image.reason,
        **({} if image.session is None else {"session": image.session}),
    }


def case_from_text(text: str) -> Case:
    """The case that :func:`case_to_text` wrote."""
    content = json.loads(text)
    images = {role: SourceImage(**{**one, "path": Path(one["path"])}) for role, one in content["images"].items()}
    return Case(content["participant"], content["session"], images, tuple(content["warnings"]))


@dataclass(frozen=True, eq=False)
class StepRecord:
    """What a step leaves for the sidecars.

    Parameters
    ----------
    notes : tuple of str
        What was repaired or deserves a warning while the image was read.
    registration : Registration or None
        None for the reference image itself.
    left_out : str or None
        Why an image that no model needs is not used; None where all went well.
    template : str or None
        Of a registration to a template: which, with the resolution that was taken, as ``--output-spaces`` takes it.
    external : str or None
        URI of the file that took the place of the step, see :class:`~bids_spectsynth.bids.finding.external.External`.
    """

    notes: tuple[str, ...] = field(default=())
    registration: Registration | None = None
    left_out: str | None = None
    template: str | None = None
    external: str | None = None


def save_record(path: Path, record: StepRecord) -> None:
    """Write a step's record as JSON; the matrix keeps all its digits."""
    found = record.registration
    content: dict[str, Any] = {
        "notes": record.notes,
        "left_out": record.left_out,
        "template": record.template,
        "external": record.external,
    }
    if found is not None:
        content["registration"] = {
            "matrix": np.asarray(found.matrix, dtype=np.float64).tolist(),
            "score": float(found.score),
            "metric": found.metric,
            "overlap": float(found.overlap),
            "poor": bool(found.poor),
            "notes": found.notes,
        }
    write_json(path, content)


def load_record(path: Path) -> StepRecord:
    """Read the record that :func:`save_record` wrote."""
    content = load_object(path)
    stored, external = content.get("registration"), content.get("external")
    if stored is None:
        return StepRecord(tuple(content["notes"]), None, content["left_out"], external=external)
    registration = Registration(
        matrix=np.array(stored["matrix"], dtype=np.float64),
        # JSON has no word for a score that is not finite.
        score=float("nan") if stored["score"] is None else float(stored["score"]),
        metric=stored["metric"],
        overlap=float("nan") if stored["overlap"] is None else float(stored["overlap"]),
        poor=stored["poor"],
        notes=tuple(stored["notes"]),
    )
    return StepRecord(tuple(content["notes"]), registration, content["left_out"], content.get("template"), external)


def fingerprint(content: Mapping[str, Any]) -> str:
    """SHA-256 of values that can be written as JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def file_stamp(path: Path) -> list[int]:
    """Size in bytes and time of the last change in nanoseconds; empty for a file that is missing."""
    try:
        stat = path.stat()
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns]


def content_stamp(path: Path) -> str:
    """SHA-256 of a small file, hexadecimal; empty for one that cannot be read."""
    # A pipe would be waited for without end.
    if read_problem(path) is not None:
        return ""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


@dataclass(frozen=True)
class Written:
    """What a step left in the output folder.

    Parameters
    ----------
    files : tuple of Path
    left_out : mapping of str to str
        Roles of images that no model needs and that could not be used, with the reason.
    warnings : tuple of str
        One line each: what users should know of this case.
    """

    files: tuple[Path, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def save_manifest(manifest: Path, key: str, output_dir: Path, written: Written) -> None:
    """Record what was written to the output folder from inputs with the fingerprint ``key``.

    Files of an earlier manifest that were not written again are deleted, because their input is no longer there; but
    not those that another manifest beside this one lists, or that changed since: they are another step's by now.

    Parameters
    ----------
    manifest : Path
        Written last.
    key : str
        Fingerprint of everything that the files depend on.
    output_dir : Path
        The files are named relative to it.
    written : Written
    """
    files = {path.relative_to(output_dir).as_posix(): file_stamp(path) for path in written.files}
    others = (path for path in manifest.parent.glob("written_*.json") if path != manifest)
    kept = set(files).union(*(_manifest_files(path) for path in others))
    for name, stamp in _manifest_files(manifest).items():
        if name not in kept and file_stamp(output_dir / name) == stamp:
            (output_dir / name).unlink(missing_ok=True)
    content = {"key": key, "files": files, "left_out": dict(written.left_out), "warnings": list(written.warnings)}
    write_json(manifest, content)


def is_written(manifest: Path, key: str, output_dir: Path, needed: Iterable[str] = ()) -> bool:
    """Whether all files of a manifest with this fingerprint lie in the output folder, unchanged.

    Parameters
    ----------
    manifest : Path
    key : str
        The fingerprint that the files must have been written with.
    output_dir : Path
    needed : iterable of str
        Roles that must not have been left out.
    """
    content = _read_manifest(manifest)
    if content.get("key") != key or not set(needed).isdisjoint(content.get("left_out", {})):
        return False
    return all(stamp and file_stamp(output_dir / name) == stamp for name, stamp in _manifest_files(manifest).items())


def manifest_warnings(manifest: Path, key: str) -> tuple[str, ...]:
    """The warnings of a manifest with this fingerprint; none of another one's."""
    content = _read_manifest(manifest)
    return tuple(content.get("warnings", ())) if content.get("key") == key else ()


def _read_manifest(manifest: Path) -> dict[str, Any]:
    content = read_object(manifest)
    return content if isinstance(content.get("files"), dict) else {}


def _manifest_files(manifest: Path) -> dict[str, list[int]]:
    files: dict[str, list[int]] = _read_manifest(manifest).get("files", {})
    return files


def one_line_reason(error: BaseException, step: str) -> str:
    """Why a step failed, in one line; a defect of this software is named as such."""
    if isinstance(error, SpectSynthError):
        return reason_of(error)
    if isinstance(error, OSError) or is_out_of_memory(error):
        return f"{step}: {reason_of(error)}"
    return f"{step}: {type(error).__name__}: {' '.join(str(error).split())[:200]} (see the crash file in the logs)"


def save_failure(path: Path, reason: str) -> None:
    """Leave the reason of a failure where the main process finds it, whatever machine the step ran on.

    The first reason stays: later ones follow from it.
    """
    if not path.exists():
        write_text(path, reason + "\n")


def load_failure(path: Path) -> str | None:
    """The reason of a failure, or None."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
