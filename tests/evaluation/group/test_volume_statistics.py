"""The residual as a baseline of SISCOM in the group's summary and tests: one value for each volume."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bids_spectsynth.evaluation.case.region_columns import VOLUME_DICTIONARY
from bids_spectsynth.evaluation.group.comparisons import StatisticsOptions
from bids_spectsynth.evaluation.group.tables import GroupTables, compare_methods, summarise, write_group_tables
from bids_spectsynth.reports.group.leads import RESIDUAL
from bids_spectsynth.reports.group.tables import lead_table
from bids_spectsynth.reports.group.tests import all_tests_table, primary_tables
from bids_spectsynth.reports.group.verdicts import verdicts

NO_METRICS = pd.DataFrame(columns=["configuration", "method", "scale"])
OPTIONS = StatisticsOptions(bootstrap_samples=200)
NAME = "baseline_sd_percent"


def volumes(
    model: str,
    values: dict[str, list[float]],
    *,
    seed: int = 1,
    inputs: str = "pet",
    sessions: int = 1,
    space: str = "T1w",
) -> pd.DataFrame:
    """Rows of a model: the values of each method by participant, and a little more in each further session."""
    rows = [
        {
            "participant_id": f"sub-{n:02d}", "session_id": f"ses-{s}", "method": method, NAME: value + 0.1 * s,
            "model": f"{model}Seed{seed}", "configuration": model, "seed": seed, "inputs": inputs, "space": space,
            "scaling": "volume", "losses": "L1", "recipe": "best", "training": "t0a1b2c3d", "split": "test",
            "rated_slices": 30,
        }
        for method, own in values.items()
        for n, value in enumerate(own)
        for s in range(sessions)
    ]  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=list(VOLUME_DICTIONARY))


NETWORK = [5.0, 5.5, 5.2, 4.9, 5.3, 5.1]
PET = [7.0, 7.9, 8.3, 7.1, 7.7, 7.4]


def results(*tables: pd.DataFrame, options: StatisticsOptions = OPTIONS) -> pd.DataFrame:
    return compare_methods(NO_METRICS.iloc[:0], options, pd.concat(tables, ignore_index=True))


def test_summarise__volumes_by_hand() -> None:
    rows = volumes("m", {"pix2pix": [*NETWORK, float("nan")], "petCopy": [*PET, 7.5]}, sessions=2)
    summary = summarise(pd.DataFrame(), rows).set_index("method")
    row = summary.loc["pix2pix"]
    subjects = np.array(NETWORK) + 0.05
    assert (row["metric"], row["scale"], row["metric_unit"]) == (NAME, "uptake", "percent of the brain mean")
    assert row["subject_mean"] == row["mean"] == pytest.approx(subjects.mean())
    assert row["subject_sd"] == pytest.approx(subjects.std(ddof=1))
    interval = stats.t.interval(0.95, 5, subjects.mean(), stats.sem(subjects))
    np.testing.assert_allclose(row[["subject_low", "subject_high"]].to_numpy(dtype=float), interval)
    assert (row["n_subjects"], row["n_slices"], row["n_infinite"]) == (6, 6 * 2 * 30, 2)
    assert summary.loc["petCopy", "n_subjects"] == 7


def test_compare_methods__network_against_its_baselines_by_participant() -> None:
    rows = results(volumes("m", {"pix2pix": NETWORK, "petCopy": PET}, sessions=2)).set_index("test")
    assert list(rows.index) == ["subject_t", "wilcoxon", "equivalence"]
    assert set(rows["metric"]) == {NAME}
    assert rows.loc["subject_t", "p"] == pytest.approx(stats.ttest_rel(NETWORK, PET).pvalue, rel=1e-10)
    assert rows.loc["wilcoxon", "p"] == pytest.approx(stats.wilcoxon(np.subtract(NETWORK, PET)).pvalue, rel=1e-10)
    assert rows.loc["subject_t", "mean_difference"] == pytest.approx(np.mean(NETWORK) - np.mean(PET))
    assert rows.loc["subject_t", "ci_low"] < rows.loc["subject_t", "mean_difference"] < rows.loc["subject_t", "ci_high"]
    assert (rows["n_subjects"] == 6).all()
    assert (rows["n_slices"] == 360).all()
    assert rows.loc["equivalence", "margin"] == 0.5
    assert set(rows["comparison"]) == {"baseline"}


def test_compare_methods__seeds_are_averaged_and_pairs_corrected_together() -> None:
    both = [volumes("a", {"pix2pix": list(np.add(NETWORK, shift))}, seed=seed) for seed, shift in ((1, -0.2), (2, 0.2))]
    others = [volumes(name, {"pix2pix": values}, inputs=name) for name, values in (("T1w", PET), ("FLAIR", PET[::-1]))]
    rows = results(*both, *others).query("test == 'subject_t'")
    assert set(rows["comparison"]) == {"inputs"}
    assert len(rows) == 3
    first = rows[(rows["configuration_a"] == "a") & (rows["configuration_b"] == "T1w")].iloc[0]
    assert first["p"] == pytest.approx(stats.ttest_rel(NETWORK, PET).pvalue, rel=1e-9)
    assert "a: mean of 2 seeds" in first["note"]
    ordered = np.sort(rows["p"])
    corrected = np.minimum(np.maximum.accumulate(ordered * [3, 2, 1]), 1)
    np.testing.assert_allclose(np.sort(rows["p_holm"]), corrected)


def test_compare_methods__models_of_two_spaces_are_paired_by_participant() -> None:
    rows = results(volumes("a", {"pix2pix": NETWORK}), volumes("b", {"pix2pix": PET}, space="MNI"))
    assert set(rows["comparison"]) == {"space"}
    assert rows.set_index("test").loc["subject_t", "p"] == pytest.approx(stats.ttest_rel(NETWORK, PET).pvalue, rel=1e-9)


def test_compare_methods__volumes_without_a_value_are_no_pairs() -> None:
    nothing = [float("nan")] * 6
    rows = results(volumes("m", {"pix2pix": NETWORK, "petCopy": nothing}))
    assert rows["p"].isna().all()
    assert rows["note"].str.contains("no pairs").all()


def test_compare_methods__margin_by_name() -> None:
    options = StatisticsOptions(bootstrap_samples=0, equivalence_margins=((NAME, 9.0),))
    rows = results(volumes("m", {"pix2pix": NETWORK, "petCopy": PET}), options=options).set_index("test")
    assert rows.loc["equivalence", "note"].startswith("equivalent (margin 9")


def test_the_report_shows_the_measure_with_its_tests_and_verdict(tmp_path: Path) -> None:
    rows = volumes("m", {"pix2pix": NETWORK, "petCopy": PET})
    tests = results(rows)
    summary = summarise(pd.DataFrame(), rows)
    write_group_tables(GroupTables(pd.DataFrame(), summary, tests), tmp_path)
    written = {name: pd.read_csv(tmp_path / f"group_{name}.tsv", sep="\t", keep_default_na=False, na_values=["n/a"])
               for name in ("summary", "ttests")}  # fmt: skip
    lead = lead_table(written["summary"], RESIDUAL)
    assert [cell.text for cell in lead.rows[0][5:7]] == ["5.17\n± 0.22", "7.57\n± 0.50"]
    assert [cell.tone for cell in lead.rows[0][5:7]] == ["best", ""]
    (note,) = verdicts(written["summary"], written["ttests"], RESIDUAL)
    assert note.text.startswith("m (6 test): lower mean baseline SD than every baseline (n = 6 subjects")
    assert note.level == "good"
    primary = primary_tables(written["ttests"], "baseline", "uptake", {})[0]
    assert [cell.text for cell in primary.rows[0][:3]] == ["m", "Copy of the PET", "Baseline SD (%)"]
    assert "whole volumes" in primary.caption
    every = all_tests_table(written["ttests"], "baseline", {})
    assert [cell.text for cell in every.rows[0][:4]] == ["m", "Copy of the PET", "uptake", "Baseline SD (%)"]
    assert [cell.text for cell in every.rows[0]].count("–") == 2, "no tests over slices"
