"""The view in three dimensions in a browser with WebGL 2 (in software), and in one without."""

import numpy as np
import pytest
from chromium import CHROMIUM, DRIVER
from viewer_depth import (
    BEHIND,
    FRONT,
    HALF,
    NO_HEAD,
    OPEN,
    RED,
    SPOT,
    YELLOW,
    bluish,
    letter,
    look,
    middle,
    reddish,
    said,
    send_mouse,
    tile,
)

pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs Chromium and its driver")


def test_rendering__nothing_of_it_runs_before_it_is_asked_for(deep_window, deep_page):
    deep_window.open(deep_page, "return Boolean(viewer)")
    deep_window.wait("return viewer.parts.why.hidden && !viewer.parts.rendering.disabled")
    assert deep_window.run("return [typeof niivue, viewer.state.rendering, document.scripts.length]") == [
        "undefined", None, 2,
    ]  # fmt: skip
    assert said(deep_window) == []


def test_rendering__opens_by_its_button_without_network_and_complaint(deep_window, deep_page):
    deep_window.open(deep_page, "return Boolean(viewer)")
    deep_window.click("[data-part=rendering]")
    deep_window.wait(OPEN)
    look(deep_window, FRONT)
    pixels, _ = tile(deep_window)
    assert (pixels.max(axis=-1) > 40).mean() > 0.1
    assert reddish(pixels).sum() > 100
    assert bluish(pixels).sum() > 100
    assert deep_window.run("return viewer.parts.rendering.getAttribute('aria-pressed')") == "true"
    assert said(deep_window) == []
    # What is in the page itself is no request to anybody.
    others = [one for one in deep_window.requests() if not one.startswith(("data:", "blob:"))]
    assert others == [deep_window.run("return document.URL")]
    assert "Content-Security-Policy" in deep_page.read_text()


def test_rendering__left_is_left_from_the_front_and_from_behind(deep):
    for azimuth, left_is_right in ((FRONT, True), (BEHIND, False)):
        look(deep, azimuth, more=NO_HEAD)
        pixels, _ = tile(deep)
        half = pixels.shape[1] / 2
        assert (middle(reddish(pixels))[0] > half) == left_is_right
        assert (middle(bluish(pixels))[0] < half) == left_is_right
        assert middle(reddish(pixels))[1] < pixels.shape[0] / 2, "above"
        letters = [letter(pixels[30:, : int(half)]), letter(pixels[30:, int(half) :])]
        assert letters == (["R", "L"] if left_is_right else ["L", "R"])


@pytest.mark.parametrize(("azimuth", "near", "far"), [(90, reddish, bluish), (270, bluish, reddish)])
@pytest.mark.parametrize("turned", [-25, 0, 25])
def test_rendering__from_a_side_its_letter_alone_is_shown_and_not_on_the_head(deep, azimuth, turned, near, far):
    # The spot of that side is seen and hides the other: that side faces the eye.
    look(deep, azimuth, more=f"{NO_HEAD}; viewer.state.view.cut = ''")
    pixels, _ = tile(deep)
    assert near(pixels).sum() > 100
    assert far(pixels).sum() < 5
    look(deep, azimuth + turned)
    pixels, _ = tile(deep)
    assert letter(pixels) == ("L" if near is reddish else "R")
    height, width = pixels.shape[:2]
    # Letters of two would fill more than a corner.
    inner = np.array(pixels)
    inner[height - 40 :, : width // 2] = 0
    assert not (np.abs(inner - np.array(YELLOW)) <= 60).all(axis=-1).any()


def test_rendering__a_click_moves_the_cross_to_what_is_seen_there(deep):
    pixels, (left, top) = tile(deep)
    column, row = middle(reddish(pixels))
    deep.run("root.scrollIntoView(); viewer.parts.canvas.scrollIntoView({block: 'end', behavior: 'instant'})")
    send_mouse(deep, left + column, top + row, "mousePressed", "mouseReleased")
    at = np.array(deep.run("viewer.draw(); return viewer.state.at"))
    assert np.abs(at - SPOT)[[0, 2]].max() < 1, "half a voxel"
    assert at[1] == pytest.approx(SPOT[1] + HALF, abs=2), "its front"
    assert float(deep.run("return viewer.state.numbers.z.textContent")) == pytest.approx(2.6, abs=0.1)


def test_rendering__the_first_click_after_two_fingers_in_a_plane_moves_the_cross(deep):
    _, (left, top) = tile(deep, "axial")
    deep.run("root.scrollIntoView(); viewer.parts.canvas.scrollIntoView({block: 'end', behavior: 'instant'})")
    for kind, apart in (("touchStart", 10), ("touchMove", 30), ("touchEnd", None)):
        box = deep.run("const b = viewer.parts.canvas.getBoundingClientRect(); return [b.left, b.top]")
        fingers = [] if apart is None else [
            {"x": box[0] + left + 60 + side * apart, "y": box[1] + top + 60, "id": number}
            for number, side in enumerate((-1, 1))
        ]  # fmt: skip
        deep.devtools("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    assert deep.run("return viewer.state.zoom") > 1, "two fingers enlarge"
    deep.run("viewer.moveTo([0, 0, 0])")
    pixels, (left, top) = tile(deep)
    column, row = middle(reddish(pixels))
    send_mouse(deep, left + column, top + row, "mousePressed", "mouseReleased")
    assert np.abs(np.array(deep.run("return viewer.state.at")) - SPOT)[[0, 2]].max() < 1


def test_rendering__a_pointer_that_is_taken_away_has_not_clicked(deep):
    pixels, (left, top) = tile(deep)
    column, row = middle(reddish(pixels))
    deep.run("root.scrollIntoView(); viewer.parts.canvas.scrollIntoView({block: 'end', behavior: 'instant'})")
    before = deep.run("return viewer.state.at")
    send_mouse(deep, left + column, top + row, "mousePressed")
    deep.run(
        "const b = viewer.parts.canvas.getBoundingClientRect(); viewer.turning = true;"
        "viewer.parts.canvas.dispatchEvent(new PointerEvent('pointercancel', {pointerId: 1, bubbles: true,"
        "clientX: b.left + arguments[0], clientY: b.top + arguments[1]}))",
        left + column,
        top + row,
    )
    send_mouse(deep, left + column, top + row, "mouseReleased")
    assert deep.run("return [viewer.state.at, viewer.turning]") == [before, False]


def test_rendering__the_cross_of_the_planes_is_that_of_the_view(deep):
    for point in ((-13.0, 15.0, 11.0), (20.0, -31.0, -7.0)):
        deep.run("viewer.moveTo(arguments[0]); viewer.draw()", point)
        there = deep.run(
            "const {nv} = viewer.state.rendering; return [...nv.frac2mm(nv.scene.crosshairPos)].slice(0, 3)"
        )
        assert there == pytest.approx(point, abs=0.5)
    # Its lines are where the spot is: from the front they meet in the middle of it.
    spot = middle(reddish(tile(deep)[0]))
    deep.run("viewer.state.cross = true; viewer.setOverlay('')")
    deep.run("viewer.moveTo(arguments[0])", SPOT.tolist())
    pixels, _ = tile(deep)
    red, green, _ = pixels[30:].transpose(2, 0, 1)
    green = (green > red + 40) & (green > 60)
    assert np.argmax(green.sum(axis=0)) == pytest.approx(spot[0], abs=2)
    assert np.argmax(green.sum(axis=1)) + 30 == pytest.approx(spot[1], abs=2)


def test_rendering__threshold_overlay_and_colours_are_those_of_the_planes(deep):
    deep.run("viewer.setThreshold(5.5)")
    assert not reddish(tile(deep)[0]).any()
    deep.run("viewer.state.layers.z.threshold = [null, 2]")
    pixels, _ = tile(deep)
    assert reddish(pixels).sum() > 100
    assert not bluish(pixels).any()
    deep.run("viewer.state.layers.z.threshold = [-2, 2]; viewer.state.layers.z.colours = 'blue-orange'")
    assert reddish(tile(deep)[0]).sum() < 100, "orange is no red"
    deep.run("viewer.setOverlay('')")
    pixels, _ = tile(deep)
    assert not (reddish(pixels) | bluish(pixels)).any()


def test_rendering__what_is_nearer_than_the_cross_is_cut_away(deep):
    # Red is on the left, blue on the right, both in front and above.
    def seen(plane, azimuth, elevation=0):
        look(deep, azimuth, elevation, f"{NO_HEAD}; viewer.moveTo([0, 5, 5]); viewer.state.view.cut = '{plane}'")
        pixels, _ = tile(deep)
        return reddish(pixels).sum() > 100, bluish(pixels).sum() > 100

    assert seen("coronal", FRONT) == (False, False)
    assert seen("coronal", BEHIND) == (True, True)
    assert seen("axial", FRONT, 60) == (False, False)
    assert seen("axial", FRONT, -60) == (True, True)
    assert seen("sagittal", 100) == (False, True), "from the left"
    assert seen("sagittal", 260) == (True, False), "from the right"


def test_rendering__synthetic_is_in_its_pixels(deep):
    def marked():
        return ((np.abs(tile(deep)[0][:30] - np.array(RED)) <= 40).all(axis=-1)).sum() > 60

    assert not marked()
    deep.run("viewer.setOverlay('made')")
    assert marked()


def test_rendering__keys_turn_it_and_a_drag_does(deep):
    start = deep.run("viewer.state.active = 'rendering'; return viewer.state.view")
    deep.keys("[data-part=canvas]", "\ue014\ue013+")
    moved = deep.run("return viewer.state.view")
    assert [moved[name] - start[name] for name in ("azimuth", "elevation", "zoom")] == pytest.approx([5, 5, 0.25])
    _, (left, top) = tile(deep)
    at = deep.run("return viewer.state.at")
    deep.run("viewer.parts.canvas.scrollIntoView({block: 'end', behavior: 'instant'})")
    send_mouse(deep, left + 100, top + 100, "mousePressed")
    send_mouse(deep, left + 140, top + 100, "mouseMoved", "mouseReleased")
    assert deep.run("return viewer.state.view.azimuth") == pytest.approx(moved["azimuth"] + 20)
    assert deep.run("return viewer.state.at") == at, "a drag moves no cross"
    deep.keys("[data-part=canvas]", "x")
    assert deep.run("viewer.draw(); return viewer.parts.cut.value") == "axial"
