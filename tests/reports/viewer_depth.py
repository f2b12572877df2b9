"""A page whose viewer has an image in three dimensions, and how its tile is looked at."""

import base64
import io

import numpy as np
from PIL import Image

from bids_spectsynth.reports.html import Page, Section
from bids_spectsynth.reports.rendering import render
from bids_spectsynth.reports.viewer.layers import Layer, Viewer
from bids_spectsynth.reports.viewer.packing import COARSE, pack

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
