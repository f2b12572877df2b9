"""What of a sidecar may leave: by key, by type and by length."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.public import (
    LONGEST,
    PUBLIC_KEYS,
    is_public_text,
    kept_metadata,
    public_injection,
    public_metadata,
)

WORD = "Doe"


def test_only_harmless_metadata_passes(pet_sidecar: dict[str, Any]) -> None:
    private = {"PatientName": "Doe", "AcquisitionDateTime": "2020", "InstitutionName": "X", "DeviceSerialNumber": "1"}
    public = public_metadata({**pet_sidecar, **private, "BodyWeight": 70})
    assert public["TracerName"] == "FDG"
    assert not set(public) & {*private, "BodyWeight", "TimeZero", "InjectedRadioactivity"}


def test_public_injection__counts_from_the_onset_and_hides_the_time_of_day() -> None:
    stated = {"InjectionStart": 36031, "SeizureOnset": 36000, "SeizureDuration": 65.5, "TimeZero": "00:00:00"}
    assert public_injection(stated) == {"InjectionStart": 31, "SeizureOnset": 0, "SeizureDuration": 65.5}
    assert public_injection({"InjectionStart": 0, "SeizureOnset": -12.5}) == {"InjectionStart": 12.5, "SeizureOnset": 0}


@pytest.mark.parametrize(
    "stated",
    [
        {"InjectionStart": 36031},
        {"SeizureOnset": 36000},
        {"InjectionStart": "10:00:31", "SeizureOnset": "10:00:00", "SeizureDuration": "65"},
        {"InjectionStart": 1.7e9, "SeizureOnset": 0, "SeizureDuration": 1.7e9},
        {"InjectionStart": 10**400, "SeizureOnset": 10**400, "SeizureDuration": float("nan")},
        {"InjectionStart": True, "SeizureOnset": False, "SeizureDuration": -3},
        {"InjectionStart": [1], "SeizureOnset": None},
    ],
)
def test_public_injection__what_is_no_number_of_seconds_is_not_passed_on(stated: dict[str, Any]) -> None:
    assert public_injection(stated) == {}


@pytest.mark.parametrize("key", PUBLIC_KEYS)
@pytest.mark.parametrize(
    "value",
    [
        {"PatientName": WORD},
        [WORD],
        [[WORD]],
        f"{WORD}^John",
        f"{WORD} 1970-01-31",
        f"{WORD} 31.01.1970",
        f"{WORD}@hospital.org",
        f"{WORD} 4711007",
        f"at 9:45 {WORD}",
        f"one\n{WORD}",
        f"\x1b[31m{WORD}",
        f"\u202e{WORD}",
        WORD + " " * LONGEST,
        None,
        "",
    ],
)
def test_public_metadata__value_of_another_kind_stays_whatever_the_key(key: str, value: Any) -> None:
    assert public_metadata({key: value}) == {}


def test_public_metadata__usual_values_pass() -> None:
    usual = {
        "TracerName": "HMPAO",
        "TracerRadionuclide": "Tc99m",
        "Units": "Bq/mL",
        "MagneticFieldStrength": 2.89,
        "NonlinearGradientCorrection": True,
        "ReconMethodName": "OSEM, 4 iterations, 16 subsets, version 3.2",
        "AttenuationCorrection": "Chang, 0.12 /cm",
        "ImageDecayCorrected": False,
        "Simulated": True,
    }
    assert public_metadata(usual) == usual


@pytest.mark.parametrize("key", ["Manufacturer", "ManufacturersModelName", "TracerName", "AttenuationCorrection"])
@pytest.mark.parametrize(
    "value",
    [
        "St. Mary's Hospital, London",
        "Praxis Dr. Hans Mueller",
        "PET Anna Schmidt *1970",
        "SN 4711",
        "Uniklinik, Biograph",
        "Dr. Forte",
        "FDG Krankenhaus Nord",
        "FDG Charité Berlin",
        "FDG Hôpital Necker",
        "FDG St Mary Medical Center",
        "FDG Mayo Clinics",
        "FDG Inselspital",
        "FDG Universidad",
        "measured by Dr Smith",
    ],
)
def test_public_metadata__place_person_or_device_stays_whatever_the_key(key: str, value: str) -> None:
    assert public_metadata({key: value}) == {}


def test_public_metadata__a_camera_leaves_by_its_known_name_alone() -> None:
    stated = {"Manufacturer": "SIEMENS, suite of A. Doe", "ManufacturersModelName": "SIEMENS Biograph mCT"}
    public = public_metadata(stated)
    assert public == {"Manufacturer": "Siemens", "ManufacturersModelName": "Biograph mCT"}
    assert public_metadata(public) == public


@pytest.mark.parametrize(
    ("key", "value"),
    [("MagneticFieldStrength", True), ("MagneticFieldStrength", 10**400), ("ImageDecayCorrected", 1), ("Units", 1)],
)
def test_public_metadata__type_is_that_of_the_key(key: str, value: Any) -> None:
    assert public_metadata({key: value}) == {}


def test_kept_metadata__holds_what_is_used_and_nothing_else() -> None:
    stated = {
        "InjectionStart": 40,
        "SeizureOnset": 10,
        "FrameDuration": [300, 300.5],
        "PatientName": WORD,
        "Units": "g",
    }
    kept = kept_metadata(stated)
    assert kept == {"Units": "g", "InjectionStart": 30, "SeizureOnset": 0, "FrameDuration": [300, 300.5]}
    assert kept_metadata(kept) == kept


@pytest.mark.parametrize("frames", [WORD, [WORD], [1, None], {"a": 1}, [True], [1] * 20_000])
def test_kept_metadata__frames_are_numbers(frames: Any) -> None:
    assert kept_metadata({"FrameDuration": frames}) == {}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=ANYTHING)
def test_kept_metadata__what_leaves_is_flat_and_short(value: Any) -> None:
    kept = kept_metadata(dict.fromkeys((*PUBLIC_KEYS, "InjectionStart", "SeizureOnset", "SeizureDuration"), value))
    assert all(isinstance(one, bool | int | float) or is_public_text(one) for one in kept.values())
    json.dumps(kept, allow_nan=False)
