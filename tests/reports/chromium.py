"""A browser for tests: Debian's Chromium through its driver's protocol (W3C WebDriver), without further packages."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="needs Chromium and its driver (Debian: chromium, chromium-driver)"
)
_FLAGS = (
    "--headless", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-quic", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip
#: A hospital's desktop without a graphics card: no WebGL, and none in software.
_WITHOUT_WEBGL = ("--disable-3d-apis", "--disable-software-rasterizer")
#: WebGL in software, which Chromium has for tests.
_WITH_WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One window of a browser.

    Parameters
    ----------
    address : str
        Of the driver.
    session : str
        As the driver calls it.
    downloads : Path
        Where files are saved.
    """

    def __init__(self, address: str, session: str, downloads: Path) -> None:
        self._base = f"{address}/session/{session}"
        self.downloads = downloads

    def _ask(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        return _ask(method, self._base + path, content)

    def open(self, path: Path, wait: str = "return true") -> None:
        """Open a file and wait until a script says that it is ready."""
        self.events()
        self._ask("POST", "/url", {"url": path.resolve().as_uri()})
        self.wait(wait)
        # Places are asked for and clicked on at once.
        self.run("document.documentElement.style.scrollBehavior = 'auto'")

    def wait(self, script: str) -> None:
        """Wait until a script returns true."""
        end = time.monotonic() + 60
        while not self.run(script):
            assert time.monotonic() < end, f"not ready: {self.log()}"
            time.sleep(0.05)

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script in the page and return what it returns; `viewer` is the first viewer of the page."""
        text = f"const root = document.querySelector('[data-viewer]'); const viewer = root && root.viewer; {script}"
        return self._ask("POST", "/execute/sync", {"script": text, "args": list(arguments)})

    def size(self, width: int, height: int, density: float = 1.0, *, dark: bool = False) -> None:
        """Make the page that large, in pixels of the style sheet; colours as in daylight or not."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": density, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", {"features": [scheme]})

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        """Send a command of Chromium's own protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def keys(self, selector: str, text: str) -> None:
        """Type into an element."""
        element = self._ask("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]
        self._ask("POST", f"/element/{element}/value", {"text": text})

    def click(self, selector: str) -> None:
        """Click on an element."""
        # At once: the pages glide, and what moves is missed.
        text = "document.querySelector(arguments[0]).scrollIntoView({behavior: 'instant', block: 'center'})"
        self.run(text, selector)
        element = self._ask("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]
        self._ask("POST", f"/element/{element}/click", {})

    def screenshot(self) -> bytes:
        """What is seen of the page, PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def log(self) -> list[str]:
        """Lines of the console since the last call, violations of the security policy among them."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def downloaded(self, name: str) -> str:
        """The text of a file that the page has saved."""
        end = time.monotonic() + 20
        while not (self.downloads / name).exists():
            assert time.monotonic() < end, f"{name} is not saved: {[one.name for one in self.downloads.iterdir()]}"
            time.sleep(0.05)
        return (self.downloads / name).read_text(encoding="utf-8")

    def events(self) -> list[dict[str, Any]]:
        """Events of the network and the page since the last call."""
        found = self._ask("POST", "/se/log", {"type": "performance"})
        return [json.loads(entry["message"])["message"] for entry in found]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call."""
        sent = [one["params"] for one in self.events() if one["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in sent]


def _ask(method: str, address: str, content: dict[str, Any] | None = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    request = Request(address, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except HTTPError as error:
        raise AssertionError(json.load(error)["value"]["message"]) from error


@contextmanager
def browser(folder: Path, *flags: str, webgl: bool = False) -> Iterator[Browser]:
    """A browser with a new profile in a folder; with WebGL, in software, or without any."""
    assert DRIVER is not None
    downloads = folder / "downloads"
    downloads.mkdir(parents=True)
    with (folder / "driver.log").open("w") as log:
        command = [DRIVER, "--port=0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            port = next(line.split()[-1].rstrip(".") for line in process.stdout if "started successfully" in line)
            address = f"http://127.0.0.1:{port}"
            options = {
                "binary": CHROMIUM,
                "args": [
                    *_FLAGS,
                    *(_WITH_WEBGL if webgl else _WITHOUT_WEBGL),
                    f"--user-data-dir={folder / 'profile'}",
                    *flags,
                ],
                "prefs": {"download.default_directory": str(downloads), "download.prompt_for_download": False},
            }
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            }
            made = _ask("POST", f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})
            try:
                yield Browser(address, made["sessionId"], downloads)
            finally:
                _ask("DELETE", f"{address}/session/{made['sessionId']}")
        finally:
            process.terminate()
            process.wait()
