"""Sixty ways to damage a participant of a dataset: what is done, and what the program has to say."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np

T1W, PET = "anat/sub-{0}_T1w.nii.gz", "pet/sub-{0}_trc-FDG_pet.nii.gz"
SPECT = "spect/sub-{0}_task-interictal_trc-HMPAO_spect.nii.gz"
DEEP = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"


class Kind(NamedTuple):
    """A file of the participant, what is done to it, what becomes of the participant, words of the line about it."""

    file: str
    damage: Callable[[Path], object]
    status: str
    words: tuple[str, ...]


def changed(function: Callable[[Any], Any], dtype: str = "float32") -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        image = nib.load(path)
        data = function(np.asarray(image.dataobj, dtype=np.float32))
        with np.errstate(all="ignore"):
            nib.save(nib.Nifti1Image(data.astype(dtype), image.affine), path)

    return damage


def header(change: Callable[[Any], object]) -> Callable[[Path], None]:
    """The raw header, which nibabel would repair."""

    def damage(path: Path) -> None:
        content = bytearray(gzip.decompress(path.read_bytes()))
        record = np.frombuffer(bytes(content[:348]), dtype=nib.nifti1.header_dtype).copy()
        change(record)
        content[:348] = record.tobytes()
        path.write_bytes(gzip.compress(bytes(content), 1))

    return damage


def fields(**values: Any) -> Callable[[Path], None]:
    def change(record: Any) -> None:
        for name, value in values.items():
            record[name] = value

    return header(change)


def scaled(factor: float, unit: int = 2) -> Callable[[Path], None]:
    """Lengths times a factor, in another unit."""

    def change(record: Any) -> None:
        record["xyzt_units"] = unit
        record["pixdim"][0, 1:4] *= factor
        for name in ("srow_x", "srow_y", "srow_z", "qoffset_x", "qoffset_y", "qoffset_z"):
            record[name] = record[name] * factor

    return header(change)


def text(content: str | bytes) -> Callable[[Path], None]:
    """Another content of the sidecar."""

    def damage(path: Path) -> None:
        side = path.with_name(path.name.replace(".nii.gz", ".json"))
        side.write_bytes(content if isinstance(content, bytes) else content.encode())

    return damage


def told(**values: Any) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        side = path.with_name(path.name.replace(".nii.gz", ".json"))
        side.write_text(json.dumps({**json.loads(side.read_text()), **values}))

    return damage


def content(function: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(function(path.read_bytes()))


def instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def copied(*names: str, keep: bool = True) -> Callable[[Path], None]:
    """Further files of the same scan: ``old>new`` in the name."""

    def damage(path: Path) -> None:
        for name in names:
            old, new = name.split(">")
            shutil.copy(path, path.with_name(path.name.replace(old, new)))
        if not keep:
            path.unlink()

    return damage


def unpacked(path: Path) -> None:
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))


def no_text(path: Path) -> None:
    """A further image whose name is bytes."""
    shutil.copy(path, os.fsencode(path.parent) + b"/sub-\xff_pet.nii.gz")


def oblique(path: Path) -> None:
    image = nib.load(path)
    turn = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.9, 0.7, 0.5))
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), turn @ image.affine @ np.diag([40, 40, 40, 1])), path)


def moved_folder(name: str) -> Callable[[Path], None]:
    return lambda path: path.parent.rename(path.parent.with_name(name))


def frames(*shape: int) -> Callable[[Path], None]:
    return changed(lambda data: np.broadcast_to(data.reshape(*data.shape, *[1] * len(shape)), (*data.shape, *shape)))


LOOP = instead(lambda path: path.symlink_to(path))
ANNEX = instead(lambda path: path.symlink_to("../../.git/annex/objects/aa/bb/MD5E-s10--x.nii.gz/MD5E-s10--x.nii.gz"))
LFS = b"version https://git-lfs.github.com/spec/v1\n"
ROWS = {f"srow_{axis}": (np.nan, 0, 0, 0) for axis in "xyz"} | {"qform_code": 0, "sform_code": 1}
ONE_T1W = "no T1w image"

KINDS: dict[str, Kind] = {
    # Files that are none.
    "empty T1w": Kind(T1W, content(lambda data: b""), "failed", ("0 bytes",)),
    "half a T1w": Kind(T1W, content(lambda data: data[: len(data) // 2]), "failed", ("damaged or truncated",)),
    "gz that is no gz": Kind(PET, content(gzip.decompress), "failed", ("damaged or truncated",)),
    "packed twice": Kind(PET, content(gzip.compress), "failed", ("damaged or truncated",)),
    "text for an image": Kind(SPECT, content(lambda data: b"no image" * 99), "failed", ("damaged or truncated",)),
    "a page of an error": Kind(T1W, content(lambda data: gzip.compress(b"<html>404" * 99)), "failed", ("damaged",)),
    "wrong checksum": Kind(PET, content(lambda data: data[:-8] + bytes(8)), "failed", ("damaged or truncated",)),
    "zeros for a half": Kind(T1W, content(lambda data: data[:3000] + bytes(len(data) - 3000)), "failed", ("damaged",)),
    "image is a folder": Kind(T1W, instead(Path.mkdir), "skipped", (ONE_T1W,)),
    "image is a pipe": Kind(PET, instead(os.mkfifo), "failed", ("not a regular file",)),
    # Links and folders.
    "circular link": Kind(PET, LOOP, "failed", ("_pet.nii.gz",)),
    "not fetched": Kind(T1W, ANNEX, "failed", ("datalad get",)),
    "dangling link": Kind(PET, instead(lambda path: path.symlink_to("nowhere.nii.gz")), "failed", ("nowhere",)),
    "LFS pointer": Kind(SPECT, content(lambda data: LFS), "failed", ("git lfs",)),
    "unreadable file": Kind(PET, lambda path: path.chmod(0), "failed", ("permission denied",)),
    "unreadable folder": Kind(PET, lambda path: path.parent.chmod(0), "failed", ("permission denied",)),
    "folder of other case": Kind(T1W, moved_folder("Anat"), "skipped", (ONE_T1W,)),
    "image in the wrong folder": Kind(T1W, moved_folder("func"), "skipped", (ONE_T1W,)),
    # Names.
    "T1w missing": Kind(T1W, Path.unlink, "skipped", (ONE_T1W,)),
    "suffix in lower case": Kind(T1W, copied("T1w>t1w", keep=False), "skipped", (ONE_T1W,)),
    "two T1w": Kind(T1W, copied("_T1w>_run-1_T1w", "_T1w>_run-2_T1w", keep=False), "failed", ("run-1_T1w", "run-2")),
    "two PET": Kind(PET, copied("_pet>_rec-a_pet", "_pet>_rec-b_pet", keep=False), "failed", ("rec-a", "rec-b")),
    ".nii beside .nii.gz": Kind(T1W, unpacked, "failed", ("_T1w.nii",)),
    "name of another participant": Kind(T1W, lambda path: path.rename(path.with_name("sub-99_T1w.nii.gz")), "failed",
                                        ("named sub-99", "but lies in sub-")),
    "name with blanks": Kind(PET, copied("_trc-FDG>_trc-F DG", keep=False), "failed", ("letters and digits only",)),
    "name that is no UTF-8": Kind(PET, no_text, "ok", ("not UTF-8",)),
    # Numbers of voxels.
    "single slice": Kind(T1W, changed(lambda data: data[:, :, 10:11]), "failed", ("24 x 24 x 1",)),
    "two dimensions": Kind(PET, changed(lambda data: data[:, :, 10]), "failed", ("three dimensions",)),
    "colours": Kind(T1W, fields(datatype=128, bitpix=24), "failed", ("_T1w.nii.gz",)),
    "complex numbers": Kind(SPECT, changed(lambda data: data, "complex64"), "failed", ("one number per voxel",)),
    "frames in two dimensions": Kind(PET, frames(2, 2), "failed", ("three dimensions",)),
    "frames and other durations": Kind(SPECT, frames(3), "failed", ("3 frames", "frame durations")),
    "more dimensions than seven": Kind(T1W, fields(dim=[9, 24, 24, 24, 1, 1, 1, 1]), "failed", ("damaged",)),
    "dimensions of a giant": Kind(PET, fields(dim=[3, *[32767] * 3, 1, 1, 1, 1]), "failed", ("claims 32767",)),
    "dimensions below 0": Kind(SPECT, fields(dim=[3, -24, 24, 24, 1, 1, 1, 1]), "failed", ("damaged",)),
    "more voxels than the file": Kind(T1W, fields(dim=[3, 24, 24, 25, 1, 1, 1, 1]), "failed", ("damaged",)),
    "unknown type of numbers": Kind(PET, fields(datatype=9999), "failed", ("damaged",)),
    # Values.
    "all zero": Kind(T1W, changed(np.zeros_like), "failed", ("all voxels are zero",)),
    "one value": Kind(PET, changed(lambda data: np.full_like(data, 7)), "failed", ("the same value",)),
    "NaN": Kind(SPECT, changed(lambda data: np.full_like(data, np.nan)), "failed", ("NaN",)),
    "infinite": Kind(T1W, changed(lambda data: np.full_like(data, np.inf)), "failed", ("infinite",)),
    "only padding": Kind(PET, changed(lambda data: np.where(data > 0, 0, -1024)), "failed", ("all voxels are zero",)),
    "slope that overflows": Kind(SPECT, fields(scl_slope=3e38, scl_inter=0), "failed", ("_spect.nii.gz",)),
    "offset that is infinite": Kind(T1W, fields(vox_offset=np.inf), "failed", ("damaged", "infinity")),
    "offset behind the file": Kind(PET, fields(vox_offset=1e8), "failed", ("damaged",)),
    # Places.
    "affine of NaN": Kind(T1W, fields(**ROWS), "failed", ("affine",)),
    "affine of zeros": Kind(PET, fields(**dict.fromkeys(ROWS, 0) | {"sform_code": 1}), "failed", ("affine",)),
    "voxels of zero size": Kind(SPECT, fields(pixdim=0, qform_code=0, sform_code=0), "failed", ("_spect.nii.gz",)),
    "voxels of a metre": Kind(T1W, scaled(1000), "failed", ("voxels of",)),
    "voxels of a micron": Kind(PET, scaled(1e-3), "failed", ("voxels of",)),
    "unit metre": Kind(T1W, scaled(1e-3, unit=1), "ok", ("metres", "converted")),
    "oblique voxels of 300 mm": Kind(PET, oblique, "failed", ("voxels of",)),
    # Sidecars.
    "sidecar nested too deeply": Kind(PET, text(DEEP), "failed", ("_pet.json", "nested too deeply")),
    "sidecar of half an object": Kind(SPECT, text('{"TracerName": '), "failed", ("_spect.json",)),
    "sidecar that is a list": Kind(PET, text("[1, 2]"), "failed", ("_pet.json", "not a JSON object")),
    "sidecar that is no text": Kind(SPECT, text(b"\xff\xfe\x00"), "failed", ("_spect.json",)),
    "sidecar of 0 bytes": Kind(PET, text(b""), "failed", ("_pet.json",)),
    "sidecar missing": Kind(PET, lambda path: path.with_name(path.name.replace(".nii.gz", ".json")).unlink(), "ok",
                            ("no JSON sidecar",)),
    "durations that are text": Kind(PET, told(FrameDuration="long"), "ok", ()),
    "T1w with a broken sidecar": Kind(T1W, text("{"), "ok", ("_T1w.json",)),
}  # fmt: skip
