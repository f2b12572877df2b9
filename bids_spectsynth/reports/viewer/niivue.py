"""niivue, which draws the view in three dimensions: in each page as text that runs only where somebody asks for it.

The file beside this module is made of npm's tarball by ``.ci/vendor_niivue.py``; see there for what is left out.
"""

import base64
from functools import cache
from importlib.resources import files

from markupsafe import Markup

from bids_spectsynth.reports.scripts import Script

VERSION = "0.69.0"
#: SHA-256 of the script, which a page's policy names: no other text runs in its place.
SHA256 = "598b9e3f2dc5b6974ee78307e8cf32ab88f65cdfb56ec7694ac268c2daea5b43"
_FOLDER = files("bids_spectsynth.reports.viewer") / "niivue"


@cache
def niivue_script() -> Script:
    """The script as a page holds it (base64 of gzip, no script element's text), and as the policy names it."""
    packed = base64.b64encode((_FOLDER / "niivue.js.gz").read_bytes()).decode("ascii")
    source = base64.b64encode(bytes.fromhex(SHA256)).decode("ascii")
    # Letters, digits, plus, slash and equals signs.
    return Script(Markup(packed), f"'sha256-{source}'")  # noqa: S704


@cache
def niivue_licence() -> str:
    """Copyright and licence of niivue, and of what is in its build."""
    return (_FOLDER / "LICENSE").read_text(encoding="utf-8")
