"""A browser for tests: Debian's Chromium through its driver's protocol (W3C WebDriver), without further packages."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="needs Chromium and its driver (Debian: chromium, chromium-driver)"
)
_FLAGS = (
    "--headless", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-quic", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One window of a browser that saves downloads into a folder."""

    def __init__(self, address: str, session: str, downloads: Path) -> None:
        self._base = f"{address}/session/{session}"
        self.downloads = downloads

    def open(self, path: Path) -> None:
        """Open a file."""
        _ask("POST", f"{self._base}/url", {"url": path.resolve().as_uri()})

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script in the page and return what it returns."""
        return _ask("POST", f"{self._base}/execute/sync", {"script": script, "args": list(arguments)})

    def keys(self, selector: str, text: str) -> None:
        """Type into an element."""
        _ask("POST", f"{self._base}/element/{self._element(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        """Click on an element."""
        # At once: the pages glide, and what moves is missed.
        self.run(
            "document.querySelector(arguments[0]).scrollIntoView({behavior: 'instant', block: 'center'})", selector
        )
        _ask("POST", f"{self._base}/element/{self._element(selector)}/click", {})

    def _element(self, selector: str) -> str:
        found = _ask("POST", f"{self._base}/element", {"using": "css selector", "value": selector})
        return str(found[_ELEMENT])

    def log(self) -> list[str]:
        """Lines of the console since the last call, violations of the security policy among them."""
        return [entry["message"] for entry in _ask("POST", f"{self._base}/se/log", {"type": "browser"})]

    def downloaded(self, name: str) -> str:
        """The text of a file that the page has saved."""
        end = time.monotonic() + 20
        while not (self.downloads / name).exists():
            assert time.monotonic() < end, f"{name} is not saved: {[one.name for one in self.downloads.iterdir()]}"
            time.sleep(0.05)
        return (self.downloads / name).read_text(encoding="utf-8")


def _ask(method: str, address: str, content: dict[str, Any] | None = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    request = Request(address, data, {"Content-Type": "application/json"}, method=method)
    with urlopen(request, timeout=120) as answer:
        return json.load(answer)["value"]


@contextmanager
def browser(folder: Path, *flags: str) -> Iterator[Browser]:
    """A browser with a new profile in a folder."""
    assert DRIVER is not None
    downloads = folder / "downloads"
    downloads.mkdir(parents=True)
    with (folder / "driver.log").open("w") as log:
        process = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            port = next(line.split()[-1].rstrip(".") for line in process.stdout if "started successfully" in line)
            address = f"http://127.0.0.1:{port}"
            options = {
                "binary": CHROMIUM,
                "args": [*_FLAGS, f"--user-data-dir={folder / 'profile'}", *flags],
                "prefs": {"download.default_directory": str(downloads), "download.prompt_for_download": False},
            }
            wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            made = _ask("POST", f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})
            try:
                yield Browser(address, made["sessionId"], downloads)
            finally:
                _ask("DELETE", f"{address}/session/{made['sessionId']}")
        finally:
            process.terminate()
            process.wait()
