"""What a viewer shows: layers, foci to jump to, and the block of a report that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from bids_spectsynth.reports.viewer.packing import Packed

#: ``anatomy``: MR; ``uptake``: PET or SPECT; ``signed``: a difference or statistic; ``sd``: a standard deviation.
Kind = Literal["anatomy", "uptake", "signed", "sd"]
Point = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Layer:
    """An image that can be shown.

    Parameters
    ----------
    name : str
        Key within the viewer.
    title, unit : str
        For readers; a layer without a unit has none to be written.
    kind : {'anatomy', 'uptake', 'signed', 'sd'}
    volume : Packed
    window : tuple of float
        Values of the first and the last colour; of a signed layer below and above 0, which has the middle colour.
    threshold : tuple of float or None
        As an overlay it is seen where it is not above the first or not below the second; None: no such limit.
    colours : str
        Name in :data:`~bids_spectsynth.reports.viewer.colours.COLOUR_MAPS`.
    synthetic : bool
        Computed by a network, or from such an image: SYNTHETIC is drawn into every picture of it.
    """

    name: str
    title: str
    unit: str
    kind: Kind
    volume: Packed
    window: tuple[float, float]
    threshold: tuple[float | None, float | None]
    colours: str
    synthetic: bool = False


@dataclass(frozen=True)
class Focus:
    """A place to jump to, in the world of the T1w.

    ``layer`` is shown on it where it is named; ``group`` is the heading of those that stand together.
    """

    title: str
    at: Point
    layer: str = ""
    group: str = ""


@dataclass(frozen=True, eq=False)
class Viewer:
    """A viewer as a block of a report.

    Parameters
    ----------
    name : str
        Of the element, once in a page.
    title : str
        What is seen, for those who cannot see it.
    layers : sequence of Layer
        The first one's grid decides what is shown: the planes lie along the axes of the world.
    foci : sequence of Focus
    base, overlay, second : str
        Names of the layers at the beginning: below, above (may be empty), and the one that the base flickers with.
    at : tuple of float, optional
        Where the planes meet at the beginning, in the world of the T1w; the middle where it is not given.
    template : str
        Name of a template, where ``to_template`` leads.
    to_template : array, shape (4, 4), optional
        From the world of the T1w to that of the template.
    stamp : str
        Drawn into every picture.
    """

    name: str
    title: str
    layers: Sequence[Layer]
    foci: Sequence[Focus] = ()
    base: str = ""
    overlay: str = ""
    second: str = ""
    at: Point | None = None
    template: str = ""
    to_template: npt.NDArray[np.float64] | None = None
    stamp: str = "research use only"
    kind: str = field(default="viewer", init=False)

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        if not names or len(set(names)) < len(names):
            raise ValueError("a viewer needs layers, each with a name of its own")
        named = {self.base, self.overlay, self.second, *(focus.layer for focus in self.foci)} - {""}
        if named - set(names):
            raise ValueError(f"no layers of these names: {', '.join(sorted(named - set(names)))}")
