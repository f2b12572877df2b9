"""What the sidecar of a SISCOM's difference map says, in words."""

import math
from collections.abc import Mapping
from typing import Any

from bids_spectsynth.bids.output_files import volume_text
from bids_spectsynth.bids.sidecars import as_number, strings
from bids_spectsynth.reports.html import number
from bids_spectsynth.siscom.foci.injection import LATE_S
from bids_spectsynth.siscom.subtraction.level import LEVELS, WARN_PERCENT, disagreement

Facts = Mapping[str, Any]

SYNTHETIC_WARNING = "Synthetic baseline: computed by a network, no measurement, not for diagnosis"
#: Standard deviation of the difference of two scans of a simulated head, smoothed by 12 mm, percent of the brain mean.
USUAL_SD_PERCENT = 3.7

_KINDS = {
    "real": "measured interictal SPECT",
    "synthetic": "synthetic interictal SPECT",
    "pet": "PET made to look like SPECT",
    "cohort": "mean SPECT of the training cohort",
    "normals": "mean SPECT of healthy persons",
}
#: Kinds of baselines, in the order in which readers see them.
KINDS = tuple(_KINDS)
_FIXED_LABELS = {"Real", "Pet", "Cohort", "Normals"}


def kind_of(facts: Facts, label: str) -> str:
    """Kind of the baseline: by the sidecar, else by its label.

    Parameters
    ----------
    facts : mapping
        The sidecar.
    label : str
        As in ``desc-siscom<label>``.
    """
    kind = str(part_of(facts, "Baseline").get("Kind", ""))
    if kind in _KINDS:
        return kind
    return label.lower() if label in _FIXED_LABELS else "synthetic"


def is_synthetic(facts: Facts, label: str) -> bool:
    """Whether a synthetic image went in; where the sidecar is lost, the label decides."""
    return facts.get("Synthetic") is True or kind_of(facts, label) == "synthetic"


def is_seen(facts: Facts) -> bool:
    """Whether the model behind the baseline has learned from this participant."""
    return part_of(facts, "Baseline").get("SeenInTraining") is True


def baseline_title(facts: Facts, label: str) -> str:
    """``measured interictal SPECT (Real)``: the baseline in words, with its label."""
    return f"{_KINDS[kind_of(facts, label)]} ({label})"


def fact_rows(facts: Facts, label: str) -> list[tuple[str, str]]:
    """Names and values of what is to be known of a map; those that the sidecar does not have are left out.

    Parameters
    ----------
    facts : mapping
        The sidecar of the difference map; whatever it holds, nothing is raised.
    label : str
        Of the baseline.
    """
    model = str(part_of(facts, "Baseline").get("Model") or "")
    rows = [
        ("Baseline", baseline_title(facts, label) + (f", model {model}" if model else "")),
        ("Synthetic", SYNTHETIC_WARNING + "." if is_synthetic(facts, label) else ""),
        ("Seen in training", _seen(facts) if model else ""),
        ("Level (ictal over baseline)", _levels(facts)),
        ("Resolution", _resolution(facts)),
        ("Alignment of both scans", _route(facts)),
        ("Standard deviation of the difference", _spread(facts)),
        ("Broad differences taken off", _trend(facts)),
        ("Lesion mask, left out of all of this", _lesion(facts)),
        ("Threshold", _threshold(facts)),
        ("Maps simulated without a seizure", _null(facts)),
        ("Cohort behind zcohort", _cohort(facts)),
        ("Injection", injection(facts)),
        ("Hemispheres", _hemispheres(facts)),
        ("Names of regions", str(facts.get("RegionNames") or "")),
    ]
    return [(name, value) for name, value in rows if value]


def _cohort(facts: Facts) -> str:
    cohort = part_of(facts, "Cohort")
    number, shape = as_number(cohort.get("Participants")), str(cohort.get("DeviationShape") or "")
    if not math.isfinite(number):
        return ""
    return f"{number:.0f} held-out participants" + (
        f"; standard deviations drawn to the shape of: {shape}" if shape else ""
    )


def _lesion(facts: Facts) -> str:
    volume = as_number(facts.get("LesionVolume"))
    if volume == 0:
        return "nothing of it lies in the brain that both scans show"
    return f"{volume_text(volume)} mL" if math.isfinite(volume) else ""


def cautions(facts: Facts) -> list[str]:
    """Notes of the sidecar, and a warning where estimates of the level differ by more than 3 %, as sentences."""
    found = [_sentence(note) for note in strings(facts.get("Notes"))]
    apart = level_disagreement(facts)
    if apart > WARN_PERCENT and not any("estimates of the level" in note.lower() for note in found):
        found.append(f"Estimates of the level differ by {apart:.1f} %: a large part of the brain has changed.")
    late = as_number(facts.get("InjectionLatency"))
    if late > LATE_S and not any("after the onset" in note for note in found):
        found.append(f"Injected {late:.0f} s after the onset: scans localise less often after {LATE_S:.0f} s.")
    return found


def level_disagreement(facts: Facts) -> float:
    """How far estimates of the level are from the one that was used, percent; NaN where that is not known."""
    ratios = _numbers(part_of(facts, "Levels"))
    used = str(facts.get("LevelUsed"))
    return disagreement(ratios, used) if used in ratios and ratios[used] > 0 else math.nan


def injection(facts: Facts) -> str:
    """When the tracer was injected; empty where nothing is known."""
    latency, share = (as_number(facts.get(key)) for key in ("InjectionLatency", "InjectionShareOfSeizure"))
    if not math.isfinite(latency):
        return ""
    text = f"{latency:.0f} s after the onset of the seizure"
    return text + (f", when {100 * share:.0f} % of it had passed" if math.isfinite(share) else "")


def _seen(facts: Facts) -> str:
    if is_seen(facts):
        return "SEEN: the model has learned from this participant; the result says nothing of its worth"
    return "no: the model has not learned from this participant"


def _levels(facts: Facts) -> str:
    ratios, used = _numbers(part_of(facts, "Levels")), str(facts.get("LevelUsed", ""))
    if used not in ratios:
        return used
    others = ", ".join(f"{name} {number(ratio)}" for name, ratio in ratios.items() if name != used)
    text = f"{number(ratios[used])}, {level_name(used)}" + (f" (others: {others})" if others else "")
    apart = level_disagreement(facts)
    return f"{text}; the others differ from it by up to {apart:.1f} %" if math.isfinite(apart) else text


def level_name(name: str) -> str:
    """A way to estimate the level in words, by its name in the sidecar."""
    return LEVELS[name].description if name in LEVELS else name


def _resolution(facts: Facts) -> str:
    own, kernels = part_of(facts, "ResolutionFWHM"), part_of(facts, "MatchingFWHM")
    parts = []
    if own:
        parts.append(f"ictal {_mm(own.get('Ictal'))}, baseline {_mm(own.get('Baseline'))} FWHM (estimated)")
    if kernels:
        parts.append(f"made equal by Gaussians of {_mm(kernels.get('Ictal'))} and {_mm(kernels.get('Baseline'))}")
    smoothing = as_number(facts.get("SmoothingFWHM"))
    if math.isfinite(smoothing):
        parts.append(f"both smoothed by {_mm(smoothing)}")
    return "; ".join(parts)


def _route(facts: Facts) -> str:
    route = part_of(facts, "Route")
    if not route:
        return ""
    text = str(route.get("Name", "n/a"))
    mean, largest = (as_number(route.get(key)) for key in ("MeanMillimetres", "LargestMillimetres"))
    if math.isfinite(mean):
        text += f"; the other way differs by {number(mean, 2)} mm over the brain (largest {number(largest, 2)} mm)"
    own, other = (as_number(route.get(key)) for key in ("ResidualPercent", "OtherResidualPercent"))
    if math.isfinite(own):
        text += f"; residual {number(own, 2)} %, by the other way {number(other, 2)} %"
    return text


def _spread(facts: Facts) -> str:
    spread = as_number(facts.get("StandardDeviationPercent"))
    if not math.isfinite(spread):
        return ""
    return (
        f"{number(spread, 1)} % of the brain mean: the unit of z. Usual between two measured scans of a head of the "
        f"phantom, smoothed by 12 mm: {USUAL_SD_PERCENT} %"
    )


def _trend(facts: Facts) -> str:
    trend = part_of(facts, "Trend")
    keys = ("RadiusMillimetres", "StandardDeviationPercent", "LargestPercent", "StandardDeviationPercentBefore")
    radius, spread, largest, before = (as_number(trend.get(key)) for key in keys)
    if not math.isfinite(radius):
        return ""
    text = f"estimated at each point from the brain more than {radius:g} mm away"
    if math.isfinite(spread) and math.isfinite(largest):
        text += f"; standard deviation {number(spread, 1)} %, at most {number(largest, 1)} % of the brain mean"
    before_text = f"; before that the difference had a standard deviation of {number(before, 1)} %"
    return text + (before_text if math.isfinite(before) else "")


def _threshold(facts: Facts) -> str:
    threshold, least = (as_number(facts.get(key)) for key in ("Threshold", "MinimumVolume"))
    if not math.isfinite(threshold):
        return ""
    return f"z {threshold:g}" + (f", clusters of {least:g} mL or more" if math.isfinite(least) else "")


def _null(facts: Facts) -> str:
    null = part_of(facts, "Null")
    simulations, volume = (as_number(null.get(key)) for key in ("Simulations", "MedianLargestClusterVolume"))
    if not math.isfinite(simulations):
        return ""
    text = f"{simulations:.0f}"
    return text + (f"; the largest cluster of half of them exceeds {volume:.1f} mL" if math.isfinite(volume) else "")


def _hemispheres(facts: Facts) -> str:
    index, share = (as_number(facts.get(key)) for key in ("HemisphericIndex", "HypoperfusionShare"))
    parts = []
    if math.isfinite(index):
        side = {"L": "left", "R": "right"}.get(str(facts.get("HemisphereOfDecreases")), "neither side")
        parts.append(f"index {number(index, 2)} (more decreases: {side})")
    if math.isfinite(share):
        parts.append(f"{100 * share:.0f} % of the change is hypoperfusion")
    if facts.get("PostictalPattern") is True:
        parts.append("postictal pattern")
    return "; ".join(parts)


def part_of(facts: Facts, key: str) -> Mapping[str, Any]:
    """An object within a sidecar; empty where it has none of that name."""
    value = facts.get(key)
    return value if isinstance(value, Mapping) else {}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    numbers = {str(name): as_number(value) for name, value in values.items()}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _mm(value: object) -> str:
    return f"{number(as_number(value), 1)} mm"


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""
