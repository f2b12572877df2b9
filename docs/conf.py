"""The documentation as a site: ``make docs``."""

import re
from typing import Any

from bids_spectsynth import __version__

project = "bids_spectsynth"
author = "The bids_spectsynth developers"
copyright = author  # Sphinx's name for it
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
# Torch and Nipype are imported for real: what is documented is what runs.
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "furo"
html_title = f"bids_spectsynth {version}"
html_static_path: list[str] = []
html_copy_source = False

#: Links to files of the repository that the site does not hold.
_ELSEWHERE = re.compile(r"\[([^\]]+)\]\(\.\./([A-Za-z_./-]*)(#[a-z-]+)?\)")


def _links_within_the_site(app: Any, name: str, source: list[str]) -> None:
    """The pages are read in the repository, too, where these links lead to files."""

    def replaced(found: re.Match[str]) -> str:
        text, path, anchor = found[1], found[2], found[3] or ""
        if path == "README.md":
            return f"[{text}](index.md{anchor})"
        return f"[{text}](examples.md)" if path.startswith("examples/") else text

    source[0] = _ELSEWHERE.sub(replaced, source[0])


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("source-read", _links_within_the_site)
