"""Integers that wrapped past their range."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.images.reading import load_image
from bids_spectsynth.images.wrapping import wrapped_voxels

RNG = np.random.default_rng(1)
_RADIUS = np.sqrt(sum((axis - 19.5) ** 2 for axis in np.indices((40, 40, 40))))
#: 0 to 1: a head that is brightest in its middle, dark in a cavity, with noise.
HEAD = ndimage.gaussian_filter(np.where(_RADIUS < 13, 1.2 - _RADIUS / 20, 0.02), 1.5)
HEAD[16:20, 16:20, 24:28] = 0.02
HEAD = ndimage.gaussian_filter(HEAD, 0.8) * (1 + 0.03 * RNG.normal(size=HEAD.shape)).clip(0)
HEAD /= HEAD.max()


def _stored(top: float, kind: str) -> np.ndarray:
    return np.round(HEAD * top).astype(np.int64).astype(kind)


@pytest.mark.parametrize("times", [1.05, 1.5, 2.5])
@pytest.mark.parametrize(("kind", "period"), [("uint8", 2**8), ("uint16", 2**16), ("int16", 2**16), ("float32", 2**12)])
def test_wrapped_voxels__recognised_in_every_type(kind: str, period: int, times: float) -> None:
    true = np.round(HEAD * times * period)
    wrapped = (true % period).astype(np.int64).astype(kind)
    # What is left of numbers that are stored as signed ones.
    data = wrapped.astype(np.float32) % period if kind == "int16" else wrapped.astype(np.float32)
    n = wrapped_voxels(data, wrapped)
    assert n > 0
    if times < 2:
        assert n <= np.count_nonzero(true >= period)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_wrapped_voxels__a_full_range_and_one_that_is_cut_off_have_not_wrapped(kind: str) -> None:
    top = np.iinfo(kind).max
    full = _stored(top, kind)
    assert wrapped_voxels(full.astype(np.float32), full) == 0
    cut = np.minimum(np.round(HEAD * 2.0 * top), top).astype(kind)
    assert wrapped_voxels(cut.astype(np.float32), cut) == 0
    # Noise about 0 that fills the range of signed numbers, and values that are not whole.
    noise = np.round(RNG.normal(0, 0.1, HEAD.shape) * top + HEAD * 0.5 * top)
    noise = noise.clip(-(top // 2) - 1, top // 2).astype(kind.removeprefix("u"))
    assert wrapped_voxels(noise.astype(np.float32), noise) == 0
    parts = ((HEAD * 300) % 255.5).astype(np.float32)
    assert wrapped_voxels(parts, parts) == 0


def test_wrapped_voxels__signed_numbers_that_go_beyond_their_range() -> None:
    wrapped = ((np.round(HEAD * 40000) + 2**15) % 2**16 - 2**15).astype(np.int16)
    assert wrapped_voxels(wrapped.astype(np.float32), wrapped) > 0


@pytest.mark.parametrize("frames", [1, 2])
def test_load_image__wrapped_numbers_stay_and_are_named_with_file_and_share(tmp_path: Path, frames: int) -> None:
    wrapped = (np.round(HEAD * 1.3 * 256) % 256).astype(np.uint8)
    data = wrapped if frames == 1 else np.stack([wrapped] * frames, axis=-1)
    path = tmp_path / "sub-01_spect.nii.gz"
    nib.save(nib.Nifti1Image(data, 4 * np.eye(4)), path)
    image, notes = load_image(path)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), wrapped)
    n = wrapped_voxels(wrapped.astype(np.float32), wrapped)
    line = notes[-1]
    assert line.startswith(f"sub-01_spect.nii.gz: {n * frames} voxels ({n / HEAD.size:.2%})")
    assert "have wrapped past their type" in line
    fine = tmp_path / "sub-02_spect.nii.gz"
    nib.save(nib.Nifti1Image(_stored(255, "uint8"), 4 * np.eye(4)), fine)
    assert load_image(fine)[1] == ()
