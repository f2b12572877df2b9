"""Reports as one HTML file each: a small vocabulary of blocks, rendered by templates that escape everything.

A report is a :class:`Page` of sections, a section a list of blocks (text, notes, tables, pictures, code). Nothing in a
report is loaded from the network: style, scripts and pictures are inside the file, thumbnails beside it, and a content
security policy says so to the browser. No script runs but the few of ours (:mod:`bids_spectsynth.reports.scripts`),
and whatever they do, the page can be read without them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bids_spectsynth.errors import printable
from bids_spectsynth.evaluation.group.page_ratings import MOST_COMMENT, MOST_RATER, VERDICTS
from bids_spectsynth.reports.scripts import Script, policy, script
from bids_spectsynth.reports.viewer.document import document
from bids_spectsynth.reports.viewer.layers import Viewer
from bids_spectsynth.reports.viewer.script import style as viewer_style
from bids_spectsynth.reports.viewer.script import viewer_script

Level = Literal["info", "good", "warning", "danger"]
#: What would end a data URI or be dropped from it, the percent sign first; base64 passes unchanged.
_RESERVED = "%#<>\"'&\n\r\t"
_TONES = ("", "best", "worse", "bad", "good", "muted")
#: Characters of the longest line that no narrow column breaks.
_SHORT = 20
#: Rows from which a table can be sorted.
SORTED_FROM = 4


class _Block:
    """What a section is made of."""

    @property
    def scripts(self) -> tuple[str, ...]:
        """Scripts that it needs, by file name."""
        return ()


@dataclass(frozen=True)
class Text(_Block):
    """A paragraph of plain text."""

    text: str
    kind: str = field(default="text", init=False)


@dataclass(frozen=True)
class Note(_Block):
    """A box that stands out; ``badge`` is one or two words before the text."""

    text: str
    level: Level = "info"
    badge: str = ""
    kind: str = field(default="note", init=False)


@dataclass(frozen=True)
class Items(_Block):
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
    """One entry of a table. ``tone`` is one of ``best``, ``worse``, ``bad``, ``good``, ``muted`` or empty.

    ``image`` is a small picture beside the page, by its relative address; ``text`` says what it shows.
    """

    text: str
    tone: str = ""
    href: str = ""
    image: str = ""
    jump: Jump | None = None

    def __post_init__(self) -> None:
        if self.tone not in _TONES:
            raise ValueError(f"unknown tone {self.tone}")

    @property
    def short(self) -> bool:
        """Whether its lines are kept whole, however narrow the page is."""
        return max(map(len, self.text.split("\n"))) <= _SHORT


@dataclass(frozen=True)
class Table(_Block):
    """Rows under columns; ``caption`` stands above. A ``folded`` table unfolds under its caption.

    A ``sortable`` table is sorted by its headings and, where it is long, filtered by words; None for tables of
    :data:`SORTED_FROM` rows and more. The rows of a ``tall`` one scroll below their headings.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    footnotes: Sequence[tuple[str, str]] = ()
    folded: bool = False
    sortable: bool | None = None
    tall: bool = False
    kind: str = field(default="table", init=False)

    @property
    def sorts(self) -> bool:
        """Whether it is sorted by its headings."""
        return len(self.rows) >= SORTED_FROM if self.sortable is None else self.sortable

    @property
    def scripts(self) -> tuple[str, ...]:
        """Also of tables that are not sorted: it says where one is wider than the page."""
        return ("tables.js",) if self.rows else ()


@dataclass(frozen=True)
class Picture(_Block):
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
class Code(_Block):
    """Literal text that unfolds under its title."""

    title: str
    text: str
    kind: str = field(default="code", init=False)


@dataclass(frozen=True)
class Heading(_Block):
    """A heading below that of the section."""

    text: str
    kind: str = field(default="heading", init=False)


@dataclass(frozen=True)
class Rating(_Block):
    """A form by which a reader rates sections, by name and title; it needs its script and is hidden without.

    What it saves is read by ``group --ratings`` (:mod:`bids_spectsynth.evaluation.group.page_ratings`).
    """

    participant_id: str
    session_id: str
    sections: Sequence[tuple[str, str]]
    version: str
    kind: str = field(default="rating", init=False)
    #: Verdicts with their meaning, and limits of the texts.
    verdicts: ClassVar[Mapping[str, str]] = VERDICTS
    most_comment: ClassVar[int] = MOST_COMMENT
    most_rater: ClassVar[int] = MOST_RATER

    @property
    def scripts(self) -> tuple[str, ...]:
        """The form's own."""
        return ("rating.js",)


Block = Text | Note | Items | Table | Picture | Code | Heading | Rating | Viewer


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
        A complete HTML 5 document that loads nothing but the thumbnails beside it.
    """
    blocks = [block for section in page.sections for block in section.blocks]
    # The viewer's script stands behind the first viewer, so that this one need not wait for the rest of the page.
    scripted = next((one for one in page.sections if any(isinstance(block, Viewer) for block in one.blocks)), None)
    names = dict.fromkeys(name for block in blocks if not isinstance(block, Viewer) for name in block.scripts)
    scripts = [script(name) for name in names]
    early: list[Script] = [viewer_script()] if scripted else []
    tables = [block for block in blocks if isinstance(block, Table)]
    files = any(cell.image for table in tables for row in table.rows for cell in row)
    return (
        _environment()
        .get_template("report.html")
        .render(
            page=page,
            style=_style() + (Markup(viewer_style()) if scripted else ""),  # noqa: S704
            policy=policy([*early, *scripts], files=files),
            scripted=scripted,
            early=early,
            scripts=scripts,
        )
    )


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
