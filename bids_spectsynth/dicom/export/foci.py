"""The foci of a SISCOM as voxels, as pages, and as a summary."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from scipy import ndimage

from bids_spectsynth import __version__
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.bids.sidecars import as_number, sidecar
from bids_spectsynth.dicom.export.contents import Comparison
from bids_spectsynth.images.grid import apply_affine
from bids_spectsynth.reports.pictures.mosaic import Title
from bids_spectsynth.reports.pictures.statmaps import Map, thresholded_pixels
from bids_spectsynth.reports.plain_table import read_plain, readable
from bids_spectsynth.reports.reading import read_mask, read_on_grid
from bids_spectsynth.reports.subject.siscom.facts import fact_rows
from bids_spectsynth.siscom.records import Sign

#: Threshold of a picture whose sidecar is lost: the usual one.
_THRESHOLD = 2.0
#: Pages of one comparison, and segments: further foci are in the table of the summary.
MOST_FOCI = 10
_COLUMNS = ("rank", "sign", "x_mm", "y_mm", "z_mm", "volume_ml", "znull_max", "p_corrected", "side", "lobe", "region")
_RESEARCH = "Research use only, not for diagnosis. Patient's left is on the left."
_NETWORK, _SIMULATED = "SYNTHETIC baseline, no measurement.", "SYNTHETIC: a simulated patient."
#: Characters that fit into a line of a page.
_LINE = 112
#: A4, inches.
_PAPER = (8.27, 11.69)


@dataclass(frozen=True)
class Focus:
    """A row of the table of foci."""

    rank: int
    sign: Sign
    peak: tuple[float, float, float]
    z: float
    place: str

    @property
    def label(self) -> str:
        """What pages and segments call it."""
        return f"focus {self.rank}, {self.sign}perfusion, {self.place}".rstrip(", ")


@dataclass(frozen=True, eq=False)
class Scene:
    """A z map with what it is shown on, all on one grid.

    Parameters
    ----------
    t1w, z : array, shape (i, j, k)
    mask : array of bool, shape (i, j, k)
    affine : array, shape (4, 4)
    threshold : float
    foci : tuple of Focus
        The first by rank.
    """

    t1w: npt.NDArray[np.float32]
    z: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]
    affine: npt.NDArray[np.float64]
    threshold: float
    foci: tuple[Focus, ...]

    def voxel(self, focus: Focus) -> tuple[int, int, int]:
        """Where the peak of a focus is."""
        at = np.rint(apply_affine(np.linalg.inv(self.affine), focus.peak)).astype(int)
        i, j, k = (int(np.clip(voxel, 0, size - 1)) for voxel, size in zip(at, self.z.shape, strict=True))
        return i, j, k


def read_scene(case: PreparedCase, comparison: Comparison) -> Scene:
    """Read a z map, its foci and the T1w.

    Raises
    ------
    ImageError, DatasetError
        One of them cannot be read.
    """
    mask, affine = read_mask(case.masks[T1W])
    path = comparison.maps["z"].path
    threshold = as_number(sidecar(path).get("Threshold"))
    return Scene(
        t1w=read_on_grid(case.images[T1W], mask.shape),
        z=read_on_grid(path, mask.shape),
        mask=mask,
        affine=affine,
        threshold=threshold if threshold > 0 else _THRESHOLD,
        foci=_read_foci(comparison),
    )


def _read_foci(comparison: Comparison) -> tuple[Focus, ...]:
    found = []
    for row in read_plain(comparison.found.clusters).to_dict("records"):
        try:
            x, y, z = (float(row[name]) for name in ("x_mm", "y_mm", "z_mm"))
            words = [row.get(name, "n/a") for name in ("side", "lobe", "region")]
            sign: Sign = "hypo" if row["sign"] == "hypo" else "hyper"
            place = " ".join(word for word in words if word not in ("n/a", ""))
            found.append(Focus(int(row["rank"]), sign, (x, y, z), float(row["z_max"]), place))
        except (KeyError, ValueError):
            continue
    return tuple(sorted(found, key=lambda focus: focus.rank)[:MOST_FOCI])


def focus_labels(scene: Scene) -> tuple[npt.NDArray[np.uint8], list[Focus]]:
    """The clusters of the z map that hold the peaks of foci, numbered from 1, and the foci in that order.

    Parameters
    ----------
    scene : Scene

    Returns
    -------
    labels : array of uint8, shape (i, j, k)
    foci : list of Focus
        Those whose peak lies beyond the threshold.
    """
    labels = np.zeros(scene.z.shape, np.uint8)
    clusters = {
        "hyper": ndimage.label(scene.z >= scene.threshold)[0],
        "hypo": ndimage.label(-scene.z >= scene.threshold)[0],
    }
    kept = []
    for focus in scene.foci:
        own = clusters[focus.sign]
        number = own[scene.voxel(focus)]
        if number:
            kept.append(focus)
            labels[own == number] = len(kept)
    return labels, kept


def pages(case: PreparedCase, comparison: Comparison, scene: Scene) -> list[npt.NDArray[np.uint8]]:
    """A page for each focus, or one through the middle of the brain without any; shape (rows, columns, 3), RGB.

    Parameters
    ----------
    case : PreparedCase
    comparison : Comparison
    scene : Scene
    """
    return [_page(case, comparison, scene, focus) for focus in scene.foci or (None,)]


def _page(case: PreparedCase, comparison: Comparison, scene: Scene, focus: Focus | None) -> npt.NDArray[np.uint8]:
    inside = np.argwhere(scene.mask)
    middle = inside.mean(axis=0).round().astype(int) if len(inside) else np.array(scene.mask.shape) // 2
    at = (int(middle[0]), int(middle[1]), int(middle[2])) if focus is None else scene.voxel(focus)
    what = "no focus" if focus is None else f"{focus.label}, z {readable(f'{focus.z:.2f}')}"
    label = "Through\nthe middle" if focus is None else f"Through\nfocus {focus.rank}"
    return thresholded_pixels(
        scene.t1w,
        Map(label, scene.z, scene.threshold, comparison.by_network),
        scene.mask,
        scene.affine,
        at=at,
        title=Title(_clipped(f"{case.name}: {what}; {comparison.title}"), _clipped(" ".join(warnings_of(comparison)))),
    )


def _clipped(line: str) -> str:
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def warnings_of(comparison: Comparison) -> list[str]:
    """What is drawn into every page and stands at the top of the summary."""
    lines = [_NETWORK] if comparison.by_network else []
    lines += [_SIMULATED] if comparison.synthetic and not comparison.by_network else []
    return [*lines, _RESEARCH]


def summary_pdf(case: PreparedCase, comparison: Comparison, drawn: Sequence[npt.NDArray[np.uint8]]) -> bytes:
    """The table of foci, the facts and the pages of a comparison as a PDF of A4.

    Parameters
    ----------
    case : PreparedCase
    comparison : Comparison
    drawn : sequence of array
        Of :func:`pages`.

    Returns
    -------
    bytes
        Without a date: equal input gives equal bytes.
    """
    stream = io.BytesIO()
    facts = {"CreationDate": None, "Creator": f"bids_spectsynth {__version__}", "Producer": None, "Title": case.name}
    with PdfPages(stream, metadata=facts) as document:
        document.savefig(_first_page(case, comparison))
        for first in range(0, len(drawn), 2):
            figure = Figure(figsize=_PAPER)
            for number, pixels in enumerate(drawn[first : first + 2]):
                axes = figure.add_axes((0.04, 0.52 - 0.48 * number, 0.92, 0.44))
                axes.imshow(pixels)
                axes.set_axis_off()
            document.savefig(figure, dpi=150)
    return stream.getvalue()


def _first_page(case: PreparedCase, comparison: Comparison) -> Figure:
    figure = Figure(figsize=_PAPER)
    lines = [f"{case.name}: {comparison.title}", *warnings_of(comparison), ""]
    path = comparison.maps["z"].path
    lines += [f"{name}: {value}" for name, value in fact_rows(sidecar(path), comparison.found.label)]
    wrapped = [part for line in lines for part in _wrapped(line, 105)]
    figure.text(0.06, 0.95, "\n".join(wrapped), fontsize=8, va="top", parse_math=False, linespacing=1.4)
    table = read_plain(comparison.found.clusters)
    columns = [name for name in _COLUMNS if name in table]
    rows = [[readable(str(text))[:24] for text in row] for row in table[columns].to_numpy().tolist()[:25]]
    if rows:
        axes = figure.add_axes((0.04, 0.04, 0.92, 0.5))
        axes.set_axis_off()
        drawn = axes.table(cellText=rows, colLabels=columns, loc="upper center", cellLoc="left")
        drawn.auto_set_font_size(False)
        drawn.set_fontsize(5.5)
        drawn.auto_set_column_width(list(range(len(columns))))
    else:
        figure.text(0.06, 0.5, "No focus lies beyond the threshold.", fontsize=8)
    return figure


def _wrapped(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, subsequent_indent="    ") or [""]
