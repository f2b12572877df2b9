"""Known cameras: what passes, what does not, and which may be one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.vocabulary.cameras import model_name, same_camera, vendor

_VENDORS = ("SIEMENS", "Siemens Healthineers", "GE MEDICAL SYSTEMS", "GEMS", "Philips Medical Systems", "UIH", "CPS",
            "TOSHIBA_MEC", "DDD-Diagnostic A/S", "ADAC", "Mediso", "Spectrum Dynamics", "bids_spectsynth")  # fmt: skip
_MODELS = ("Biograph", "Biograph64_mCT", "Biograph 64-4R TruePoint", "Biograph_mMR", "Biograph Vision 600", "1094",
           "ECAT EXACT HR+", "HRRT", "Ingenuity TF PET/CT", "GEMINI TF TOF 64", "Vereos PET/CT", "Discovery STE",
           "Discovery MI DR", "Discovery NM/CT 670 Pro", "Discovery 690", "Infinia Hawkeye 4", "Symbia Intevo Bold",
           "Symbia T16", "e.cam", "D-SPECT", "GCA-9300A", "Millennium VG", "BrightView XCT", "PRISM 3000XP", "uMI 780",
           "TrioTim", "Prisma_fit", "SIGNA PET/MR", "DISCOVERY MR750w", "Investigational_Device_7T", "AnyScan Trio",
           "VERITON-CT 200", "Ingenia 3.0T", "Achieva dStream",
           "Omni Legend", "NM/CT 870 DR", "Tandem_Discovery_670", "Symbia Pro.specta X7", "Symbia S",
           "Biograph Trinion", "Encore2", "HR+", "EXACT HR+", "DST-XLi", "Triad XLT", "Guardian Body",
           "Cartesion Prime PCD-1000A/2B",
           "Phantom MRI", "Phantom PET", "Phantom SPECT")  # fmt: skip


@pytest.mark.parametrize("text", _VENDORS)
def test_vendor__known_ones_by_one_name(text: str) -> None:
    found = vendor(text)
    assert found is not None
    assert vendor(found) == found


@pytest.mark.parametrize("text", ["St. Mary's Hospital, London", "Praxis Dr. Hans Mueller", "SN 4711", "Doe", "", " "])
def test_vendor__others_have_none(text: str) -> None:
    assert vendor(text) is None


@pytest.mark.parametrize("text", _MODELS)
def test_model_name__known_products_pass_as_they_are(text: str) -> None:
    assert model_name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "St. Mary's Hospital, London", "Biograph of Anna Schmidt", "Symbia Doe", "SN 4711", "Biograph SN4711",
        "Biograph 4711", "Biograph 4711007", "Biograph 12 11 70", "Biograph, room 3", "Biograph*1970", "PET/CT", "690",
        "S", "NM", "n/a", "", " ",
    ],
)  # fmt: skip
def test_model_name__anything_else_stays(text: str) -> None:
    assert model_name(text) is None


@given(st.text(max_size=50) | st.lists(st.sampled_from((*_VENDORS, *_MODELS, "Doe", "12")), max_size=4).map(" ".join))
def test_names__what_they_give_they_leave_as_it_is(text: str) -> None:
    for known in (vendor, model_name):
        found = known(text)
        assert found is None or known(found) == found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("GE", "GE Discovery 690", True),
        ("GE MEDICAL SYSTEMS Discovery 690", "GE Discovery 690", True),
        ("GE n/a", "GE Discovery 690", True),
        ("Siemens Siemens Biograph", "Siemens Biograph", True),
        ("Discovery 690", "GE Discovery 690", True),
        ("Discovery 690", "GE Discovery 710", False),
        ("Siemens", "GE Discovery 690", False),
        ("Siemens Skyra", "Siemens MAGNETOM Skyra", True),
        ("Siemens MAGNETOM Vida", "Siemens Skyra", False),
        ("CTI HR+", "CTI ECAT HR+", True),
        ("GE Omni Legend", "GE Discovery 690", False),
        ("GE NM/CT 870 DR", "GE NM/CT 870 DR", True),
        ("Simulated Phantom PET", "Simulated Phantom 2", False),
    ],
)
def test_same_camera__either_way(one: str, other: str, same: bool) -> None:
    assert same_camera(one, other) is same_camera(other, one) is same
