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
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
nitpicky = False

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# Torch and Nipype are imported for real: what is documented is what runs.
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "furo"
html_title = f"bids_spectsynth {version}"
html_static_path: list[str] = []
html_copy_source = False

#: Files of the repository that pages name but the site does not hold.
_ELSEWHERE = re.compile(r"\]\(\.\./(README\.md)?(#[a-z-]+)?([A-Za-z_./]*)\)")


def _without_links_to_the_repository(app: Any, name: str, source: list[str]) -> None:
    """The pages are read in the repository, too, where these links lead to files; here their text is left."""

    def text_only(found: re.Match[str]) -> str:
        page, anchor, path = found[1], found[2] or "", found[3]
        if page:
            return f"](index.md{anchor})"
        return f"](https://example.org/{path})"

    source[0] = _ELSEWHERE.sub(text_only, source[0])


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("source-read", _without_links_to_the_repository)
