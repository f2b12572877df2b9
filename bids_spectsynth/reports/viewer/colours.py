"""Colour maps of the viewer, as 256 colours each."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.colors import LinearSegmentedColormap, to_rgb

Colours = npt.NDArray[np.uint8]
#: ``from-zero``: from the lowest to the highest value; ``both-sides``: 0 is in the middle.
Family = Literal["from-zero", "both-sides"]

#: From low to high, as workstations of nuclear medicine have them.
_CLINICAL = ("#000000", "#2b0a57", "#1f2fa8", "#0b6fd6", "#00a9a5", "#1fae4b", "#8cc81e", "#f2d516", "#f59a12",
             "#ee4d1b", "#d5122e", "#ffffff")  # fmt: skip
_STEPS = ("#d3f3ff", "#79cbff", "#2f8bf0", "#1b4fc4", "#14267d", "#5c1010", "#b01818", "#e8481c", "#f79a1e", "#ffe46b")
#: Told apart with every kind of colour vision, and bright where values are far from 0.
_BLUE_ORANGE = ("#d8f1ff", "#4db4ee", "#0d5ea8", "#0a2038", "#1c1c1c", "#3a2205", "#b35f00", "#f7a01f", "#fff0a8")

#: Name, title and family, in the order in which readers see them.
COLOUR_MAPS: Mapping[str, tuple[str, Family]] = {
    "grey": ("Grey", "from-zero"),
    "inverse": ("Grey, inverted", "from-zero"),
    "hot": ("Hot", "from-zero"),
    "inferno": ("Inferno", "from-zero"),
    "clinical": ("Clinical, 12 steps", "from-zero"),
    "cividis": ("Colour-blind safe", "from-zero"),
    "hot-cold": ("Hot and cold", "both-sides"),
    "steps": ("Clinical, 10 steps", "both-sides"),
    "blue-orange": ("Colour-blind safe", "both-sides"),
    "blue-red": ("Blue to red over white", "both-sides"),
}


@cache
def colours(name: str) -> Colours:
    """The colours of a map of :data:`COLOUR_MAPS`, low to high, shape (256, 3)."""
    levels = np.linspace(0, 1, 256)
    match name:
        case "clinical":
            table = _steps(_CLINICAL)
        case "steps":
            table = _steps(_STEPS)
        case "blue-orange":
            table = LinearSegmentedColormap.from_list(name, list(_BLUE_ORANGE), 256)(levels)[:, :3]
        case "hot-cold":
            table = mpl.colormaps["hot"](0.95 * np.abs(2 * levels - 1))[:, :3]
            table[:128] = table[:128, ::-1]
        case _:
            own = {"grey": "gray", "inverse": "gray_r", "blue-red": "RdBu_r"}.get(name, name)
            table = mpl.colormaps[own](levels)[:, :3]
    return np.rint(255 * np.asarray(table)).astype(np.uint8)


def _steps(names: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([to_rgb(name) for name in names])[np.arange(256) * len(names) // 256]
