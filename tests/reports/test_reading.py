from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.errors import ImageError
from bids_spectsynth.reports.reading import read_mask, read_on_grid, read_volume


def save(path: Path, data: np.ndarray, affine: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(data.astype(np.float32), affine), path)
    return path


def test_read_volume__turns_to_ras_and_keeps_the_world(tmp_path: Path) -> None:
    data = np.arange(24.0).reshape(2, 3, 4)
    affine = np.array([[-2.0, 0, 0, 10], [0, 0, 3, -5], [0, -4, 0, 7], [0, 0, 0, 1]])
    read, grid = read_volume(save(tmp_path / "x.nii.gz", data, affine))
    assert (read.shape, nib.aff2axcodes(grid)) == ((2, 4, 3), ("R", "A", "S"))
    for index in np.ndindex(data.shape):
        world = affine @ [*index, 1]
        i, j, k = np.rint(np.linalg.inv(grid) @ world)[:3].astype(int)
        assert read[i, j, k] == data[index]


def test_read_volume__values_that_are_not_finite_are_zero(tmp_path: Path) -> None:
    data = np.ones((2, 2, 3))
    data[0, 0] = np.nan, np.inf, -np.inf
    read, _ = read_volume(save(tmp_path / "x.nii.gz", data, np.eye(4)))
    assert read[0, 0].tolist() == [0, 0, 0]
    assert read[1].min() == 1


def test_read_volume__refuses_what_it_cannot_show(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="three dimensions"):
        read_volume(save(tmp_path / "x.nii.gz", np.ones((2, 2, 2, 2)), np.eye(4)))
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    for name in ("broken.nii.gz", "absent.nii.gz"):
        with pytest.raises(ImageError, match="cannot read the image"):
            read_volume(tmp_path / name)


def test_read_on_grid__another_grid_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "x.nii.gz", np.ones((2, 3, 4)), np.eye(4))
    assert read_on_grid(path, (2, 3, 4)).shape == (2, 3, 4)
    with pytest.raises(ImageError, match="prepare it again"):
        read_on_grid(path, (2, 3, 5))


def test_read_mask__above_one_half(tmp_path: Path) -> None:
    mask, _ = read_mask(save(tmp_path / "x.nii.gz", np.array([[[0, 0.4, 0.6, 1]]]), np.eye(4)))
    assert mask.tolist() == [[[False, False, True, True]]]
