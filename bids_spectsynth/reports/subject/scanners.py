"""What a participant's page says of scanners: how its scans differ from the training's, and what was done about it."""

from collections.abc import Mapping
from typing import Any

from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.reports.html import Note, number
from bids_spectsynth.synthesis.data.scans import FWHM
from bids_spectsynth.synthesis.models.scan_records import not_measured, recorded_differences, recorded_numbers
from bids_spectsynth.synthesis.models.training_scans import (
    COMPARED,
    HARMONISED_FWHM,
    HARMONISING_FWHM,
    INPUT_FWHM,
    NOT_MEASURED,
)

#: Keys of an image's sidecar that say how its inputs were harmonised.
SCAN_KEYS = (HARMONISED_FWHM, HARMONISING_FWHM, NOT_MEASURED)


def outside_training(facts: Mapping[str, Any]) -> list[str]:
    """Sentences on what the scans of a case have that those of the model's training did not.

    Parameters
    ----------
    facts : mapping
        Sidecar of the synthetic image.
    """
    return [one.sentence for one in recorded_differences(facts)]


def scan_notes(facts: Mapping[str, Any]) -> list[Note]:
    """Notes beside a synthetic image: differences, harmonising, what was not measured, or that nothing was compared.

    Parameters
    ----------
    facts : mapping
        Sidecar of the synthetic image; one of an earlier version says nothing of scans.
    """
    notes = [
        Note(f"{text[0].upper()}{text[1:]}.", "warning", "Unlike the training") for text in outside_training(facts)
    ]
    notes += [Note(f"{text[0].upper()}{text[1:]}.", "warning", "Not measured") for text in not_measured(facts)]
    if facts.get(COMPARED) is False:
        notes.append(Note("The scans that the model learned from are not recorded; these were not compared with them."))
    targets, kernels, widths = (recorded_numbers(facts, key) for key in (HARMONISED_FWHM, HARMONISING_FWHM, INPUT_FWHM))
    for role, target in targets.items():
        name, kernel, width = role_of(role).title, kernels.get(role, 0.0), widths.get(role)
        if width is not None and kernel:
            words = (
                f"The {name} of {number(width, 1)} mm was smoothed by {number(kernel, 1)} mm, to {number(target, 1)} mm"
            )
            notes.append(Note(f"{words}: the resolution of the model's training.", "info", "Harmonised"))
    return notes


def scan_details(card: Mapping[str, Any]) -> list[str]:
    """What a methods text says of the resolution of a model's training scans, and of harmonised inputs.

    Parameters
    ----------
    card : mapping
        Content of ``model.json``, with :data:`SCAN_KEYS` of the image; one of an earlier version gives nothing.
    """
    details = []
    scans = card.get("scans")
    for role, one in scans.items() if isinstance(scans, dict) else ():
        widths = recorded_numbers(one, FWHM) if isinstance(one, dict) else {}
        if {"p5", "median", "p95"} <= set(widths):
            numbers = [number(widths[name], 1) for name in ("median", "p5", "p95")]
            title = role_of(str(role)).title
            details.append("{} resolution in training {} mm (median; 5 to 95 %: {} to {} mm)".format(title, *numbers))
    learned, applied = recorded_numbers(card, "harmonised"), recorded_numbers(card, HARMONISED_FWHM)
    config = card.get("config")
    is_plain = isinstance(config, dict) and config.get("harmonise", "none") == "none"
    for role, width in (applied or learned).items():
        # An option of the run that applies a model smooths what the model has not learned from.
        when = " where the model was applied, not in training" if is_plain and not learned else ""
        own = _own_smoothing(card, role) if role in applied else ""
        details.append(f"sharper {role_of(role).title} images smoothed to {number(width, 1)} mm{when}{own}")
    return details


def _own_smoothing(facts: Mapping[str, Any], role: str) -> str:
    """What became of the participant's own scan; empty where that differs between sessions."""
    kernels, unknown = recorded_numbers(facts, HARMONISING_FWHM), facts.get(NOT_MEASURED)
    if role in kernels:
        kernel = kernels[role]
        return f" (this one by a Gaussian of {number(kernel, 1)} mm)" if kernel else " (this one stayed as it is)"
    is_unknown = isinstance(unknown, list) and role in unknown
    return " (this one, whose resolution could not be measured, stayed as it is)" if is_unknown else ""
