"""Writing files whole or not at all, and reading matrices back."""

import hashlib
import importlib
import io
import json
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pandas as pd
import psutil
from isal import igzip

from bids_spectsynth.bids.sidecars import sidecar_path
from bids_spectsynth.bids.table_records import table_record
from bids_spectsynth.errors import ImageError, naming

logger = logging.getLogger(__name__)

#: In the output folder.
LOCK_FILE = ".bids_spectsynth.lock"
#: Names of :func:`temporary_path`: the process, and where it runs, which was not always in them.
_TEMPORARY = re.compile(r"\..+\.([0-9]{1,9})-([0-9a-f]{8})?[0-9a-f]{8}\.tmp", re.DOTALL)
_DAY = 86400
#: Of ISA-L, whose levels end at 3: files as large as zlib's at its level 3, in a tenth of the time.
_GZIP_LEVEL = 2
#: Bits of the NIfTI field xyzt_units: where the spatial unit stands, and millimetres.
_SPATIAL_UNITS, _MILLIMETRES = 0b111, 2


def temporary_path(path: Path) -> Path:
    """A name beside a file under which it can be written: hidden, and with who writes it (:func:`remove_leftovers`)."""
    return path.with_name(f".{path.name}.{os.getpid()}-{_host()}{secrets.token_hex(4)}.tmp")


def _host() -> str:
    """Digest of the machine's name and of what its process numbers count in."""
    # A container may have the machine's name and numbers of its own, which say nothing outside. The namespace tells
    # them apart at once; a least age would keep what was left by a run that is started again after minutes. Only Linux
    # has such containers, and the file.
    try:
        processes = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        processes = 0
    return hashlib.sha256(f"{socket.gethostname()} {processes}".encode()).hexdigest()[:8]


def remove_leftovers(folder: Path, skipped: Path) -> int:
    """Remove the temporary files of runs that were killed, and say how many there were.

    Those of a process that is alive on this machine stay; of another machine or container nobody knows, so that they
    stay a day.

    Parameters
    ----------
    folder : Path
        Looked through with all in it.
    skipped : Path
        A folder in it that is not.
    """
    removed = 0
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if Path(place, name) != skipped]
        for name in names:
            found = _TEMPORARY.fullmatch(name)
            if found and _is_left(Path(place, name), int(found[1]), found[2]):
                Path(place, name).unlink(missing_ok=True)
                removed += 1
    return removed


def _is_left(path: Path, process: int, host: str | None) -> bool:
    if host == _host() and not psutil.pid_exists(process):
        return True
    try:
        return time.time() - path.stat().st_mtime > _DAY
    except OSError:
        return False


@contextmanager
def atomic_file(path: Path) -> Iterator[io.BufferedWriter]:
    """Binary file that appears at ``path`` when the block ends well, and not at all otherwise.

    The temporary file lies in the same folder (created if missing), so that the last step is one rename.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    with naming(path, temporary):
        # Opened like any other file, so that the user's umask and the folder's defaults decide who may read it.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_file(path) as file:
        file.write(text.encode())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object atomically, indented, keys in the order given.

    NumPy scalars and arrays, paths and tuples are converted. A number that is not finite becomes ``null``, because
    JSON has no word for it.
    """
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value.as_posix() if isinstance(value, Path) else value


def write_image(path: Path, image: nib.Nifti1Image, sidecar: Mapping[str, Any]) -> None:
    """Write a NIfTI image and its JSON sidecar, each atomically; the sidecar first.

    An image that exists is thus always described. The gzip stream carries no time and no name.

    Parameters
    ----------
    path : Path
        Ends in ``.nii.gz`` or ``.nii``.
    image : Nifti1Image
        Spatial units are set to millimetres where unknown. Free text in the header and header extensions, where
        converters leave names and dates, are not written.
    sidecar : mapping
        Content of the JSON file.
    """
    image = nib.Nifti1Image(image.dataobj, image.affine, image.header)  # type: ignore[no-untyped-call]
    _clear_free_text(image.header)
    write_json(sidecar_path(path), sidecar)
    with atomic_file(path) as file:
        if path.suffix == ".gz":
            with igzip.IGzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:  # type: ignore[no-untyped-call]
                image.to_stream(packed)
        else:
            image.to_stream(file)


def _clear_free_text(header: nib.Nifti1Header) -> None:
    header.extensions.clear()
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        header[field] = b""
    if not int(header["xyzt_units"]) & _SPATIAL_UNITS:
        header["xyzt_units"] = int(header["xyzt_units"]) | _MILLIMETRES


def write_table(
    path: Path,
    frame: pd.DataFrame,
    dictionary: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, Any] | None = None,
    *,
    recorded: bool = False,
) -> None:
    """Write a tab-separated table and its JSON data dictionary; ``n/a`` where a value is missing.

    Parameters
    ----------
    path : Path
        Ends in ``.tsv``.
    frame : DataFrame
        The index is not written.
    dictionary : mapping of column name to mapping
        ``Description``, ``Units``, ``Levels`` of each column.
    facts : mapping, optional
        What else the JSON file says, of the whole table; no column is called so.
    recorded : bool
        Whether the JSON file has the number of rows and the checksum of the table, by which one that was cut is found
        out (:mod:`bids_spectsynth.bids.table_records`).

    Raises
    ------
    ValueError
        A column is not described.
    """
    missing = [str(column) for column in frame.columns if column not in dictionary]
    if missing:
        raise ValueError(f"{path.name}: no description of column {', '.join(missing)}")
    text = frame.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n", float_format="%.8g")
    record = table_record(text) if recorded else {}
    columns = {str(column): dictionary[column] for column in frame.columns}
    write_json(sidecar_path(path), {**(facts or {}), **record, **columns})
    write_text(path, text)


def write_matrix(path: Path, matrix: npt.ArrayLike, sidecar: Mapping[str, Any]) -> None:
    """Write a 4x4 matrix as text (``%.10g``, four rows) with its JSON sidecar.

    Parameters
    ----------
    path : Path
        ``..._from-A_to-B_mode-image_xfm.txt``.
    matrix : array, shape (4, 4)
        Maps world coordinates (RAS+ mm) of B to those of A.
    sidecar : mapping
        States the convention, the tool and the score.

    Raises
    ------
    ValueError
        The array has another shape or is not finite.
    """
    array = np.asarray(matrix, dtype=np.float64)
    if array.shape != (4, 4) or not np.isfinite(array).all():
        raise ValueError(f"{path.name}: not a finite 4x4 matrix")
    stream = io.StringIO()
    np.savetxt(stream, array, fmt="%.10g")
    write_json(sidecar_path(path), sidecar)
    write_text(path, stream.getvalue())


def read_matrix(path: Path) -> npt.NDArray[np.float64]:
    """Read a matrix of :func:`write_matrix`, shape (4, 4).

    Raises
    ------
    ImageError
        The file is missing or holds no finite, invertible 4x4 matrix.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        matrix = np.array([line.split() for line in lines], dtype=np.float64)
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: cannot read the transform ({error}); prepare the participant again") from error
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or np.linalg.det(matrix[:3, :3]) == 0:
        raise ImageError(f"{path}: not an invertible 4x4 matrix; prepare the participant again")
    return matrix


@contextmanager
def folder_lock(output_dir: Path) -> Iterator[None]:
    """Hold the lock of an output folder while a file that several jobs write is read and written again.

    The lock file stays: removing it would let two processes in. Where the file system knows no locks, a warning is
    logged. Not to be nested.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(output_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl = importlib.import_module("fcntl")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except (ImportError, OSError) as error:
            logger.warning("%s: cannot be locked (%s); do not run jobs at the same time", output_dir, error)
        yield
    finally:
        os.close(descriptor)  # closing releases the lock
