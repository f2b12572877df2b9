"""The small vocabulary of blocks that reports are made of (:mod:`bids_spectsynth.reports.rendering` makes them HTML).

A report is a :class:`Page` of sections, a section a list of blocks: text, notes, tables, pictures, code.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from bids_spectsynth.evaluation.group.page_ratings import MOST_COMMENT, MOST_RATER, VERDICTS
from bids_spectsynth.reports.viewer.layers import Viewer

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
    """What the page's viewer is to show: a place ``x,y,z`` (mm, world of the T1w), the overlay, in which viewer.

    ``flicker`` names a base and the layer that it flickers with.
    """

    at: str
    layer: str
    viewer: str
    flicker: tuple[str, str] | None = None


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
    """A picture (text of an SVG, or bytes of a WebP) with what it shows (``alt``) and a link to its file.

    ``narrow`` pictures keep to half of the page, two of them side by side. ``jump`` leads to the same in the viewer.
    """

    content: str | bytes
    alt: str
    caption: str = ""
    href: str = ""
    narrow: bool = False
    jump: Jump | None = None
    kind: str = field(default="picture", init=False)

    @property
    def uri(self) -> str:
        """The picture as a data URI, for an ``img`` element."""
        if isinstance(self.content, str):
            return svg_uri(self.content)
        return "data:image/webp;base64," + base64.b64encode(self.content).decode("ascii")


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
class Fold(_Block):
    """Blocks that unfold under their title."""

    title: str
    blocks: Sequence["Block"]
    kind: str = field(default="fold", init=False)


@dataclass(frozen=True)
class Part(_Block):
    """A part of a section with a heading and an anchor of its own; its pictures stand beside the rest."""

    name: str
    title: str
    blocks: Sequence["Block"]
    kind: str = field(default="part", init=False)


@dataclass(frozen=True)
class Verdict:
    """What there is to be known of one thing, in a line; ``href`` leads to more of it, ``badge`` says what it means."""

    about: str
    text: str
    level: Level = "info"
    badge: str = ""
    href: str = ""


@dataclass(frozen=True)
class Glance(_Block):
    """Verdicts, and beside them the picture that decides."""

    verdicts: Sequence[Verdict]
    pictures: Sequence["Block"] = ()
    kind: str = field(default="glance", init=False)


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


Block = Text | Note | Items | Table | Picture | Code | Heading | Fold | Part | Glance | Rating | Viewer


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
