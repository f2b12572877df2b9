"""Manifests: what files of the output folder were made from, so that they are made anew only where that has changed.

A manifest names the inputs by what they are ("the PET"), not by where they lie, and holds the content of each as a
SHA-256. Size and time of the last change are remembered beside it: where both are as they were, the content is taken to
be, too, so that a look at what is current reads no image.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.sidecars import VALUE_ERRORS, read_object
from bids_spectsynth.bids.writing import write_json

logger = logging.getLogger(__name__)

#: Hidden folder of the output folder.
FOLDER = ".manifests"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes, time of the last change in ns, and SHA-256 of a file's content; -1, -1 and empty if missing."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What some files were made from, and what they were then.

    Parameters
    ----------
    inputs : mapping of str to FileRecord
        By what they are.
    options : mapping of str to JSON value
        What else the outputs depend on, by what it is.
    outputs : mapping of str to FileRecord
        By file name.
    """

    inputs: Mapping[str, FileRecord]
    options: Mapping[str, Any]
    outputs: Mapping[str, FileRecord]


@dataclass(frozen=True, kw_only=True)
class Product:
    """Files that are made together, and all that they depend on.

    Parameters
    ----------
    name : str
        For the log.
    manifest : Path
        See :func:`manifest_path`.
    inputs : mapping of str to Path
        By what they are, in words that a line of the log can begin with: ``the PET``.
    options : mapping of str to JSON value
        Only what this run asks for: another option of the manifest does not count.
    outputs : tuple of Path
        All of them must be there.
    is_current : callable
        Decides about files without a manifest, which an earlier version has made.
    forced : str
        Why they are made anew in any case; empty where the manifest decides.
    """

    name: str
    manifest: Path
    inputs: Mapping[str, Path]
    outputs: tuple[Path, ...]
    is_current: Callable[[], bool]
    options: Mapping[str, Any] = field(default_factory=dict)
    forced: str = ""


def manifest_path(output_dir: Path, output: Path) -> Path:
    """Where the manifest of a file in the output folder lies."""
    relative = output.relative_to(output_dir)
    return output_dir / FOLDER / relative.parent / f"{relative.name.partition('.')[0]}.json"


def file_record(path: Path, earlier: FileRecord | None = None) -> FileRecord:
    """What a file is now; its content is not read where size and time are those of an earlier record."""
    try:
        stat = path.stat()
        if earlier is not None and (stat.st_size, stat.st_mtime_ns) == (earlier.size, earlier.mtime_ns):
            return earlier
        return FileRecord(stat.st_size, stat.st_mtime_ns, _sha256(path, stat.st_size, stat.st_mtime_ns))
    except OSError:
        return FileRecord(-1, -1, "")


# A prepared image is an input of every model's image, table and of the report.
@lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(path: Path) -> Manifest | None:
    """The manifest of a file; None where there is none, or one that is damaged or of another version."""
    content = read_object(path)
    try:
        if content["format_version"] != FORMAT_VERSION:
            return None
        inputs, outputs = (
            {str(name): FileRecord(**record) for name, record in content[part].items()}
            for part in ("inputs", "outputs")
        )
        return Manifest(inputs, dict(content["options"]), outputs)
    except VALUE_ERRORS:
        return None


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest atomically."""
    write_json(path, {"format_version": FORMAT_VERSION, **asdict(manifest)})


def make_if_outdated(product: Product, make: Callable[[], object]) -> bool:
    """Make files anew where their manifest says that something has changed, and write the manifest after them.

    Files that are current, but have no manifest yet or one with other times, get one.

    Parameters
    ----------
    product : Product
    make : callable
        Writes the outputs. Where it raises, the earlier manifest stays, which does not fit what was written so far.

    Returns
    -------
    bool
        Whether they were made; the reason is logged.
    """
    earlier = read_manifest(product.manifest)
    now = _current(product, earlier)
    reason = _reason(product, earlier, now)
    if reason:
        logger.debug("%s is made anew: %s", product.name, reason)
        make()
        # Inputs as they were before: what changes meanwhile is noticed by the next run.
        now = replace(now, options=_as_json(product.options), outputs=_records(product.outputs))
    if now != earlier:
        write_manifest(product.manifest, now)
    return bool(reason)


def is_younger(outputs: tuple[Path, ...], inputs: tuple[Path, ...]) -> bool:
    """Whether all outputs exist and none is older than any input, as make decides: the rule without manifests."""
    if not all(path.exists() for path in outputs):
        return False
    latest = max((path.stat().st_mtime_ns for path in inputs), default=0)
    return min(path.stat().st_mtime_ns for path in outputs) >= latest


def _current(product: Product, earlier: Manifest | None) -> Manifest:
    """What a manifest would say now; what this run does not ask for stays as it was."""
    known = earlier or Manifest({}, {}, {})
    inputs = {name: file_record(path, known.inputs.get(name)) for name, path in product.inputs.items()}
    outputs = {path.name: file_record(path, known.outputs.get(path.name)) for path in product.outputs}
    return Manifest(inputs, {**known.options, **_as_json(product.options)}, {**known.outputs, **outputs})


def _records(paths: tuple[Path, ...]) -> dict[str, FileRecord]:
    return {path.name: file_record(path) for path in paths}


def _as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they come back from a file: lists for tuples."""
    values: dict[str, Any] = json.loads(json.dumps(options))
    return values


def _reason(product: Product, earlier: Manifest | None, now: Manifest) -> str:
    """Why the outputs must be made; empty where they are current."""
    if product.forced:
        return product.forced
    missing = next((name for name in map(_name, product.outputs) if now.outputs[name].size < 0), None)
    if missing is not None:
        return f"{missing} is not there"
    if earlier is None:
        return "" if product.is_current() else "what it was made from is younger, or was other than it is now"
    for name in sorted({*earlier.inputs, *now.inputs}):
        if name not in now.inputs:
            return f"{name} is gone"
        if name not in earlier.inputs:
            return f"{name} is new"
        if now.inputs[name].sha256 != earlier.inputs[name].sha256:
            return f"{name} changed"
    for name in product.options:
        if name not in earlier.options or now.options[name] != earlier.options[name]:
            return f"{name} changed"
    for name in map(_name, product.outputs):
        if name not in earlier.outputs or now.outputs[name].sha256 != earlier.outputs[name].sha256:
            return f"{name} is not what was written"
    return ""


def _name(path: Path) -> str:
    return path.name
