import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bids_spectsynth.errors import DatasetError
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.group.comparisons import StatisticsOptions
from bids_spectsynth.evaluation.group.subject_counts import subjects_fingerprint
from bids_spectsynth.evaluation.group.tables import group_tables, write_group_tables

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
    scales: Sequence[str] = ("slice",),
    **columns: object,
) -> Path:
    """A metrics table whose values differ by method, participant and slice."""
    rows = []
    for (method, base), scale in itertools.product((values or VALUES).items(), scales):
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
                    "block_position": k if k < n_in_block else "n/a",
                    "model": model,
                    "configuration": model,
                    "seed": 1,
                    "method": method,
                    "inputs": "pet",
                    "space": space,
                    "scaling": "slice",
                    "losses": "L1+BCE",
                    "recipe": "fard2024",
                    "training": "0a1b2c3d",
                    "scale": scale,
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
    pd.DataFrame(rows)[list(slice_dictionary())].to_csv(path, sep="\t", index=False, na_rep="n/a")
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
    assert (tables.ttests["n_subjects"] == 2).all()


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
    assert row["subjects"] == subjects_fingerprint(["sub-02", "sub-01"])
    assert (row["n_subjects"], row["n_slices"], row["n_infinite"]) == (2, 8, 0)


def test_slices_beyond_the_block_are_gathered_and_not_counted(tmp_path: Path) -> None:
    for folder, n_slices in (("all", 9), ("block", 3)):
        for participant in ("01", "02", "03"):
            write_case(tmp_path / folder, participant, n_slices=n_slices, n_in_block=3)
    found, expected = (group_tables(tmp_path / folder) for folder in ("all", "block"))
    assert len(found.metrics) == 3 * len(expected.metrics)
    pd.testing.assert_frame_equal(found.summary, expected.summary)
    pd.testing.assert_frame_equal(found.ttests, expected.ttests)


def test_two_spaces_are_paired_by_the_position_that_the_tables_tell(tmp_path: Path) -> None:
    for participant in ("01", "02", "03"):
        native = write_case(tmp_path, participant, "native", n_slices=5, n_in_block=4)
        write_case(tmp_path, participant, "template", space="Tpl", n_slices=5, n_in_block=4)
        # The lowest slice of the block was not rated.
        frame = pd.read_csv(native, sep="\t", dtype=str, keep_default_na=False)
        frame[frame["slice"] != "0"].to_csv(native, sep="\t", index=False)
    tables = group_tables(tmp_path, StatisticsOptions(bootstrap_samples=0))
    write_group_tables(tables, tmp_path)
    written = pd.read_csv(tmp_path / "group_metrics.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert set(written["block_position"]) == {"0", "1", "2", "3", "n/a"}
    row = tables.ttests.query("comparison == 'space' and metric == 'rmse' and test == 'slice_t'").iloc[0]
    assert row["n_slices"] == 9
    assert row["mean_difference"] == pytest.approx(0, abs=1e-12)


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
    pair = ["comparison", "configuration_a", "method_a", "configuration_b", "method_b"]
    assert set(map(tuple, tables.ttests[pair].to_numpy())) == {
        ("inputs", "pix2pixPet", "pix2pix", "pix2pixT1w", "pix2pix"),
        *(
            ("baseline", model, "pix2pix", model, baseline)
            for model in ("pix2pixPet", "pix2pixT1w")
            for baseline in ("constant", "petCopy")
        ),
    }
    metrics = tables.metrics[tables.metrics["model"] == "pix2pixPet"]
    keys = ["participant_id", "slice"]
    a, b = (metrics[metrics["method"] == m].set_index(keys)["mask_ssim"] for m in ("pix2pix", "constant"))
    rows = tables.ttests.query("configuration_a == 'pix2pixPet' and method_b == 'constant' and metric == 'mask_ssim'")
    rows = rows.set_index("test")
    assert rows.loc["slice_t", "p"] == pytest.approx(stats.ttest_rel(a, b.loc[a.index]).pvalue)
    assert (rows.loc["slice_t", "n_slices"], rows.loc["slice_t", "n_subjects"]) == (12, 3)
    means = [values.groupby("participant_id").mean() for values in (a, b)]
    assert rows.loc["subject_t", "p"] == pytest.approx(stats.ttest_rel(*means).pvalue)
    assert rows.loc["subject_t", "df"] == 2


def test_models_that_differ_by_seed_are_one_configuration(tmp_path: Path) -> None:
    for participant in ("01", "02", "03"):
        for seed in (1, 2):
            write_case(tmp_path, participant, f"pix2pixPetSeed{seed}", configuration="pix2pixPet", seed=seed)
        write_case(tmp_path, participant, "pix2pixT1w", inputs="T1w")
    tables = group_tables(tmp_path)
    networks = tables.ttests[tables.ttests["comparison"] == "inputs"]
    assert set(networks["configuration_a"]) == {"pix2pixPet"}
    assert (networks["n_slices"] == 12).all()
    assert networks["note"].str.contains("a: mean of 2 seeds").all()
    assert set(tables.summary.loc[tables.summary["configuration"] == "pix2pixPet", "seed"]) == {"1", "2"}


def test_a_cross_validated_model_whose_folds_have_other_seeds_is_one_model(tmp_path: Path) -> None:
    for number, participant in enumerate(("01", "02", "03")):
        write_case(tmp_path, participant, seed=number)
    summary = group_tables(tmp_path).summary
    assert set(summary["seed"]) == {"0+1+2"}
    assert (summary["n_subjects"] == 3).all()


def test_families_are_comparison_test_and_scale_with_both_regions_apart(tmp_path: Path) -> None:
    for participant in ("01", "02", "03", "04"):
        write_case(tmp_path, participant, scales=("slice", "volume"))
        write_case(tmp_path, participant, "pix2pixT1w", inputs="T1w", rmse=0.4, scales=("slice", "volume"))
    tests = group_tables(tmp_path).ttests
    assert set(tests["scale"]) == {"slice", "volume"}
    for test, scale in itertools.product(("subject_t", "wilcoxon", "slice_t", "equivalence"), ("slice", "volume")):
        whole = tests[(tests["test"] == test) & (tests["scale"] == scale) & (tests["comparison"] == "baseline")]
        whole = whole[whole["metric"].isin(["rmse", "ssim", "psnr"])]
        assert len(whole) == 2 * 2 * 3, "two models, two baselines, three metrics"
        for column, method in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
            tested = whole[whole["p"].notna()]
            expected = multipletests(tested["p"], method=method)[1]
            np.testing.assert_allclose(tested[column], expected, rtol=1e-10, atol=0)


def test_notes_say_whether_equivalence_was_shown(tmp_path: Path) -> None:
    for number, participant in enumerate(("01", "02", "03", "04", "05", "06")):
        write_case(
            tmp_path, participant, values={"pix2pix": 0.1, "constant": 0.1 + 1e-5 * (number % 3), "petCopy": 0.3}
        )
    tests = group_tables(tmp_path, StatisticsOptions(bootstrap_samples=0)).ttests
    notes = tests[(tests["test"] == "equivalence") & (tests["metric"] == "rmse")].set_index("method_b")["note"]
    assert notes["constant"] == "equivalent (margin 0.01, Holm p, alpha 0.01)"
    assert notes["petCopy"] == "all differences are equal"
    margins = (("rmse", 1e-6), ("ssim", 1e-6), ("psnr", 1e-6))
    wide = group_tables(tmp_path, StatisticsOptions(bootstrap_samples=0, equivalence_margins=margins)).ttests
    notes = wide[(wide["test"] == "equivalence") & (wide["metric"] == "rmse")].set_index("method_b")["note"]
    assert notes["constant"].startswith("equivalence not shown (margin 1e-06")


def test_one_subject_gives_no_subject_wise_test(tmp_path: Path) -> None:
    write_case(tmp_path, "01")
    tables = group_tables(tmp_path)
    rows = tables.ttests[tables.ttests["test"] == "subject_t"]
    assert rows["p"].isna().all()
    assert (rows["note"] == "fewer than two pairs").all()
    assert tables.summary["subject_sd"].isna().all()


def test_models_of_other_scaling_are_compared_on_each_common_scale(tmp_path: Path) -> None:
    for participant in ("01", "02"):
        write_case(tmp_path, participant, "pix2pixPet", scales=("slice", "volume"))
        write_case(tmp_path, participant, "pix2pixPetVolume", scaling="volume", scales=("slice", "volume"))
    tables = group_tables(tmp_path)
    networks = tables.ttests[tables.ttests["comparison"] == "recipe"]
    assert networks.groupby("scale").size().to_dict() == dict.fromkeys(("slice", "volume"), 5 * len(METRICS))
    assert (networks["n_slices"] == 8).all()
    assert set(tables.summary["scale"]) == {"slice", "volume"}


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
    first = [path.read_bytes() for path in paths]
    write_group_tables(group_tables(tmp_path), tmp_path)
    assert [path.read_bytes() for path in paths] == first


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


def test_a_table_of_an_older_version_is_refused_in_one_line(tmp_path: Path) -> None:
    path = write_case(tmp_path, "01")
    frame = pd.read_csv(path, sep="\t", keep_default_na=False)
    frame.drop(columns=["configuration", "scale"]).to_csv(path, sep="\t", index=False)
    with pytest.raises(DatasetError, match=r"configuration.*scale.*delete it and evaluate again"):
        group_tables(tmp_path)
