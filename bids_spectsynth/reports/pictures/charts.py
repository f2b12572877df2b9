"""Line charts of a subject's metrics as SVG."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_spectsynth.evaluation.figures.palette import GRID, LINES

#: Heights (mm) and values, two arrays of one length.
Line = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
_SALT = "bids_spectsynth"


def metric_lines(
    panels: Mapping[str, Mapping[str, Line]],
    emphasised: Sequence[str] = (),
) -> str:
    """Metrics over the height of the slice, one panel for each metric, one line for each method.

    Parameters
    ----------
    panels : mapping of panel title to mapping of method name to Line
    emphasised : sequence of str
        Methods that are drawn thick: the model.

    Returns
    -------
    str
        SVG text on white.
    """
    with drawing_style():
        figure = Figure(figsize=(12.0, 3.9), facecolor="white")
        # Fixed margins: matplotlib's automatic layouts take longer than the drawing.
        grid = figure.subplots(1, len(panels), squeeze=False, gridspec_kw={"wspace": 0.2})[0]
        figure.subplots_adjust(left=0.045, right=0.99, top=0.92, bottom=0.24)
        names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
        for axes, (title, lines) in zip(grid, panels.items(), strict=True):
            _draw_lines(axes, title, lines, names, emphasised)
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=max(1, len(labels)), fontsize=8, frameon=False)
        return to_svg(figure)


def _draw_lines(
    axes: Axes, title: str, lines: Mapping[str, Line], names: Sequence[str], emphasised: Sequence[str]
) -> None:
    for name, (heights, values) in lines.items():
        thick = name in emphasised
        axes.plot(
            heights,
            values,
            color=LINES[names.index(name) % len(LINES)],
            linewidth=2.4 if thick else 1.1,
            linestyle="-" if thick else "--",
            label=name,
            zorder=3 if thick else 2,
        )
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("z (mm)", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


@contextmanager
def drawing_style() -> Iterator[None]:
    """Settings of the charts, whatever the user's matplotlibrc says."""
    with style.context(["default", {"svg.hashsalt": _SALT, "svg.fonttype": "path"}]):
        yield


def to_svg(figure: Figure) -> str:
    """SVG text of a figure, without a date and with ids that do not change from run to run."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", facecolor=figure.get_facecolor(), metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
