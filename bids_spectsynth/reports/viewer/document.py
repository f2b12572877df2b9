"""A viewer as JSON for the page's script: safe inside a script element, whatever its texts say."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_spectsynth.reports.viewer.colours import COLOUR_MAPS, colours
from bids_spectsynth.reports.viewer.layers import Layer, Viewer
from bids_spectsynth.reports.viewer.packing import Packed

#: Picture elements of a slice are as large as this or smaller, mm.
_FINEST_MM = 1.0
#: What could end a script element or begin another one; also what would be read as an entity in XHTML.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def document(viewer: Viewer) -> str:
    """JSON text of a viewer, without any ``<``, ``>`` or ``&``."""
    content = {
        "title": viewer.title,
        "frame": frame(viewer.layers[0].volume),
        "layers": [_layer(layer) for layer in viewer.layers],
        "volumes": _volumes(viewer.layers),
        "foci": [asdict(focus) for focus in viewer.foci],
        "maps": {name: _colour_map(name) for name in COLOUR_MAPS},
        "base": viewer.base or viewer.layers[0].name,
        "overlay": viewer.overlay,
        "second": viewer.second,
        "at": viewer.at,
        "template": viewer.template,
        "toTemplate": None if viewer.to_template is None else _rows(viewer.to_template),
        "stamp": viewer.stamp,
    }
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def frame(volume: Packed) -> dict[str, Any]:
    """The part of the world that is shown: picture elements along its axes.

    Parameters
    ----------
    volume : Packed

    Returns
    -------
    dict
        ``low``: centre of the first picture element, mm; ``step``: their distance, an odd fraction of the smallest
        voxel side, so that centres of voxels are centres of picture elements; ``size``: their number along x, y, z;
        ``voxel``: the distance that a key moves, mm.
    """
    sides = np.sqrt((volume.affine[:3, :3] ** 2).sum(axis=0))
    smallest = float(sides.min())
    parts = int(np.ceil(smallest / _FINEST_MM - 1e-3))
    step = smallest / (parts + 1 - parts % 2)
    corners = np.array(list(product(*((-0.5, size - 0.5) for size in volume.shape))))
    world = corners @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    low, high = world.min(axis=0), world.max(axis=0)
    size = np.maximum(np.rint((high - low) / step), 1).astype(int)
    return {"low": (low + step / 2).tolist(), "step": step, "size": size.tolist(), "voxel": smallest}


def _layer(layer: Layer) -> dict[str, Any]:
    entries = {name: value for name, value in vars(layer).items() if name != "volume"}
    return {**entries, "window": list(layer.window), "threshold": list(layer.threshold)}


def _volumes(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Volumes; one whose integers are those of another (a map and the same in other units) names it by its number."""
    first: dict[tuple[tuple[int, int, int], int, int, str], int] = {}
    volumes = []
    for number, layer in enumerate(layers):
        volume = layer.volume
        same = first.setdefault((volume.shape, volume.bits, volume.axes, volume.data), number)
        volumes.append({
            "shape": volume.shape,
            "toVoxel": _rows(np.asarray(np.linalg.inv(volume.affine))),
            "bits": volume.bits,
            "slope": volume.slope,
            "intercept": volume.intercept,
            "axes": volume.axes,
            "data": volume.data if same == number else same,
        })  # fmt: skip
    return volumes


def _rows(matrix: npt.NDArray[np.float64]) -> list[list[float]]:
    """The upper three rows; the fourth is always 0, 0, 0, 1."""
    return [[float(value) for value in row] for row in matrix[:3]]


def _colour_map(name: str) -> dict[str, str]:
    title, family = COLOUR_MAPS[name]
    return {"title": title, "family": family, "colours": base64.b64encode(colours(name).tobytes()).decode("ascii")}
