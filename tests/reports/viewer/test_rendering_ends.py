"""The view in three dimensions: its end, what goes wrong, and a browser without WebGL 2."""

import base64
import gzip
import re

import pytest
from chromium import CHROMIUM, DRIVER, browser
from viewer_depth import (
    FRONT,
    OPEN,
    look,
    reddish,
    said,
    tile,
)

pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs Chromium and its driver")


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


def test_rendering__another_script_in_its_place_is_refused(deep_window, deep_page, tmp_path):
    evil = base64.b64encode(gzip.compress(b"document.title = 'caught'; window.niivue = {};")).decode()
    text, count = re.subn(
        r'(<script type="application/gzip" id="niivue-packed">)[^<]*', rf"\g<1>{evil}", deep_page.read_text()
    )
    assert count == 1
    changed = tmp_path / "changed.html"
    changed.write_text(text)
    deep_window.open(changed, "return Boolean(viewer)")
    deep_window.run("viewer.setRendering(true)")
    deep_window.wait("return !viewer.opening")
    assert "the browser refused its script" in deep_window.run("return viewer.parts.why.textContent")
    assert deep_window.run("return [document.title === 'caught', viewer.state.rendering]") == [False, None]
    assert any("Content Security Policy" in line for line in deep_window.log())


def test_rendering__without_webgl_the_button_says_why_and_all_else_is_as_it_was(deep_page, tmp_path):
    with browser(tmp_path / "plain") as plain:
        plain.size(900, 700)
        plain.open(deep_page, "return Boolean(viewer)")
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
