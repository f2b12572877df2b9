import io

import numpy as np
import pytest
from PIL import Image

from bids_spectsynth.reports.pictures import statmaps
from bids_spectsynth.reports.pictures.mosaic import Title
from bids_spectsynth.reports.pictures.statmaps import LIMIT, Map, peak_planes, thresholded_map

SHAPE = (20, 24, 16)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
#: First voxel of what is shown of the head: the brain with its margin.
CUT = [1, 1, 0]


@pytest.fixture(scope="module")
def head():
    i, j, k = np.indices(SHAPE)
    mask = ((i - 9.5) / 7) ** 2 + ((j - 11.5) / 9) ** 2 + ((k - 7.5) / 6) ** 2 < 1
    return (mask * (2 + np.sin(i) + np.cos(j / 2))).astype(np.float32), mask


def draw(head, values, threshold=2.0, **more):
    how = {"at": (12, 10, 8), "title": Title("a $b$ <c>"), **more}
    return thresholded_map(head[0], Map("x", values.astype(np.float32), threshold), head[1], AFFINE, **how)


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def alarm(shown):
    return ((shown[..., 0] > 200) & (abs(shown[..., 1] - 122) < 40) & (abs(shown[..., 2] - 107) < 40)).sum()


def rows_of(head, values, monkeypatch, **more):
    caught = []
    monkeypatch.setattr(statmaps, "mosaic", lambda rows, frame, title, *_: caught.append(rows) or "")
    draw(head, values, **more)
    return caught[0]


def test_thresholded_map__only_values_beyond_the_threshold_are_shown(head, monkeypatch):
    values = np.zeros(SHAPE)
    values[10, 10, 8], values[9, 9, 8], values[8, 8, 8], values[7, 8, 8] = 2.0, -3.0, 1.99, -1.99
    rows = rows_of(head, values, monkeypatch)
    for row in rows:
        # The pictures hold the brain's box with its margin alone.
        shown = np.argwhere(np.isfinite(row.overlay.data)) + CUT
        assert shown.tolist() == [[9, 9, 8], [10, 10, 8]]
        assert (row.overlay.low, row.overlay.high) == (-LIMIT, LIMIT) == (-6, 6)


def test_thresholded_map__planes_go_through_the_voxel_with_lines_to_it(head, monkeypatch):
    planes, *axial = rows_of(head, np.zeros(SHAPE), monkeypatch, at=(12, 10, 8))
    assert [tuple(view) for view in planes.views] == [("axial", 8), ("coronal", 9), ("sagittal", 11)]
    assert planes.cross == (11, 9, 8)
    assert {view.plane for row in axial for view in row.views} == {"axial"}
    assert all(row.cross is None for row in axial)


@pytest.mark.parametrize("threshold", [1.5, 2.0, 2.5])
def test_thresholded_map__hot_above_cold_below_grey_between(head, monkeypatch, threshold):
    colours = rows_of(head, np.zeros(SHAPE), monkeypatch, threshold=threshold)[0].overlay

    def colour(z):
        return np.array(colours.cmap((z + LIMIT) / (2 * LIMIT)))[:3]

    for z in (threshold + 0.1, 4.0):
        red, _, blue = colour(z)
        assert red > blue
        np.testing.assert_allclose(colour(-z), colour(z)[::-1], atol=0.03)
    assert np.ptp(colour(0.9 * threshold)) == 0
    assert colours.ticks == (-6, -threshold, threshold, 6)
    assert f"±{threshold:g}" in colours.bar


def test_thresholded_map__title_and_warning_are_drawn_into_the_picture(head):
    values = np.zeros(SHAPE)
    plain, warned = (draw(head, values, title=Title("a", warning)) for warning in ("", "Synthetic baseline"))
    assert pixels(warned).shape[0] > pixels(plain).shape[0]
    assert alarm(pixels(plain)) == 0
    assert alarm(pixels(warned)) > 200
    assert draw(head, values, title=Title("a")) == plain


def test_peak_planes__a_row_for_each_map_and_the_synthetic_one_says_so(head, monkeypatch):
    caught = []
    monkeypatch.setattr(statmaps, "mosaic", lambda rows, *_: caught.extend(rows) or b"")
    values = np.zeros(SHAPE, np.float32)
    maps = [Map("minus\nReal", values, 2.0), Map("minus\nX", values, 3.0, True)]
    peak_planes(head[0], maps, head[1], AFFINE, at=(12, 10, 8), title=Title("a"))
    assert [row.label for row in caught] == ["minus\nReal", "SYNTHETIC\nminus\nX"]
    assert [row.alarm for row in caught] == [False, True]
    assert [row.overlay.ticks[1] for row in caught] == [-2, -3]


@pytest.mark.parametrize(("side", "right"), [(slice(14, None), True), (slice(None, 6), False)])
def test_thresholded_map__a_mark_on_the_right_is_drawn_on_the_right(head, side, right):
    values = np.zeros(SHAPE)
    values[side] = 5
    shown = pixels(draw(head, np.where(head[1], values, 0)))
    # The last row of axial slices below its letters; the middle one of seven stands in the middle.
    row = shown[-220:-50]
    red = (row[..., 0] > 150) & (row[..., 2] < 90)
    low, high = 128 + round(1248 * 3 / 7), 128 + round(1248 * 4 / 7)
    columns = np.flatnonzero(red[:, low:high].any(axis=0)) / (high - low)
    assert columns.size
    assert np.all(columns > 0.5) if right else np.all(columns < 0.5)


def test_thresholded_map__nothing_to_show_and_a_high_threshold(head):
    nothing = np.zeros(SHAPE)
    for threshold in (2.0, LIMIT, 9.0):
        pixels(draw(head, nothing, threshold=threshold))
    empty = np.zeros(SHAPE, dtype=np.float32), np.zeros(SHAPE, dtype=bool)
    pixels(draw(empty, nothing))
