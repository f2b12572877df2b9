import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bids_spectsynth.errors import DatasetError
from bids_spectsynth.evaluation.columns import METRICS_DICTIONARY
from bids_spectsynth.evaluation.metrics import METRICS
from bids_spectsynth.evaluation.tables import group_tables, write_group_tables

VALUES = {"pix2pix": 0.1, "constant": 0.3, "petCopy": 0.2}


def write_case(
    output_dir: Path,
    participant: str,
    model: str = "pix2pixPet",
    *,
    split: str = "test",
    space: str = "T1w",
    session: str | None = None,
    values: dict[str, float] | None = None,
    n_slices: int = 4,
    n_in_block: int = 99,
    **columns: object,
) -> Path:
    """A metrics table whose values differ by method, participant and slice."""
    rows = []
    for method, base in (values or VALUES).items():
        rng = np.random.default_rng(sum((participant + method).encode()) if values is None else 0)
        for k in range(n_slices):
            value = base + 0.01 * k + rng.uniform(0, 0.02)
            rows.append(
                {
                    "participant_id": f"sub-{participant}",
                    "session_id": f"ses-{session}" if session else "n/a",
                    "slice": k,
                    "z_mm": 2.0 * k - 3.5,
                    "in_block": "true" if k < n_in_block else "false",
                    "model": model,
                    "method": method,
                    "inputs": "pet",
                    "space": space,
                    "scaling": "slice",
                    "split": split,
                    "data_range": 2.0,
                    **{metric: value + n for n, metric in enumerate(METRICS)},
                    "mask_voxels": 100 + k,
                    **columns,
                }
            )
    folder = output_dir / f"sub-{participant}" / (f"ses-{session}" if session else "") / "spect"
    folder.mkdir(parents=True, exist_ok=True)
    part = f"_ses-{session}" if session else ""
    path = folder / f"sub-{participant}{part}_task-interictal_space-{space}_desc-{model}_metrics.tsv"
    pd.DataFrame(rows)[list(METRICS_DICTIONARY)].to_csv(path, sep="\t", index=False, na_rep="n/a")
    return path


def test_all_rows_are_gathered_and_only_held_out_ones_summarised(tmp_path: Path) -> None:
    write_case(tmp_path, "01", split="train")
    write_case(tmp_path, "02", split="validation")
    write_case(tmp_path, "03")
    write_case(tmp_path, "04", split="external", session="a")
    tables = group_tables(tmp_path)
    assert len(tables.metrics) == 4 * 3 * 4
    assert set(tables.metrics["split"]) == {"train", "validation", "test", "external"}
    assert set(tables.summary["split"]) == {"test", "external"}
    assert (tables.summary["n_subjects"] == 1).all()
    assert set(tables.ttests["split"]) == {"external+test"}
    assert (tables.ttests.loc[tables.ttests["unit"] == "subject", "n_subjects"] == 2).all()


def test_summary_by_hand(tmp_path: Path) -> None:
    write_case(tmp_path, "01", values={"pix2pix": 0.1}, n_slices=2)
    write_case(tmp_path, "02", values={"pix2pix": 0.5}, n_slices=6)
    tables = group_tables(tmp_path)
    row = tables.summary.set_index("metric").loc["rmse"]
    values = tables.metrics["rmse"].to_numpy()
    assert row["mean"] == pytest.approx(values.mean())
    assert row["sd"] == pytest.approx(np.std(values, ddof=1))
    assert row["cv_percent"] == pytest.approx(100 * np.std(values, ddof=1) / values.mean())
    means = [values[:2].mean(), values[2:].mean()]
    assert row["subject_mean"] == pytest.approx(np.mean(means))
    assert row["subject_sd"] == pytest.approx(np.std(means, ddof=1))
    assert (row["n_subjects"], row["n_slices"], row["n_infinite"]) == (2, 8, 0)


def test_slices_beyond_the_block_are_gathered_and_not_counted(tmp_path: Path) -> None:
    for folder, n_slices in (("all", 9), ("block", 3)):
        for participant in ("01", "02", "03"):
            write_case(tmp_path / folder, participant, n_slices=n_slices, n_in_block=3)
    found, expected = (group_tables(tmp_path / folder) for folder in ("all", "block"))
    assert len(found.metrics) == 3 * len(expected.metrics)
    pd.testing.assert_frame_equal(found.summary, expected.summary)
    pd.testing.assert_frame_equal(found.ttests, expected.ttests)


def test_infinite_psnr_is_counted_and_left_out(tmp_path: Path) -> None:
    path = write_case(tmp_path, "01", values={"pix2pix": 0.1})
    frame = pd.read_csv(path, sep="\t", keep_default_na=False)
    frame["psnr"] = frame["psnr"].astype(object)
    frame.loc[1, "psnr"] = "inf"
    frame.to_csv(path, sep="\t", index=False)
    row = group_tables(tmp_path).summary.set_index("metric").loc["psnr"]
    assert (row["n_slices"], row["n_infinite"]) == (3, 1)
    assert math.isfinite(row["mean"])


def test_tests_between_models_and_against_their_own_baselines(tmp_path: Path) -> None:
    for participant in ("01", "02", "03"):
        write_case(tmp_path, participant, "pix2pixPet")
        write_case(tmp_path, participant, "pix2pixT1w", inputs="T1w", rmse=0.4)
    tables = group_tables(tmp_path)
    found = set(map(tuple, tables.ttests[["comparison", "model_a", "method_a", "model_b", "method_b"]].to_numpy()))
    assert found == {
        ("models", "pix2pixPet", "pix2pix", "pix2pixT1w", "pix2pix"),
        *(
            ("baseline", model, "pix2pix", model, baseline)
            for model in ("pix2pixPet", "pix2pixT1w")
            for baseline in ("constant", "petCopy")
        ),
    }
    metrics = tables.metrics[tables.metrics["model"] == "pix2pixPet"]
    keys = ["participant_id", "slice"]
    a, b = (metrics[metrics["method"] == m].set_index(keys)["mask_ssim"] for m in ("pix2pix", "constant"))
    rows = tables.ttests.query("model_a == 'pix2pixPet' and method_b == 'constant' and metric == 'mask_ssim'")
    rows = rows.set_index("unit")
    expected = stats.ttest_rel(a, b.loc[a.index])
    assert rows.loc["slice", "t"] == pytest.approx(expected.statistic)
    assert rows.loc["slice", "p"] == pytest.approx(expected.pvalue)
    assert (rows.loc["slice", "n_slices"], rows.loc["slice", "n_subjects"]) == (12, 3)
    assert math.isnan(rows.loc["slice", "cohens_dz"])
    assert rows.loc["subject", "df"] == 2
    assert rows.loc["subject", "cohens_dz"] == pytest.approx(rows.loc["subject", "t"] / math.sqrt(3))


def test_holm_corrects_within_comparison_metric_and_unit(tmp_path: Path) -> None:
    for participant in ("01", "02", "03", "04"):
        write_case(tmp_path, participant)
    tests = group_tables(tmp_path).ttests
    family = tests.query("metric == 'rmse' and unit == 'subject'")
    assert len(family) == 2
    smallest = family["p"].idxmin()
    assert family.loc[smallest, "p_holm"] == pytest.approx(2 * family.loc[smallest, "p"])
    assert (family["p_holm"] >= family["p"]).all()


def test_native_and_template_models_are_compared_by_subject_only(tmp_path: Path) -> None:
    for number, participant in enumerate(("01", "02", "03")):
        write_case(tmp_path, participant, "pix2pixPet", values={"pix2pix": 0.1 * number})
        write_case(tmp_path, participant, "pix2pixPetMNI", space="MNI", values={"pix2pix": 0.3 + 0.01 * number**2})
    tests = group_tables(tmp_path).ttests
    assert tests.loc[tests["unit"] == "slice", "p"].isna().all()
    assert tests.loc[tests["unit"] == "slice", "note"].str.contains("different anatomy").all()
    assert tests.loc[tests["unit"] == "subject", "p"].notna().all()


def test_one_subject_gives_no_subject_wise_test(tmp_path: Path) -> None:
    write_case(tmp_path, "01")
    tables = group_tables(tmp_path)
    rows = tables.ttests[tables.ttests["unit"] == "subject"]
    assert rows["p"].isna().all()
    assert (rows["note"] == "fewer than two pairs").all()
    assert tables.summary["subject_sd"].isna().all()


def test_differing_scales_are_noted(tmp_path: Path) -> None:
    for participant in ("01", "02"):
        write_case(tmp_path, participant, "pix2pixPet")
        write_case(tmp_path, participant, "pix2pixPetVolume", scaling="volume", data_range=2.3)
    tests = group_tables(tmp_path).ttests
    notes = set(tests.loc[(tests["comparison"] == "models") & (tests["unit"] == "slice"), "note"])
    assert all("intensity scalings differ; data ranges differ" in note for note in notes)


def test_written_tables_have_dictionaries_and_say_na(tmp_path: Path) -> None:
    write_case(tmp_path, "01")
    paths = write_group_tables(group_tables(tmp_path), tmp_path)
    assert [path.name for path in paths] == ["group_metrics.tsv", "group_summary.tsv", "group_ttests.tsv"]
    for path in paths:
        header, *lines = path.read_text().splitlines()
        assert lines
        dictionary = json.loads(path.with_suffix(".json").read_text())
        assert list(dictionary) == header.split("\t")
        assert all(entry["Description"] for entry in dictionary.values())
    assert "n/a" in paths[2].read_text()
    assert "not independent" in paths[2].with_suffix(".json").read_text()
    first = paths[1].read_bytes()
    write_group_tables(group_tables(tmp_path), tmp_path)
    assert paths[1].read_bytes() == first


def test_no_metrics_give_empty_tables(tmp_path: Path) -> None:
    tables = group_tables(tmp_path)
    assert tables.metrics.empty
    assert tables.summary.empty
    assert tables.ttests.empty
    for path in write_group_tables(tables, tmp_path):
        assert len(path.read_text().splitlines()) == 1


def test_damaged_table_is_named(tmp_path: Path) -> None:
    path = write_case(tmp_path, "01")
    path.write_text("participant_id\tslice\nsub-01\t1\n")
    with pytest.raises(DatasetError, match=r"sub-01_task.*not a metrics table"):
        group_tables(tmp_path)
