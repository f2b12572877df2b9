"""One pass over a file gives what nibabel gives, and finds damage that nibabel does not look for."""

import gzip
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from isal import igzip

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.nifti import READ_ERRORS, content_checksum, opened_image, stored_shape
from bids_spectsynth.images.reading import average_frames, load_image, sanitise

DATA = np.random.default_rng(0).integers(-50, 1000, (7, 6, 5, 4)).astype(np.int16)
AFFINE = np.array([[-2.0, 0.1, 0, 40], [0.1, 2.1, 0, -30], [0, 0, 3.0, 12], [0, 0, 0, 1]])


def scaled() -> nib.Nifti1Image:
    image = nib.Nifti1Image(DATA[..., 0], AFFINE)
    image.header.set_slope_inter(0.37, -2.5)
    return image


def big_endian() -> nib.Nifti1Image:
    return nib.Nifti1Image(DATA[..., 1].astype(">i2"), AFFINE, nib.Nifti1Header(endianness=">"))


IMAGES: dict[str, Any] = {
    "scaled": scaled,
    "big_endian": big_endian,
    "nifti2": lambda: nib.Nifti2Image(DATA[..., 2].astype(np.float32), AFFINE),
    "float64": lambda: nib.Nifti1Image(DATA[..., 0] / 7, AFFINE),
    "series": lambda: nib.Nifti1Image(DATA, AFFINE),
}


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", IMAGES)
def test_one_pass_gives_the_bits_of_nibabels_own_reading(kind: str, suffix: str, tmp_path: Path, openings: Any) -> None:
    path = tmp_path / f"image{suffix}"
    nib.save(IMAGES[kind](), path)
    plain = nib.load(path)
    if plain.ndim == 4:
        plain = nib.Nifti1Image(average_frames(plain.dataobj), plain.affine, plain.header)
    expected, _ = sanitise(plain, path)
    openings.clear()
    found, _ = load_image(path)
    assert openings.read == {str(path): 1}
    np.testing.assert_array_equal(np.asanyarray(found.dataobj), np.asanyarray(expected.dataobj))
    np.testing.assert_array_equal(found.affine, expected.affine)
    assert found.get_data_dtype() == np.float32


def test_a_series_is_decompressed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "series.nii.gz"
    frames = np.random.default_rng(0).random((40, 40, 30, 6), dtype=np.float32)
    nib.save(nib.Nifti1Image(frames, AFFINE), path)
    packed = [0]

    class Counting(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            n = super().readinto(buffer) or 0
            packed[0] += n
            return n

    open_packed = igzip.open
    monkeypatch.setattr(igzip, "open", lambda name: open_packed(Counting(name)))
    monkeypatch.setattr(igzip, "READ_BUFFER_SIZE", 1024)
    load_image(path, [1, 0, 2, 3, 4, 5])
    # The header is looked at before; what is beyond it is read once.
    size = path.stat().st_size
    assert size <= packed[0] <= size + 1024


def test_a_wrong_checksum_behind_the_voxels_is_found(tmp_path: Path) -> None:
    path = tmp_path / "image.nii.gz"
    # Large enough that reading the header does not reach the end.
    nib.save(nib.Nifti1Image(np.random.default_rng(1).random((30, 30, 30)), AFFINE), path)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # the checksum: the last eight bytes are it and the length
    path.write_bytes(content)
    np.asanyarray(nib.load(path).dataobj)  # nibabel does not mind
    with pytest.raises(gzip.BadGzipFile, match="CRC"), opened_image(path) as image:
        np.asanyarray(image.dataobj)


@pytest.mark.parametrize("cut", [False, True])
def test_damage_within_the_voxels_is_an_error_that_readers_know(cut: bool, tmp_path: Path) -> None:
    path = tmp_path / "image.nii.gz"
    nib.save(nib.Nifti1Image(np.random.default_rng(1).random((30, 30, 30)), AFFINE), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"" if cut else bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    with pytest.raises(READ_ERRORS), opened_image(path) as image:
        np.asanyarray(image.dataobj)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_what_is_no_nifti_is_refused(name: str, tmp_path: Path) -> None:
    text = b"no image " * 100
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    with pytest.raises((nib.filebasedimages.ImageFileError, zlib.error)), opened_image(tmp_path / name):
        pass


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_a_checksum_is_that_of_the_content(name: str, tmp_path: Path) -> None:
    found = []
    for number, content in enumerate((b"a" * 999, b"a" * 999, b"b" + b"a" * 998, b"a" * 998)):
        path = tmp_path / name
        # Packed more or less tightly, the content stays what it is.
        path.write_bytes(gzip.compress(content, 1 + 8 * (number == 1)) if name.endswith(".gz") else content)
        found.append(content_checksum(path))
    assert found[0] == found[1]
    assert len(set(found)) == 3
    # Programs that pack in blocks end with an empty one, others with zeros.
    for end in (gzip.compress(b""), *(bytes(n) for n in range(1, 10))):
        ends = []
        for content in (b"a" * 999, b"b" * 999):
            path.write_bytes(gzip.compress(content) + end)
            ends.append(content_checksum(path))
        assert ends[0] != ends[1], end
    path.write_bytes(b"")
    content_checksum(path)
    path.unlink()
    with pytest.raises(OSError, match="No such file"):
        content_checksum(path)


def test_opened_image__what_follows_the_image_is_read_to_a_limit(tmp_path: Path) -> None:
    nib.save(scaled(), tmp_path / "image.nii")
    content = (tmp_path / "image.nii").read_bytes()
    for name, n in (("few", 1 << 20), ("many", 1 << 28)):
        with igzip.open(tmp_path / f"{name}.nii.gz", "wb") as file:
            file.write(content)
            for _ in range(n >> 20):
                file.write(bytes(1 << 20))
    load_image(tmp_path / "few.nii.gz")
    with pytest.raises(ImageError, match=r"many\.nii\.gz: damaged or truncated \(the file goes on behind the image\)"):
        load_image(tmp_path / "many.nii.gz")


@pytest.mark.parametrize("offset", [np.inf, -np.inf, np.nan, 1e30])
def test_load_image__offset_that_is_no_number(tmp_path: Path, offset: float) -> None:
    path = tmp_path / "image.nii"
    nib.save(scaled(), path)
    content = bytearray(path.read_bytes())
    content[108:112] = np.float32(offset).tobytes()
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"image\.nii: damaged or truncated"):
        load_image(path)


@pytest.mark.parametrize("edge", [36, 250])
def test_load_image__voxels_too_large_for_a_brain(tmp_path: Path, edge: float) -> None:
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.float32), np.diag([edge, 4, 4, 1])), tmp_path / "image.nii")
    with pytest.raises(ImageError, match=f"voxels of {edge} x 4 x 4 mm are too large to show a brain"):
        load_image(tmp_path / "image.nii")


def _header(shape: tuple[int, ...], dtype: str, extension: int = 0) -> bytes:
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(dtype)
    header["magic"], header["vox_offset"] = b"n+1", 352 + (32 if extension else 0)
    more = struct.pack("<ii", extension, 6) + bytes(24) if extension else b""
    return bytes(header.binaryblock + bytes([bool(extension), 0, 0, 0]) + more)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize(
    ("shape", "words"), [((30000, 30000, 30000), "claims 30000 x"), ((900, 900, 900), "the file holds no more than")]
)
def test_opened_image__what_the_file_cannot_hold_is_refused_before_memory_is_asked_for(
    tmp_path: Path, name: str, shape: tuple[int, ...], words: str
) -> None:
    path = tmp_path / name
    content = _header(shape, "float32") + bytes(1000)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    for read in (lambda: opened_image(path).__enter__(), lambda: stored_shape(path)):
        with pytest.raises(nib.filebasedimages.ImageFileError, match=words):
            read()


def test_opened_image__lengths_of_extensions_ask_for_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.nii"
    data = np.arange(24, dtype=np.uint8)
    path.write_bytes(_header((2, 3, 4), "uint8", extension=2**31 - 16) + data.tobytes())
    with opened_image(path) as image:
        np.testing.assert_array_equal(np.asarray(image.dataobj), data.reshape((2, 3, 4), order="F"))


def test_stored_shape__is_that_of_the_header(tmp_path: Path) -> None:
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        kind(DATA[..., 2].astype(np.float32), AFFINE).to_filename(tmp_path / "x.nii.gz")
        assert stored_shape(tmp_path / "x.nii.gz") == DATA.shape[:3]
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(_header((2, 3, 4), "uint8")[:200]))
    with pytest.raises(READ_ERRORS):
        stored_shape(tmp_path / "x.nii.gz")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("kind", "place", "first"), [("scaled", 108, 352), ("nifti2", 168, 544)])
def test_opened_image__voxels_that_begin_within_the_header(
    kind: str, place: int, first: int, suffix: str, tmp_path: Path
) -> None:
    content = bytearray(IMAGES[kind]().to_bytes())
    form = "<f" if first == 352 else "<q"
    path = tmp_path / f"image{suffix}"
    for offset, is_refused in ((0, True), (first - 1, True), (first, False)):
        content[place : place + struct.calcsize(form)] = struct.pack(form, offset)
        path.write_bytes(gzip.compress(content) if suffix == ".nii.gz" else content)
        if not is_refused:
            load_image(path)
            continue
        with pytest.raises(ImageError, match=f"begin at byte {offset}, within the header itself, which needs {first}"):
            load_image(path)
        with pytest.raises(nib.filebasedimages.ImageFileError):
            stored_shape(path)
