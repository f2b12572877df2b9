"""The few scripts that pages hold, and the policy that lets these run and nothing else.

A script is a file of ours among the templates, put into the page as it is. The page's content security policy names
its SHA-256, so that no other script runs in it, whatever text the page has; the network stays forbidden.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from markupsafe import Markup


@dataclass(frozen=True)
class Script:
    """A script as it stands in a page, and what the policy calls it."""

    text: Markup
    source: str


@cache
def script(name: str) -> Script:
    """A script by its file name among the templates, e.g. ``tables.js``.

    Raises
    ------
    ValueError
        It would end the element that holds it.
    """
    return as_script(
        (resources.files("bids_spectsynth.reports") / "templates" / name).read_text(encoding="utf-8"), name
    )


def as_script(text: str, name: str) -> Script:
    """A text of ours as a script.

    Raises
    ------
    ValueError
        It would end the element that holds it.
    """
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError(f"{name}: would end its element")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    # Our own file, without any value in it.
    return Script(Markup(text), f"'sha256-{digest}'")  # noqa: S704


def policy(scripts: Sequence[Script], *, files: bool) -> Markup:
    """The content security policy of a page: nothing from the network, the scripts named, no other.

    Parameters
    ----------
    scripts : sequence of Script
    files : bool
        Whether pictures lie beside the page, so that they may be loaded from where it lies.
    """
    # A page that was opened from a disk has no origin that all browsers would take for 'self'.
    images = "data: 'self' file:" if files else "data:"
    parts = ["default-src 'none'", f"img-src {images}", "style-src 'unsafe-inline'", "base-uri 'none'"]
    parts += ["form-action 'none'"]
    if scripts:
        parts.append(f"script-src {' '.join(one.source for one in scripts)}")
    # Words of ours and hashes; quotation marks stay as they are.
    return Markup("; ".join(parts))  # noqa: S704
