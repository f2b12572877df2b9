"""What sidecars say of scans, read back."""

from typing import Any

import pytest

from bids_spectsynth.synthesis.models.scan_records import (
    RecordedDifference,
    not_measured,
    recorded_differences,
    recorded_numbers,
)

GOOD = {"role": "pet", "file": "a_pet.nii.gz", "name": "camera", "sentence": "the camera is new"}


def test_recorded_differences__as_they_were_written() -> None:
    assert recorded_differences({"OutsideTraining": [GOOD]}) == [RecordedDifference("a_pet.nii.gz", GOOD["sentence"])]
    assert recorded_differences({}) == []


@pytest.mark.parametrize("odd", [None, 5, {}, {"sentence": ""}, {"sentence": " "}, {"sentence": None}, {"file": 3}, []])
def test_recorded_differences__odd_entries_are_passed_over(odd: Any) -> None:
    assert recorded_differences({"OutsideTraining": [odd, {"sentence": "x"}]}) == [RecordedDifference("", "x")]
    assert recorded_differences({"OutsideTraining": odd}) == []


@pytest.mark.parametrize("odd", [None, 5, "x", {}, [1], [None], [""]])
def test_not_measured__what_is_no_list_of_roles_is_passed_over(odd: Any) -> None:
    assert not_measured({"NotMeasured": odd}) == []
    assert len(not_measured({"NotMeasured": ["pet", "interictal"]})) == 2


@pytest.mark.parametrize(
    "odd", [None, 5, "x", [1], {"pet": "x"}, {"pet": None}, {"pet": True}, {"pet": float("nan")}, {"pet": 10**400}]
)
def test_recorded_numbers__what_is_no_number_is_passed_over(odd: Any) -> None:
    assert recorded_numbers({"InputFWHM": odd}, "InputFWHM") == {}
