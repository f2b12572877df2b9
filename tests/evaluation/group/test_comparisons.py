import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bids_spectsynth.errors import UsageError
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.columns import NETWORK
from bids_spectsynth.evaluation.group.columns import PRIMARY, TESTS
from bids_spectsynth.evaluation.group.comparisons import (
    StatisticsOptions,
    check_margins,
    compare,
    find_pairs,
    find_runs,
)
from bids_spectsynth.options.settings import make_settings

OPTIONS = StatisticsOptions(bootstrap_samples=500)


def rows(
    configuration: str, *, n_subjects: int = 6, n_slices: int = 12, offset: float = 0.0, **columns: str
) -> pd.DataFrame:
    """Metrics of a network whose subjects differ."""
    rng = np.random.default_rng(sum(configuration.encode()))
    subjects = np.repeat(np.arange(n_subjects), n_slices)
    base = 0.3 + offset + rng.normal(0, 0.02, n_subjects)[subjects] + rng.normal(0, 0.01, subjects.size)
    traits = {"inputs": "pet", "space": "T1w", "losses": "L1+BCE", "recipe": "fard2024", "scaling": "slice"}
    traits["training"] = "0a1b2c3d"
    common = {"model": configuration, "method": NETWORK, "scale": "slice", "session_id": "n/a", "data_range": 2.0}
    place = np.tile(np.arange(n_slices), n_subjects)
    table = pd.DataFrame({metric: base + number for number, metric in enumerate(METRICS)})
    return table.assign(
        **{**common, **traits, "configuration": configuration, **columns},
        participant_id=[f"sub-{number:02d}" for number in subjects],
        slice=place,
        z_mm=2.0 * place,
        block_position=place,
        split="test",
    )


def kinds(*tables: pd.DataFrame) -> list[tuple[str, str, str]]:
    pairs = find_pairs(find_runs(pd.concat(tables, ignore_index=True)))
    return [(kind, a.configuration, b.configuration if kind != "baseline" else b.method) for kind, a, b in pairs]


def results(first: pd.DataFrame, second: pd.DataFrame, options: StatisticsOptions = OPTIONS) -> pd.DataFrame:
    ((_, a, b),) = find_pairs(find_runs(pd.concat([first, second], ignore_index=True)))
    return pd.DataFrame(compare(a, b, options))


def test_the_papers_twelve_models_make_its_comparisons() -> None:
    models = [
        rows(f"{inputs}{space}{losses}", n_slices=1, inputs=inputs, space=space, losses=losses)
        for inputs, space, losses in itertools.product(
            ("T1w", "pet", "T1w+pet"), ("T1w", "MNI"), ("L1+BCE", "L1+BCE+SSIM")
        )
    ]
    found = [kind for kind, *_ in kinds(*models)]
    assert {kind: found.count(kind) for kind in found} == {"space": 6, "loss": 6, "inputs": 12}


def test_networks_that_differ_in_two_respects_are_not_compared() -> None:
    assert kinds(rows("a"), rows("b", inputs="T1w", space="MNI")) == []
    assert kinds(rows("a"), rows("b", inputs="T1w", recipe="best")) == []
    assert kinds(rows("a"), rows("b", scale="volume")) == [], "of two scales"


def test_recipes_are_compared_whatever_their_losses() -> None:
    assert kinds(rows("a"), rows("b", recipe="best", losses="L1", scaling="volume")) == [("recipe", "a", "b")]
    assert kinds(rows("a"), rows("b", scaling="volume")) == [("recipe", "a", "b")]
    assert kinds(rows("a", training="1"), rows("b", training="2", losses="L1")) == [("recipe", "a", "b")]


@pytest.mark.parametrize(
    ("kind", "own"), [("space", {"space": "MNI"}), ("loss", {"losses": "L1"}), ("inputs", {"inputs": "T1w"})]
)
def test_a_pair_is_not_called_by_one_respect_if_it_was_trained_otherwise(kind: str, own: dict[str, str]) -> None:
    assert kinds(rows("a"), rows("b", **own)) == [(kind, "a", "b")]
    otherwise = kinds(rows("a"), rows("b", training="ffffffff", **own))
    assert otherwise == ([("recipe", "a", "b")] if kind == "loss" else [])


def test_models_that_differ_in_nothing_are_not_compared() -> None:
    assert kinds(rows("a"), rows("b")) == []


def test_two_templates_are_not_native_against_template() -> None:
    templates = [rows(name, space=name) for name in ("TplA", "TplB")]
    assert kinds(*templates) == []
    assert kinds(rows("a"), *templates) == [("space", "a", "TplA"), ("space", "a", "TplB")]


def test_seeds_that_were_not_trained_alike_are_like_no_other_configuration() -> None:
    seeds = [rows("a", model=f"a{seed}", training=f"{seed}") for seed in (1, 2)]
    assert kinds(*seeds, rows("b", inputs="T1w", training="1")) == []
    table = results(pd.concat(seeds), rows("b", training="1"))
    assert table["note"].str.contains("a: mean of 2 seeds, not trained alike").all()


@pytest.mark.parametrize(("scale", "matched", "other"), [("slice", "b", "a"), ("volume", "a", "b")])
def test_of_two_scalings_the_level_matched_side_is_named(scale: str, matched: str, other: str) -> None:
    table = results(rows("a", scale=scale), rows("b", scale=scale, scaling="volume"))
    text = rf"{matched} was level-matched to the real SPECT \(.*\), {other} was not"
    assert table["note"].str.contains(text).all()
    same = results(rows("a", scale=scale), rows("b", scale=scale, inputs="T1w"))
    assert not same["note"].str.contains("level-matched").any()


def test_networks_are_compared_with_their_own_baselines_on_each_scale() -> None:
    baseline = rows("a", method="constant")
    assert kinds(rows("a"), baseline, rows("b", inputs="T1w")) == [("inputs", "a", "b"), ("baseline", "a", "constant")]
    both = [rows(name, inputs=name, scale=scale) for name in ("pet", "T1w") for scale in ("slice", "volume")]
    assert kinds(*both) == [("inputs", "pet", "T1w")] * 2


def test_every_test_has_a_row_and_one_is_primary() -> None:
    table = results(rows("a"), rows("b", inputs="T1w"))
    assert table.groupby("metric", sort=False)["test"].apply(set).tolist() == [set(TESTS)] * len(METRICS)
    assert set(table.loc[table["primary"] == "true", "test"]) == {PRIMARY}
    assert table["test"].iloc[0] == PRIMARY
    assert table["test"].iloc[4] == "slice_t", "the one not to believe comes last"


def test_numbers_are_those_of_scipy_on_means_and_on_slices() -> None:
    first, second = rows("a"), rows("b", inputs="T1w", offset=0.02)
    table = results(first, second).query("metric == 'mask_ssim'").set_index("test")
    means = [rows_.groupby("participant_id")["mask_ssim"].mean() for rows_ in (first, second)]
    expected = stats.ttest_rel(*means)
    primary = table.loc["subject_t"]
    assert primary["p"] == pytest.approx(expected.pvalue, rel=1e-10)
    assert primary["mean_difference"] == pytest.approx((means[0] - means[1]).mean(), rel=1e-10)
    assert primary["cohens_dz"] == pytest.approx(expected.statistic / math.sqrt(6), rel=1e-10)
    assert primary["ci_low"] < primary["mean_difference"] < primary["ci_high"]
    assert primary["g_low"] < primary["hedges_g"] < primary["g_high"]
    assert abs(primary["hedges_g"]) < abs(primary["cohens_dz"])
    assert table.loc["wilcoxon", "p"] == pytest.approx(stats.wilcoxon(*means).pvalue, rel=1e-10)
    assert "cannot give a p below" in table.loc["wilcoxon", "note"]
    slices = stats.ttest_rel(first["mask_ssim"], second["mask_ssim"])
    assert table.loc["slice_t", "p"] == pytest.approx(slices.pvalue, rel=1e-10)
    assert "not independent" in table.loc["slice_t", "note"]
    assert table.loc["mixed", "p"] == pytest.approx(expected.pvalue, rel=1e-9), "equal in a balanced design"
    assert table["n_subjects"].tolist() == [6] * 5
    assert table["n_slices"].tolist() == [72] * 5
    others = table.drop(index="subject_t")
    assert others[["ci_low", "cohens_dz", "hedges_g", "g_high"]].isna().all(axis=None)


def test_margins_are_those_of_the_metric() -> None:
    margins = (("rmse", 0.1), ("ssim", 0.2), ("psnr", 0.3))
    options = StatisticsOptions(bootstrap_samples=0, equivalence_margins=margins)
    table = results(rows("a"), rows("b", inputs="T1w"), options)
    margins = table[table["test"] == "equivalence"].set_index("metric")["margin"].to_dict()
    wanted = {"rmse": 0.1, "mask_rmse": 0.1, "ssim": 0.2, "mask_ssim": 0.2, "psnr": 0.3, "mask_psnr": 0.3}
    assert {name: margins[name] for name in wanted} == wanted
    assert table.loc[table["test"] != "equivalence", "margin"].isna().all()
    assert table["ci_low"].isna().all(), "no resamples, no interval"
    assert table.loc[0, "note"] == ""


def test_margin__name_before_measure_before_the_metrics_own() -> None:
    options = StatisticsOptions(equivalence_margins=(("mask_psnr", 2.0), ("psnr", 1.0)))
    assert [options.margin(name) for name in ("mask_psnr", "psnr", "mask_rmse")] == [
        2.0,
        1.0,
        METRICS["mask_rmse"].margin,
    ]


def test_check_margins__every_metric_and_measure_and_no_other() -> None:
    check_margins([*METRICS, "rmse"])
    with pytest.raises(
        UsageError, match=r"--equivalence-margins mask_rsme: there is no such metric; did you mean mask_r"
    ):
        check_margins(["psnr", "mask_rsme"])
    with pytest.raises(UsageError, match="no such metric; there are rmse, ssim, psnr, mask_rmse, mask_ssim, mask_psnr"):
        check_margins(["entropy"])


def test_intervals_depend_on_the_seed_and_the_pair_alone() -> None:
    first, second, other = rows("a"), rows("b", inputs="T1w"), rows("c", inputs="T1w+pet")
    alone = results(first, second)
    among = {
        (a.configuration, b.configuration): (a, b)
        for _, a, b in find_pairs(find_runs(pd.concat([first, other, second])))
    }
    pd.testing.assert_frame_equal(alone, pd.DataFrame(compare(*among["a", "b"], OPTIONS)))
    again = results(first, second, StatisticsOptions(bootstrap_samples=500, random_seed=1))
    assert again.loc[0, "ci_low"] != alone.loc[0, "ci_low"]


def test_seeds_are_averaged_before_they_are_compared() -> None:
    first = [rows("a", model=f"a{seed}", offset=offset) for seed, offset in enumerate((0.0, 0.1))]
    second = rows("b", inputs="T1w")
    table = results(pd.concat(first), second)
    expected = results(rows("a", offset=0.05), second)
    np.testing.assert_allclose(table["mean_a"], expected["mean_a"])
    np.testing.assert_allclose(table.loc[table["test"] == PRIMARY, "n_slices"], 72)
    assert table["note"].str.contains("a: mean of 2 seeds").all()
    assert not table["note"].str.contains("not all of them").any()
    partly = results(pd.concat([first[0], first[1].query("slice < 6")]), second)
    assert partly["note"].str.contains("a: mean of 2 seeds, not all of them on every slice").all()


def test_two_spaces_are_paired_by_position_and_that_is_said() -> None:
    first, second = rows("a"), rows("b", space="MNI")
    second = second.assign(slice=second["slice"] + 3, z_mm=second["z_mm"] + 100.5)
    table = results(first, second).query("metric == 'rmse'").set_index("test")
    expected = stats.ttest_rel(first["rmse"], second["rmse"])
    assert table.loc["slice_t", "p"] == pytest.approx(expected.pvalue, rel=1e-10)
    assert "different anatomy" in table.loc["slice_t", "note"]
    assert "different anatomy" in table.loc["mixed", "note"]
    assert "own slices" in table.loc["subject_t", "note"]


def test_other_data_ranges_are_noted() -> None:
    table = results(rows("a"), rows("b", inputs="T1w").assign(data_range=2.3))
    assert table["note"].str.contains("data ranges differ").all()


def test_correlated_slices_make_the_slice_wise_test_too_sure() -> None:
    shift = np.repeat([1.2, -0.7, 0.4, -0.5, 0.9, -0.3], 12)  # one offset per subject, the same in all its slices
    first = rows("a")
    table = results(
        first, first.assign(configuration="b", inputs="T1w", rmse=first["rmse"] - shift + 0.0001 * first.index)
    )
    p = table.query("metric == 'rmse'").set_index("test")["p"]
    assert p["slice_t"] < 0.1 < 0.5 < p["subject_t"]


def test_one_subject_gives_reasons_and_no_numbers() -> None:
    table = results(rows("a", n_subjects=1), rows("b", n_subjects=1, inputs="T1w")).set_index("test")
    assert table.loc["subject_t", "p"].isna().all()
    assert (table.loc["subject_t", "note"] == "fewer than two pairs").all()
    assert (table.loc["mixed", "note"] == "fewer than two subjects").all()
    assert table.loc["slice_t", "p"].notna().all()


def test_nothing_in_common_gives_reasons_too() -> None:
    second = rows("b", inputs="T1w").assign(participant_id="sub-99", slice=range(72))
    table = results(rows("a"), second)
    assert table["p"].isna().all()
    assert table["note"].str.startswith("no pairs").all()
    assert (table["n_subjects"] == 0).all()


def test_options_come_from_the_settings(tmp_path) -> None:
    settings = make_settings(
        {"bids_dir": tmp_path, "output_dir": tmp_path, "analysis_level": "group", "bootstrap_samples": 50,
         "equivalence_margins": [0.02, 0.03, 1], "random_seed": 7}
    )  # fmt: skip
    assert StatisticsOptions.of(settings) == StatisticsOptions(50, (("psnr", 1), ("rmse", 0.02), ("ssim", 0.03)), 7)
    defaults = make_settings({"bids_dir": tmp_path, "output_dir": tmp_path, "analysis_level": "group"})
    assert StatisticsOptions.of(defaults) == StatisticsOptions()
