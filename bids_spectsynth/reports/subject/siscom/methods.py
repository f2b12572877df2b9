"""The paragraph on SISCOM in the methods text, written from the sidecars of the maps."""

import math
from collections.abc import Sequence

from bids_spectsynth.bids.output_files import volume_text
from bids_spectsynth.bids.sidecars import as_number
from bids_spectsynth.reports.html import number
from bids_spectsynth.reports.subject.siscom.facts import (
    Facts,
    baseline_title,
    injection,
    is_seen,
    is_synthetic,
    kind_of,
    level_name,
    part_of,
)

_GUIDELINE = (
    "Traub-Weidinger T, et al. EANM practice guidelines for an appropriate use of PET and SPECT for patients with "
    "epilepsy. Eur J Nucl Med Mol Imaging 2024;51:1891-1908. doi:10.1007/s00259-024-06656-3",
    "https://doi.org/10.1007/s00259-024-06656-3",
)
_PISCOM = (
    "Perissinotti A, et al. PISCOM: a new procedure for epilepsy combining ictal SPECT and interictal PET. "
    "Eur J Nucl Med Mol Imaging 2018;45. doi:10.1007/s00259-018-4080-6",
    "https://doi.org/10.1007/s00259-018-4080-6",
)
_UNCHANGED = (
    "Boussion N, et al. Automated detection of local normalization areas for ictal-interictal subtraction brain SPECT. "
    "J Nucl Med 2002;43:1419-1425.",
    "https://jnm.snmjournals.org/content/43/11/1419",
)


def siscom_paragraph(results: Sequence[tuple[str, Facts]]) -> tuple[str, list[tuple[str, str]]]:
    """How ictal scans were compared with their baselines, and the works that this cites.

    Parameters
    ----------
    results : sequence of (str, mapping)
        Label of the baseline and sidecar of the difference map, of each comparison; at least one.

    Returns
    -------
    paragraph : str
    references : list of (str, str)
        Text and link.
    """
    every = [facts for _, facts in results]
    used = list(dict.fromkeys(str(facts["LevelUsed"]) for facts in every if "LevelUsed" in facts))
    named = list(dict.fromkeys(baseline_title(facts, label) for label, facts in results))
    sentences = [
        f"Ictal SPECT was subtracted (SISCOM; for its use see the guideline of Traub-Weidinger 2024) from: "
        f"{', '.join(named)}.",
        _alignment(every),
        _resolution(every),
        _level(used),
        _lesion(every),
        _maps(results),
        _clusters(every),
        *_baselines(results),
        *_injections(every),
    ]
    references = [_GUIDELINE]
    references += [_PISCOM] if any(kind_of(facts, label) == "pet" for label, facts in results) else []
    references += [_UNCHANGED] if "unchanged" in used else []
    return " ".join(sentence for sentence in sentences if sentence), references


def _alignment(every: Sequence[Facts]) -> str:
    routes = {str(part_of(facts, "Route").get("Name")) for facts in every}
    if routes == {"direct"}:
        return "The ictal scan was registered rigidly to the baseline itself."
    if "direct" in routes:
        return (
            "The ictal scan was registered rigidly to the baseline itself or, with baselines that were not measured "
            "and where that was not plausible, brought to it through the T1w image."
        )
    return "The ictal scan was brought to the baseline through the T1w image." if "through the T1w" in routes else ""


def _resolution(every: Sequence[Facts]) -> str:
    ictal, baseline = (_span([part_of(facts, "ResolutionFWHM").get(key) for facts in every], 1)
                       for key in ("Ictal", "Baseline"))  # fmt: skip
    smoothing = _span([facts.get("SmoothingFWHM") for facts in every], 1)
    estimated = f" (estimated FWHM: ictal {ictal} mm, baseline {baseline} mm)" if ictal and baseline else ""
    smoothed = f", and both were smoothed by a Gaussian of {smoothing} mm FWHM inside the brain" if smoothing else ""
    return f"The sharper scan was smoothed to the resolution of the other{estimated}{smoothed}."


def _level(used: Sequence[str]) -> str:
    after = {"unchanged": " (Boussion 2002)"}
    ways = [f"the {level_name(name)}{after.get(name, '')}" for name in used]
    return f"They were brought to one level by {' or '.join(ways)}." if ways else ""


def _lesion(every: Sequence[Facts]) -> str:
    volumes = [ml for ml in (as_number(facts.get("LesionVolume")) for facts in every) if math.isfinite(ml)]
    if not volumes:
        return ""
    if max(volumes) == 0:
        return (
            "A lesion mask was given, of which nothing lies in the brain that the scans show; foci near it are flagged."
        )
    low, high = (_without_zeros(volume_text(ml)) for ml in (min(volumes), max(volumes)))
    volume = low if low == high else f"{low} to {high}"
    return (
        f"A lesion mask of {volume} mL, counted where the scans show the brain, was left out of alignment, level, fits "
        "and standard deviations; the maps go on in it."
    )


def _maps(results: Sequence[tuple[str, Facts]]) -> str:
    every = [facts for _, facts in results]
    spread = _span([facts.get("StandardDeviationPercent") for facts in every], 1)
    simulations = _span([part_of(facts, "Null").get("Simulations") for facts in every], 0)
    cohort = _span([part_of(facts, "Cohort").get("Participants") for facts in every], 0)
    text = ""
    radius = _span([part_of(facts, "Trend").get("RadiusMillimetres") for facts in every], 0)
    if radius:
        text = (
            "From the difference to baselines that were not measured, broad differences were taken off, estimated at "
            f"each point by kriging from the brain more than {radius} mm away. "
        )
    text += "The difference in percent of the brain mean was divided by its own standard deviation in the brain"
    text += f" ({spread} %)" if spread else ""
    if simulations:
        text += (
            ", and voxel by voxel by that of maps without a seizure, simulated from the noise of both scans and the "
            f"errors of registration and resolution (n = {simulations})"
        )
    if cohort:
        text += f", and by that of the same difference in participants held out from training (n = {cohort})"
        if any(part_of(facts, "Cohort").get("DeviationShape") for facts in every):
            text += (
                ", drawn to the shape of the calibrated standard deviations of the synthetic SPECT where it has them"
            )
    return text + ". The edge of the brain was left out."


def _clusters(every: Sequence[Facts]) -> str:
    threshold, least = (_span([facts.get(key) for facts in every], 1) for key in ("Threshold", "MinimumVolume"))
    if not threshold:
        return ""
    smallest = f" of at least {least} mL" if least else ""
    return (
        f"Clusters{smallest} with z beyond {threshold} or −{threshold} are foci of hyper- and hypoperfusion, ranked by "
        "their peak over what the scans produce without a seizure; their p is corrected for the whole brain by the "
        f"simulated maps{_by_height(every)}."
    )


def _by_height(every: Sequence[Facts]) -> str:
    trended = ["Trend" in facts for facts in every]
    if not any(trended):
        return " (mass of the largest cluster)"
    measured = "" if all(trended) else "mass of the largest cluster with the measured baseline; with others the "
    peaks = [as_number(part_of(facts, "Null").get("HeldOutPeaks")) for facts in every]
    cohort = " and those of held-out participants" if any(number > 0 for number in peaks) else ""
    return f"{cohort} ({measured}height of the largest value)"


def _baselines(results: Sequence[tuple[str, Facts]]) -> list[str]:
    sentences = []
    if any(kind_of(facts, label) == "pet" for label, facts in results):
        sentences.append("PET was brought to the look of SPECT after Perissinotti 2018 (PISCOM).")
    if any(is_synthetic(facts, label) for label, facts in results):
        sentences.append("A synthetic baseline was computed by a network; it is no measurement and not for diagnosis.")
    seen = list(dict.fromkeys(str(part_of(facts, "Baseline").get("Model")) for _, facts in results if is_seen(facts)))
    if seen:
        sentences.append(f"Of this participant the model had learned ({', '.join(seen)}).")
    return sentences


def _injections(every: Sequence[Facts]) -> list[str]:
    return [f"The tracer was injected {text}." for text in dict.fromkeys(filter(None, map(injection, every)))]


def _span(values: Sequence[object], digits: int) -> str:
    """The smallest and the largest of numbers in words; empty where there are none."""
    found = [value for value in map(as_number, values) if math.isfinite(value)]
    if not found:
        return ""
    low, high = (_short(value, digits) for value in (min(found), max(found)))
    return low if low == high else f"{low} to {high}"


def _short(value: float, digits: int) -> str:
    return _without_zeros(number(value, digits))


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
