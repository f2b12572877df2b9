"""What a card records of the scans of a training."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.synthesis.data.scans import describe_scans, scan_facts
from bids_spectsynth.synthesis.models.card_schema import FIELDS
from tests.images.test_resolution import AFFINE, scan_of, tissue


def write(folder: Path, label: str, pet: float | None, sidecar: dict[str, object]) -> PreparedCase:
    t1w, _, mask = tissue()
    folder.mkdir(parents=True, exist_ok=True)
    values = {"T1w": t1w} | ({} if pet is None else {"pet": scan_of(pet) * mask})
    images = {role: folder / f"sub-{label}_{role}.nii.gz" for role in values}
    for role, image in values.items():
        nib.Nifti1Image(image.astype(np.float32), AFFINE).to_filename(images[role])
        images[role].with_name(f"sub-{label}_{role}.json").write_text(json.dumps(sidecar))
    path = folder / f"sub-{label}_mask.nii.gz"
    nib.Nifti1Image(mask.astype(np.uint8), AFFINE).to_filename(path)
    return PreparedCase(label, None, "T1w", images, {"T1w": path}, None, None)


def test_scan_facts__nothing_that_may_not_leave() -> None:
    private = {"InstitutionName": "X", "StationName": "CT7", "DeviceSerialNumber": "12", "PatientName": "Doe"}
    facts = scan_facts({**private, "Manufacturer": "Siemens", "AttenuationCorrection": "Doe^John"}, "pet")
    assert facts == {"camera": "Siemens", "tracer": "n/a", "attenuation_correction": "n/a"}
    assert scan_facts({"TracerName": "FDG"}, "T1w") == {"camera": "n/a"}


@pytest.mark.parametrize(
    ("tracer", "correction"),
    [("FDG Mueller", "measured by A Smith"), ("FDG Nordheim", "CT Nordheim"), ("Nordheim", "Nordheim")],
)
def test_scan_facts__free_text_is_no_tracer_and_no_correction(tracer: str, correction: str) -> None:
    facts = scan_facts({"TracerName": tracer, "AttenuationCorrection": correction}, "pet")
    assert facts == {"camera": "n/a", "tracer": "unlisted", "attenuation_correction": "unlisted"}


def test_scan_facts__a_known_tracer_and_correction_by_their_names_alone() -> None:
    facts = scan_facts({"TracerName": "FDG (Nordheim)", "AttenuationCorrection": "CT-based, A. Doe"}, "pet")
    assert facts == {"camera": "n/a", "tracer": "FDG", "attenuation_correction": "CT"}


def test_scan_facts__free_text_is_no_camera() -> None:
    facts = {"Manufacturer": "Praxis Dr. Hans Mueller", "ManufacturersModelName": "Biograph mCT"}
    assert scan_facts(facts, "T1w") == {"camera": "Biograph mCT"}
    assert scan_facts({"Manufacturer": "SN 4711"}, "T1w") == {"camera": "n/a"}


@pytest.mark.parametrize(
    ("manufacturer", "model", "expected"),
    [(" ", " ", "n/a"), ("Siemens", " ", "Siemens"), ("\u00a0", "Biograph", "Biograph"), ("Siemens", "N/A", "Siemens"),
     ("unknown", "n/a", "n/a")],
)  # fmt: skip
def test_scan_facts__blank_texts_say_nothing(manufacturer: str, model: str, expected: str) -> None:
    sidecar = {"Manufacturer": manufacturer, "ManufacturersModelName": model, "TracerName": " "}
    facts = scan_facts(sidecar, "pet")
    assert facts == {"camera": expected, "tracer": "n/a", "attenuation_correction": "n/a"}
    counts = {name: {value: 2} for name, value in facts.items()}
    assert FIELDS["scans"][1]({"pet": {"scans": 2, **counts}})


def test_describe_scans__counts_and_distribution(tmp_path: Path) -> None:
    one, other = {"Manufacturer": "GE", "TracerName": "FDG"}, {"Manufacturer": "Siemens", "TracerName": "FDG"}
    cases = [write(tmp_path, f"{fwhm}", fwhm, one if fwhm < 9 else other) for fwhm in (6, 7, 8, 10)]
    cases.append(write(tmp_path, "x", None, one))
    found = describe_scans(cases, ("T1w", "pet", "interictal"))
    assert found["T1w"] == {"scans": 5, "camera": {"GE": 4, "Siemens": 1}}
    assert found["interictal"] == {"scans": 0}
    widths = found["pet"].pop("fwhm_mm")
    assert found["pet"] == {
        "scans": 4, "camera": {"GE": 3, "Siemens": 1}, "tracer": {"FDG": 4}, "attenuation_correction": {"n/a": 4},
    }  # fmt: skip
    assert widths["n"] == 4
    ordered = [widths[name] for name in ("min", "p5", "median", "p95", "max")]
    assert ordered == sorted(ordered)
    np.testing.assert_allclose(ordered[::2], (6, 7.5, 10), atol=1)


def test_describe_scans__no_training_ends_for_a_file_that_it_does_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, damaged, bare = (write(tmp_path, label, 7, {"Manufacturer": "A"}) for label in ("01", "02", "03"))
    path = tmp_path / "damaged_mask.nii.gz"
    path.write_bytes(b"")
    damaged = replace(damaged, masks={**damaged.masks, "pet": path})
    bare = replace(bare, images={"pet": bare.images["pet"]}, masks={})
    found = describe_scans([good, damaged, bare], ("pet",))
    assert (found["pet"]["scans"], found["pet"]["fwhm_mm"]["n"]) == (3, 1)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["sub-02", "sub-03"]
