import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.evaluation.case.metrics import METRICS, metrics_in
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.group.columns import ttest_dictionary
from bids_spectsynth.evaluation.group.comparisons import StatisticsOptions
from bids_spectsynth.evaluation.group.configurations import configurations, paper_rows
from bids_spectsynth.evaluation.group.tables import GroupTables, compare_methods, compared_rows
from bids_spectsynth.evaluation.paper.comparisons import paper_comparisons
from bids_spectsynth.evaluation.paper.tables import example_table, table_4, write_paper_tables

NO_TESTS = pd.DataFrame(columns=list(ttest_dictionary()))


def row_of(a, b, test, metric="rmse", kind="inputs", **values):
    own = {"comparison": kind, "configuration_a": a, "configuration_b": b, "test": test, "metric": metric}
    fixed = {"method_a": "pix2pix", "method_b": "pix2pix", "scale": "slice", "n_subjects": 3, "n_slices": 15}
    return {**fixed, **own, "mean_a": 0.1, "mean_b": 0.2, "mean_difference": -0.1, **values}


def test_seventy_two_comparisons_over_whole_slices_and_as_many_in_the_brain(study):
    table = paper_comparisons(configurations(study()), NO_TESTS)
    counts = table.groupby(["region", "figure"]).size()
    for region in ("whole", "brain"):
        n = len(metrics_in(region))
        assert [counts[region, figure] for figure in (5, 6, 7)] == [6 * n, 6 * n, 12 * n]
    assert not table.duplicated(["region", "metric", "configuration_a", "configuration_b"]).any()
    assert set(table["better"]) == {"n/a"}


@pytest.mark.parametrize("turned", [False, True])
def test_tests_are_found_whichever_way_round_they_were_made(model, turned):
    found = configurations(pd.concat([model("a", "T1w", "T1w", "L1+BCE"), model("b", "pet", "T1w", "L1+BCE")]))
    sides = ("b", "a") if turned else ("a", "b")
    rows = [
        row_of(*sides, "slice_t", p=1e-9),
        row_of(*sides, "subject_t", p=0.004, p_holm=0.02),
        row_of(*sides, "equivalence", p=0.3, p_holm=0.9),
        row_of(*sides, "subject_t", p=0.5, p_holm=0.5, scale="volume"),
        row_of(*sides, "subject_t", p=0.6, p_holm=0.6, method_b="constant"),
    ]
    table = paper_comparisons(found, pd.DataFrame(rows))
    row = table[(table["metric"] == "rmse") & (table["region"] == "whole")].iloc[0]
    names = ["p_slice", "p_subject", "p_subject_holm", "p_equivalence", "p_equivalence_holm"]
    assert list(row[names]) == [1e-9, 0.004, 0.02, 0.3, 0.9]
    assert (row["configuration_a"], row["configuration_b"]) == ("a", "b")
    assert row["mean_difference"] == (0.1 if turned else -0.1)
    assert (row["mean_a"], row["mean_b"]) == ((0.2, 0.1) if turned else (0.1, 0.2))
    assert row["better"] == ("b" if turned else "a"), "lower RMSE is better"


@pytest.mark.parametrize(("metric", "better"), [("rmse", "a"), ("ssim", "b"), ("mask_psnr", "b")])
def test_which_side_is_better_depends_on_the_metric(model, metric, better):
    found = configurations(pd.concat([model("a", "T1w", "T1w", "L1+BCE"), model("b", "pet", "T1w", "L1+BCE")]))
    table = paper_comparisons(found, pd.DataFrame([row_of("a", "b", "subject_t", metric, p=0.5, p_holm=0.5)]))
    assert set(table["better"]) == {better, "n/a"}


def test_the_tests_of_the_group_level_are_those_of_the_table(study):
    metrics = study(inputs=("T1w", "pet"), spaces=("T1w",), losses=("L1+BCE",))
    tests = compare_methods(compared_rows(metrics), StatisticsOptions(bootstrap_samples=0))
    table = paper_comparisons(configurations(paper_rows(metrics)), tests)
    assert len(table) == len(METRICS)
    wanted = tests[(tests["comparison"] == "inputs") & (tests["scale"] == "slice")]
    for test, column in (("slice_t", "p_slice"), ("subject_t", "p_subject"), ("equivalence", "p_equivalence")):
        expected = wanted[wanted["test"] == test].set_index("metric")["p"]
        got = table.set_index(table["region"].map({"whole": "", "brain": "mask_"}) + table["metric"])[column]
        np.testing.assert_allclose(got[expected.index], expected)
    assert (table["n_subjects"] == 3).all()
    assert (table["n_slices"] == 15).all()


def test_table_4_is_mean_and_variation_over_slices(study):
    rows = paper_rows(study())
    table = table_4(rows)
    assert len(table) == 12 * len(METRICS)
    row = table[(table["region"] == "brain") & (table["metric"] == "ssim")].iloc[0]
    values = rows.loc[rows["configuration"] == row["configuration"], "mask_ssim"]
    assert row["mean"] == pytest.approx(values.mean())
    assert row["cv_percent"] == pytest.approx(100 * values.std(ddof=1) / values.mean())
    assert (row["n_subjects"], row["n_slices"], row["n_seeds"]) == (3, 15, 1)


def test_table_4_tells_test_from_external_subjects_and_one_cohort_from_another(model):
    own = [model("a", "pet", "T1w", "L1+BCE"), model("b", "T1w", "T1w", "L1+BCE", participants=("01", "02"))]
    other = model("b", "T1w", "T1w", "L1+BCE", participants=("x1",), split="external")
    table = table_4(paper_rows(pd.concat([*own, other]))).drop_duplicates("configuration").set_index("configuration")
    counts = ["n_subjects", "n_test", "n_external"]
    assert table.loc["a", counts].tolist() == [3, 3, 0]
    assert table.loc["b", counts].tolist() == [3, 2, 1]
    assert table.loc["a", "subjects"] != table.loc["b", "subjects"]


def test_table_4_averages_seeds_and_counts_what_is_infinite(model):
    rows = paper_rows(pd.concat([model("m", "pet", "T1w", "L1+BCE", seed=seed) for seed in (1, 2)]))
    rows.loc[rows.index[0], "psnr"] = np.inf
    table = table_4(rows).set_index(["region", "metric"])
    assert table.loc[("whole", "psnr"), ["n_seeds", "n_slices", "n_infinite"]].tolist() == [2, 14, 1]
    assert table.loc[("whole", "rmse"), "mean"] == pytest.approx(rows["rmse"].mean())


def test_example_tables_hold_every_model_on_one_slice_per_subject(study, template):
    rows = paper_rows(study())
    native, in_template = example_table(rows, ["T1w"]), example_table(rows, [template])
    assert (len(native), len(in_template)) == (3 * 6, 3 * 6)
    assert set(native["slice"]) == {12}, "the middle of 10 to 14"
    assert not native.duplicated(["participant_id", "model"]).any()
    row = native.iloc[0]
    same = (rows["model"] == row["model"]) & (rows["participant_id"] == row["participant_id"]) & (rows["slice"] == 12)
    assert row["mask_psnr"] == rows.loc[same, "mask_psnr"].item()


@pytest.mark.parametrize("spaces", [("T1w",), ("MNI152NLin2009aSym",)])
def test_one_model_gives_tables_without_what_it_lacks(study, tmp_path, spaces):
    metrics = study(inputs=("pet",), spaces=spaces, losses=("L1+BCE",))
    paths = write_paper_tables(GroupTables(metrics, pd.DataFrame(), NO_TESTS), tmp_path)
    lengths = [len(path.read_text().splitlines()) - 1 for path in paths]
    native = spaces == ("T1w",)
    assert lengths == [3 if native else 0, 0 if native else 3, len(METRICS), 0]
    assert all(path.with_suffix(".json").exists() for path in paths)


def test_no_model_gives_empty_tables(tmp_path):
    metrics = pd.DataFrame(columns=list(slice_dictionary()))
    paths = write_paper_tables(GroupTables(metrics, pd.DataFrame(), NO_TESTS), tmp_path)
    assert [len(path.read_text().splitlines()) for path in paths] == [1, 1, 1, 1]
