"""How long the group report of many participants takes to write and to open.

Makes an output folder of invented participants (sidecars, tables and thumbnails, no images), writes ``group.html`` and
opens it in headless Chromium from the disk, several times: until the page is loaded, its scripts have run and what is
on the screen is drawn, until it is sorted by a number, and until a word filters it. Without Chromium and its driver
(Debian: chromium, chromium-driver) only the writing is timed.

``python benchmarks/group_report.py -n 500``
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reports"))

from chromium import CHROMIUM, DRIVER, Browser, browser

from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.writing import write_json, write_matrix
from bids_spectsynth.evaluation.group.outliers import group_outliers, write_group_outliers
from bids_spectsynth.evaluation.group.quality import group_quality, write_group_quality
from bids_spectsynth.reports.group import glance
from bids_spectsynth.reports.group.page import group_report
from bids_spectsynth.reports.group.thumbnails import Thumbnail
from bids_spectsynth.reports.pictures.thumbnail import Label, uptake_thumbnail
from bids_spectsynth.siscom.group.results import Result

#: Returns when the picture of the page after a change has been drawn, in ms from the change.
_DRAWN = (
    "const start = performance.now(); {change};"
    "return new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now() - start))))"
)


def invent(out: Path, n: int) -> dict[str, Thumbnail]:
    """Participants with registrations, metrics and thumbnails; returns the thumbnails."""
    rng = np.random.default_rng(0)
    labels = [f"{number:03d}" for number in range(1, n + 1)]
    write_json(out / "dataset_description.json", {"Name": "x", "PhantomData": True})
    update_participants(out, {label: {"split": "test", "status": "ok", "reason": ""} for label in labels})
    pictures = [_picture(seed) for seed in range(8)]
    thumbnails = {}
    for number, label in enumerate(labels):
        for datatype, name in (("pet", "trc-FDG_from-pet"), ("spect", "task-interictal_from-spect")):
            facts = {"Type": "rigid", "Metric": "R squared", "Score": rng.normal(0.95, 0.01), "Poor": number % 50 == 7,
                     "Overlap": rng.normal(0.95, 0.01), "Notes": []}  # fmt: skip
            path = out / f"sub-{label}/{datatype}/sub-{label}_{name}_to-T1w_mode-image_xfm.txt"
            write_matrix(path, np.eye(4), facts)
        (out / f"sub-{label}.html").write_text("<!DOCTYPE html>")
        path = out / f"figures/participants/sub-{label}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures[number % len(pictures)])
        thumbnails[f"sub-{label}"] = Thumbnail(path.relative_to(out).as_posix(), f"sub-{label}: synthetic SPECT")
    metrics = pd.DataFrame(columns=["method", "in_block", "scale", "scaling"])
    volumes = pd.DataFrame(columns=["method"])
    quality = group_quality(out, metrics, volumes)
    write_group_quality(quality, out)
    write_group_outliers(group_outliers(quality), out)
    return thumbnails


def _picture(seed: int) -> bytes:
    x, y, z = np.indices((60, 72, 60))
    inside = ((x - 30) / 26) ** 2 + ((y - 36) / 32) ** 2 + ((z - 30) / 26) ** 2 < 1
    image = np.where(inside, 1 + 0.3 * np.random.default_rng(seed).standard_normal(x.shape), 0).astype(np.float32)
    return uptake_thumbnail(image, inside, np.diag([3.0, 3, 3, 1]), Label("", synthetic=True))


def open_page(window: Browser, page: Path) -> dict[str, float]:
    """Milliseconds of one visit, by what was waited for."""
    start = time.perf_counter()
    window.open(page)
    drawn = window.run(_DRAWN.format(change=""))
    opened = 1000 * (time.perf_counter() - start)
    timing = "const t = performance.getEntriesByType('navigation')[0]; return [t.domInteractive, t.loadEventEnd]"
    interactive, loaded = window.run(timing)
    head = "document.querySelectorAll('#participants th button')[{}]"
    ordered = window.run(_DRAWN.format(change=head.format(2) + ".click()"))
    typed = "const f = document.querySelector('#participants .filter input'); f.value = 'sub-12';"
    filtered = window.run(_DRAWN.format(change=typed + "f.dispatchEvent(new Event('input'))"))
    loads = window.run("return [...document.images].filter((one) => one.complete && one.naturalWidth).length")
    return {"parsed": interactive, "loaded": loaded, "drawn, from outside": opened, "one more frame": drawn,
            "sorted": ordered, "filtered": filtered, "thumbnails": loads}  # fmt: skip


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=500, help="participants")
    parser.add_argument("--visits", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="folder for the output, kept")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    out: Path = arguments.keep or folder / "out"
    thumbnails = invent(out, arguments.n)

    def there_already(output_dir: Path, results: Mapping[str, Result], model: str) -> dict[str, Thumbnail]:
        return thumbnails

    glance.write_thumbnails = there_already  # type: ignore[assignment]
    start = time.perf_counter()
    page = group_report(out)
    result: dict[str, float] = {"participants": arguments.n, "written, s": round(time.perf_counter() - start, 2)}
    result["page, MB"] = round(page.stat().st_size / 1e6, 2)
    result["thumbnail, kB"] = round((out / thumbnails["sub-001"].href).stat().st_size / 1e3, 1)
    if CHROMIUM and DRIVER:
        visits = []
        for number in range(arguments.visits):
            # Each visit in a new browser: nothing is in its cache.
            with browser(folder / f"browser-{number}") as window:
                visits.append(open_page(window, page))
                assert window.log() == [], window.log()
        result |= {
            name if name == "thumbnails" else f"{name}, ms": round(statistics.median(one[name] for one in visits), 1)
            for name in visits[0]
        }
    print(json.dumps(result, indent=2))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
