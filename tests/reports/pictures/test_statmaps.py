import base64
import io
import re
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest

from bids_spectsynth.reports.pictures import statmaps
from bids_spectsynth.reports.pictures.mosaic import Title
from bids_spectsynth.reports.pictures.statmaps import LIMIT, thresholded_map

SHAPE = (20, 24, 16)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


@pytest.fixture(scope="module")
def head():
    i, j, k = np.indices(SHAPE)
    mask = ((i - 9.5) / 7) ** 2 + ((j - 11.5) / 9) ** 2 + ((k - 7.5) / 6) ** 2 < 1
    return (mask * (2 + np.sin(i) + np.cos(j / 2))).astype(np.float32), mask


def draw(head, values, **more):
    how = {"threshold": 2.0, "at": (12, 10, 8), "label": "x", "title": Title("a $b$ <c>"), **more}
    return thresholded_map(head[0], values.astype(np.float32), head[1], AFFINE, **how)


def rows_of(head, values, monkeypatch, **more):
    caught = []
    monkeypatch.setattr(statmaps, "mosaic", lambda rows, frame, title: caught.append(rows) or "")
    draw(head, values, **more)
    return caught[0]


def test_thresholded_map__only_values_beyond_the_threshold_are_shown(head, monkeypatch):
    values = np.zeros(SHAPE)
    values[10, 10, 8], values[9, 9, 8], values[8, 8, 8], values[7, 8, 8] = 2.0, -3.0, 1.99, -1.99
    rows = rows_of(head, values, monkeypatch)
    for row in rows:
        shown = np.argwhere(np.isfinite(row.overlay.data)).tolist()
        assert shown == [[9, 9, 8], [10, 10, 8]]
        assert (row.overlay.low, row.overlay.high) == (-LIMIT, LIMIT) == (-6, 6)


def test_thresholded_map__planes_go_through_the_voxel_with_lines_to_it(head, monkeypatch):
    planes, *axial = rows_of(head, np.zeros(SHAPE), monkeypatch, at=(12, 10, 8))
    assert [tuple(view) for view in planes.views] == [("axial", 8), ("coronal", 10), ("sagittal", 12)]
    assert planes.cross == (12, 10, 8)
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
    heights = [float(ElementTree.fromstring(svg).attrib["height"].removesuffix("pt")) for svg in (plain, warned)]
    assert heights[1] > heights[0]
    assert draw(head, values, title=Title("a")) == plain


@pytest.mark.parametrize(("side", "right"), [(slice(14, None), True), (slice(None, 6), False)])
def test_thresholded_map__a_mark_on_the_right_is_drawn_on_the_right(head, side, right):
    values = np.zeros(SHAPE)
    values[side] = 5
    svg = draw(head, np.where(head[1], values, 0))
    images = re.findall(r"data:image/png;base64,([^\"]*)", svg)
    axial = [image for image in map(decoded, images) if image.shape[1] > 500][1]
    red = axial[..., 0] > axial[..., 2] + 0.3
    # The slice in the middle of seven stands in the middle of the row.
    width = red.shape[1]
    columns = np.flatnonzero(red[:, round(3 * width / 7) : round(4 * width / 7)].any(axis=0)) * 7 / width
    assert columns.size
    assert np.all(columns > 0.5) if right else np.all(columns < 0.5)


def decoded(text):
    return matplotlib.image.imread(io.BytesIO(base64.b64decode(re.sub(r"\s", "", text))))


def test_thresholded_map__nothing_to_show_and_a_high_threshold(head):
    nothing = np.zeros(SHAPE)
    for threshold in (2.0, LIMIT, 9.0):
        ElementTree.fromstring(draw(head, nothing, threshold=threshold))
    empty = np.zeros(SHAPE, dtype=np.float32), np.zeros(SHAPE, dtype=bool)
    ElementTree.fromstring(draw(empty, nothing))
