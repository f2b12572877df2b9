"""The viewer's script and style sheet, and the policy that lets a page run this script and nothing else."""

import base64
import hashlib
from functools import cache
from importlib.resources import files

#: The files of the script in the order in which they are read; they share one scope.
FILES = ("volume", "colouring", "geometry", "drawing", "controls", "panels", "input", "start")
#: No address may be loaded, by anyone; images and styles are inside the file.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


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


def policy(*, viewer: bool) -> str:
    """Content security policy of a page.

    Parameters
    ----------
    viewer : bool
        Whether the page has a viewer: its script is named by its SHA-256, any other is refused. Without one, all are.
    """
    return f"{_POLICY}; script-src 'sha256-{script_hash()}'" if viewer else _POLICY


@cache
def script_hash() -> str:
    """SHA-256 of the script in base64, as policies name it."""
    return base64.b64encode(hashlib.sha256(script().encode("utf-8")).digest()).decode("ascii")
