"""The view in three dimensions in a browser with WebGL 2 (in software), and in one without."""

import base64
import gzip
import io
import re

import numpy as np
import pytest
from chromium import CHROMIUM, DRIVER, browser
from PIL import Image

from bids_spectsynth.reports.html import Page, Section
from bids_spectsynth.reports.rendering import render
from bids_spectsynth.reports.viewer.layers import Layer, Viewer
from bids_spectsynth.reports.viewer.packing import COARSE, pack

pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs Chromium and its driver")

#: Voxels of 2 mm; i runs to the left, j up, k to the front.
SHAPE = (41, 37, 45)
AFFINE = np.array([[-2.0, 0, 0, 40], [0, 0, 2, -44], [0, 2, 0, -36], [0, 0, 0, 1]])
#: Middle of a cube of 14 mm on the patient's left, above, and in front: at y = 33 mm, just below the head's surface.
SPOT, HALF = np.array([-20.0, 26.0, 16.0]), 7.0
FRONT, BEHIND = 180, 0
RED, YELLOW = (255, 122, 107), (255, 210, 77)
#: The head is not drawn, so that nothing hides what is behind it.
NO_HEAD = "viewer.state.layers.T1w.threshold = [null, 1000]"
OPEN = "return viewer.state.rendering !== null && !viewer.opening"


def box(middle, half):
    voxels = np.indices(SHAPE).reshape(3, -1)
    world = AFFINE[:3, :3] @ voxels + AFFINE[:3, 3:]
    return (np.abs(world - np.reshape(middle, (3, 1))) <= np.reshape(half, (-1, 1))).all(axis=0).reshape(SHAPE)


def page():
    head = np.where(box((0, 0, 0), (30, 34, 26)), 100, 0).astype(np.float32)
    spot = np.where(box(SPOT, HALF), 2.6, 0).astype(np.float32)
    cold = np.where(box(SPOT * [-1, 1, 1], HALF), -2.6, 0).astype(np.float32)
    both = pack(spot + cold, AFFINE)
    layers = [
        Layer("T1w", "T1w", "", "anatomy", pack(head, AFFINE, COARSE), (0.0, 200.0), (None, 1.0), "grey"),
        Layer("z", "z", "", "signed", both, (-6.0, 6.0), (-2.0, 2.0), "hot-cold"),
        Layer("made", "Made", "", "signed", both, (-6.0, 6.0), (-2.0, 2.0), "hot-cold", synthetic=True),
    ]
    viewer = Viewer("viewer-sub-01", "Images", layers, base="T1w", overlay="z", second="z", stamp="research use only")
    return render(Page("sub-01", "", [Section("viewer", "Viewer", [viewer])]))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = tmp_path_factory.mktemp("page") / "sub-01.html"
    made.write_text(page(), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("webgl"), webgl=True) as opened:
        # Small: each picture element is computed on the processor here.
        opened.size(560, 500)
        yield opened


@pytest.fixture
def deep(window, path):
    """The browser with the view open, as at the beginning, from the front."""
    if not window.run("return Boolean(viewer && viewer.state.rendering)"):
        window.open(path, "return Boolean(viewer)")
        window.run("viewer.setRendering(true)")
        window.wait(OPEN)
    look(window, FRONT)
    return window


def look(window, azimuth, elevation=0, more=""):
    window.run(
        "viewer.reset(); viewer.state.cross = false;"
        f"Object.assign(viewer.state.view, {{azimuth: {azimuth}, elevation: {elevation}}}); {more}; viewer.draw()"
    )


def tile(window, name="rendering"):
    """The pixels of a tile of the canvas, and its place on it."""
    uri, *place = window.run(
        "viewer.draw(); const t = viewer.state.layout.tiles[arguments[0]];"
        "return [viewer.parts.canvas.toDataURL('image/png'), t.left, t.top, t.width, t.height]",
        name,
    )
    left, top, width, height = (round(value) for value in place)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")).astype(int)
    return pixels[top : top + height, left : left + width], (left, top)


def reddish(pixels):
    red, green, blue = pixels[30:].transpose(2, 0, 1)
    return (red > 70) & (red > 1.8 * blue) & (red > 2 * green)


def bluish(pixels):
    red, _, blue = pixels[30:].transpose(2, 0, 1)
    return (blue > 70) & (blue > 1.8 * red)


def middle(mask):
    """Column and row of the middle of what is marked below the first 30 rows."""
    rows, columns = np.nonzero(mask)
    assert rows.size > 30
    return columns.mean(), rows.mean() + 30


def letter(pixels):
    """Which of the letters L and R the yellow ink is: only the R has ink in its upper right half."""
    ink = (np.abs(pixels - np.array(YELLOW)) <= 60).all(axis=-1)
    rows, columns = np.nonzero(ink)
    assert rows.size, "a letter"
    cut = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return "R" if cut[: cut.shape[0] // 2, cut.shape[1] // 2 :].mean() > 0.25 else "L"


def send_mouse(window, x, y, *kinds):
    box = window.run("const b = viewer.parts.canvas.getBoundingClientRect(); return [b.left, b.top]")
    for kind in kinds:
        event = {"type": kind, "x": box[0] + x, "y": box[1] + y, "button": "left", "clickCount": 1}
        window.devtools("Input.dispatchMouseEvent", event)


def said(window):
    """Lines of the console, without the driver's on the speed of WebGL in software."""
    return [line for line in window.log() if "GL Driver Message (OpenGL, Performance" not in line]


def test_rendering__nothing_of_it_runs_before_it_is_asked_for(window, path):
    window.open(path, "return Boolean(viewer)")
    window.wait("return viewer.parts.why.hidden && !viewer.parts.rendering.disabled")
    assert window.run("return [typeof niivue, viewer.state.rendering, document.scripts.length]") == [
        "undefined", None, 2,
    ]  # fmt: skip
    assert said(window) == []


def test_rendering__opens_by_its_button_without_network_and_complaint(window, path):
    window.open(path, "return Boolean(viewer)")
    window.click("[data-part=rendering]")
    window.wait(OPEN)
    look(window, FRONT)
    pixels, _ = tile(window)
    assert (pixels.max(axis=-1) > 40).mean() > 0.1
    assert reddish(pixels).sum() > 100
    assert bluish(pixels).sum() > 100
    assert window.run("return viewer.parts.rendering.getAttribute('aria-pressed')") == "true"
    assert said(window) == []
    # What is in the page itself is no request to anybody.
    others = [one for one in window.requests() if not one.startswith(("data:", "blob:"))]
    assert others == [window.run("return document.URL")]
    assert "Content-Security-Policy" in path.read_text()


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
    assert far(pixels).sum() == 0
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


def test_rendering__what_goes_wrong_in_it_is_said_and_the_planes_go_on(deep):
    before = tile(deep, "axial")[0].shape
    deep.run(
        "viewer.state.rendering.nv.drawScene = () => { throw new Error('no memory'); }; viewer.state.view.zoom = 2"
    )
    deep.run("viewer.draw()")
    assert "no memory" in deep.run("return viewer.parts.why.textContent")
    assert deep.run("return [viewer.state.rendering, Object.keys(viewer.state.layout.tiles).length]") == [None, 3]
    assert tile(deep, "axial")[0].any()
    assert before
    assert said(deep) == []


def test_rendering__closing_gives_the_graphics_back(deep):
    closed = deep.run(
        "const gl = viewer.state.rendering.canvas.getContext('webgl2'); const was = gl.isContextLost();"
        "viewer.setRendering(false); return [was, gl.isContextLost(), viewer.state.rendering, viewer.state.active]"
    )
    assert closed == [False, True, None, "axial"]
    assert deep.run("return [viewer.parts.why.hidden, viewer.parts['cut-look'].hidden]") == [True, True]
    deep.run("viewer.setRendering(true)")
    deep.wait(OPEN)
    look(deep, FRONT)
    assert reddish(tile(deep)[0]).sum() > 100, "and opens again"
    assert deep.run("return document.scripts.length") == 2, "niivue ran once"


def test_rendering__closing_gives_the_graphics_back_whatever_niivue_says(deep):
    closed = deep.run(
        "const gl = viewer.state.rendering.canvas.getContext('webgl2');"
        "viewer.state.rendering.nv.cleanup = () => { throw new Error('no order'); };"
        "try { viewer.setRendering(false).catch(() => {}); } finally {"
        "return [gl.isContextLost(), viewer.state.rendering, Object.keys(viewer.state.layout.tiles).length]; }"
    )
    assert closed == [True, None, 3]
    assert [line for line in said(deep) if "no order" not in line] == []


def test_rendering__closed_while_it_opens_it_stays_closed(deep):
    assert deep.run(
        "viewer.setRendering(false); viewer.setRendering(true); viewer.parts.rendering.click(); return viewer.opening"
    )
    deep.wait("return !viewer.opening")
    assert deep.run("return [Boolean(viewer.state.rendering), viewer.state.active, viewer.parts.why.hidden]") == [
        False, "axial", True,
    ]  # fmt: skip
    # Asked for again meanwhile, it opens, once.
    deep.run("for (let n = 0; n < 3; n += 1) viewer.parts.rendering.click()")
    deep.wait(OPEN)
    look(deep, FRONT)
    assert reddish(tile(deep)[0]).sum() > 100


def test_rendering__graphics_that_are_lost_while_it_opens_are_said(deep):
    deep.run("viewer.setRendering(false)")
    deep.run(
        "const make = niivue.NVImage.new; niivue.NVImage.new = async (...all) => { niivue.NVImage.new = make;"
        "const image = await make(...all); window.taken.getExtension('WEBGL_lose_context').loseContext();"
        "await new Promise((done) => setTimeout(done, 200)); return image; };"
        "const get = HTMLCanvasElement.prototype.getContext; HTMLCanvasElement.prototype.getContext = function (kind,"
        "...all) { const made = get.call(this, kind, ...all); if (kind === 'webgl2') { window.taken = made;"
        "HTMLCanvasElement.prototype.getContext = get; } return made; };"
        "viewer.setRendering(true)"
    )
    deep.wait("return !viewer.opening")
    assert not deep.run("return Boolean(viewer.state.rendering)")
    assert "the graphics were taken away" in deep.run("return viewer.parts.why.textContent")
    assert tile(deep, "axial")[0].any()


def test_rendering__another_script_in_its_place_is_refused(window, path, tmp_path):
    evil = base64.b64encode(gzip.compress(b"document.title = 'caught'; window.niivue = {};")).decode()
    text, count = re.subn(
        r'(<script type="application/gzip" id="niivue-packed">)[^<]*', rf"\g<1>{evil}", path.read_text()
    )
    assert count == 1
    changed = tmp_path / "changed.html"
    changed.write_text(text)
    window.open(changed, "return Boolean(viewer)")
    window.run("viewer.setRendering(true)")
    window.wait("return !viewer.opening")
    assert "the browser refused its script" in window.run("return viewer.parts.why.textContent")
    assert window.run("return [document.title === 'caught', viewer.state.rendering]") == [False, None]
    assert any("Content Security Policy" in line for line in window.log())


def test_rendering__without_webgl_the_button_says_why_and_all_else_is_as_it_was(path, tmp_path):
    with browser(tmp_path / "plain") as plain:
        plain.size(900, 700)
        plain.open(path, "return Boolean(viewer)")
        plain.wait("return viewer.parts.rendering.disabled")
        assert "needs WebGL 2" in plain.run("return viewer.parts.why.hidden ? '' : viewer.parts.why.textContent")
        plain.keys("[data-part=canvas]", "d4x")
        plain.run("viewer.draw()")
        assert plain.run("return [viewer.state.rendering, viewer.state.active, typeof niivue]") == [
            None, "axial", "undefined",
        ]  # fmt: skip
        assert sorted(plain.run("return Object.keys(viewer.state.layout.tiles)")) == ["axial", "coronal", "sagittal"]
        assert plain.run("return viewer.parts['cut-look'].hidden")
        assert plain.log() == []
