"""Reading, repairing, masking and scaling of image values."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.intensity import (
    apply_scaling,
    average_frames,
    histogram_mask,
    load_image,
    otsu_threshold,
    sanitise,
    scaling_coefficients,
    slice_block,
    solid_component,
)


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
    with pytest.raises(ImageError, match="not positive"):
        load_image(path, [0.0, 0.0, 0.0])


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
    image.set_sform(np.diag([2.0, 2.0, 2.0, 1.0]), code=1)
    image.set_qform(np.eye(4), code=1)
    clean, notes = sanitise(image, Path("x.nii.gz"))
    np.testing.assert_array_equal(clean.affine, np.diag([2.0, 2.0, 2.0, 1.0]))
    assert "disagree" in notes[0]
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    assert "left and right unknown" in sanitise(image, Path("x.nii.gz"))[1][0]


def test_frames_keep_the_warning_about_their_forms(tmp_path: Path) -> None:
    image = new_image(_volume(shape=(6, 7, 8, 2)), np.eye(4))
    image.set_sform(np.diag([2.0, 2.0, 2.0, 1.0]), code=1)
    image.set_qform(np.eye(4), code=1)
    _, notes = load_image(_saved(tmp_path, image))
    assert any("disagree" in note for note in notes)


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


def _ball(radius: float, centre: float = 15.5, n: int = 32) -> np.ndarray:
    index = np.indices((n, n, n)) - centre
    return np.sqrt((index**2).sum(axis=0)) <= radius


@pytest.mark.parametrize("method", ["half-p99.5", "otsu"])
def test_histogram_mask_finds_the_solid_brain(method: str) -> None:
    brain = _ball(9)
    data = np.where(brain, 100.0, 5.0)
    data[_ball(3)] = 10.0  # ventricles: dark, inside
    data[1:3, 1:3, 1:3] = 100.0  # a hot spot elsewhere
    mask = np.asanyarray(histogram_mask(new_image(data.astype(np.float32), np.eye(4)), method).dataobj)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask.astype(bool), brain)


def test_the_default_mask_does_not_depend_on_the_field_of_view() -> None:
    rng = np.random.default_rng(3)
    data = np.where(_ball(9), 100.0, 4.0) + rng.normal(0, 8, (32, 32, 32)) + 30 * _ball(5)
    small = np.asanyarray(histogram_mask(new_image(data[4:28, 4:28, 4:28].astype(np.float32), np.eye(4))).dataobj)
    padded = np.pad(data, 16) + np.pad(np.zeros((32, 32, 32)), 16, constant_values=4.0)
    large = np.asanyarray(histogram_mask(new_image(padded.astype(np.float32), np.eye(4))).dataobj)
    differing = np.count_nonzero(large[20:44, 20:44, 20:44] != small)
    assert differing < 0.01 * small.sum()


def test_histogram_mask_of_a_small_brain_in_a_large_field_of_view() -> None:
    data = np.zeros((40, 40, 40), np.float32)
    data[18:22, 18:22, 18:22] = 50.0  # 0.1 % of the voxels: the percentile is 0
    assert int(np.asanyarray(histogram_mask(new_image(data, np.eye(4)), "half-p99.5").dataobj).sum()) == 64
    with pytest.raises(ImageError, match="empty"):
        solid_component(np.zeros((4, 4, 4), bool))


def test_otsu_separates_two_classes() -> None:
    rng = np.random.default_rng(0)
    data = np.concatenate([rng.normal(10, 1, 5000), rng.normal(50, 3, 2000)])
    assert 12 < otsu_threshold(data) < 41


volumes = hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(0, 1000, width=32).map(lambda v: float(np.float32(v))))


@settings(max_examples=60, deadline=None)
@given(volumes)
def test_slice_scaling_spans_the_range_and_can_be_undone(volume: np.ndarray) -> None:
    slope, intercept = scaling_coefficients(volume, np.ones(volume.shape, bool), "slice")
    scaled = apply_scaling(volume, slope, intercept)
    assert scaled.dtype == np.float32
    for k in range(volume.shape[2]):
        span = float(volume[..., k].max()) - float(volume[..., k].min())
        if span == 0:
            assert (slope[k], intercept[k]) == (0.0, -1.0)
            continue
        assert scaled[..., k].min() == pytest.approx(-1, abs=1e-5)
        assert scaled[..., k].max() == pytest.approx(1, abs=1e-5)
        back = (scaled[..., k].astype(np.float64) - intercept[k]) / slope[k]
        np.testing.assert_allclose(back, volume[..., k], atol=span * 1e-6 + 1e-6 * float(volume[..., k].max()))


def test_volume_scaling_is_one_line_for_all_slices() -> None:
    rng = np.random.default_rng(1)
    mask = np.zeros((20, 20, 20), bool)
    mask[4:16, 4:16, 4:16] = True
    volume = np.where(mask, rng.uniform(10, 90, mask.shape), 0)
    slope, intercept = scaling_coefficients(volume, mask, "volume")
    assert np.unique(slope).size == np.unique(intercept).size == 1
    assert 0 * slope[0] + intercept[0] == -1
    assert np.percentile(volume[mask], 99.8) * slope[0] + intercept[0] == pytest.approx(1)
    assert apply_scaling(volume, slope, intercept).max() == 1
    nothing, low = scaling_coefficients(np.zeros((4, 4, 4)), np.zeros((4, 4, 4), bool), "volume")
    assert not nothing.any()
    assert (low == -1).all()


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.bool_, (2, 2, 12)), st.integers(1, 15))
def test_slice_block_has_the_most_brain(mask: np.ndarray, n: int) -> None:
    block = slice_block(mask, n)
    counts = mask.sum(axis=(0, 1))
    width = min(n, 12)
    assert block.stop - block.start == width
    assert counts[block].sum() == max(counts[s : s + width].sum() for s in range(12 - width + 1))


def test_slice_block_centres_a_small_brain() -> None:
    mask = np.zeros((2, 2, 20), bool)
    mask[:, :, 9:11] = True
    assert slice_block(mask, 6) == slice(7, 13)
