"""What the sidecars of the maps say."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bids_spectsynth.siscom.baselines.registry import SOURCES
from bids_spectsynth.siscom.case import Siscom
from bids_spectsynth.siscom.comparable import Choices
from bids_spectsynth.siscom.outputs.paths import Statistic
from bids_spectsynth.siscom.significance.trend import RADIUS_MM

_WHAT: dict[Statistic, str] = {
    "difference": "Ictal minus baseline, percent of the baseline's brain mean",
    "z": "Ictal minus baseline over its own standard deviation in the brain",
    "znull": "Ictal minus baseline over what these two scans can produce without a seizure",
    "zcohort": "Ictal minus baseline, less the mean and over the standard deviation of participants without a seizure "
    "whom the baseline had not seen",
}
#: What every map of a synthetic baseline says.
SYNTHETIC_NOTE = "The baseline was computed by a network. It is no measurement; not for diagnosis."


def map_sidecar(result: Siscom, statistic: Statistic, choices: Choices, common: Mapping[str, Any]) -> dict[str, Any]:
    """Sidecar of one map.

    Parameters
    ----------
    result : Siscom
    statistic : {'difference', 'z', 'znull', 'zcohort'}
    choices : Choices
    common : mapping
        What all maps of the ictal scan say: ``Sources``, ``SpatialReference`` and the like.
    """
    baseline = result.baseline
    title = SOURCES[baseline.kind].title
    notes = ([SYNTHETIC_NOTE] if baseline.synthetic else []) + list(result.notes)
    used = result.level_used
    return {
        "Description": f"SISCOM, {title}: {_WHAT[statistic]}. 0 outside the evaluation mask.",
        **common,
        **({"Synthetic": True} if baseline.synthetic else {}),
        "Units": "percent" if statistic == "difference" else "1",
        "Baseline": {
            "Kind": baseline.kind,
            "Label": baseline.label,
            "Title": title,
            "Model": baseline.model or None,
            "SeenInTraining": baseline.seen,
        },
        "SmoothingFWHM": choices.fwhm,
        "Threshold": choices.threshold,
        "MinimumVolume": choices.least_ml,
        "StandardDeviationPercent": round(result.maps.sd_percent, 4),
        "LevelUsed": used,
        "Levels": {name: round(value, 5) for name, value in result.levels.items()},
        "ResolutionFWHM": {"Ictal": round(result.fwhm_ictal, 2), "Baseline": round(result.fwhm_baseline, 2)},
        "MatchingFWHM": {"Ictal": round(result.matching.ictal, 2), "Baseline": round(result.matching.baseline, 2)},
        "Route": _route(result),
        **({} if result.lesion_ml is None else {"LesionVolume": round(result.lesion_ml, 3)}),
        **_trend(result),
        "Null": _null(result),
        **_cohort(result),
        "Notes": notes,
    }


def _cohort(result: Siscom) -> dict[str, Any]:
    error = result.error
    if error is None:
        return {}
    shape = {"DeviationShape": "calibrated uncertainty of the synthetic SPECT"} if error.calibrated else {}
    return {"Cohort": {"Participants": error.n_participants, **shape}}


def _route(result: Siscom) -> dict[str, Any]:
    route = result.route
    return {
        "Name": route.name,
        "Matrix": np.round(route.matrix, 6).tolist(),
        "MeanMillimetres": round(route.mean_mm, 3),
        "LargestMillimetres": round(route.largest_mm, 3),
        "ResidualPercent": round(route.residual_percent, 3),
        "OtherResidualPercent": round(route.other_residual_percent, 3),
    }


def _trend(result: Siscom) -> dict[str, Any]:
    maps = result.maps
    if maps.trend is None:
        return {}
    inside = maps.trend[maps.reference].astype(np.float64)
    return {
        "Trend": {
            "RadiusMillimetres": RADIUS_MM,
            "StandardDeviationPercent": round(float(inside.std()), 4),
            "LargestPercent": round(float(np.abs(inside).max()), 4),
            "StandardDeviationPercentBefore": round(float((maps.difference[maps.reference] + inside).std()), 4),
        }
    }


def _heights(result: Siscom) -> dict[str, Any]:
    peaks = () if result.error is None else result.error.peaks
    return {"CriticalHeight": round(float(np.quantile(result.null.heights, 0.95)), 3), "HeldOutPeaks": len(peaks)}


def _null(result: Siscom) -> dict[str, Any]:
    null = result.null
    inside = null.standard_deviation[null.mask]
    return {
        "Simulations": len(null.extents),
        "StandardDeviationPercent": round(float(inside.mean()), 4),
        "MedianLargestClusterVolume": round(float(np.median(null.extents)), 3),
        "CriticalMass": round(float(np.quantile(null.masses, 0.95)), 3),
        **(_heights(result) if len(null.heights) else {}),
        "Parts": {name: round(float(part[null.mask].mean()), 4) for name, part in null.parts.items()},
    }
