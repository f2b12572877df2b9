"""What a participant's page says of scanners."""

from typing import Any

import pytest

from bids_spectsynth.reports.subject.scanners import outside_training, scan_details, scan_notes

FACTS: dict[str, Any] = {
    "ComparedWithTraining": True,
    "OutsideTraining": [{"role": "pet", "name": "resolution", "sentence": "the PET is sharper <b>"}],
    "InputFWHM": {"pet": 5.52},
    "HarmonisedFWHM": {"pet": 8.1},
    "HarmonisingFWHM": {"pet": 5.93},
}
LEARNED = {"harmonise": "resolution"}
APPLIED = " where the model was applied, not in training"


def test_scan_notes__difference_and_harmonising() -> None:
    assert outside_training(FACTS) == ["the PET is sharper <b>"]
    first, second = scan_notes(FACTS)
    assert (first.level, first.text) == ("warning", "The PET is sharper <b>.")
    assert "PET of 5.5 mm was smoothed by 5.9 mm, to 8.1 mm" in second.text
    assert scan_notes({**FACTS, "OutsideTraining": [], "HarmonisingFWHM": {"pet": 0.0}}) == []


def test_scan_notes__a_scan_that_could_not_be_measured() -> None:
    (note,) = scan_notes({"ComparedWithTraining": True, "NotMeasured": ["pet"], "HarmonisedFWHM": {"pet": 8.0}})
    assert note.level == "warning"
    assert note.text.startswith("The resolution of the PET could not be measured")


def test_scan_notes__training_that_nobody_recorded() -> None:
    (note,) = scan_notes({"ComparedWithTraining": False})
    assert "not recorded" in note.text
    assert scan_notes({}) == [], "an image of an earlier version"


@pytest.mark.parametrize("value", [None, 5, "x", [1], [{}], [{"sentence": ""}], {"pet": "x"}, {"pet": None}])
def test_scan_notes__sidecars_that_were_changed(value: Any) -> None:
    for key in FACTS:
        assert all(isinstance(note.text, str) for note in scan_notes({**FACTS, key: value}))
        scan_details({"scans": value, "harmonised": value})


def test_scan_details__resolution_of_the_training_and_harmonising() -> None:
    widths = {"min": 5.0, "p5": 5.2, "median": 6.0, "p95": 7.0, "max": 7.5, "n": 9}
    card = {"scans": {"T1w": {"scans": 9}, "pet": {"scans": 9, "fwhm_mm": widths}}, "harmonised": {"pet": 7.0}}
    first, second = scan_details(card)
    assert "PET resolution in training 6.0 mm (median; 5 to 95 %: 5.2 to 7.0 mm)" in first
    assert second == "sharper PET images smoothed to 7.0 mm"
    assert scan_details({}) == []


@pytest.mark.parametrize(
    ("config", "facts", "words"),
    [
        ({}, {"HarmonisingFWHM": {"pet": 5.93}}, f"{APPLIED} (this one by a Gaussian of 5.9 mm)"),
        ({}, {"HarmonisingFWHM": {"pet": 0.0}}, f"{APPLIED} (this one stayed as it is)"),
        (LEARNED, {"NotMeasured": ["pet"]}, " (this one, whose resolution could not be measured, stayed as it is)"),
        (LEARNED, {}, ""),
    ],
)
def test_scan_details__what_was_done_to_the_image_itself(config: Any, facts: dict[str, Any], words: str) -> None:
    (found,) = scan_details({"config": config, "HarmonisedFWHM": {"pet": 8.1}, **facts})
    assert found == f"sharper PET images smoothed to 8.1 mm{words}"
