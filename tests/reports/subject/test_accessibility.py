"""Both pages before axe-core, which knows the rules of accessibility (npm: axe-core; not part of this repository)."""

import os
from pathlib import Path

import pytest
from chromium import Browser, browser, needs_chromium

from bids_spectsynth.reports.group.page import group_report
from bids_spectsynth.reports.subject.page import subject_report

ROOT = Path(__file__).parents[3]
#: Where the script lies: named by the environment, or where npm and Debian put it.
PLACES = [
    *([Path(os.environ["AXE_CORE"])] if os.environ.get("AXE_CORE") else []),
    *(
        folder / "axe-core" / "axe.min.js"
        for folder in (ROOT / "node_modules", Path("/usr/local/lib/node_modules"), Path("/usr/lib/node_modules"),
                       Path("/usr/share/nodejs"))
    ),
]  # fmt: skip
AXE = next((path for path in PLACES if path.is_file()), None)
needs_axe = pytest.mark.skipif(AXE is None, reason="needs axe.min.js of axe-core (npm), named by AXE_CORE")
_START = "window.found = null; axe.run(document, {resultTypes: ['violations']}).then((all) => { window.found = all; });"
_SERIOUS = """
return window.found.violations.filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => [one.id, one.help, one.nodes.slice(0, 3).map((node) => node.html.slice(0, 150))]);
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("axe")) as window:
        yield window


def serious(window: Browser, path: Path, width: int, *, dark: bool) -> list[object]:
    assert AXE is not None
    window.size(width, 1000, dark=dark)
    # What is folded is looked at too, and the viewer when it is there.
    window.open(path, "return !document.querySelector('[data-viewer]') || Boolean(viewer)")
    window.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    window.run(AXE.read_text(encoding="utf-8") + "; window.axe = axe;")
    window.run(_START)
    window.wait("return window.found !== null")
    found: list[object] = window.run(_SERIOUS)
    return found


@needs_axe
@needs_chromium
@pytest.mark.parametrize(("width", "dark"), [(1400, False), (1400, True), (800, False)])
def test_pages__have_no_serious_finding(siscom, chromium, width, dark):
    pages = [subject_report(siscom.tree, "01"), group_report(siscom.tree)]
    assert [serious(chromium, page, width, dark=dark) for page in pages] == [[], []]
