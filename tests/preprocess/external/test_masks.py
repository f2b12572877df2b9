from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import Grid, new_image
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.preprocess.external.masks import read_external_mask


@pytest.fixture
def t1w(make_head: Any) -> nib.Nifti1Image:
    """A head whose middle is neither that of the voxels nor that of the world."""
    return make_head((50, 50, 40), 4.0, centre=(14, 5, 0))


@pytest.fixture
def brain(t1w: Any) -> np.ndarray:
    return np.asanyarray(t1w.dataobj) > 50


def write(path: Path, data: Any, affine: Any) -> Path:
    nib.save(nib.Nifti1Image(np.asarray(data, dtype=np.float32), affine), path)
    return path


def test_read_external_mask__on_the_voxels_of_the_t1w_as_it_is(t1w: Any, brain: Any, tmp_path: Path) -> None:
    path = tmp_path / "mask.nii.gz"
    for values in (brain, brain * 255, np.where(brain, 0.9, 0.2)):
        mask, notes = read_external_mask(write(path, values, t1w.affine), t1w)
        assert np.array_equal(np.asanyarray(mask.dataobj), brain)
        assert notes == ()


def test_read_external_mask__on_another_grid_of_the_same_world_is_resampled(
    t1w: Any, brain: Any, tmp_path: Path
) -> None:
    affine = np.diag([-3.0, 3.0, 2.0, 1.0])
    affine[:3, 3] = (110, -115, -85)
    fine = resample_image(new_image(brain.astype(np.float32), t1w.affine), Grid((72, 72, 82), affine), np.eye(4), 1)
    mask, notes = read_external_mask(write(tmp_path / "mask.nii.gz", np.asanyarray(fine.dataobj) >= 0.5, affine), t1w)
    found = np.asanyarray(mask.dataobj) > 0
    assert mask.shape == t1w.shape
    assert 2 * (found & brain).sum() / (found.sum() + brain.sum()) > 0.97
    assert notes == (
        "the mask lies on another grid (72 x 72 x 82 voxels, the T1w 50 x 50 x 40); resampled in world space",
    )


def shifted(affine: Any, mm: float) -> Any:
    moved = affine.copy()
    moved[1, 3] += mm
    return moved


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data, affine: (data * 0, affine), "empty"),
        (lambda data, affine: (data[::-1], affine), "mirrored: exchanging left and right in its voxels"),
        (lambda data, affine: (data, np.diag([-1.0, 1, 1, 1]) @ affine), "mirrored: exchanging left and right"),
        (lambda data, affine: (data, np.eye(4)), "plausible"),
        (lambda data, affine: (data, shifted(affine, 200)), "another grid than the T1w"),
        (lambda data, affine: (data, shifted(affine, 60)), "outside the (T1w's field|head)"),
        (lambda data, affine: (data * (np.arange(40) // 2 == 9), affine), "plausible: 0.2 to 4 l"),
        (lambda data, affine: (data * np.arange(50)[:, None, None], affine), "different values"),
        (lambda data, affine: (np.stack([data, data], axis=3), affine), "three dimensions"),
        (lambda data, affine: (np.where(data, np.nan, 0), affine), "finite"),
    ],
)
def test_read_external_mask__what_cannot_be_the_brain_is_one_line(
    change: Any, why: str, t1w: Any, brain: Any, tmp_path: Path
) -> None:
    path = write(tmp_path / "mask.nii.gz", *change(brain.astype(float), t1w.affine))
    with pytest.raises(ImageError, match=why) as caught:
        read_external_mask(path, t1w)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_external_mask__damaged_file_is_one_line(t1w: Any, brain: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "mask.nii.gz", brain, t1w.affine)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_external_mask(path, t1w)
    with pytest.raises(ImageError, match="no such file"):
        read_external_mask(tmp_path / "nothing.nii.gz", t1w)
