"""Reports as one HTML file each, rendered by templates that escape everything.

Nothing in a report is loaded from the network: style, scripts and pictures are inside the file, thumbnails beside it,
and a content security policy says so to the browser. No script runs but the few of ours
(:mod:`bids_spectsynth.reports.scripts`), and whatever they do, the page can be read without them.
"""

from collections.abc import Iterator, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bids_spectsynth.errors import printable
from bids_spectsynth.reports.html import Block, Fold, Glance, Page, Part, Table
from bids_spectsynth.reports.scripts import Script, policy, script
from bids_spectsynth.reports.viewer.document import document
from bids_spectsynth.reports.viewer.layers import Viewer
from bids_spectsynth.reports.viewer.niivue import VERSION as NIIVUE_VERSION
from bids_spectsynth.reports.viewer.niivue import niivue_licence, niivue_script
from bids_spectsynth.reports.viewer.script import style as viewer_style
from bids_spectsynth.reports.viewer.script import viewer_script


def render(page: Page) -> str:
    """HTML text of a report; every text in it is escaped.

    Returns
    -------
    str
        A complete HTML 5 document that loads nothing but the thumbnails beside it.
    """
    blocks = [block for section in page.sections for block in _all(section.blocks)]
    # The viewer's script stands behind the first viewer, so that this one need not wait for the rest of the page.
    scripted = next((one for one in page.sections if any(isinstance(block, Viewer) for block in one.blocks)), None)
    names = dict.fromkeys(name for block in blocks if not isinstance(block, Viewer) for name in block.scripts)
    scripts = [script(name) for name in names]
    early: list[Script] = [viewer_script()] if scripted else []
    niivue = niivue_script() if scripted else None
    tables = [block for block in blocks if isinstance(block, Table)]
    files = any(cell.image for table in tables for row in table.rows for cell in row)
    return (
        _environment()
        .get_template("report.html")
        .render(
            page=page,
            style=_style() + (Markup(viewer_style()) if scripted else ""),  # noqa: S704
            policy=policy([*early, *([niivue] if niivue else []), *scripts], files=files),
            scripted=scripted,
            early=early,
            scripts=scripts,
            niivue=niivue,
            niivue_version=NIIVUE_VERSION,
            licence=niivue_licence(),
        )
    )


def _all(blocks: Sequence[Block]) -> Iterator[Block]:
    """The blocks, and those within them."""
    for block in blocks:
        yield block
        inner = block.blocks if isinstance(block, Fold | Part) else block.pictures if isinstance(block, Glance) else ()
        yield from _all(inner)


@cache
def _environment() -> Environment:
    # autoescape=True rather than by file name: there is no template in which text may pass unescaped.
    environment = Environment(
        loader=PackageLoader("bids_spectsynth.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["viewer_document"] = _document
    return environment


def _shown(value: object) -> object:
    """Plain text as a browser may show it; markup is ours."""
    return printable(value) if type(value) is str else value


def _document(viewer: Viewer) -> Markup:
    # Inside a script element nothing may be escaped as elsewhere; the text has no character that could end it.
    return Markup(document(viewer))  # noqa: S704


@cache
def _style() -> Markup:
    # Marked safe as the viewer's are: our own style sheet, rendered without any value.
    source, _, _ = PackageLoader("bids_spectsynth.reports", "templates").get_source(_environment(), "style.css")
    return Markup(source)  # noqa: S704
