"""Results of SISCOM in an output folder, read back from the tables of foci and the sidecars of the maps."""

import csv
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from bids_spectsynth.bids.participants import read_rows
from bids_spectsynth.bids.sidecars import as_number, sidecar
from bids_spectsynth.siscom.concordance import top_focus
from bids_spectsynth.siscom.outputs.paths import Found, concordance_path, find_siscom
from bids_spectsynth.siscom.records import BaselineKind, Focus, Names, Sign

logger = logging.getLogger(__name__)

#: Corrected p below which a focus is more than the scans produce without a seizure.
SIGNIFICANT = 0.05
_NUMBERS = (
    "x_mm", "y_mm", "z_mm", "xc_mm", "yc_mm", "zc_mm", "volume_ml", "z_max", "znull_max", "zcohort_max", "percent_max",
    "percent_mean", "p_corrected", "edge_mm",
)  # fmt: skip
_ORDER = get_args(BaselineKind)
_KINDS = {"Real": "real", "Pet": "pet", "Cohort": "cohort", "Normals": "normals"}
_SIGNS: dict[str, Sign] = {"hyper": "hyper", "hypo": "hypo"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """One ictal scan and one baseline.

    Parameters
    ----------
    found : Found
        Its files.
    kind, model : str
        Of the baseline; the model is empty for none.
    synthetic, seen : bool
        Whether a network's image went in, and whether the network has learned from this participant.
    foci : tuple of Focus
        By rank; only what the group level needs of them.
    facts : mapping
        Sidecar of the difference map.
    """

    found: Found
    kind: str
    model: str
    synthetic: bool
    seen: bool
    foci: tuple[Focus, ...]
    facts: Mapping[str, Any]

    @property
    def participant(self) -> str:
        """Label with ``sub-``."""
        return f"sub-{self.found.participant}"

    @property
    def label(self) -> str:
        """Of the baseline."""
        return self.found.label

    @property
    def place(self) -> tuple[int, str]:
        """What baselines are ordered by: kind, then label."""
        return _ORDER.index(self.kind) if self.kind in _ORDER else len(_ORDER), self.label

    @property
    def top(self) -> Focus | None:
        """The first-ranked focus of hyperperfusion."""
        return top_focus(self.foci)

    def significant(self, sign: Sign | None = None) -> list[Focus]:
        """Foci with a corrected p below 0.05, of one sign or of both."""
        return [one for one in self.foci if one.p_corrected < SIGNIFICANT and sign in (None, one.sign)]


def read_results(output_dir: Path) -> list[Result]:
    """All results of an output folder, by participant, scan and baseline.

    A damaged table is named in the log and left out.

    Parameters
    ----------
    output_dir : Path
    """
    results = []
    for found in find_siscom(output_dir):
        try:
            foci = _read_foci(found.clusters)
        except (OSError, ValueError, KeyError, csv.Error) as error:
            logger.warning("%s", _damaged(found.clusters, error))
            continue
        results.append(_result(found, foci))
    return sorted(results, key=lambda one: (one.participant, one.found.session or "", one.found.ictal, one.place))


def read_concordance(results: Sequence[Result]) -> list[tuple[Result, Result, dict[str, str]]]:
    """The rows of the concordance tables of some results, each with the results of its two baselines.

    A damaged table is named in the log and left out, and so are pairs of which one result no longer exists.

    Parameters
    ----------
    results : sequence of Result

    Returns
    -------
    list of tuple of Result, Result, dict
        The dict holds the row's values as text.
    """
    tables: dict[Path, dict[str, Result]] = {}
    for result in results:
        tables.setdefault(concordance_path(result.found.clusters), {})[result.label] = result
    pairs = []
    for path, by_label in tables.items():
        if not path.is_file():
            continue
        try:
            columns, rows = read_rows(path)
            if missing := {"baseline_a", "baseline_b", "verdict"} - set(columns):
                raise ValueError(f"no column {min(missing)}")
        except (OSError, ValueError) as error:
            logger.warning("%s", _damaged(path, error))
            continue
        for row in rows:
            a, b = by_label.get(row["baseline_a"]), by_label.get(row["baseline_b"])
            if a is not None and b is not None:
                pairs.append((a, b, row))
    return pairs


def by_participant(results: Sequence[Result]) -> list[Result]:
    """The first ictal scan (by file name) of each participant; statistics count participants, not scans."""
    first: dict[str, Result] = {}
    for result in sorted(results, key=lambda one: (one.participant, one.found.session or "", one.found.ictal)):
        first.setdefault(result.participant, result)
    return list(first.values())


def number(value: object) -> float:
    """A number of a table's cell or of a sidecar; NaN for anything else."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return math.nan
    return as_number(value)


def _damaged(path: Path, error: Exception) -> str:
    reason = f"no column {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
    return f"{path}: not a table of SISCOM ({reason}); left out; delete it and run the participant again"


def _result(found: Found, foci: tuple[Focus, ...]) -> Result:
    facts = sidecar(found.maps["difference"]) if "difference" in found.maps else {}
    baseline = facts.get("Baseline")
    told = baseline if isinstance(baseline, dict) else {}
    flagged = any("seen" in focus.flags for focus in foci)
    kind = str(told.get("Kind") or _KINDS.get(found.label, "synthetic"))
    return Result(
        found=found,
        kind=kind,
        model=str(told.get("Model") or ""),
        synthetic=facts.get("Synthetic") is True or kind == "synthetic",
        seen=told.get("SeenInTraining") is True or flagged,
        foci=foci,
        facts=facts,
    )


def _read_foci(path: Path) -> tuple[Focus, ...]:
    _, rows = read_rows(path)
    return tuple(sorted((_focus(row) for row in rows), key=lambda focus: focus.rank))


def _focus(row: Mapping[str, str]) -> Focus:
    values = {name: number(row[name]) for name in _NUMBERS}
    peak = (values["x_mm"], values["y_mm"], values["z_mm"])
    if not np.isfinite(peak).all() or row["sign"] not in _SIGNS:
        raise ValueError(f"rank {row['rank']}: no peak or no sign")
    return Focus(
        rank=int(row["rank"]),
        sign=_SIGNS[row["sign"]],
        peak_mm=peak,
        centroid_mm=(values["xc_mm"], values["yc_mm"], values["zc_mm"]),
        volume_ml=values["volume_ml"],
        z_max=values["z_max"],
        znull_max=values["znull_max"],
        zcohort_max=values["zcohort_max"],
        percent_max=values["percent_max"],
        percent_mean=values["percent_mean"],
        p_corrected=values["p_corrected"],
        edge_mm=values["edge_mm"],
        names=Names(side=row["side"], lobe=row["lobe"], region=row["region"]),
        flags=tuple(flag for flag in row["flags"].split(",") if flag != "n/a"),
    )
