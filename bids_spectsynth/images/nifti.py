"""NIfTI files opened once and read in one pass."""

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip, igzip_lib

from bids_spectsynth.errors import size_text
from bids_spectsynth.images.forms import matrix_problem, placement

#: Length of the longer of the two headers (NIfTI-2), bytes.
_HEADER_BYTES = 540
_BLOCK_BYTES = 1 << 22
#: So much may follow the last voxel: zeros that programs put there. A file that goes on is damaged, or made to be.
_MOST_BEHIND = 1 << 26
#: Deflate makes no byte into more than these.
_MOST_FROM_A_BYTE = 1032
#: Voxels of one volume; the finest images of living heads (0.25 mm) have half as many.
_MOST_VOXELS = 1 << 30

#: What reading a file that is missing or damaged may raise.
READ_ERRORS = (OSError, EOFError, ValueError, TypeError, OverflowError, zlib.error, nib.filebasedimages.ImageFileError,
               nib.spatialimages.HeaderDataError, nib.wrapstruct.WrapStructError)  # fmt: skip


class _NoExtensions(nib.nifti1.Nifti1Extensions):
    """Nothing here uses them, and nibabel asks for as much memory as their lengths tell, whatever the file holds."""

    @classmethod
    def from_fileobj(cls, *_: Any) -> "_NoExtensions":
        """None, whatever the file says."""
        return cls()


class _Header(nib.Nifti1Header):
    """A header whose affine is that of :func:`bids_spectsynth.images.forms.placement`; without extensions."""

    exts_klass = _NoExtensions

    def __init__(
        self, binaryblock: Any = None, endianness: Any = None, check: bool = True, extensions: Any = ()
    ) -> None:
        super().__init__(binaryblock, endianness, False, extensions)  # type: ignore[no-untyped-call]
        _mend_sizes(self)
        if check:
            self.check_fix()  # type: ignore[no-untyped-call]

    def get_best_affine(self) -> Any:
        """Voxel indices to world RAS+ millimetres; not finite where the header gives none."""
        return placement(self).affine


class _Header2(_Header, nib.Nifti2Header):
    """The same of NIfTI-2."""


class _Image(nib.Nifti1Image):
    header_class = _Header


class _Image2(nib.Nifti2Image):
    header_class = _Header2


def _mend_sizes(header: nib.Nifti1Header) -> None:
    """Take the voxel sizes from the sform where ``pixdim`` has none: nibabel would take 1 mm, and the qform with it."""
    sizes = header["pixdim"][1:4]
    if np.all(np.isfinite(sizes)) and np.all(sizes != 0):
        return
    sform = np.asarray(header.get_sform(), dtype=np.float64)  # type: ignore[no-untyped-call]
    if int(header["sform_code"]) > 0 and matrix_problem(sform) is None:
        header["pixdim"][1:4] = np.sqrt(np.sum(sform[:3, :3] ** 2, axis=0))
    else:
        header["pixdim"][1:4] = np.nan
    header["qform_code"] = 0


@contextmanager
def opened_image(path: Path) -> Iterator[nib.Nifti1Image]:
    """NIfTI image whose voxels can be read inside the block only; its file is opened and decompressed once.

    Where the block ends well, the rest of a compressed file is read too: only at its end does gzip compare the
    checksum, and nibabel by itself stops at the last voxel.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``, NIfTI-1 or NIfTI-2.

    Raises
    ------
    OSError, EOFError, zlib.error, OverflowError, ImageFileError, HeaderDataError
        The file is missing, damaged, truncated, or no NIfTI; also after the block, for a wrong checksum, or where
        far more follows than the image.
    """
    with _opened(path) as stream:
        kind, _ = _checked_header(stream, path)
        stream.seek(0)
        image = kind.from_stream(stream)
        yield image
        end = _end_of(image.header) + _MOST_BEHIND
        while path.suffix == ".gz" and stream.read(_BLOCK_BYTES):
            if stream.tell() > end:
                raise nib.filebasedimages.ImageFileError("the file goes on behind the image")


def stored_shape(path: Path) -> tuple[int, ...]:
    """Shape of a NIfTI image by its header, without its voxels; raises what :func:`opened_image` does."""
    with _opened(path) as stream:
        kind, start = _checked_header(stream, path)
    header = kind.header_class(start)  # type: ignore[no-untyped-call]
    return tuple(int(n) for n in header.get_data_shape())  # type: ignore[no-untyped-call]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The content of a file, unpacked; what is wrong with its packing is an error of zlib."""
    try:
        # ISA-L unpacks in half the time that zlib takes.
        with igzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:  # type: ignore[no-untyped-call]
            yield stream
    except igzip_lib.IsalError as error:  # type: ignore[misc]  # typed as a class of no kind
        raise zlib.error(str(error)) from error


def content_checksum(path: Path) -> str:
    """Hexadecimal digits that change when the content of a file changes.

    A compressed file is not unpacked: its last eight bytes are the checksum and length of the content. Where they are
    of an empty part, or zeros follow, which some programs put at the end, the checksum is that of the packed file.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    if path.suffix != ".gz":
        return f"{zlib.crc32(path.read_bytes()):08x}"
    with path.open("rb") as file:
        file.seek(-min(8, path.stat().st_size), 2)
        end = file.read()
    return end.hex() if any(end[:4]) and any(end[4:]) else f"{zlib.crc32(path.read_bytes()):08x}"


def _end_of(header: nib.Nifti1Header) -> int:
    """Where the voxels end in a file, bytes."""
    voxels = math.prod(header.get_data_shape())  # type: ignore[no-untyped-call]
    offset: int = header.get_data_offset()  # type: ignore[no-untyped-call]
    return offset + int(voxels * header.get_data_dtype().itemsize)  # type: ignore[no-untyped-call]


def _checked_header(stream: Any, path: Path) -> tuple[type[nib.Nifti1Image], bytes]:
    """Kind and header of a file; one that tells of more than the file can hold is refused before it asks for memory."""
    start: bytes = stream.read(_HEADER_BYTES)
    kind = _kind(start)
    start = start[: kind.header_class.sizeof_hdr]
    header = kind.header_class(start, check=False)  # type: ignore[no-untyped-call]
    try:
        shape, end = header.get_data_shape(), _end_of(header)  # type: ignore[no-untyped-call]
    except KeyError as error:
        raise nib.filebasedimages.ImageFileError(f"type of voxels {error} is unknown") from error
    if any(n < 0 for n in shape) or int(header["vox_offset"]) > _MOST_BEHIND:
        raise nib.filebasedimages.ImageFileError("the header has impossible dimensions or a too large offset")
    first = int(kind.header_class.single_vox_offset)
    if int(header["vox_offset"]) < first:
        # nibabel takes 0 for a place like any other, and the header for the first voxels.
        begin = f"the header claims that the voxels begin at byte {int(header['vox_offset'])}"
        raise nib.filebasedimages.ImageFileError(f"{begin}, within the header itself, which needs {first}")
    if math.prod(shape[:3]) > _MOST_VOXELS:
        raise nib.filebasedimages.ImageFileError(f"the header claims {size_text(shape[:3])} voxels")
    held = path.stat().st_size * (_MOST_FROM_A_BYTE if path.suffix == ".gz" else 1)
    if end > held:
        raise nib.filebasedimages.ImageFileError(f"the header claims {end} bytes, the file holds no more than {held}")
    return kind, start


def _kind(start: bytes) -> type[nib.Nifti1Image]:
    for kind in (_Image, _Image2):
        if kind.header_class.may_contain_header(start):  # type: ignore[no-untyped-call]
            return kind
    raise nib.filebasedimages.ImageFileError("no NIfTI header")
