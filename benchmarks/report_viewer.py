"""Size and speed of the viewer in a subject's report, on a head of real size in a headless browser.

    python benchmarks/report_viewer.py [--maps 6] [--folder FOLDER]

Makes images of 256 x 256 x 192 voxels of 1 mm (a brain of noise of the smoothness of each modality), packs them as the
report does, and opens the page with Debian's Chromium, without WebGL, as from a disk. Prints one JSON object.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reports"))

from chromium import browser

from bids_spectsynth.reports.html import Page, Section
from bids_spectsynth.reports.rendering import render
from bids_spectsynth.reports.viewer.layers import Focus, Layer, Viewer
from bids_spectsynth.reports.viewer.packing import COARSE, brain_box, coarsen, crop, pack

SHAPE = (256, 256, 192)
#: Moves of the cross that are timed: of one plane, and of all three.
STEPS = 120
_TIMED = """
const spent = [];
const time = (move) => {
  const begin = performance.now();
  move();
  viewer.draw();
  // What was drawn is painted before it is read.
  viewer.parts.canvas.getContext("2d").getImageData(0, 0, 1, 1);
  spent.push(performance.now() - begin);
};
for (let n = 0; n < arguments[0]; n += 1) {
  if (arguments[1] === "all") time(() => viewer.moveTo(viewer.state.at.map((value) => value + (n % 2 ? 7 : -6))));
  else {
    viewer.setActive(["axial", "coronal", "sagittal"][n % 3]);
    time(() => viewer.step("through", n % 2 ? 7 : -6));
  }
}
spent.sort((a, b) => a - b);
return {median: spent[spent.length >> 1], p95: spent[Math.floor(0.95 * spent.length)]};
"""


def head(maps: int) -> tuple[Viewer, float]:
    """A viewer with a T1w, PET, three SPECTs, and maps; and the seconds that packing took."""
    affine = np.array([[1.0, 0, 0, -128], [0, 1, 0, -128], [0, 0, 1, -96], [0, 0, 0, 1]])
    axes = (np.arange(size) - size / 2 for size in SHAPE)
    i, j, k = np.meshgrid(*axes, indexing="ij", sparse=True)
    inside = (i / 68) ** 2 + (j / 86) ** 2 + (k / 64) ** 2 < 1
    rng = np.random.default_rng(7)

    def noise(sigma: float) -> np.ndarray:
        values = ndimage.gaussian_filter(rng.standard_normal(SHAPE, dtype=np.float32), sigma)
        return np.where(inside, values / values.std(), 0).astype(np.float32)

    images = [("T1w", "anatomy", np.where(inside, 300 + 90 * noise(1.2) + 12 * noise(0.3), 0), (0.0, 600.0))]
    names = ("pet", "interictal", "ictal", "synthetic")
    images += [(name, "uptake", np.where(inside, 100 + 30 * noise(3), 0), (0.0, 200.0)) for name in names]
    images += [(f"map{number}", "signed", noise(5), (-6.0, 6.0)) for number in range(maps)]
    begin, box, layers = time.perf_counter(), brain_box(inside), []
    for name, kind, values, window in images:
        cut, own = crop(values.astype(np.float32), affine, box)
        if kind == "anatomy":
            volume = pack(cut, own, COARSE, highest=float(np.percentile(values[inside], 99.9)))
        else:
            volume = pack(*coarsen(cut, own, inside[box]))
        colours = {"anatomy": "grey", "uptake": "hot"}.get(kind, "hot-cold")
        threshold = (-2.0, 2.0) if kind == "signed" else (None, 50.0)
        layers.append(Layer(name, name, "", kind, volume, window, threshold, colours, synthetic=name == "synthetic"))
    overlay = "map0" if maps else "ictal"
    foci = [Focus("somewhere", (20.0, -30.0, 10.0), overlay)]
    viewer = Viewer("viewer", "A head", layers, foci, base="T1w", overlay=overlay, second="ictal")
    return viewer, time.perf_counter() - begin


def main() -> None:
    """Make the page, open it, time it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=6)
    parser.add_argument("--page", type=Path, help="time this page instead of one that is made")
    parser.add_argument("--folder", type=Path, help="where the page is written (default: a temporary folder)")
    parser.add_argument("--density", type=float, default=1.0, help="pixels of the screen in one of the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, result = options.folder or Path(temporary), {}
        page = options.page
        if page is None:
            viewer, result["packing_s"] = head(options.maps)
            page = folder / "viewer.html"
            page.write_text(render(Page("A head", "", [Section("viewer", "Viewer", [viewer])])), encoding="utf-8")
        result["page_mb"] = page.stat().st_size / 1e6
        with browser(Path(temporary)) as window:
            window.size(1400, 1000, options.density)
            window.open(page, "return Boolean(viewer)")
            result["ready_ms"] = window.run("return viewer.readyAfter")
            asked = [address for address in window.requests() if not address.startswith("data:")]
            result["requests_beyond_the_page"] = len(asked) - 1
            result["console_lines"] = window.log()
            for planes in ("one", "all"):
                timed = window.run(_TIMED, STEPS, planes)
                result |= {f"slice_{planes}_{name}_ms": value for name, value in timed.items()}
    print(json.dumps({name: round(value, 2) if isinstance(value, float) else value for name, value in result.items()}))


if __name__ == "__main__":
    main()
