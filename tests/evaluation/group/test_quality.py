import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import read_table
from bids_spectsynth.bids.writing import write_image, write_matrix
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.group.outliers import group_outliers, outliers_dictionary, write_group_outliers
from bids_spectsynth.evaluation.group.quality import group_quality, quality_dictionary, write_group_quality

NO_VOLUMES = pd.DataFrame(columns=["participant_id", "session_id", "model", "method", "baseline_sd_percent"])
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


def prepared(out: Path, label: str, *, size: int = 6, level: float = 100.0, overlap: float = 0.95) -> None:
    """A mask of ``size`` voxels across, a PET of one level in it, and its registration."""
    folder = out / f"sub-{label}"
    mask = np.zeros((12, 12, 12), np.uint8)
    mask[:size, :size, :size] = 1
    stem = f"sub-{label}"
    write_image(folder / f"anat/{stem}_space-T1w_desc-brain_mask.nii.gz", nib.Nifti1Image(mask, AFFINE), {})
    t1w = nib.Nifti1Image(mask * np.float32(7), AFFINE)
    write_image(folder / f"anat/{stem}_space-T1w_desc-preproc_T1w.nii.gz", t1w, {})
    pet = nib.Nifti1Image(np.full(mask.shape, level, np.float32), AFFINE)
    write_image(folder / f"pet/{stem}_trc-FDG_space-T1w_desc-preproc_pet.nii.gz", pet, {})
    facts = {"Type": "rigid", "Metric": "R squared", "Score": 0.9, "Overlap": overlap, "Poor": False, "Notes": []}
    write_matrix(folder / f"pet/{stem}_trc-FDG_from-pet_to-T1w_mode-image_xfm.txt", np.eye(4), facts)


def slices(label: str, error: float, **changes: str) -> list[dict[str, object]]:
    row = {"participant_id": f"sub-{label}", "session_id": "n/a", "model": "m", "method": "pix2pix", "scale": "volume",
           "scaling": "volume", "in_block": "true", **dict.fromkeys(METRICS, error)}  # fmt: skip
    return [{**row, **changes}, {**row, **changes, **dict.fromkeys(METRICS, error + 0.02)}]


@pytest.fixture
def cohort(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    """Seven participants: of 07 everything is odd."""
    rows = []
    for number in range(1, 7):
        small = 0.001 * number
        prepared(tmp_path, f"0{number}", size=6 + number % 2, level=100 + number, overlap=0.95 + small)
        rows += slices(f"0{number}", 0.1 + small)
        rows += slices(f"0{number}", 9.0, method="petCopy") + slices(f"0{number}", 9.0, scale="slice")
        rows += slices(f"0{number}", 9.0, in_block="false")
    prepared(tmp_path, "07", size=11, level=1e6, overlap=0.5)
    rows += slices("07", 0.7)
    return tmp_path, pd.DataFrame(rows)


def of(table: pd.DataFrame, quantity: str, label: str) -> pd.DataFrame:
    return table[(table["quantity"] == quantity) & (table["participant_id"] == f"sub-{label}")]


def test_group_quality__values_are_those_of_the_files(cohort: tuple[Path, pd.DataFrame]) -> None:
    table = group_quality(*cohort, NO_VOLUMES)
    assert of(table, "mask_volume", "07")["value"].tolist() == pytest.approx([11**3 * 64 / 1000])
    levels = of(table, "level", "02").set_index("of")["value"]
    assert levels.to_dict() == {"T1w": 7.0, "PET": 102.0}
    assert of(table, "overlap", "02")["value"].tolist() == [pytest.approx(0.952)]
    # The mean of both slices, of the network alone, on its own scale, in the block.
    assert of(table, "mask_rmse", "02")["value"].tolist() == [pytest.approx(0.112)]
    assert of(table, "mask_rmse", "02")["of"].tolist() == ["m"]
    assert set(table["n"]) == {7}


def test_group_quality__levels_are_compared_by_their_logarithm(tmp_path: Path) -> None:
    for number, level in enumerate((1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0), start=1):
        prepared(tmp_path, f"0{number}", level=level)
    table = group_quality(tmp_path, pd.DataFrame(slices("01", 0.1)), NO_VOLUMES)
    pet = table[(table["quantity"] == "level") & (table["of"] == "PET")]
    np.testing.assert_allclose(np.diff(pet["z"]), np.diff(pet["z"])[0])
    assert pet["median"].unique().tolist() == [pytest.approx(8)]


def test_group_quality__a_damaged_mask_costs_its_own_rows(
    cohort: tuple[Path, pd.DataFrame], caplog: pytest.LogCaptureFixture
) -> None:
    out, metrics = cohort
    (out / "sub-03/anat/sub-03_space-T1w_desc-brain_mask.nii.gz").write_bytes(b"no image")
    table = group_quality(out, metrics, NO_VOLUMES)
    assert of(table, "mask_volume", "03").empty
    assert len(of(table, "mask_rmse", "03")) == 1
    assert "sub-03: no volume of the mask" in caplog.text


def test_group_outliers__each_in_a_sentence_the_worst_first(cohort: tuple[Path, pd.DataFrame]) -> None:
    table = group_outliers(group_quality(*cohort, NO_VOLUMES))
    assert set(table["participant_id"]) == {"sub-07"}
    sides = dict(zip(table["quantity"], table["side"], strict=True))
    # The same number stands for every metric: for an error it is bad, for a similarity good.
    assert sides == {
        "level": "either", "mask_volume": "either", "overlap": "worse", "mask_rmse": "worse", "mask_ssim": "better",
        "mask_psnr": "better",
    }  # fmt: skip
    assert table["side"].tolist()[-2:] == ["better", "better"]
    assert table["z"].abs().tolist()[:4] == sorted(table["z"].abs().tolist()[:4], reverse=True)
    notes = dict(zip(table["quantity"], table["note"], strict=True))
    assert notes["overlap"].startswith("Overlap, PET to T1w: 0.500, unusually low; the median of 7 is 0.953 (robust z")
    assert notes["overlap"].endswith("Look at the registration.")
    assert notes["mask_volume"].startswith("Brain mask, T1w: 85 mL, unusually high; the median of 7 is ")
    assert notes["mask_psnr"].endswith("Better than usual.")


def test_group_outliers__none_among_four(tmp_path: Path) -> None:
    for number, overlap in enumerate((0.9, 0.91, 0.92, 0.1), start=1):
        prepared(tmp_path, f"0{number}", overlap=overlap)
    quality = group_quality(tmp_path, pd.DataFrame(slices("01", 0.1)), NO_VOLUMES)
    assert group_outliers(quality).empty


def test_tables__have_dictionaries_and_are_read_back(cohort: tuple[Path, pd.DataFrame]) -> None:
    out, metrics = cohort
    quality = group_quality(out, metrics, NO_VOLUMES)
    outliers = group_outliers(quality)
    paths = [write_group_quality(quality, out), write_group_outliers(outliers, out)]
    assert [path.name for path in paths] == ["group_quality.tsv", "group_outliers.tsv"]
    for path, table, dictionary in zip(
        paths, (quality, outliers), (quality_dictionary(), outliers_dictionary()), strict=True
    ):
        back = read_table(path)
        assert list(back) == list(dictionary) == list(json.loads(path.with_suffix(".json").read_text()))
        np.testing.assert_allclose(back["value"], table["value"].astype(float), rtol=1e-6)
    levels = quality_dictionary()["quantity"]["Levels"]
    assert set(quality["quantity"]) <= set(levels)


def test_empty_output__gives_empty_tables(tmp_path: Path) -> None:
    metrics = pd.DataFrame(slices("01", 0.1)).iloc[:0]
    quality = group_quality(tmp_path, metrics, NO_VOLUMES)
    assert quality.empty
    assert list(group_outliers(quality)) == list(outliers_dictionary())
