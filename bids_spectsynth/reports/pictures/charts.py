"""Line charts of a subject's metrics as SVG."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape

import numpy as np
import numpy.typing as npt
from matplotlib import style
from matplotlib.figure import Figure

from bids_spectsynth.evaluation.figures.palette import GRID, LINES

#: Heights (mm) and values, two arrays of one length.
Line = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
#: Width and height of the picture, upper and lower edge of the charts, and room left of each.
_WIDTH, _HEIGHT, _TOP, _BOTTOM, _GAP = 1440, 430, 36, 330, 64
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
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    styles = {
        name: f'stroke="{LINES[place % len(LINES)]}" fill="none" '
        + ('stroke-width="3"' if name in emphasised else 'stroke-width="1.5" stroke-dasharray="6 4"')
        for place, name in enumerate(names)
    }
    width = (_WIDTH - _GAP) / max(len(panels), 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        'font-family="DejaVu Sans, Arial, sans-serif" font-size="15" fill="#222222">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
    ]
    for place, (title, lines) in enumerate(panels.items()):
        parts += _panel(title, lines, styles, (_GAP + place * width, width - _GAP))
    for place, name in enumerate(names):
        left, top = 40 + place * (_WIDTH - 60) / len(names), _HEIGHT - 16
        parts.append(f'<path d="M{left:.0f} {top - 5}h32" {styles[name]}/>')
        parts.append(f'<text x="{left + 40:.0f}" y="{top}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def _panel(title: str, lines: Mapping[str, Line], styles: Mapping[str, str], place: tuple[float, float]) -> list[str]:
    """One chart in ``place``, its left edge and width; axes end at round numbers."""
    left, width = place
    finite = [(x[ok], y[ok]) for x, y in lines.values() if (ok := np.isfinite(x) & np.isfinite(y)).any()]
    if not finite:
        return [f'<text x="{left:.0f}" y="24">{escape(title)}: no values</text>']
    across, up = (_ticks(np.concatenate([one[axis] for one in finite])) for axis in (0, 1))

    def x_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(left + (values - across[0]) / (across[-1] - across[0]) * width)

    def y_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(_BOTTOM - (values - up[0]) / (up[-1] - up[0]) * (_BOTTOM - _TOP))

    parts = [f'<text x="{left + width / 2:.0f}" y="22" text-anchor="middle" font-size="17">{escape(title)}</text>']
    for value, y in zip(up, y_of(up), strict=True):
        parts.append(f'<path d="M{left:.0f} {y:.1f}h{width:.0f}" stroke="{GRID}"/>')
        parts.append(f'<text x="{left - 6:.0f}" y="{y + 5:.1f}" text-anchor="end">{value:g}</text>'.replace(">-", ">−"))
    for value, x in zip(across, x_of(across), strict=True):
        text = f"{value:g}".replace("-", "−")
        parts.append(f'<text x="{x:.1f}" y="{_BOTTOM + 20}" text-anchor="middle">{text}</text>')
    parts.append(f'<text x="{left + width / 2:.0f}" y="{_BOTTOM + 42}" text-anchor="middle">z (mm)</text>')
    for name, (x, y) in lines.items():
        # A value that is not finite interrupts its line.
        points = [
            f"{'L' if n and np.isfinite(y[n - 1]) else 'M'}{a:.1f} {b:.1f}"
            for n, (a, b) in enumerate(zip(x_of(x), y_of(y), strict=True))
            if np.isfinite(b)
        ]
        parts.append(f'<path d="{"".join(points)}" {styles[name]} stroke-linejoin="round"/>')
    return parts


def _ticks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """About five round numbers from below the lowest value to above the highest one."""
    low, high = float(values.min()), float(values.max())
    high = high if high > low else low + 1
    raw = (high - low) / 4
    unit = 10 ** np.floor(np.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw * 0.999)
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return np.asarray(np.round(np.arange(first, last + 1) * step, 10), dtype=np.float64)


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
