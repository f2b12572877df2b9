import io

import numpy as np
import pytest
from PIL import Image

from bids_spectsynth.reports.pictures.thumbnail import SIZE, Label, map_thumbnail, uptake_thumbnail

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


@pytest.fixture
def mask():
    inside = np.zeros((30, 36, 30), bool)
    inside[3:27, 3:33, 3:27] = True
    return inside


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def red(shown):
    return (shown[:, :, 0] > 150) & (shown[:, :, 2] < 90) & (shown[:, :, 1] < 120)


def test_map_thumbnail__left_is_left_and_the_slices_go_through_the_point(mask):
    values = np.zeros(mask.shape, np.float32)
    # To the left, in front, below.
    values[4:9, 26:31, 5:9] = 2.6
    t1w = mask.astype(np.float32)
    shown = pixels(map_thumbnail(t1w, values, mask, AFFINE, threshold=2.0, at=(6, 28, 7), label=Label("", False)))
    assert shown.shape[:2] == SIZE[::-1]
    rows, columns = np.nonzero(red(shown[75:]))
    half = SIZE[0] // 2
    axial, coronal = columns < half, columns >= half
    assert axial.any()
    assert coronal.any()
    # Within each slice on its left side; in front is up in the axial one, below is down in the coronal one.
    assert columns[axial].max() < half / 2
    assert columns[coronal].max() < half * 1.5
    assert rows[axial].max() < 69
    assert rows[coronal].min() > 69
    elsewhere = pixels(map_thumbnail(t1w, values, mask, AFFINE, threshold=2.0, at=None, label=Label("", False)))
    assert not red(elsewhere[75:]).any(), "the middle of the brain has no focus"


@pytest.mark.parametrize("synthetic", [True, False])
def test_thumbnails__the_word_is_in_the_pixels_of_synthetic_images_alone(mask, synthetic):
    image = mask.astype(np.float32)
    label = Label("SISCOM", synthetic)
    drawn = [
        uptake_thumbnail(image, mask, AFFINE, label),
        map_thumbnail(image, image * 0, mask, AFFINE, threshold=2.0, at=None, label=label),
    ]
    for picture in drawn:
        line = pixels(picture)[:36]
        white = (line.min(axis=2) > 150).sum()
        alarm = ((line[:, :, 0] > 180) & (line[:, :, 2] < 150)).sum()
        assert (alarm > 600, white > 300) == (synthetic, not synthetic)
        # Research use only, and the version.
        assert (pixels(picture)[-26:].min(axis=2) > 150).sum() > 200


def test_uptake_thumbnail__equal_input_gives_equal_bytes_and_an_empty_mask_is_no_error(mask):
    image = np.random.default_rng(1).random(mask.shape).astype(np.float32)
    first, second = (uptake_thumbnail(image, mask, AFFINE, Label("", True)) for _ in range(2))
    assert first == second
    assert pixels(uptake_thumbnail(image, np.zeros_like(mask), AFFINE, Label("", True))).shape[:2] == SIZE[::-1]
