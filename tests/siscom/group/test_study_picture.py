from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from bids_spectsynth.siscom.group.study_picture import write_mosaic

SHAPE = (20, 24, 18)


def _picture(path: Path, z: np.ndarray) -> np.ndarray:
    t1w = np.zeros(SHAPE, dtype=np.float32)
    t1w[2:-2, 2:-2, 2:-2] = 5
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    write_mosaic(path, "case-001", t1w, z.astype(np.float32), affine, 2.0)
    return image.imread(path)[..., :3]


def _reddish(picture: np.ndarray) -> np.ndarray:
    """Strongly red pixels left of the colour bar."""
    width = int(0.93 * picture.shape[1])
    return (picture[:, :width, 0] - picture[:, :width, 2]) > 0.4


def test_write_mosaic__shows_what_reaches_the_threshold_at_its_place(tmp_path: Path) -> None:
    z = np.zeros(SHAPE)
    z[13:18] = 6  # the patient's right
    z[2:8] = 1.9
    picture = _picture(tmp_path / "a.png", z)
    red = _reddish(picture)
    assert red.any()
    # Of the first axial slice the left half is the patient's left.
    first = red[: red.shape[0] // 3, : red.shape[1] // 12]
    columns = np.flatnonzero(first.any(axis=0))
    assert columns.min() > 0.45 * first.shape[1]


def test_write_mosaic__nothing_beyond_the_threshold_gives_a_picture(tmp_path: Path) -> None:
    assert not _reddish(_picture(tmp_path / "a.png", np.full(SHAPE, 1.5))).any()


@pytest.mark.parametrize("value", [np.zeros(SHAPE), np.full(SHAPE, 7.0)])
def test_write_mosaic__equal_images_give_equal_bytes(tmp_path: Path, value: np.ndarray) -> None:
    for name in ("a.png", "b.png"):
        _picture(tmp_path / name, value)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
