"""How figures are drawn and written: one style for print, as SVG and as PNG, the same data giving the same SVG."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from bids_spectsynth.bids.writing import atomic_file, write_text

#: Inches in a millimetre: matplotlib takes inches.
MM = 1 / 25.4
#: A page's width in print, over both columns.
WIDTH_MM = 180.0
PNG_DPI = 300
#: Points; at this width nothing is smaller.
FONT_SIZE = 7.0

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "bids_spectsynth",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "xtick.labelsize": FONT_SIZE,
    "ytick.labelsize": FONT_SIZE,
    "legend.fontsize": FONT_SIZE,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure with what a reader must know: ``title`` says what it shows, ``caption`` what is compared, and on whom.

    Both travel in the SVG's metadata, so that the file explains itself.
    """

    figure: Figure
    title: str
    caption: str = ""


@contextmanager
def print_style() -> Iterator[None]:
    """Settings of the figures, whatever the user's matplotlibrc says; to be in force for drawing and writing."""
    with style.context(["default", _STYLE]):
        yield


def fix_layout(figure: Figure) -> None:
    """Lay a figure out now, once, instead of anew for each file."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")


def svg_text(drawing: Drawing) -> str:
    """SVG of a drawing, without a date and with ids that do not change from run to run."""
    stream = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Title": drawing.title}
    if drawing.caption:
        metadata["Description"] = drawing.caption
    with print_style():
        drawing.figure.savefig(stream, format="svg", metadata=metadata)
    return stream.getvalue()


def write_drawing(drawing: Drawing, path: Path) -> None:
    """Write a drawing as SVG at ``path``, and beside it as PNG of 300 dpi."""
    write_text(path, svg_text(drawing))
    metadata = {"Title": drawing.title, "Software": None}
    # The default level takes thrice the time for a file that is little smaller.
    fast = {"compress_level": 3}
    with print_style(), atomic_file(path.with_suffix(".png")) as file:
        drawing.figure.savefig(file, format="png", dpi=PNG_DPI, metadata=metadata, pil_kwargs=fast)
