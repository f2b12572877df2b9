"""Reading and repairing of image values."""

import os
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.reading import average_frames, load_image, sanitise


def _volume(seed: int = 0, shape: tuple[int, ...] = (6, 7, 8)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32) * 10


def _saved(folder: Path, image: nib.Nifti1Image, name: str = "image.nii.gz") -> Path:
    image.to_filename(folder / name)
    return folder / name


def test_scaled_integers_are_read_in_their_units(tmp_path: Path) -> None:
    image = new_image(np.arange(6 * 7 * 8, dtype=np.int16).reshape(6, 7, 8), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    loaded, notes = load_image(_saved(tmp_path, image))
    assert loaded.get_data_dtype() == np.float32
    stored = np.asanyarray(nib.load(tmp_path / "image.nii.gz").dataobj)
    np.testing.assert_allclose(np.asanyarray(loaded.dataobj), stored, rtol=1e-6)
    assert notes == ()


def test_single_frame_is_squeezed_and_frames_are_averaged_by_duration(tmp_path: Path) -> None:
    frames = _volume(shape=(6, 7, 8, 3))
    single, _ = load_image(_saved(tmp_path, new_image(frames[..., :1], np.eye(4)), "single.nii.gz"))
    np.testing.assert_array_equal(np.asanyarray(single.dataobj), frames[..., 0])
    path = _saved(tmp_path, new_image(frames, np.diag([2.0, 2, 2, 1])))
    mean, notes = load_image(path, [1.0, 1.0, 2.0])
    np.testing.assert_allclose(np.asanyarray(mean.dataobj), frames @ [0.25, 0.25, 0.5], rtol=1e-5)
    assert "3 frames averaged, weighted by their durations" in notes[0]
    assert "no durations known" in load_image(path)[1][0]
    with pytest.raises(ImageError, match="3 frames, but 2 frame durations"):
        load_image(path, [1.0, 2.0])
    for wrong, word in ((0.0, "0"), (-1.0, "-1"), (np.nan, "nan"), (np.inf, "inf")):
        durations = [wrong] * 3 if wrong == 0 else [1.0, wrong, 1.0]
        with pytest.raises(ImageError, match=rf"not positive numbers \(FrameDuration holds {word}\)"):
            load_image(path, durations)
    assert load_image(path, [0.0, 1.0, 0.0])[1] == notes


def test_load_image__content_that_was_not_fetched(tmp_path: Path) -> None:
    pointer, link, pipe = (tmp_path / f"{name}.nii.gz" for name in ("pointer", "link", "pipe"))
    pointer.write_text("/annex/objects/MD5E-s10--0.nii.gz\n")
    link.symlink_to(".git/annex/objects/a/b/c/c")
    for path in (pointer, link):
        with pytest.raises(ImageError, match=f"not fetched; run 'datalad get {re.escape(str(path))}'"):
            load_image(path)
    os.mkfifo(pipe)
    with pytest.raises(ImageError, match="not a regular file"):
        load_image(pipe)


@pytest.mark.usefixtures("no_privileges")
@pytest.mark.parametrize("size", [(6, 7, 8), (20, 20, 20)])
def test_load_image__without_permission_nothing_is_said_of_damage(tmp_path: Path, size: tuple[int, ...]) -> None:
    path = _saved(tmp_path, new_image(_volume(shape=size), np.eye(4)))
    path.chmod(0)
    with pytest.raises(ImageError, match=r"image\.nii\.gz: permission denied"):
        load_image(path)


def test_a_bad_voxel_spoils_only_its_own_frame() -> None:
    frames = np.ones((4, 4, 4, 2), dtype=np.float32)
    frames[0, 0, 0, 0] = np.nan
    mean = average_frames(frames)
    assert mean[0, 0, 0] == 0.5
    assert mean[1, 1, 1] == 1.0
    with pytest.raises(ValueError, match="durations"):
        average_frames(frames, [1.0])


def test_not_finite_voxels_become_zero_with_a_note() -> None:
    data = _volume()
    data[1, 2, 3], data[0, 0, 0] = np.nan, -np.inf
    clean, notes = sanitise(new_image(data, np.eye(4)), Path("x.nii.gz"))
    out = np.asanyarray(clean.dataobj)
    assert np.isfinite(out).all()
    assert out[1, 2, 3] == 0
    assert notes == ("2 voxels were NaN or infinite and are taken as 0",)


def test_sform_wins_over_a_different_qform() -> None:
    image = new_image(_volume(), np.eye(4))
    moved = nib.affines.from_matvec(np.eye(3), [0, 0, 9])
    image.set_sform(moved, code=1)
    image.set_qform(np.eye(4), code=1)
    clean, notes = sanitise(image, Path("x.nii.gz"))
    np.testing.assert_array_equal(clean.affine, moved)
    assert "disagree by up to 9.0 mm; the sform is used" in notes[0]
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    assert "left and right unknown" in sanitise(image, Path("x.nii.gz"))[1][0]


def test_frames_keep_the_warning_about_their_forms(tmp_path: Path) -> None:
    image = new_image(_volume(shape=(6, 7, 8, 2)), np.eye(4))
    image.set_sform(np.diag([2.0, 2.0, 2.0, 1.0]), code=1)
    image.set_qform(np.eye(4), code=1)
    _, notes = load_image(_saved(tmp_path, image))
    assert any("disagree" in note for note in notes)


@pytest.mark.parametrize("shape", [(6, 7, 8, 3, 1), (6, 7, 8, 1, 3), (6, 7, 8, 1, 1, 3)])
def test_load_image__frames_in_any_further_dimension(tmp_path: Path, shape: tuple[int, ...]) -> None:
    frames = _volume(shape=(6, 7, 8, 3))
    path = _saved(tmp_path, new_image(frames.reshape(shape), np.eye(4)))
    mean, notes = load_image(path, [1.0, 1.0, 2.0])
    np.testing.assert_allclose(np.asanyarray(mean.dataobj), frames @ [0.25, 0.25, 0.5], rtol=1e-5)
    assert notes == ("3 frames averaged, weighted by their durations",)


def test_load_image__two_further_dimensions_or_vectors_are_no_frames(tmp_path: Path) -> None:
    path = _saved(tmp_path, new_image(_volume(shape=(6, 7, 8, 3, 2)), np.eye(4)))
    with pytest.raises(ImageError, match="three dimensions"):
        load_image(path)
    vectors = new_image(_volume(shape=(6, 7, 8, 1, 3)), np.eye(4))
    vectors.header.set_intent("vector")
    with pytest.raises(ImageError, match="3 components per voxel"):
        load_image(_saved(tmp_path, vectors, "vectors.nii.gz"))


def test_load_image__unsigned_integers_stored_as_signed(tmp_path: Path) -> None:
    i, j, k = np.indices((12, 12, 12))
    counts = np.round(50000 * np.exp(-((i - 6) ** 2 + (j - 6) ** 2 + (k - 6) ** 2) / 20)).astype(np.uint16)
    wrapped = counts.view(np.int16)
    assert wrapped.min() < 0
    image = new_image(wrapped, np.eye(4))
    image.header.set_slope_inter(0.5, 0)
    found, notes = load_image(_saved(tmp_path, image))
    np.testing.assert_allclose(np.asanyarray(found.dataobj), counts * 0.5)
    assert "unsigned integers are stored as signed" in notes[0]
    series = _saved(tmp_path, new_image(np.stack([wrapped, wrapped], axis=3), np.eye(4)), "series.nii.gz")
    mean, notes = load_image(series)
    np.testing.assert_allclose(np.asanyarray(mean.dataobj), counts)
    assert "unsigned integers are stored as signed" in notes[1]


@pytest.mark.parametrize(
    ("data", "affine", "message"),
    [
        (np.zeros((5, 5, 5), np.float32), np.eye(4), "all voxels are zero"),
        (np.full((5, 5, 5), 7, np.float32), np.eye(4), "same value"),
        (np.full((5, 5, 5), np.nan, np.float32), np.eye(4), "no voxel holds a number"),
        (_volume(shape=(6, 7, 1)), np.eye(4), "single slice"),
        (_volume(shape=(6, 7)), np.eye(4), "three dimensions"),
        (_volume(shape=(6, 7, 8, 2)), np.eye(4), "three dimensions"),
        (_volume(), np.diag([1.0, 1.0, 0.0, 1.0]), "cannot be inverted"),
        (_volume(), np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "cannot be inverted"),
        (_volume(), np.diag([1.0, np.nan, 1.0, 1.0]), "no finite numbers"),
        (_volume().astype(np.complex64), np.eye(4), "one number per voxel"),
    ],
)
def test_unusable_images_are_named(data: np.ndarray, affine: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=rf"x\.nii\.gz.*{message}"):
        sanitise(nib.spatialimages.SpatialImage(data, affine), Path("x.nii.gz"))


def test_damaged_files_give_one_line(tmp_path: Path) -> None:
    content = _saved(tmp_path, new_image(_volume(shape=(20, 20, 20)), np.eye(4))).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(content[: len(content) // 2])
    (tmp_path / "cut_header.nii.gz").write_bytes(content[:60])
    (tmp_path / "broken.nii.gz").write_bytes(content[:2000] + b"\x00" * 200 + content[2200:])
    (tmp_path / "empty.nii.gz").write_bytes(b"")
    (tmp_path / "text.nii.gz").write_text("no image")
    (tmp_path / "text.nii").write_text("no image")
    for name in ("cut", "cut_header", "broken", "empty", "text", "missing"):
        with pytest.raises(ImageError) as caught:
            load_image(tmp_path / f"{name}.nii.gz")
        assert f"{name}.nii.gz" in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ImageError, match="damaged"):
        load_image(tmp_path / "text.nii")
