from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.figures.violins import violin, write_figures
from bids_spectsynth.evaluation.group.tables import GroupTables


def rows(model: str, method: str, seed: int, *, split: str = "test", n_subjects: int = 3, n: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        [
            {"participant_id": f"sub-{s}", "session_id": "n/a", "slice": k, "z_mm": 2.0 * k}
            for s in range(n_subjects)
            for k in range(n)
        ]
    )
    values = {metric: rng.uniform(0.1, 0.9, len(frame)) for metric in METRICS}
    return frame.assign(
        model=model,
        configuration=model,
        method=method,
        space="T1w",
        split=split,
        in_block="true",
        scaling="slice",
        scale="slice",
        **values,
    )


def texts(svg: str) -> list[str]:
    return [
        " ".join("".join(e.itertext()).split()) for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("text")
    ]


@pytest.fixture
def metrics() -> pd.DataFrame:
    return pd.concat(
        [
            rows("pix2pixPet", "pix2pix", 1),
            rows("pix2pixPet", "constant", 2),
            rows("pix2pixPet", "regression", 3),
            rows("pix2pixT1w", "pix2pix", 4),
            rows("pix2pixT1w", "constant", 2),
            rows("pix2pixT1w", "regression", 5),
        ],
        ignore_index=True,
    )


def test_names_units_and_counts_are_shown(metrics: pd.DataFrame) -> None:
    shown = texts(violin(metrics, "mask_psnr"))
    assert "PSNR, in brain (dB)" in shown
    assert any("3 test; 15 slices" in text for text in shown)
    assert {"pix2pixPet", "pix2pixT1w"} <= set(shown)


def test_equal_baselines_are_drawn_once_and_unequal_ones_told_apart(metrics: pd.DataFrame) -> None:
    shown = texts(violin(metrics, "rmse"))
    assert shown.count("constant") == 1
    assert "regression of pix2pixPet" in shown
    assert "regression of pix2pixT1w" in shown


def test_equal_values_of_other_slices_are_another_violin(metrics: pd.DataFrame) -> None:
    moved = (metrics["model"] == "pix2pixT1w") & (metrics["method"] == "constant")
    metrics.loc[moved, "slice"] += 1
    shown = texts(violin(metrics, "rmse"))
    assert {"constant of pix2pixPet", "constant of pix2pixT1w"} <= set(shown)


def test_same_data_gives_the_same_bytes_without_a_date(metrics: pd.DataFrame) -> None:
    first = violin(metrics, "ssim")
    assert first == violin(metrics.copy(), "ssim")
    assert "<dc:date>" not in first


@pytest.mark.parametrize("n_subjects", [2, 3, 7])
def test_every_subject_is_a_dot(n_subjects: int) -> None:
    svg = violin(rows("m", "pix2pix", 1, n_subjects=n_subjects), "rmse")
    markers = [e.get("style", "") for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("use")]
    assert sum("fill: #ffffff" in style for style in markers) == n_subjects


def test_training_subjects_are_left_out(metrics: pd.DataFrame) -> None:
    mixed = pd.concat([metrics, rows("other", "pix2pix", 9, split="train")], ignore_index=True)
    assert violin(mixed, "rmse") == violin(metrics, "rmse")


def test_slices_beyond_the_block_are_left_out(metrics: pd.DataFrame) -> None:
    beyond = metrics.assign(in_block="false", slice=metrics["slice"] + 100)
    assert violin(pd.concat([metrics, beyond], ignore_index=True), "rmse") == violin(metrics, "rmse")


def test_each_model_is_shown_on_the_scale_of_its_training(metrics: pd.DataFrame) -> None:
    other = metrics.assign(scale="volume", rmse=9.0)
    assert violin(pd.concat([metrics, other], ignore_index=True), "rmse") == violin(metrics, "rmse")
    volume = rows("m", "pix2pix", 9).assign(scaling="volume", scale="volume")
    shown = " ".join(texts(violin(pd.concat([metrics, volume], ignore_index=True), "rmse")))
    assert "not to be compared across scales" in shown


def test_seeds_share_a_violin(metrics: pd.DataFrame) -> None:
    seeds = pd.concat([rows(f"m{n}", "pix2pix", n).assign(configuration="m") for n in (1, 2)], ignore_index=True)
    shown = texts(violin(seeds, "rmse"))
    assert shown.count("m") == 1
    assert not {"m1", "m2"} & set(shown)


def test_as_many_but_other_subjects_are_named(metrics: pd.DataFrame) -> None:
    assert not any("same subjects" in text for text in texts(violin(metrics, "rmse")))
    other = rows("pix2pixBoth", "pix2pix", 6).assign(split="external")
    other["participant_id"] = other["participant_id"] + "x"
    shown = texts(violin(pd.concat([metrics, other]), "rmse"))
    assert any("not all were rated on the same subjects" in text for text in shown)
    assert any("3 test + 3 external" in text for text in shown)
    assert "3 subjects, 15 slices" in shown


def test_counts_that_differ_stand_beside_each_violin(metrics: pd.DataFrame) -> None:
    mixed = pd.concat([metrics, rows("other", "pix2pix", 9, n_subjects=2)], ignore_index=True)
    assert "2 subjects, 10 slices" in " ".join(texts(violin(mixed, "rmse")))


@pytest.mark.parametrize("n", [1, 2])
def test_few_or_equal_values(n: int) -> None:
    frame = rows("m", "pix2pix", 1, n_subjects=1, n=n)
    frame["rmse"] = 0.25
    assert "m" in texts(violin(frame, "rmse"))


def test_infinite_values_are_left_out(metrics: pd.DataFrame) -> None:
    metrics.loc[0, "psnr"] = np.inf
    assert "3 subjects, 14 slices" in " ".join(texts(violin(metrics, "psnr")))


def test_nothing_held_out_says_so() -> None:
    svg = violin(rows("m", "pix2pix", 1, split="train"), "rmse")
    assert "no held-out slices were rated" in texts(svg)


def test_one_file_per_metric(tmp_path: Path) -> None:
    metrics, empty = rows("m", "pix2pix", 1), pd.DataFrame()
    paths = write_figures(GroupTables(metrics, empty, empty), tmp_path)
    assert list(paths) == list(METRICS)
    assert paths["mask_ssim"] == tmp_path / "figures" / "group_mask_ssim.svg"
    assert paths["mask_ssim"].read_text() == violin(metrics, "mask_ssim")
    assert paths["mask_ssim"].with_suffix(".png").read_bytes().startswith(b"\x89PNG")
