"""NIfTI files opened once and read in one pass."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
from isal import igzip, igzip_lib

#: Length of the longer of the two headers (NIfTI-2), bytes.
_HEADER_BYTES = 540
_BLOCK_BYTES = 1 << 22

#: What reading a file that is missing or damaged may raise.
READ_ERRORS = (OSError, EOFError, ValueError, TypeError, zlib.error, nib.filebasedimages.ImageFileError,
               nib.spatialimages.HeaderDataError)  # fmt: skip


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
    OSError, EOFError, zlib.error, ImageFileError, HeaderDataError
        The file is missing, damaged, truncated, or no NIfTI; also after the block, for a wrong checksum.
    """
    packed = path.suffix == ".gz"
    try:
        # ISA-L unpacks in half the time that zlib takes.
        with igzip.open(path) if packed else path.open("rb") as stream:  # type: ignore[no-untyped-call]
            start = stream.read(_HEADER_BYTES)
            stream.seek(0)
            yield _kind(start).from_stream(stream)
            while packed and stream.read(_BLOCK_BYTES):
                pass
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


def _kind(start: bytes) -> type[nib.Nifti1Image]:
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        if kind.header_class.may_contain_header(start):  # type: ignore[no-untyped-call]
            return kind
    raise nib.filebasedimages.ImageFileError("no NIfTI header")
