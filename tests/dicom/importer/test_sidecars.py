import pytest
from pydicom.dataset import Dataset

from bids_spectsynth.dicom.importer.sidecars import anatomical_sidecar, nuclear_sidecar, seconds_of_day

IDENTIFYING = {
    "PatientName": "Doe^Jane", "PatientID": "H12345", "PatientBirthDate": "19600101", "AccessionNumber": "ACC9",
    "InstitutionName": "St Elsewhere", "ReferringPhysicianName": "Dr^Who", "StudyDate": "20240517",
    "AcquisitionDate": "20240517", "DeviceSerialNumber": "SN4711", "StationName": "CAM1", "OperatorsName": "Op^One",
    "StudyID": "S55", "PatientComments": "brother of John", "SeriesDescription": "Doe Jane ictal",
}  # fmt: skip


@pytest.fixture
def scan(nuclear):
    item = Dataset()
    item.Radiopharmaceutical, item.RadiopharmaceuticalStartTime = "Tc99m HMPAO", "091530"
    item.RadionuclideTotalDose = "740"
    rotation, detector, window, limits = Dataset(), Dataset(), Dataset(), Dataset()
    rotation.ActualFrameDuration, rotation.NumberOfFramesInRotation = "30000", 60
    limits.EnergyWindowLowerLimit, limits.EnergyWindowUpperLimit = "126", "154"
    window.EnergyWindowRangeSequence = [limits]
    file = nuclear(AcquisitionTime="101500.5", CorrectedImage=["UNIF", "ATTN", "SCAT", "DECY"], **IDENTIFYING)
    detector = file.DetectorInformationSequence[0]
    detector.CollimatorType, detector.CollimatorGridName = "FANB", "LEHR FAN"
    file.RotationInformationSequence, file.EnergyWindowInformationSequence = [rotation], [window]
    file.RadiopharmaceuticalInformationSequence = [item]
    file.ConvolutionKernel = "Butterworth"
    return file


def test_nuclear_sidecar__keys_of_bids_and_times_from_midnight(scan) -> None:
    facts = nuclear_sidecar(scan, "ictal")
    wanted = {
        "TaskName": "ictal", "TracerName": "HMPAO", "TracerRadionuclide": "Tc99m", "Units": "counts",
        "InjectedRadioactivity": 740.0, "InjectedRadioactivityUnits": "MBq", "TimeZero": "00:00:00",
        "ScanStart": 36900.5, "InjectionStart": 33330.0, "FrameTimesStart": [36900.5], "FrameDuration": [1800.0],
        "ImageDecayCorrected": True, "AttenuationCorrection": "yes", "ScatterCorrection": "yes",
        "ReconFilterType": "Butterworth", "CollimatorType": "fan beam", "CollimatorName": "LEHR FAN",
        "EnergyWindow": [126.0, 154.0],
    }  # fmt: skip
    assert {key: facts.get(key) for key in wanted} == wanted


def test_sidecars__nothing_that_identifies(scan) -> None:
    text = str(nuclear_sidecar(scan, "ictal")) + str(
        anatomical_sidecar(scan, {"PatientName": "Doe^Jane", **IDENTIFYING})
    )
    assert [value for value in ("Doe", "Jane", *IDENTIFYING.values()) if value in text] == []


def test_nuclear_sidecar__injected_before_midnight(scan) -> None:
    scan.AcquisitionTime = "003000"
    scan.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime = "233000"
    assert nuclear_sidecar(scan, "ictal")["InjectionStart"] == -1800


@pytest.mark.parametrize(("day", "expected"), [("20240517", 33000), ("20240516", 33000 - 86400)])
def test_nuclear_sidecar__moment_of_injection_with_its_day(day, expected, scan) -> None:
    scan.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = f"{day}091000.00"
    assert nuclear_sidecar(scan, None)["InjectionStart"] == expected


def test_nuclear_sidecar__becquerel_become_megabecquerel(scan) -> None:
    scan.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = "185000000"
    assert nuclear_sidecar(scan, None)["InjectedRadioactivity"] == 185


def test_nuclear_sidecar__what_is_not_known_is_not_there(nuclear) -> None:
    facts = nuclear_sidecar(nuclear(SeriesDescription="OSEM brain", StudyDescription=""), "interictal")
    assert facts["ReconMethodName"] == "OSEM"
    unknown = {"TracerName", "TracerRadionuclide", "InjectedRadioactivity", "ScanStart", "CollimatorType", "TimeZero"}
    assert not unknown & set(facts)


def test_anatomical_sidecar__seconds_and_the_headers_own_maker(slices) -> None:
    (header, *_) = slices()
    header.EchoTime, header.MagneticFieldStrength, header.Manufacturer = "2.98", "3", "Simulated"
    facts = anatomical_sidecar(header, {"Manufacturer": "Siemens", "ScanningSequence": "GR", "AcquisitionTime": "1"})
    assert facts["EchoTime"] == pytest.approx(0.00298)
    assert (facts["Manufacturer"], facts["ScanningSequence"]) == ("Simulated", "GR")
    assert "AcquisitionTime" not in facts


def test_seconds_of_day__parts_and_what_is_no_time() -> None:
    assert [seconds_of_day(text) for text in ("10", "1015", "101530.25", "x", None)] == [
        36000,
        36900,
        36930.25,
        None,
        None,
    ]


def test_nuclear_sidecar__of_typed_texts_only_known_words(scan) -> None:
    word = "Doejane"
    scan.Units, scan.ReconstructionMethod = word, f"OSEM 4i8s {word}"
    scan.ConvolutionKernel, scan.AttenuationCorrectionMethod = f"{word} kernel", f"{word} Chang"
    scan.ScatterCorrectionMethod = word
    detector = scan.DetectorInformationSequence[0]
    detector.CollimatorGridName, detector.CollimatorType = f"{word} LEHR", word
    facts = nuclear_sidecar(scan, "ictal")
    assert word.lower() not in str(facts).lower()
    wanted = {"ReconMethodName": "OSEM 4i8s", "ReconFilterType": "yes", "AttenuationCorrection": "Chang",
              "ScatterCorrection": "yes"}  # fmt: skip
    assert {key: facts[key] for key in wanted} == wanted
    assert not {"Units", "CollimatorName", "CollimatorType"} & set(facts)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("*tfl3d1_16ns", True), ("JANE_3D", False), ("tfl Elsewhere", False), ("at 9:45", False), ("x" * 40, False)],
)
def test_anatomical_sidecar__tokens_of_vendors_without_names(text, kept, slices) -> None:
    (header, *_) = slices()
    header.PatientName, header.InstitutionName = "Doe^Jane", "St Elsewhere"
    facts = anatomical_sidecar(header, {"SequenceName": text, "ScanOptions": [text, "FS"]})
    assert facts.get("SequenceName") == (text if kept else None)
    assert facts["ScanOptions"] == ([text] if kept else []) + ["FS"]


def test_nuclear_sidecar__a_scan_at_midnight(scan) -> None:
    scan.AcquisitionTime, scan.SeriesTime = "000000", "120000"
    facts = nuclear_sidecar(scan, "ictal")
    assert facts["ScanStart"] == 0
    assert facts["InjectionStart"] == 33330 - 86400


def test_sidecars__damaged_numbers_are_left_out(scan, slices) -> None:
    scan.EnergyWindowInformationSequence[0].EnergyWindowRangeSequence = [Dataset()]
    assert "EnergyWindow" not in nuclear_sidecar(scan, None)
    (header, *_) = slices()
    header.EchoTime = ["2", "3"]
    assert "EchoTime" not in anatomical_sidecar(header, {})
