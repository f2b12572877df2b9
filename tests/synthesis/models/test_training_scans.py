"""New scans beside those that a model has learned from."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bids_spectsynth.errors import ImageError
from bids_spectsynth.synthesis.data.harmonising import harmonised
from bids_spectsynth.synthesis.models.training_scans import (
    differences,
    input_widths,
    learned_from_several,
    records_scans,
    scan_entries,
)
from tests.synthesis.data.test_scans import write

PET = {
    "Manufacturer": "GE",
    "ManufacturersModelName": "Discovery 690",
    "TracerName": "FDG",
    "AttenuationCorrection": "CT",
}


def card(median: float = 7.0, **changes: Any) -> Any:
    """A card whose training had twelve PETs of one camera."""
    widths = {"min": 0.9 * median, "p5": 0.92 * median, "median": median, "p95": 1.1 * median, "max": 1.2 * median}
    pet = {
        "scans": 12, "fwhm_mm": {**widths, "n": 12}, "camera": {"GE Discovery 690": 12}, "tracer": {"18F-FDG": 12},
        "attenuation_correction": {"ct": 12},
    }  # fmt: skip
    scans = {"T1w": {"scans": 12, "camera": {"GE Discovery 690": 12}}, "pet": pet}
    plain = {"label": "m", "inputs": ("T1w", "pet"), "scans": scans, "harmonised": {}, "config": {}}
    return SimpleNamespace(**{**plain, **changes})


def names(found: Any) -> list[tuple[str, str]]:
    return [(one.role, one.name) for one in found]


def test_differences__scans_like_those_of_the_training_have_none(tmp_path: Path) -> None:
    assert differences([card()], write(tmp_path, "01", 7, PET)) == ()


@pytest.mark.parametrize(("fwhm", "words"), [(4.0, "use --harmonise resolution"), (12.0, "cannot be sharpened")])
def test_differences__resolution_beyond_the_training(tmp_path: Path, fwhm: float, words: str) -> None:
    (found,) = differences([card(8.0)], write(tmp_path, "01", fwhm, PET))
    assert (found.role, found.file, found.name) == ("pet", "sub-01_pet.nii.gz", "resolution")
    assert found.found == pytest.approx(fwhm, abs=1.2)
    assert words in found.sentence


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"TracerName": "PiB"}, [("pet", "tracer")]),
        # On no list: it is not named, but it is not FDG.
        ({"TracerName": "[18F]PI-2620"}, [("pet", "tracer")]),
        ({"TracerName": "[18F]FDG"}, []),
        ({"AttenuationCorrection": "none"}, [("pet", "attenuation_correction")]),
        ({"ManufacturersModelName": "Discovery 710"}, [("T1w", "camera"), ("pet", "camera")]),
        ({"TracerName": "Fluorodeoxyglucose (18F)"}, []),
        ({"AttenuationCorrection": "N/A"}, []),
        ({"AttenuationCorrection": "CTAC"}, []),
        ({"AttenuationCorrection": "CT-based attenuation correction"}, []),
        ({"ManufacturersModelName": "n/a"}, []),
        ({"ManufacturersModelName": "GE Discovery 690"}, []),
        ({"Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturersModelName": "DISCOVERY-690"}, []),
    ],
)
def test_differences__tracer_correction_and_camera(
    tmp_path: Path, changes: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    found = differences([card()], write(tmp_path, "01", 7, {**PET, **changes}))
    assert names(found) == expected
    shown = [("on no list" if one.found == "unlisted" else str(one.found), one.sentence) for one in found]
    assert all(value in sentence for word, sentence in shown for value in (word, "learned from"))


@pytest.mark.parametrize("theirs", ["GE", "GE n/a", "GE MEDICAL SYSTEMS Discovery 690", "n/a"])
def test_differences__a_card_that_says_less_of_the_camera(tmp_path: Path, theirs: str) -> None:
    one = card()
    one.scans = {"pet": {"scans": 12, "camera": {theirs: 12}, "attenuation_correction": {"N/A": 12}}}
    assert differences([one], write(tmp_path, "01", 7, PET)) == ()


def test_differences__of_the_trainings_cameras_the_three_of_most_scans_are_named(tmp_path: Path) -> None:
    cameras = {"Siemens Biograph": 1, "GE Advance": 2, "Philips Vereos": 3, "Siemens HRRT": 4, "n/a": 9}
    one = card()
    one.scans = {"pet": {"scans": 19, "camera": cameras}}
    (found,) = differences([one], write(tmp_path, "01", 7, PET))
    assert found.as_json()["training"] == ("Siemens HRRT", "Philips Vereos", "GE Advance")
    assert "Biograph" not in found.sentence


def test_differences__what_nobody_recorded_is_not_compared(tmp_path: Path) -> None:
    case = write(tmp_path, "01", 12, {})
    assert names(differences([card()], case)) == [("pet", "resolution")]
    assert differences([card(scans={})], case) == ()


def test_differences__of_several_networks_any_may_have_had_such_scans(tmp_path: Path) -> None:
    case = write(tmp_path, "01", 12, PET)
    assert differences([card(), card(11.5)], case) == ()


def test_input_widths__by_option_or_by_the_card() -> None:
    assert input_widths([card()], "none") == {}
    assert input_widths([card(), card(9.0)], "resolution") == {"pet": 8.0}
    assert input_widths([card(harmonised={"pet": 9.5})], "none") == {"pet": 9.5}
    assert input_widths([card(harmonised={"pet": 9.5})], "resolution") == {"pet": 9.5}
    assert input_widths([card(scans={})], "resolution") == {}
    assert input_widths([card(inputs=("T1w",))], "resolution") == {}


def test_learned_from_several__where_the_training_had_sharper_scans_too() -> None:
    targets = {"pet": 8.4}
    assert learned_from_several([card(8.4)], targets) == []
    mixed = card(8.4)
    mixed.scans["pet"]["fwhm_mm"] |= {"min": 4.5, "p5": 4.6}
    (sentence,) = learned_from_several([card(8.4), mixed], targets)
    assert "several resolutions (5 % of 4.6 mm or less)" in sentence
    assert "train with --harmonise resolution" in sentence
    assert learned_from_several([mixed], {}) == []
    mixed.harmonised = {"pet": 8.4}
    assert learned_from_several([mixed], targets) == []


def test_scan_entries__harmonised_pet_is_no_longer_too_sharp(tmp_path: Path) -> None:
    case, targets = write(tmp_path, "01", 4, PET), {"pet": 8.0}
    entries = scan_entries([card(8.0)], harmonised(case, targets), targets)
    assert "OutsideTraining" not in entries
    assert entries["HarmonisedFWHM"] == targets
    assert entries["InputFWHM"]["pet"] ** 2 + entries["HarmonisingFWHM"]["pet"] ** 2 == pytest.approx(64, abs=0.1)
    plain = scan_entries([card(8.0)], case, {})
    assert [one["name"] for one in plain["OutsideTraining"]] == ["resolution"]
    assert json.loads(json.dumps(plain)) == json.loads(json.dumps({**plain, "ComparedWithTraining": True}))
    blurred = write(tmp_path, "02", 12, PET)
    entries = scan_entries([card(8.0)], harmonised(blurred, targets), targets)
    assert entries["HarmonisingFWHM"] == {"pet": 0.0}
    assert [one["name"] for one in entries["OutsideTraining"]] == ["resolution"]


@pytest.mark.parametrize("fwhm", [2.0, 3.0])
def test_scan_entries__a_pet_too_sharp_to_be_measured_is_named(tmp_path: Path, fwhm: float) -> None:
    case = write(tmp_path, "01", fwhm, PET)
    assert scan_entries([card(8.0)], case, {}) == {"ComparedWithTraining": True, "NotMeasured": ["pet"]}
    targets = {"pet": 8.0}
    harmonised_too = {"ComparedWithTraining": True, "NotMeasured": ["pet"], "HarmonisedFWHM": targets}
    assert scan_entries([card(8.0)], harmonised(case, targets), targets) == harmonised_too
    # A training whose resolution is not known has nothing to compare it with, and where most scans could not be
    # measured either it is like them.
    assert "NotMeasured" not in scan_entries([card(scans={"pet": {"scans": 12}})], case, {})
    few = card(8.0).scans["pet"] | {"scans": 40}
    assert "NotMeasured" not in scan_entries([card(scans={"pet": few})], case, {})
    assert scan_entries([card(scans={"pet": few})], case, targets)["NotMeasured"] == ["pet"]


def test_scan_entries__a_card_of_an_earlier_version(tmp_path: Path) -> None:
    assert scan_entries([card(scans={})], write(tmp_path, "01", 4, PET), {}) == {"ComparedWithTraining": False}
    assert not records_scans([card(), card(scans={})])


def test_scan_entries__a_damaged_mask_that_no_network_reads_fails_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = write(tmp_path, "01", 12, {**PET, "TracerName": "PiB"})
    damaged = tmp_path / "damaged_mask.nii.gz"
    damaged.write_bytes(b"")
    entries = scan_entries([card()], replace(case, masks={**case.masks, "pet": damaged}), {})
    assert [one["name"] for one in entries["OutsideTraining"]] == ["tracer"]
    assert "InputFWHM" not in entries
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("sub-01: resolution of the PET not measured")
    assert damaged.name in line


def test_scan_entries__a_case_without_t1w_is_compared_by_the_rest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = write(tmp_path, "01", 12, {**PET, "TracerName": "PiB"})
    bare = replace(case, images={"pet": case.images["pet"]}, masks={})
    entries = scan_entries([card(inputs=("pet",))], bare, {})
    assert [one["name"] for one in entries["OutsideTraining"]] == ["tracer"]
    assert "no prepared T1w" in caplog.text
    with pytest.raises(ImageError, match="no prepared T1w"):
        harmonised(bare, {"pet": 8.0})


def test_differences__names_on_no_list_are_not_told_apart(tmp_path: Path) -> None:
    case = write(tmp_path, "01", 8, {**PET, "TracerName": "[18F]PI-2620"})
    own = card(8.0).scans["pet"]
    (found,) = differences([card(scans={"pet": own})], case)
    assert found.found == "unlisted"
    assert "PI-2620" not in found.sentence
    assert "on no list" in found.sentence
    both = own | {"tracer": {"18F-FDG": 10, "unlisted": 2}}
    assert differences([card(scans={"pet": both})], case) == ()
    assert differences([card(scans={"pet": own | {"tracer": {"unlisted": 12}}})], write(tmp_path, "02", 8, PET)) == ()
