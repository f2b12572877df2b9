"""``group_siscom.tsv``: every ictal scan and baseline in one row."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bids_spectsynth.siscom.group.results import Result, number
from bids_spectsynth.siscom.outputs.columns import CLUSTERS_DICTIONARY

_TOP = "Of the top focus (first-ranked hyperperfusion, whatever its p): "
_OF_TOP = (
    "x_mm", "y_mm", "z_mm", "volume_ml", "z_max", "znull_max", "zcohort_max", "percent_max", "p_corrected", "side",
    "lobe", "region", "flags",
)  # fmt: skip
YES_NO = {"yes": "It is so.", "no": "It is not."}
Dictionary = dict[str, dict[str, Any]]


def _of_top(name: str) -> dict[str, Any]:
    own = CLUSTERS_DICTIONARY[name]
    text = own["Description"]
    return {**own, "Description": _TOP + text[0].lower() + text[1:]}


SCANS_DICTIONARY: Dictionary = {
    "participant_id": {"Description": "Participant."},
    "session_id": {"Description": "Session of the ictal scan; n/a without one."},
    "ictal": {"Description": "The ictal scan: its file name up to the space."},
    "baseline": {"Description": "What was subtracted, as desc-siscom<label> has it."},
    "kind": {
        "Description": "Kind of the baseline.",
        "Levels": {
            "real": "The measured interictal SPECT.",
            "synthetic": "A network's interictal SPECT.",
            "pet": "The PET (PISCOM).",
            "cohort": "The mean of a training cohort.",
            "normals": "The mean of healthy SPECT.",
        },
    },
    "model": {"Description": "The model behind the baseline; n/a for none."},
    "synthetic": {"Description": "Whether an image that a network made went in.", "Levels": YES_NO},
    "seen": {
        "Description": "Whether the model behind the baseline has learned from this participant. Such rows stand here "
        "and in no statistics.",
        "Levels": YES_NO,
    },
    "n_hyper": {"Description": "Foci of hyperperfusion."},
    "n_hypo": {"Description": "Foci of hypoperfusion."},
    "n_significant_hyper": {"Description": "Foci of hyperperfusion with a corrected p below 0.05."},
    "n_significant_hypo": {"Description": "Foci of hypoperfusion with a corrected p below 0.05."},
    **{name: _of_top(name) for name in _OF_TOP},
    "sd_percent": {
        "Description": "Standard deviation of the difference in the brain, percent of the brain mean.",
        "Units": "percent",
    },
    "route": {"Description": "How the ictal scan was brought to the baseline."},
    "route_mean_mm": {"Description": "Mean disagreement of the two routes over the brain.", "Units": "mm"},
    "route_largest_mm": {"Description": "Largest disagreement of the two routes over the brain.", "Units": "mm"},
    "level_used": {"Description": "Which estimate brought both scans to one level."},
    "fwhm_ictal_mm": {"Description": "Estimated resolution of the ictal scan.", "Units": "mm"},
    "fwhm_baseline_mm": {"Description": "Estimated resolution of the baseline.", "Units": "mm"},
    "threshold": {"Description": "z from which a voxel belongs to a cluster.", "Units": "1"},
    "n_cohort": {"Description": "Participants behind the z map against a cohort; n/a without it."},
}


def scans_table(results: Sequence[Result]) -> pd.DataFrame:
    """One row per result, with the columns of :data:`SCANS_DICTIONARY`."""
    return pd.DataFrame([_row(result) for result in results], columns=list(SCANS_DICTIONARY))


def counted(dictionary: Dictionary, results: Sequence[Result]) -> Dictionary:
    """A data dictionary whose first column says how many participants and ictal scans stand behind the table."""
    people = {result.participant for result in results}
    scans = {result.found.ictal for result in results}
    seen = {result.participant for result in results if result.seen}
    first, *_ = dictionary
    text = f"{len(people)} participants with {len(scans)} ictal scans; {len(seen)} seen by a model."
    return {**dictionary, first: {**dictionary[first], "Description": f"{dictionary[first]['Description']} {text}"}}


def _row(result: Result) -> dict[str, Any]:
    facts, top = result.facts, result.top
    route, fwhm, cohort = (_part(facts, name) for name in ("Route", "ResolutionFWHM", "Cohort"))
    row: dict[str, Any] = {
        "participant_id": result.participant,
        "session_id": f"ses-{result.found.session}" if result.found.session else "n/a",
        "ictal": result.found.ictal,
        "baseline": result.label,
        "kind": result.kind,
        "model": result.model or "n/a",
        "synthetic": yes_no(result.synthetic),
        "seen": yes_no(result.seen),
        "n_hyper": sum(focus.sign == "hyper" for focus in result.foci),
        "n_hypo": sum(focus.sign == "hypo" for focus in result.foci),
        "n_significant_hyper": len(result.significant("hyper")),
        "n_significant_hypo": len(result.significant("hypo")),
        **dict.fromkeys(_OF_TOP, math.nan),
        "sd_percent": number(facts.get("StandardDeviationPercent")),
        "route": str(route.get("Name") or "n/a"),
        "route_mean_mm": number(route.get("MeanMillimetres")),
        "route_largest_mm": number(route.get("LargestMillimetres")),
        "level_used": str(facts.get("LevelUsed") or "n/a"),
        "fwhm_ictal_mm": number(fwhm.get("Ictal")),
        "fwhm_baseline_mm": number(fwhm.get("Baseline")),
        "threshold": number(facts.get("Threshold")),
        "n_cohort": number(cohort.get("Participants")),
    }
    if top is None:
        return row
    x, y, z = top.peak_mm
    measures = {name: getattr(top, name) for name in _OF_TOP[3:9]}
    names = {"side": top.names.side, "lobe": top.names.lobe, "region": top.names.region}
    return {**row, "x_mm": x, "y_mm": y, "z_mm": z, **measures, **names, "flags": ",".join(top.flags) or "n/a"}


def yes_no(value: bool) -> str:
    """As tables say it."""
    return "yes" if value else "no"


def _part(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = facts.get(name)
    return part if isinstance(part, dict) else {}
