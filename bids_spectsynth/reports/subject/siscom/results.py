"""What the output folder holds of a participant's SISCOM: each ictal scan against each of its baselines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.sidecars import as_number, sidecar
from bids_spectsynth.errors import SpectSynthError
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.reports.context import SubjectContext
from bids_spectsynth.reports.pictures.statmaps import Map
from bids_spectsynth.reports.pictures.views import Mask
from bids_spectsynth.reports.plain_table import read_plain
from bids_spectsynth.reports.subject.siscom.facts import KINDS, Facts, baseline_title, is_seen, is_synthetic, kind_of
from bids_spectsynth.reports.subject.siscom.table import Row, by_rank, peak_of
from bids_spectsynth.siscom.outputs.paths import Found, Statistic, find_siscom, map_path

#: Threshold of a picture whose sidecar is lost: the usual one.
_THRESHOLD = 2.0
Point = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Result:
    """One comparison with what its files say.

    Parameters
    ----------
    found : Found
    facts : mapping
        Sidecar of the difference map; empty where it is lost.
    foci : list of dict, or None
        Rows of the table of foci by rank, as text; None where it cannot be read.
    problem : Exception, optional
        Why it cannot be read.
    """

    found: Found
    facts: Facts
    foci: list[Row] | None
    problem: Exception | None = None

    @property
    def baseline(self) -> str:
        """The baseline in words, with its label."""
        return baseline_title(self.facts, self.found.label)

    @property
    def title(self) -> str:
        """The ictal scan and the baseline in words."""
        return f"{scan_title(self.found)} minus {self.baseline}"

    @property
    def threshold(self) -> float:
        """From which z on the map is shown."""
        value = as_number(self.facts.get("Threshold"))
        return value if math.isfinite(value) and value > 0 else _THRESHOLD

    @property
    def synthetic(self) -> bool:
        """Whether a synthetic image went in."""
        return is_synthetic(self.facts, self.found.label)

    @property
    def seen(self) -> bool:
        """Whether the model behind the baseline has learned from this participant."""
        return is_seen(self.facts)

    @property
    def top(self) -> Row | None:
        """The first-ranked focus of hyperperfusion with a peak, else of hypoperfusion."""
        for sign in ("hyper", "hypo"):
            for row in self.foci or []:
                if row["sign"] == sign and peak_of(row) is not None:
                    return row
        return None

    def map(self, context: SubjectContext, case: PreparedCase, label: str) -> Map:
        """Its z map as a row of a picture.

        Parameters
        ----------
        context : SubjectContext
        case : PreparedCase
            That of its ictal scan.
        label : str
            Of the row.

        Raises
        ------
        ImageError
            It cannot be read.
        """
        path = map_path(self.found.clusters, self.found.label, "z")
        return Map(label, context.cut(case, path), self.threshold, self.synthetic)


def results_of(context: SubjectContext) -> list[list[Result]]:
    """All comparisons of a participant: for each ictal scan those of all its baselines, the measured one first."""
    found = [_result(one) for one in find_siscom(context.output_dir, context.participant)]

    def place(one: Result) -> tuple[str, str, int, str]:
        kind = kind_of(one.facts, one.found.label)
        return one.found.session or "", one.found.ictal, KINDS.index(kind), one.found.label

    ordered = sorted(found, key=place)
    return [list(group) for _, group in groupby(ordered, key=lambda one: (one.found.session, one.found.ictal))]


def _result(found: Found) -> Result:
    try:
        foci, problem = by_rank(read_plain(found.clusters)), None
    except SpectSynthError as error:
        foci, problem = None, error
    return Result(found, sidecar(map_path(found.clusters, found.label, "difference")), foci, problem)


def scan_title(found: Found) -> str:
    """``Ictal SPECT (ses-2, run-1)``: the scan, with what tells it from others in its name."""
    parts = [part for part in found.ictal.split("_") if not part.startswith(("sub-", "task-"))]
    return "Ictal SPECT" + (f" ({', '.join(parts)})" if parts else "")


def layer_name(found: Found, statistic: Statistic) -> str:
    """Name of a map in the viewer."""
    return f"{found.ictal}-{found.label}-{statistic}"


def case_of(cases: Sequence[PreparedCase], found: Found) -> PreparedCase | None:
    """The prepared case of an ictal scan, which may lie in another session than its T1w."""
    native = [case for case in cases if case.space == T1W_SPACE]
    stem = f"{found.ictal}_space-"
    owners = [case for case in native if any(path.name.startswith(stem) for path in case.images.values())]
    same = [case for case in native if case.session == found.session]
    return next(iter([*owners, *same, *native]), None)


def voxel_at(point: Point | None, mask: Mask, affine: npt.NDArray[np.float64]) -> tuple[int, int, int]:
    """The voxel at a place of the world; that in the middle of a mask for None.

    Parameters
    ----------
    point : tuple of float, or None
        mm.
    mask : array of bool, shape (i, j, k)
    affine : array, shape (4, 4)
    """
    if point is None:
        at = np.argwhere(mask).mean(axis=0) if mask.any() else np.array(mask.shape) // 2
    else:
        at = np.linalg.solve(affine, [*point, 1.0])[:3]
    i, j, k = (int(np.clip(np.rint(one), 0, size - 1)) for one, size in zip(at, mask.shape, strict=True))
    return i, j, k


def chosen(scans: Sequence[Result]) -> list[Result]:
    """What one picture shows of the baselines of a scan: the first one, and the first with a synthetic image."""
    others = [one for one in scans[1:] if one.synthetic and not scans[0].synthetic]
    return [scans[0], *others[:1]]
