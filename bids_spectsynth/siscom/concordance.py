"""Whether two baselines of one ictal scan tell the same: maps, clusters, and first-ranked foci.

The top focus of a baseline is its first-ranked focus of hyperperfusion, whatever its corrected p: tracers are injected
at the onset to see hyperperfusion, and what lies around it may be lower. A baseline without one has none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from bids_spectsynth.siscom.records import Focus, Maps

#: Foci whose peaks are so near to each other (mm) are one.
SAME_FOCUS_MM = 15.0
UNKNOWN = "n/a"
Verdict = Literal["same focus", "same lobe", "same side", "different", "nothing in one", "nothing in both", "n/a"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
#: Verdicts by which a surgeon would look at the same place.
ALIKE: tuple[Verdict, ...] = ("same focus", "same lobe")

_RANK = (
    "Rank, in the foci of baseline_{1}, of the focus of the same sign whose peak is nearest to the top focus of "
    f"baseline_{{0}}, within {SAME_FOCUS_MM:g} mm; n/a for none."
)
_YES_NO = {"yes": "It is.", "no": "It is not.", UNKNOWN: "One of them is not known."}
CONCORDANCE_DICTIONARY: dict[str, dict[str, Any]] = {
    "baseline_a": {"Description": "The one baseline, as desc-siscom<label> has it."},
    "baseline_b": {"Description": "The other baseline."},
    "correlation": {
        "Description": "Pearson's correlation of the difference maps over the voxels that both evaluate; n/a where one "
        "is constant.",
        "Units": "1",
    },
    "dice": {
        "Description": "Dice overlap of the voxels of hyperperfusion, z from the threshold, in the mask of both; n/a "
        "where there are none.",
        "Units": "1",
    },
    "distance_mm": {"Description": "Between the peaks of the top foci.", "Units": "mm"},
    "side_a": {"Description": "Side of the top focus of baseline_a: L, R or M."},
    "side_b": {"Description": "Side of the top focus of baseline_b."},
    "lobe_a": {"Description": "Lobe of the top focus of baseline_a."},
    "lobe_b": {"Description": "Lobe of the top focus of baseline_b."},
    "p_a": {"Description": "Corrected p of the top focus of baseline_a.", "Units": "1"},
    "p_b": {"Description": "Corrected p of the top focus of baseline_b.", "Units": "1"},
    "same_side": {"Description": "Whether the top foci lie on the same side.", "Levels": _YES_NO},
    "same_lobe": {"Description": "Whether the top foci lie in the same lobe, on the same side.", "Levels": _YES_NO},
    "rank_of_a_in_b": {"Description": _RANK.format("a", "b")},
    "rank_of_b_in_a": {"Description": _RANK.format("b", "a")},
    "verdict": {
        "Description": "What the top foci (first-ranked hyperperfusion, whatever its p) have in common.",
        "Levels": {
            "same focus": f"Their peaks are at most {SAME_FOCUS_MM:g} mm apart.",
            "same lobe": "Else: they lie in the same lobe, on the same side.",
            "same side": "Else: they lie on the same side.",
            "different": "Else.",
            "nothing in one": "One baseline has no focus of hyperperfusion.",
            "nothing in both": "None has one.",
            UNKNOWN: "Their sides are not known.",
        },
    },
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """What one baseline shows in one ictal scan.

    Parameters
    ----------
    label : str
        Of the baseline.
    maps : Maps
        On the grid that all baselines of the scan share.
    foci : sequence of Focus
        With names.
    """

    label: str
    maps: Maps
    foci: Sequence[Focus]


def concordance_table(results: Sequence[Findings], threshold: float) -> pd.DataFrame:
    """Every pair of baselines of one ictal scan, with the columns of :data:`CONCORDANCE_DICTIONARY`.

    Parameters
    ----------
    results : sequence of Findings
        In the order in which readers see them; pairs keep it.
    threshold : float
        z from which a voxel belongs to a cluster.
    """
    rows = [compare(a, b, threshold) for a, b in combinations(results, 2)]
    return pd.DataFrame(rows, columns=list(CONCORDANCE_DICTIONARY))


def compare(a: Findings, b: Findings, threshold: float) -> dict[str, Any]:
    """One row of :func:`concordance_table`.

    Parameters
    ----------
    a, b : Findings
    threshold : float
        z from which a voxel belongs to a cluster.
    """
    first, second = top_focus(a.foci), top_focus(b.foci)
    one, other = _facts(first), _facts(second)
    apart = math.dist(first.peak_mm, second.peak_mm) if first and second else math.nan
    return {
        "baseline_a": a.label,
        "baseline_b": b.label,
        "correlation": round(correlation(a.maps, b.maps), 4),
        "dice": round(dice(a.maps, b.maps, threshold), 4),
        "distance_mm": round(apart, 1),
        "side_a": one[0],
        "side_b": other[0],
        "lobe_a": one[1],
        "lobe_b": other[1],
        "p_a": round(one[2], 4),
        "p_b": round(other[2], 4),
        "same_side": _same(one[:1], other[:1]),
        "same_lobe": _same(one[:2], other[:2]),
        "rank_of_a_in_b": rank_in(first, b.foci),
        "rank_of_b_in_a": rank_in(second, a.foci),
        "verdict": verdict(first, second),
    }


def top_focus(foci: Sequence[Focus]) -> Focus | None:
    """The first-ranked focus of hyperperfusion; None where there is none."""
    return min((focus for focus in foci if focus.sign == "hyper"), key=lambda focus: focus.rank, default=None)


def verdict(a: Focus | None, b: Focus | None) -> Verdict:
    """What two top foci have in common."""
    if a is None or b is None:
        return "nothing in both" if a is None and b is None else "nothing in one"
    if math.dist(a.peak_mm, b.peak_mm) <= SAME_FOCUS_MM:
        return "same focus"
    one, other = _facts(a), _facts(b)
    if _same(one[:2], other[:2]) == "yes":
        return "same lobe"
    answers: dict[str, Verdict] = {"yes": "same side", "no": "different", UNKNOWN: "n/a"}
    return answers[_same(one[:1], other[:1])]


def rank_in(focus: Focus | None, foci: Sequence[Focus]) -> int | str:
    """Rank of the nearest focus of the same sign within :data:`SAME_FOCUS_MM`, in another list; ``n/a`` for none."""
    if focus is None:
        return UNKNOWN
    near = [(math.dist(focus.peak_mm, other.peak_mm), other.rank) for other in foci if other.sign == focus.sign]
    distance, rank = min(near, default=(math.inf, 0))
    return rank if distance <= SAME_FOCUS_MM else UNKNOWN


def correlation(a: Maps, b: Maps) -> float:
    """Pearson's correlation of two difference maps in both masks without the lesion; NaN where one is constant."""
    common = a.reference & b.reference
    x, y = (maps.difference[common].astype(np.float64) for maps in (a, b))
    if x.size < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])


def dice(a: Maps, b: Maps, threshold: float) -> float:
    """Dice overlap of hyperperfusion in the mask of both, without the lesion; NaN where neither has any.

    Parameters
    ----------
    a, b : Maps
    threshold : float
        z from which a voxel counts.
    """
    common = a.reference & b.reference
    x, y = (maps.z[common] >= threshold for maps in (a, b))
    total = np.count_nonzero(x) + np.count_nonzero(y)
    return 2 * float(np.count_nonzero(x & y)) / total if total else math.nan


def _facts(focus: Focus | None) -> tuple[str, str, float]:
    if focus is None:
        return UNKNOWN, UNKNOWN, math.nan
    return focus.names.side, focus.names.lobe, focus.p_corrected


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> str:
    if UNKNOWN in one or UNKNOWN in other:
        return UNKNOWN
    return "yes" if one == other else "no"
