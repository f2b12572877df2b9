"""The picture of a case of a reader study: a thresholded map on the T1w in three planes."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from bids_spectsynth.bids.writing import atomic_file
from bids_spectsynth.evaluation.figures.style import MM, print_style
from bids_spectsynth.siscom.records import Float32, Float64

#: Axial slices lie about 10 mm apart: a focus of a map that was smoothed by 12 mm is in one of them.
_COLUMNS, _WIDTH_MM, _DPI = 12, 300.0, 150
#: The axis that a row cuts, and the letters at its left and right border.
_ROWS = ((2, ("L", "R")), (1, ("L", "R")), (0, ("P", "A")))


def write_mosaic(path: Path, title: str, t1w: Float32, z: Float32, affine: Float64, threshold: float) -> None:
    """Write the picture as PNG; equal images give equal bytes.

    Parameters
    ----------
    path : Path
    title : str
        All that it says of the case.
    t1w, z : array, shape (I, J, K)
        On a prepared grid: cubic voxels in RAS+ order, without rotation. The T1w is 0 outside the brain.
    affine : array, shape (4, 4)
    threshold : float
        Voxels of ``z`` at or beyond it are coloured, both signs on one scale.
    """
    box = _box(t1w > 0)
    brain, beyond = t1w[box], np.where(np.abs(z[box]) >= threshold, z[box], np.nan)
    origin = affine[:3, :3] @ [part.start for part in box] + affine[:3, 3]
    indices = [[int(at * (n - 1)) for at in np.linspace(0.1, 0.9, _COLUMNS)] for n in brain.shape]
    cell = _cell(brain)
    under, over = (_sheet(values, indices, fill) for values, fill in ((brain, 0.0), (beyond, np.nan)))
    strongest = max(float(np.nanmax(np.abs(z[box]), initial=threshold)), threshold + 1)
    white = float(np.percentile(brain[brain > 0], 99.5)) if (brain > 0).any() else 1.0
    with print_style():
        figure = Figure(figsize=(_WIDTH_MM * MM, 0.25 * _WIDTH_MM * MM), facecolor="black")
        axes = figure.add_axes((0.01, 0.0, 0.92, 0.93))
        axes.imshow(under, cmap="gray", vmin=0, vmax=white)
        shown = axes.imshow(over, cmap="coolwarm", vmin=-strongest, vmax=strongest, interpolation="nearest")
        axes.set_axis_off()
        for row, (axis, (left, right)) in enumerate(_ROWS):
            for column, index in enumerate(indices[axis]):
                place = origin[axis] + index * affine[axis, axis]
                text = f"{left}  {'xyz'[axis]} {place:.0f} mm  {right}"
                middle = (column + 0.5) * cell
                axes.text(middle, row * cell, text, color="white", ha="center", va="top")
        bar = figure.colorbar(shown, cax=figure.add_axes((0.945, 0.2, 0.012, 0.6)))
        bar.set_label(f"z, from {threshold:g}", color="white")
        bar.ax.tick_params(colors="white")
        figure.suptitle(title, color="white")
        with atomic_file(path) as file:
            figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})


def _cell(brain: npt.NDArray[np.floating]) -> int:
    # With room for a line of text above each slice.
    return int(1.12 * max(brain.shape))


def _sheet(values: npt.NDArray[np.floating], indices: list[list[int]], fill: float) -> npt.NDArray[np.floating]:
    """Slices side by side in equal cells, a row for each plane, first row at the top."""
    cell = _cell(values)
    sheet = np.full((len(_ROWS) * cell, _COLUMNS * cell), fill, dtype=np.float32)
    for row, (axis, _) in enumerate(_ROWS):
        for column, index in enumerate(indices[axis]):
            cut = np.take(values, index, axis=axis).T[::-1]
            top, left = (row + 1) * cell - cut.shape[0], column * cell + (cell - cut.shape[1]) // 2
            sheet[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return sheet


def _box(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The box around a mask; the whole grid where it is empty."""
    sides = []
    for axis in range(3):
        found = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        sides.append(slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, mask.shape[axis]))
    return sides[0], sides[1], sides[2]
