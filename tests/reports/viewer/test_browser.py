"""The viewer in a real browser: what is seen is what numpy says."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from bids_spectsynth.reports.viewer.colours import colours

#: Axes of the world across, up and through.
PLANES = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}
YELLOW, RED = (255, 210, 77), (255, 122, 107)


def expected(small, plane, at, *, overlay=False, opacity=0.8):
    """The picture elements of a plane as they should be: nearest voxels of both layers, by their affines."""
    across, up, through = PLANES[plane]
    step, low, size = 2 / 3, np.array([-32 + 1 / 3, -38 + 1 / 3, -24 + 1 / 3]), (93, 105, 81)
    rows, columns = np.indices((size[up], size[across]))
    points = np.empty((*rows.shape, 3))
    points[..., across] = low[across] + columns * step
    points[..., up] = low[up] + (size[up] - 1 - rows) * step
    points[..., through] = at[through]
    t1w = nearest(small.anatomy(), small.affine, points)
    pixels = colours("grey")[index(t1w / 200)].astype(float)
    if overlay:
        values = nearest(small.signed(), small.map_affine, points)
        above = colours("hot-cold")[index(0.5 + values / 12)]
        pixels = np.where((np.abs(values) >= 2)[..., None], pixels + (above - pixels) * opacity, pixels)
    return pixels


def nearest(values, affine, points):
    voxels = np.floor(np.einsum("ab,...b->...a", np.linalg.inv(affine)[:3, :3], points - affine[:3, 3]) + 0.5 + 1e-6)
    inside = ((voxels >= 0) & (voxels < values.shape)).all(axis=-1)
    i, j, k = np.where(inside[..., None], voxels, 0).astype(int).transpose(2, 0, 1)
    return np.where(inside, values[i, j, k], 0)


def index(shares):
    return np.clip(np.floor(shares * 255 + 0.5), 0, 255).astype(int)


def raster(browser, plane):
    made = browser.run("return viewer.raster(arguments[0])", plane)
    return np.array(made["pixels"]).reshape(made["height"], made["width"], 4)


def canvas(browser):
    """The pixels of the whole canvas, shape (height, width, 3)."""
    uri = browser.run("viewer.draw(); return viewer.parts.canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")).astype(int)


def tile(browser, plane):
    """The pixels of one plane."""
    box = browser.run(
        "const t = viewer.state.layout.tiles[arguments[0]]; return [t.left, t.top, t.width, t.height]", plane
    )
    left, top, width, height = (round(value * browser.run("return viewer.state.ratio")) for value in box)
    return canvas(browser)[top : top + height, left : left + width]


def near(pixels, colour, tolerance=40):
    return (np.abs(pixels - np.array(colour)) <= tolerance).all(axis=-1)


@pytest.mark.parametrize("overlay", ["", "z"])
@pytest.mark.parametrize("plane", PLANES)
def test_viewer__picture_elements_are_what_numpy_says(shown, small, plane, overlay):
    at = (-13.0, 15.0, 11.0)
    browser = shown(overlay=overlay, at=at)
    browser.run("viewer.state.smooth = false; viewer.draw()")
    made = raster(browser, plane)
    wanted = expected(small, plane, at, overlay=bool(overlay))
    assert made.shape[:2] == wanted.shape[:2]
    assert (made[..., 3] == 255).all()
    # The stored values are off by half a step, which can be one colour, or the other side of the threshold.
    off = np.abs(made[..., :3] - wanted).max(axis=-1)
    assert np.mean(off <= 12) > 0.99
    assert np.median(off) <= 1


def test_viewer__smooth_is_the_same_at_voxel_centres_and_between_them_in_between(shown, small):
    browser = shown(at=(-13.0, 15.0, 11.0))
    made = raster(browser, "axial")[..., 0].astype(float)
    wanted = expected(small, "axial", (-13.0, 15.0, 11.0))[..., 0]
    assert np.abs(made[1::3, 1::3] - wanted[1::3, 1::3]).max() <= 1
    edge = np.unique(made[np.abs(made - wanted) > 2])
    assert ((edge > 20) & (edge < 255)).all()
    assert edge.size


@pytest.mark.parametrize(("plane", "arm"), [("axial", None), ("coronal", "up")])
@pytest.mark.parametrize("radiological", [False, True])
def test_viewer__left_is_left_in_both_conventions(shown, plane, arm, radiological):
    browser = shown(at=(-13.0, 15.0, 9.0))
    browser.run("viewer.state.cross = false; viewer.setRadiological(arguments[0]); viewer.draw()", radiological)
    pixels = tile(browser, plane)
    rows, columns = np.nonzero(near(pixels, (255, 255, 255), 30))
    assert rows.size > 500
    assert (columns.mean() > pixels.shape[1] / 2) == radiological, "the L lies on the patient's left"
    if arm == "up":
        # The long arm of the L is the one nearer to the middle; its foot points to the patient's left.
        tall, foot = columns[rows < np.percentile(rows, 30)].mean(), columns[rows > np.percentile(rows, 90)].mean()
        assert (foot > tall) == radiological
    assert letters(pixels) == ("RL" if radiological else "LR")


def letters(pixels):
    """The letters at the upper corners: of an L and an R only the R has ink in its upper right half."""
    found = ""
    for part in (pixels[:34, :30], pixels[:34, -30:]):
        ink = near(part, YELLOW, 60)
        rows, columns = np.nonzero(ink)
        assert rows.size, "a letter"
        box = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        half = box[: box.shape[0] // 2, box.shape[1] // 2 :]
        found += "R" if half.mean() > 0.25 else "L"
    return found


@pytest.mark.parametrize("density", [1.0, 2.0])
def test_viewer__a_click_goes_to_the_place_that_the_affine_says(shown, small, density):
    browser = shown(density)
    browser.run("root.scrollIntoView()")
    # A tile shows the world around the middle of the volume, with the scale of the layout.
    for plane, (across, up, _) in PLANES.items():
        facts = browser.run(
            "const t = viewer.state.layout.tiles[arguments[0]], b = viewer.parts.canvas.getBoundingClientRect();"
            "const {scale} = viewer.state.layout;"
            "return {x: b.left + t.left + t.width / 2, y: b.top + t.top + t.height / 2, scale}",
            plane,
        )
        centre = (small.affine @ [15, 13, 17, 1])[:3]
        target = (small.affine @ [20, 16, 26, 1])[:3]
        x = facts["x"] + (target[across] - centre[across]) * facts["scale"]
        y = facts["y"] - (target[up] - centre[up]) * facts["scale"]
        for kind in ("mousePressed", "mouseReleased"):
            event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            browser.devtools("Input.dispatchMouseEvent", event)
        at = browser.run("viewer.draw(); return viewer.state.at")
        assert np.abs(np.array(at)[[across, up]] - target[[across, up]]).max() < 1, "half a voxel"
    text = browser.run("return viewer.parts.place.textContent").replace("−", "-")
    numbers = [float(part) for part in text.replace(",", " ").split() if part.lstrip("-").replace(".", "").isdigit()]
    assert numbers[:3] == pytest.approx(at, abs=0.06)
    assert numbers[3:] == pytest.approx((small.to_template @ [*at, 1])[:3], abs=0.06)
    assert browser.run("return viewer.state.numbers.T1w.textContent") == "200"


def test_viewer__values_are_those_of_the_voxels(shown, small):
    browser = shown()
    for i, j, k in ((3, 5, 7), (11, 2, 9)):
        browser.run("viewer.moveTo(arguments[0]); viewer.draw()", (small.map_affine @ [i, j, k, 1])[:3].tolist())
        text = browser.run("return viewer.state.numbers.z.textContent").replace("−", "-")
        assert float(text) == pytest.approx(float(small.signed()[i, j, k]), abs=0.02)


def test_viewer__threshold_changes_what_lies_beyond_it_only(shown, small):
    browser = shown(overlay="z", at=(-13.0, 15.0, 11.0))
    browser.run("viewer.state.smooth = false; viewer.draw()")
    before = raster(browser, "axial")
    browser.run(
        "const set = (part, value) => {"
        "  viewer.parts[part].value = value; viewer.parts[part].dispatchEvent(new Event('change')); };"
        "set('below', '-3.5'); set('above', '1'); viewer.draw()"
    )
    after = raster(browser, "axial")
    at, (across, up, _) = (-13.0, 15.0, 11.0), PLANES["axial"]
    rows, columns = np.indices(before.shape[:2])
    points = np.empty((*rows.shape, 3))
    points[..., across] = -32 + 1 / 3 + columns * 2 / 3
    points[..., up] = -38 + 1 / 3 + (104 - rows) * 2 / 3
    points[..., 2] = at[2]
    values = nearest(small.signed(), small.map_affine, points)
    changed = (before != after).any(axis=-1)
    between = ((values >= 1.02) & (values < 1.98)) | ((values <= -2.02) & (values > -3.48))
    assert changed[between].mean() > 0.99
    assert not changed[(np.abs(values) < 0.98) | (values > 2.02) | (values < -3.52)].any()


def test_viewer__window_changes_the_colours_of_its_layer(shown):
    browser = shown(at=(-13.0, 15.0, 11.0))
    browser.run(
        "const e = viewer.parts['base-high']; e.value = '400'; e.dispatchEvent(new Event('change')); viewer.draw()"
    )
    assert raster(browser, "axial")[..., 0].max() == 128
    browser.run("const e = viewer.parts['base-high']; e.value = '-5'; e.dispatchEvent(new Event('change'))")
    assert browser.run("return viewer.state.layers.T1w.window") == [0, 400], "ends keep their order"


@pytest.mark.parametrize("how", [{"base": "made"}, {"overlay": "made"}])
def test_viewer__synthetic_is_in_the_pixels_of_each_plane(shown, how):
    browser = shown(**how)
    assert all(near(tile(browser, plane)[:40], RED).sum() > 60 for plane in PLANES)
    browser.run("viewer.setBase('T1w'); viewer.setOverlay('')")
    assert not any(near(tile(browser, plane)[:40], RED).any() for plane in PLANES)


def test_viewer__flicker_shows_both_and_marks_the_synthetic_one(shown):
    browser = shown(second="made")
    browser.keys("[data-part=canvas]", "f")
    seen = set()
    for _ in range(60):
        swapped, red = browser.run("return viewer.state.swapped"), near(tile(browser, "axial")[:40], RED).sum() > 60
        if swapped == browser.run("return viewer.state.swapped"):
            assert red == swapped
            seen.add(swapped)
        if len(seen) == 2:
            break
    assert seen == {False, True}
    assert browser.run("return viewer.parts.flicker.getAttribute('aria-pressed')") == "true"
    browser.keys("[data-part=canvas]", "f")
    assert not browser.run("return viewer.state.flicker || viewer.state.swapped")


def test_viewer__keys_move_turn_and_explain(shown):
    browser = shown(overlay="z", at=(1.0, 1.0, 1.0))
    left, up, page_up = "\ue012", "\ue013", "\ue00e"
    for keys, at in ((left, [-1, 1, 1]), (up, [-1, 3, 1]), (page_up, [-1, 3, 3]), (f"3{left}", [-1, 1, 3])):
        browser.keys("[data-part=canvas]", keys)
        assert browser.run("return viewer.state.at") == pytest.approx(at)
    browser.keys("[data-part=canvas]", f"1r{left}")
    assert browser.run("return viewer.state.at") == pytest.approx([1, 1, 3]), "the arrow follows the eye"
    browser.keys("[data-part=canvas]", "n")
    assert browser.run("return [viewer.state.focus, ...viewer.state.at]") == pytest.approx([0, -13, 15, 11])
    browser.keys("[data-part=canvas]", ".")
    assert browser.run("return viewer.state.layers.z.threshold") == pytest.approx([-2.15, 2.15])
    browser.keys("[data-part=canvas]", "+")
    assert browser.run("return viewer.state.zoom") == pytest.approx(1.25)
    browser.keys("[data-part=canvas]", "?")
    assert browser.run("return !viewer.parts.keys.hidden && viewer.parts.keys.textContent.includes('next slice')")
    browser.keys("[data-part=canvas]", "0")
    assert browser.run("return [viewer.state.zoom, viewer.state.radiological, ...viewer.state.layers.z.threshold]") == [
        1, False, -2, 2,
    ]  # fmt: skip


def test_viewer__a_row_of_a_table_jumps_to_its_focus(shown):
    browser = shown()
    browser.click("#foci [data-focus]")
    assert browser.run("return [viewer.state.overlay, ...viewer.state.at]") == ["z", -11, 13, 9]
    browser.click("[data-part=foci] button")
    assert browser.run("return viewer.state.at") == [-13, 15, 11]
    assert browser.run("return viewer.parts.foci.textContent") == "a scan1 <i>left</i>2 right"


def test_viewer__nothing_is_loaded_said_or_refused(shown):
    browser = shown(overlay="made")
    browser.keys("[data-part=canvas]", "frbocis+-,.[]npPN0?")
    assert browser.log() == []
    assert [address for address in browser.requests() if not address.startswith("blob:")] == [
        browser.run("return document.URL")
    ]
    assert browser.run("return Boolean(document.createElement('canvas').getContext('webgl'))") is False


def test_viewer__a_script_of_another_hand_is_refused(shown, window, tmp_path, small):
    path = tmp_path / "other.html"
    path.write_text(small.page().replace("<footer>", "<script>document.title = 'caught'</script><footer>"))
    window.open(path, small.ready)
    assert window.run("return document.title") != "caught"
    assert any("Content Security Policy" in line for line in window.log())
