import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from bids_spectsynth import __version__
from bids_spectsynth.reports.pictures.paint import (
    STAMP,
    as_webp,
    draw_lines,
    draw_text,
    fitted,
    font,
    lay,
    painted,
    table,
)


def test_painted__first_row_of_a_slice_is_at_the_bottom_and_ends_have_the_end_colours():
    values = np.array([[0, 1], [2, 9]], dtype=np.float32)
    colours, shown = painted(values, (20, 20), (0.0, 2.0), "gray", smooth=False)
    assert shown is None
    assert colours[15, 5].tolist() == [0, 0, 0]
    assert colours[15, 15, 0] == pytest.approx(128, abs=2)
    assert colours[5, 5].tolist() == colours[5, 15].tolist() == [255, 255, 255]


def test_painted__what_has_no_value_is_left_as_it_was():
    values = np.array([[np.nan, 1]], dtype=np.float32)
    picture = np.full((4, 8, 3), 7, dtype=np.uint8)
    lay(picture, *painted(values, (8, 4), (0.0, 1.0), "gray", smooth=False))
    assert (picture[:, :4] == 7).all()
    assert (picture[:, 4:] == 255).all()


def test_painted__smooth_values_stay_between_the_ends():
    values = np.random.default_rng(0).choice([0, 1], (9, 9)).astype(np.float32)
    for size in ((90, 90), (4, 4)):
        colours, _ = painted(values, size, (0.0, 1.0), "inferno", smooth=True)
        assert colours.shape == (*size[::-1], 3)
        known = {tuple(one) for one in table("inferno").tolist()}
        assert {tuple(one) for one in colours.reshape(-1, 3).tolist()} <= known


def test_draw_lines__are_smooth_and_where_they_are_asked_for():
    image = Image.new("RGB", (40, 40))
    draw_lines(image, [np.array([[5.0, 20.0], [35.0, 20.0]])], "#ffffff", 2)
    shown = np.asarray(image)[..., 0]
    assert shown[19:21, 10:30].min() > 120
    assert shown[:15].max() == shown[25:].max() == 0
    draw_lines(image, [], "#ff0000", 2)
    assert (np.asarray(image)[..., 0] == shown).all()


def test_draw_text__has_a_dark_edge_on_any_ground():
    image = Image.new("RGB", (120, 60), "white")
    draw_text(ImageDraw.Draw(image), (60, 30), "L\nR", "#ffd24d", size=20, anchor="mm", bold=True)
    shown = np.asarray(image).astype(int)
    assert (shown.max(axis=2) < 60).sum() > 100
    assert ((shown[..., 0] > 200) & (shown[..., 2] < 120)).sum() > 100


def test_as_webp__equal_pixels_give_equal_bytes_and_the_stamp_has_the_version():
    image = Image.new("RGB", (30, 20), "#336699")
    assert as_webp(image) == as_webp(image.copy())
    assert Image.open(io.BytesIO(as_webp(image))).size == (30, 20)
    assert "Research use only" in STAMP
    assert __version__ in STAMP


@given(st.text(st.sampled_from("ABCabc 09\n"), max_size=60), st.integers(30, 200), st.booleans())
def test_fitted__every_line_fits_and_no_letter_is_lost(text: str, width: int, bold: bool):
    found = fitted(text, width, size=18, bold=bold)
    own = font(18, bold=bold)
    assert max(own.getlength(line) for line in found.split("\n")) <= width
    assert "".join(found.split()) == "".join(text.split())
