"""Small viewers of known contents, and a browser to look at them; skipped where there is none."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from chromium import CHROMIUM, DRIVER, browser
from viewer_depth import FRONT, OPEN, look
from viewer_depth import page as depth_page

from bids_spectsynth.reports.html import Cell, Column, Jump, Page, Section, Table
from bids_spectsynth.reports.rendering import render
from bids_spectsynth.reports.viewer.layers import Focus, Layer, Viewer
from bids_spectsynth.reports.viewer.packing import COARSE, pack

#: Voxels of 2 mm, in an order of the axes that is not that of the world: i runs to the left, j up, k to the front.
SHAPE = (31, 27, 35)
AFFINE = np.array([[-2.0, 0, 0, 29], [0, 0, 2, -37], [0, 2, 0, -23], [0, 0, 0, 1]])
#: The hot map's own grid, coarser and moved.
MAP_SHAPE, MAP_AFFINE = (15, 17, 13), np.array([[4.0, 0, 0, -29], [0, 4, 0, -35], [0, 0, 4, -21], [0, 0, 0, 1]])
#: A script that is true as soon as the page's viewer can be used.
READY = "return Boolean(viewer)"
TO_TEMPLATE = np.array([[1.1, 0.02, 0, 3], [0, 0.9, 0.1, -5], [0.03, 0, 1.05, 7], [0, 0, 0, 1]])


def anatomy() -> np.ndarray:
    """An L on the patient's left, in front and above the middle: its long arm points up, its foot to the left."""
    values = np.full(SHAPE, 20.0, dtype=np.float32)
    values[20:22, 15:25, 24:28] = 200
    values[20:28, 15:17, 24:28] = 200
    return values


def signed() -> np.ndarray:
    """Noise without symmetry, from -5 to 5 about."""
    return (2 * np.random.default_rng(3).standard_normal(MAP_SHAPE)).astype(np.float32)


def layers() -> list[Layer]:
    noise = signed()
    t1w, z = pack(anatomy(), AFFINE, COARSE), pack(noise, MAP_AFFINE)
    uptake = pack(np.abs(noise) * 20, MAP_AFFINE)
    return [
        Layer("T1w", "T1w", "", "anatomy", t1w, (0.0, 200.0), (None, 0.1), "grey"),
        Layer("z", "SISCOM z </script><b>", "", "signed", z, (-6.0, 6.0), (-2.0, 2.0), "hot-cold"),
        Layer("pet", "PET", "%", "uptake", uptake, (0.0, 100.0), (None, 50.0), "hot"),
        Layer("made", "Made & more", "%", "uptake", uptake, (0.0, 100.0), (None, 50.0), "clinical", synthetic=True),
    ]


def page(**how: object) -> str:
    foci = [Focus("1 <i>left</i>", (-13.0, 15.0, 11.0), "z", "a scan"), Focus("2 right", (20.0, -20.0, -8.0), "z")]
    settings = {"base": "T1w", "second": "pet", "template": "MNI", "to_template": TO_TEMPLATE, "foci": foci, **how}
    viewer = Viewer("viewer-sub-01", "Images", layers(), stamp="research use only · 9.8.7", **settings)
    jump = Cell("-11, 13, 9", jump=Jump("-11,13,9", "z", "viewer-sub-01"))
    table = Table([Column("Place")], [[jump]])
    return render(Page("sub-01", "", [Section("viewer", "Viewer", [viewer]), Section("foci", "Foci", [table])]))


@pytest.fixture(scope="session")
def small() -> SimpleNamespace:
    """Arrays, affines and makers of this file."""
    return SimpleNamespace(
        shape=SHAPE, affine=AFFINE, map_affine=MAP_AFFINE, to_template=TO_TEMPLATE, anatomy=anatomy, signed=signed,
        layers=layers, page=page, ready=READY,
    )  # fmt: skip


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A browser for all tests of the session."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def shown(window: object, tmp_path: Path) -> Callable[..., object]:
    """A function that opens a page with the small viewer, 1000 pixels wide, and gives the browser."""

    def show(density: float = 1.0, **how: object) -> object:
        path = tmp_path / "sub-01.html"
        path.write_text(page(**how), encoding="utf-8")
        window.size(1000, 900, density)
        window.open(path, READY)
        return window

    return show


@pytest.fixture(scope="module")
def deep_page(tmp_path_factory):
    made = tmp_path_factory.mktemp("page") / "sub-01.html"
    made.write_text(depth_page(), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def deep_window(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("webgl"), webgl=True) as opened:
        # Small: each picture element is computed on the processor here.
        opened.size(560, 500)
        yield opened


@pytest.fixture
def deep(deep_window, deep_page):
    """The browser with the view open, as at the beginning, from the front."""
    if not deep_window.run("return Boolean(viewer && viewer.state.rendering)"):
        deep_window.open(deep_page, "return Boolean(viewer)")
        deep_window.run("viewer.setRendering(true)")
        deep_window.wait(OPEN)
    look(deep_window, FRONT)
    return deep_window
