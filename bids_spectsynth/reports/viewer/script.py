"""The viewer's script and style sheet."""

from functools import cache
from importlib.resources import files

from bids_spectsynth.reports.scripts import Script, as_script

#: The files of the script in the order in which they are read; they share one scope.
FILES = (
    "volume", "colouring", "geometry", "drawing", "rendering", "turning", "controls", "panels", "input", "start",
)  # fmt: skip


@cache
def script() -> str:
    """The text of the script element."""
    folder = files("bids_spectsynth.reports.viewer") / "script"
    parts = [(folder / f"{name}.js").read_text(encoding="utf-8") for name in FILES]
    return "\n".join(["(() => {", '"use strict";', *parts, "})();"])


@cache
def style() -> str:
    """The text of the style sheet."""
    return (files("bids_spectsynth.reports.viewer") / "script" / "viewer.css").read_text(encoding="utf-8")


@cache
def viewer_script() -> Script:
    """The script as a page holds it."""
    return as_script(script(), "the viewer's script")
