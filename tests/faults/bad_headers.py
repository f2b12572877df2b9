"""NIfTI files with mutated headers, one per seed: ``python tests/faults/bad_headers.py SEED FOLDER`` writes one."""

import gzip
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

Random = np.random.Generator
#: Values at which arithmetic goes wrong: the ends of types, no numbers, signs, sizes that nobody has memory for.
_WHOLE = (0, 1, -1, 2, 7, 8, 127, 255, -32768, 32767, 2**31 - 1, -(2**31), 2**40, 2**62, -(2**63))
_REAL = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-7, 0.5, 30.0, 1e4, 3e38, -3e38, 1e300, np.nan, np.inf, -np.inf)
_CODES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 511, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304, -1, 255, 9999)
_FIELDS = ("dim", "dim", "pixdim", "datatype", "bitpix", "vox_offset", "magic", "sform_code", "qform_code", "srow_x",
           "srow_y", "srow_z", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "scl_slope", "scl_inter",
           "xyzt_units", "intent_code", "sizeof_hdr", "dim_info", "slice_code", "toffset", "cal_max")  # fmt: skip


def base(kind: type[nib.Nifti1Image], random: Random) -> bytes:
    """A head of 12 x 13 x 11 voxels of 10 mm, of one of the usual types of numbers, now and then with frames."""
    shape = (12, 13, 11, 2) if random.random() < 0.2 else (12, 13, 11)
    dtype = random.choice(["int16", "uint8", "float32", "float64", "int32"])
    data = random.integers(0, 100, shape).astype(dtype)
    affine = np.diag([10.0, 10, 10, 1])
    affine[:3, 3] = -60
    image = kind(data, affine)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm", "sec")
    if random.random() < 0.2:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 40))
    return bytes(image.to_bytes())


def _fields(content: bytearray, random: Random, header: Any) -> None:
    """Some fields hold values at which arithmetic goes wrong."""
    record = np.frombuffer(bytes(content[: header.template_dtype.itemsize]), header.template_dtype)
    record = record.copy()
    for _ in range(random.integers(1, 4)):
        name = random.choice(_FIELDS)
        field = record[name]
        if field.dtype.kind == "S":
            record[name] = random.bytes(4)
        elif name in ("datatype", "bitpix"):
            record[name] = random.choice(_CODES)
        else:
            values = np.array([random.choice(_REAL if field.dtype.kind == "f" else _WHOLE)])
            with np.errstate(all="ignore"):
                value = values.astype(field.dtype)[0]
            if field.ndim > 1:
                record[name][0, random.integers(field.shape[1])] = value
            else:
                record[name] = value
    content[: record.nbytes] = record.tobytes()


def _giant(content: bytearray, random: Random, header: Any) -> None:
    """The header claims up to 10^18 voxels, all of them positive."""
    record = np.frombuffer(bytes(content[: header.template_dtype.itemsize]), header.template_dtype).copy()
    most = 32767 if record["dim"].dtype.itemsize == 2 else 2**20
    n = random.integers(3, 8)
    record["dim"] = 1
    record["dim"][0, 0] = n
    record["dim"][0, 1 : n + 1] = random.integers(1, most, n)
    if random.random() < 0.5:
        record["dim"][0, 1:4] = random.choice([200, 400, 800, 1600])
        record["dim"][0, 4:] = 1
    content[: record.nbytes] = record.tobytes()


def _bytes(content: bytearray, random: Random, header: Any) -> None:
    """Some bytes of the header are others."""
    for _ in range(random.integers(1, 9)):
        content[random.integers(header.template_dtype.itemsize + 12)] = random.integers(256)


def _extension(content: bytearray, random: Random, header: Any) -> None:
    """A block of extensions whose length is wrong."""
    size = header.template_dtype.itemsize
    content[size] = 1
    length = int(random.choice([0, 1, 7, 8, 15, 16, 32, 2**16, 2**30, 2**31 - 1, -1, -(2**31)]))
    content[size + 4 : size + 4] = struct.pack("<ii", length, int(random.integers(-2, 60))) + random.bytes(24)
    if random.random() < 0.5:
        _fields(content, random, header)


def _cut(content: bytearray, random: Random, header: Any) -> None:
    """The file ends early."""
    at = random.choice([0, 1, 100, 347, 348, 349, 352, 540, 544, int(random.integers(len(content)))])
    del content[min(at, len(content)) :]


def _more(content: bytearray, random: Random, header: Any) -> None:
    """Bytes follow, or stand before."""
    more = random.choice([random.bytes(100), bytes(5000), bytes(content)])
    if random.random() < 0.3:
        content[0:0] = more
    else:
        content.extend(more)


def _swapped(content: bytearray, random: Random, header: Any) -> None:
    """The other order of bytes, of all or some fields."""
    record = np.frombuffer(bytes(content[: header.template_dtype.itemsize]), header.template_dtype).copy()
    swapped = record.byteswap()
    for name in record.dtype.names or ():
        if random.random() < random.choice([0.1, 1.0]):
            record[name] = swapped[name]
    content[: record.nbytes] = record.tobytes()


MUTATIONS: tuple[Callable[[bytearray, Random, Any], None], ...] = (
    _fields, _fields, _fields, _giant, _bytes, _bytes, _extension, _cut, _more, _swapped)  # fmt: skip


def _packed(content: bytes, random: Random) -> bytes:
    """Compressed; in one of four cases the compressed stream itself is damaged."""
    packed = bytearray(gzip.compress(content, int(random.integers(0, 9)), mtime=0))
    damage = random.integers(12)
    if damage == 0 and packed:
        for _ in range(random.integers(1, 6)):
            packed[random.integers(len(packed))] = random.integers(256)
    elif damage == 1:
        del packed[random.integers(len(packed)) :]
    elif damage == 2:
        packed += random.choice([random.bytes(50), bytes(600), bytes(packed), gzip.compress(bytes(10**6))])
    return bytes(packed)


def write_case(seed: int, folder: Path) -> Path:
    """The file of a seed."""
    random = np.random.default_rng(seed)
    kind = nib.Nifti1Image if random.random() < 0.65 else nib.Nifti2Image
    content = bytearray(base(kind, random))
    for _ in range(random.integers(1, 3)):
        if len(content) > kind.header_class.template_dtype.itemsize + 12:
            MUTATIONS[random.integers(len(MUTATIONS))](content, random, kind.header_class)
    packed = bool(random.random() < 0.6)
    # A file whose name says the wrong thing about its content.
    lies = bool(random.random() < 0.03)
    path = folder / f"case_T1w.nii{'.gz' if packed else ''}"
    path.write_bytes(_packed(bytes(content), random) if packed != lies else bytes(content))
    return path


def bomb(folder: Path, *, claimed: bool) -> Path:
    """A compressed file of 2 MB: its header claims 1.6 GB, or zeros of 100 MB follow what it claims."""
    header = nib.Nifti1Header()
    edge = 1170 if claimed else 12
    header.set_data_shape((edge,) * 3)
    header.set_data_dtype(np.uint8)
    header.set_sform(np.diag([0.2, 0.2, 0.2, 1]) if claimed else np.diag([10.0, 10, 10, 1]), 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    voxels = np.random.default_rng(0).bytes(2 << 20) if claimed else bytes(100 << 20)
    path = folder / "bomb_T1w.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4) + voxels, 1))
    return path


if __name__ == "__main__":
    print(write_case(int(sys.argv[1]), Path(sys.argv[2])))
