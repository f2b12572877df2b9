"""Columns of the table of foci and their data dictionary."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bids_spectsynth.siscom.records import Focus, Names

_T1W = "in the world of the T1w, RAS+"
_SD = "Standard deviation, percent of the brain mean, that {} can produce at the peak without a seizure."

CLUSTERS_DICTIONARY: dict[str, dict[str, Any]] = {
    "rank": {"Description": "Place among the foci of this map, by the absolute value of its peak in znull."},
    "sign": {
        "Description": "Whether the ictal scan is higher or lower than the baseline.",
        "Levels": {"hyper": "Hyperperfusion.", "hypo": "Hypoperfusion."},
    },
    "x_mm": {"Description": f"Peak, {_T1W}: positive is right.", "Units": "mm"},
    "y_mm": {"Description": f"Peak, {_T1W}: positive is anterior.", "Units": "mm"},
    "z_mm": {"Description": f"Peak, {_T1W}: positive is superior.", "Units": "mm"},
    "volume_ml": {"Description": "Volume of the cluster of the z map beyond the threshold.", "Units": "mL"},
    "z_max": {"Description": "Largest value of the z map (difference over its own standard deviation).", "Units": "1"},
    "znull_max": {
        "Description": "Largest value of the difference over what these scans produce without a seizure.",
        "Units": "1",
    },
    "zcohort_max": {
        "Description": "Largest value of the difference against scans without a seizure: held-out participants of the "
        "cohort, or normals; n/a without them.",
        "Units": "1",
    },
    "percent_max": {"Description": "Difference at the peak, percent of the baseline's brain mean.", "Units": "percent"},
    "p_corrected": {
        "Description": "Chance that these scans, without a seizure, have as much anywhere in the brain: a cluster "
        "of this mass (volume times z beyond the threshold), share of simulated maps; where a trend was taken off "
        "(Trend in the sidecars of the maps), a value of this height in znull, by simulated maps or by the maps of "
        "held-out participants without a seizure, whichever finds it likelier.",
        "Units": "1",
    },
    "side": {
        "Description": "Side of the peak.",
        "Levels": {"L": "Left.", "R": "Right.", "M": "Within 2 mm of the middle.", "n/a": "Unknown."},
    },
    "lobe": {"Description": "Lobe of the peak; n/a without labels."},
    "region": {"Description": "Region of the peak, or the nearest; n/a without labels."},
    "flags": {
        "Description": "What to be wary of, joined by commas; n/a for nothing.",
        "Levels": {
            "edge": "The peak lies within 8 mm of the brain's edge.",
            "within-null": "The corrected p is not below 0.05.",
            "seen": "The model behind the baseline has learned from this participant.",
            "large": "The cluster fills more than a fifth of the brain: there is no focus in it.",
            "lesion": "The cluster lies in the lesion mask or within 8 mm of it: what is changed there for good, or "
            "was cut out, may look like it.",
        },
    },
    "percent_mean": {"Description": "Mean difference in the cluster.", "Units": "percent"},
    "xc_mm": {"Description": f"Centroid, {_T1W}.", "Units": "mm"},
    "yc_mm": {"Description": f"Centroid, {_T1W}.", "Units": "mm"},
    "zc_mm": {"Description": f"Centroid, {_T1W}.", "Units": "mm"},
    "x_template_mm": {"Description": "Peak in the template's world, RAS+.", "Units": "mm"},
    "y_template_mm": {"Description": "Peak in the template's world, RAS+.", "Units": "mm"},
    "z_template_mm": {"Description": "Peak in the template's world, RAS+.", "Units": "mm"},
    "region_distance_mm": {"Description": "From the peak to the nearest voxel of the region; 0 inside.", "Units": "mm"},
    "edge_mm": {"Description": "From the peak to the edge of the brain that both scans measured.", "Units": "mm"},
    "lesion_percent": {
        "Description": "Part of the cluster that lies in the lesion mask; n/a without one.",
        "Units": "percent",
    },
    "lesion_mm": {
        "Description": "From the peak to the nearest voxel of the lesion mask; 0 inside; n/a without one.",
        "Units": "mm",
    },
    "null_share": {
        "Description": "Volume of the cluster over the median largest cluster of the simulated maps.",
        "Units": "1",
    },
    "sd_registration_percent": {"Description": _SD.format("the registration"), "Units": "percent"},
    "sd_noise_percent": {"Description": _SD.format("the cameras' noise"), "Units": "percent"},
    "sd_variation_percent": {
        "Description": _SD.format("slow variation between two injections, or what a baseline gets wrong alike,"),
        "Units": "percent",
    },
    "sd_resolution_percent": {"Description": _SD.format("the difference of the resolutions"), "Units": "percent"},
    "sd_synthesis_percent": {
        "Description": _SD.format(
            "all of this together and what the baseline gets wrong, by the participants or normals behind zcohort,"
        ),
        "Units": "percent",
    },
}


def clusters_table(foci: Sequence[Focus], typical_null_ml: float) -> pd.DataFrame:
    """The foci as a table with the columns of :data:`CLUSTERS_DICTIONARY`.

    Parameters
    ----------
    foci : sequence of Focus
    typical_null_ml : float
        Median volume of the largest cluster of the simulated maps, mL.
    """
    rows = [_row(focus, typical_null_ml) for focus in foci]
    return pd.DataFrame(rows, columns=list(CLUSTERS_DICTIONARY))


def _row(focus: Focus, typical_null_ml: float) -> dict[str, Any]:
    names = focus.names
    template = names.template_mm or (float("nan"),) * 3
    return {
        "rank": focus.rank,
        "sign": focus.sign,
        **_rounded(zip(("x_mm", "y_mm", "z_mm"), focus.peak_mm, strict=True), 1),
        "volume_ml": round(focus.volume_ml, 2),
        "z_max": round(focus.z_max, 3),
        "znull_max": round(focus.znull_max, 3),
        "zcohort_max": round(focus.zcohort_max, 3),
        "percent_max": round(focus.percent_max, 2),
        "p_corrected": round(focus.p_corrected, 4),
        "side": names.side,
        "lobe": names.lobe,
        "region": names.region,
        "flags": ",".join(focus.flags) or "n/a",
        "percent_mean": round(focus.percent_mean, 2),
        **_rounded(zip(("xc_mm", "yc_mm", "zc_mm"), focus.centroid_mm, strict=True), 1),
        **_rounded(zip(("x_template_mm", "y_template_mm", "z_template_mm"), template, strict=True), 1),
        "region_distance_mm": round(names.distance_mm, 1),
        "edge_mm": round(focus.edge_mm, 1),
        "lesion_percent": round(focus.lesion_percent, 1),
        "lesion_mm": round(focus.lesion_mm, 1),
        "null_share": round(focus.volume_ml / typical_null_ml, 3) if typical_null_ml > 0 else float("nan"),
        **{
            f"sd_{cause}_percent": round(focus.budget.get(cause, float("nan")), 2)
            for cause in ("registration", "noise", "variation", "resolution", "synthesis")
        },
    }


def _rounded(pairs: Any, digits: int) -> dict[str, float]:
    return {name: round(float(value), digits) for name, value in pairs}


def with_names(foci: Sequence[Focus], names: Sequence[Names]) -> list[Focus]:
    """The foci with the names of their peaks, in order."""
    return [replace(focus, names=own) for focus, own in zip(foci, names, strict=True)]
