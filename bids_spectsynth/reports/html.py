"""Reports as one HTML file each: a small vocabulary of blocks, rendered by templates that escape everything.

A report is a :class:`Page` of sections, a section a list of blocks (text, notes, tables, pictures, code). Nothing in a
report is loaded from elsewhere: style and pictures are inside the file, and a content security policy says so to the
browser. No script runs but that of :class:`~bids_spectsynth.reports.viewer.layers.Viewer`, in pages that have one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bids_spectsynth.reports.viewer.document import document
from bids_spectsynth.reports.viewer.layers import Viewer
from bids_spectsynth.reports.viewer.script import policy, script, style

Level = Literal["info", "good", "warning", "danger"]
#: What would end a data URI or be dropped from it, the percent sign first; base64 passes unchanged.
_RESERVED = "%#<>\"'&\n\r\t"
_TONES = ("", "best", "worse", "bad", "good", "muted")


@dataclass(frozen=True)
class Text:
    """A paragraph of plain text."""

    text: str
    kind: str = field(default="text", init=False)


@dataclass(frozen=True)
class Note:
    """A box that stands out; ``badge`` is one or two words before the text."""

    text: str
    level: Level = "info"
    badge: str = ""
    kind: str = field(default="note", init=False)


@dataclass(frozen=True)
class Items:
    """A bulleted list of plain text, each entry optionally with a link (shown, never loaded)."""

    entries: Sequence[tuple[str, str]]
    kind: str = field(default="items", init=False)


@dataclass(frozen=True)
class Column:
    """Heading of a table column; ``help`` becomes its tooltip, numbers are set flush right."""

    label: str
    help: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Jump:
    """A place that the page's viewer goes to: ``x,y,z`` (mm, world of the T1w), the overlay, and which viewer."""

    at: str
    layer: str
    viewer: str


@dataclass(frozen=True)
class Cell:
    """One entry of a table. ``tone`` is one of ``best``, ``worse``, ``bad``, ``good``, ``muted`` or empty."""

    text: str
    tone: str = ""
    href: str = ""
    jump: Jump | None = None

    def __post_init__(self) -> None:
        if self.tone not in _TONES:
            raise ValueError(f"unknown tone {self.tone}")


@dataclass(frozen=True)
class Table:
    """Rows under columns; ``caption`` stands above. A ``folded`` table unfolds under its caption."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    footnotes: Sequence[tuple[str, str]] = ()
    folded: bool = False
    kind: str = field(default="table", init=False)


@dataclass(frozen=True)
class Picture:
    """An SVG picture with what it shows (``alt`` for those who cannot see it) and a link to its file.

    ``narrow`` pictures keep to half of the page, two of them side by side.
    """

    svg: str
    alt: str
    caption: str = ""
    href: str = ""
    narrow: bool = False
    kind: str = field(default="picture", init=False)

    @property
    def uri(self) -> str:
        """The picture as a data URI, for an ``img`` element."""
        return svg_uri(self.svg)


@dataclass(frozen=True)
class Code:
    """Literal text that unfolds under its title."""

    title: str
    text: str
    kind: str = field(default="code", init=False)


@dataclass(frozen=True)
class Heading:
    """A heading below that of the section."""

    text: str
    kind: str = field(default="heading", init=False)


Block = Text | Note | Items | Table | Picture | Code | Heading | Viewer


@dataclass(frozen=True)
class Section:
    """A part of the report that the navigation lists; ``name`` is its anchor (letters and hyphens)."""

    name: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    subtitle: str
    sections: Sequence[Section]
    banners: Sequence[Note] = ()
    footer: str = ""


def render(page: Page) -> str:
    """HTML text of a report; every text in it is escaped.

    Returns
    -------
    str
        A complete HTML 5 document without external resources; without scripts unless it has a viewer.
    """
    # The script stands behind the first viewer, so that this one need not wait for the rest of the page.
    scripted = next((one for one in page.sections if any(isinstance(block, Viewer) for block in one.blocks)), None)
    return (
        _environment()
        .get_template("report.html")
        .render(
            page=page,
            style=_style() + (Markup(style()) if scripted else ""),  # noqa: S704
            policy=Markup(policy(viewer=scripted is not None)),  # noqa: S704
            scripted=scripted,
            script=Markup(script()),  # noqa: S704
        )
    )


@cache
def _environment() -> Environment:
    # autoescape=True rather than by file name: there is no template in which text may pass unescaped.
    environment = Environment(
        loader=PackageLoader("bids_spectsynth.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["viewer_document"] = _document
    return environment


def _document(viewer: Viewer) -> Markup:
    # Inside a script element nothing may be escaped as elsewhere; the text has no character that could end it.
    return Markup(document(viewer))  # noqa: S704


@cache
def _style() -> Markup:
    # Marked safe as the viewer's are: our own style sheet, rendered without any value.
    source, _, _ = PackageLoader("bids_spectsynth.reports", "templates").get_source(_environment(), "style.css")
    return Markup(source)  # noqa: S704


def svg_uri(svg: str) -> str:
    """Data URI of an SVG document.

    An ``img`` element keeps the ids of several pictures apart and runs no script inside them. Percent encoding leaves
    the base64 of embedded raster images as it is, so that the file grows by little.
    """
    text = svg.encode("ascii", "xmlcharrefreplace").decode("ascii")
    for character in _RESERVED:
        text = text.replace(character, f"%{ord(character):02X}")
    return "data:image/svg+xml," + text


def number(value: float, digits: int = 3) -> str:
    """A number for reading: ``digits`` decimals, ``n/a`` where there is none, ``∞`` for the PSNR of equal images.

    Examples
    --------
    >>> number(0.12345), number(float("nan")), number(24.1, 2)
    ('0.123', 'n/a', '24.10')
    """
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if math.isnan(value):
        return "n/a"
    text = f"{value:z.{digits}f}"
    return text.replace("-", "−")


def p_value(value: float) -> str:
    """A p-value for reading: three decimals, smaller ones as powers of ten, never a plain zero.

    Examples
    --------
    >>> p_value(0.0412), p_value(3.2e-9), p_value(0.0), p_value(float("nan"))
    ('0.041', '3e-09', '< 1e-300', 'n/a')
    """
    if not math.isfinite(value):
        return "n/a"
    if value < 1e-300:
        return "< 1e-300"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
