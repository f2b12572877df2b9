"""SISCOM through the program: what is made, when it is made again, and what bad scans cost."""

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.app import siscom as stage
from bids_spectsynth.siscom.outputs.columns import CLUSTERS_DICTIONARY
from tests.conftest import ALL, App, volume, write_dataset

FILES = "sub-*/**/*_desc-siscom*"
STEM = "sub-01/spect/sub-01_task-ictal_trc-HMPAO_space-T1w_desc-siscom"
#: 01 has a focus on the left; 02's scan is constant, 03's cut; nothing can be subtracted from that of 04.
COHORT = {
    "01": (*ALL, "ictal"),
    **dict.fromkeys(("02", "03"), ("T1w", "interictal", "ictal")),
    "04": ("T1w", "ictal"),
}
PREPROCESS = ("--mode", "preprocess")


def _ictal_scans(bids_dir: Path) -> None:
    scan = volume(1, 3.0, 0.3)
    values = np.asarray(scan.dataobj)
    points = np.indices(values.shape).T * 8.0 - 92
    hot = values * np.where(np.linalg.norm(points - (-32, -12, 20), axis=-1).T < 18, 1.7, 1)
    for label, data in {"01": hot, "02": np.full_like(values, 7), "03": values[:, :, :6]}.items():
        path = bids_dir / f"sub-{label}" / "spect" / f"sub-{label}_task-ictal_trc-HMPAO_spect.nii.gz"
        nib.save(nib.Nifti1Image(data.astype(np.float32), scan.affine), path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[App, str]:
    """A finished run of the preparation, and what it said; not to be changed."""
    folder = tmp_path_factory.mktemp("siscom")
    app = App(write_dataset(folder / "data", COHORT), folder / "out")
    _ictal_scans(app.bids_dir)
    result = app(*PREPROCESS)
    assert result.code == 0, result.err
    return app, result.err


@pytest.fixture
def app(made: tuple[App, str], tmp_path: Path) -> App:
    """A copy that may be changed."""
    return made[0].copy(tmp_path)


def lines(text: str, *words: str) -> list[str]:
    return [line for line in text.splitlines() if all(word in line for word in words)]


def test_siscom__maps_foci_and_sidecars_of_each_baseline_without_a_model(made: tuple[App, str]) -> None:
    app, said = made
    statistics = [f"stat-{one}_statmap" for one in ("difference", "z", "znull")]
    names = [f"{STEM}{label}_{one}" for label in ("Real", "Pet") for one in statistics]
    wanted = {f"{name}{end}" for name in names for end in (".nii.gz", ".json")}
    wanted |= {f"{STEM}{label}_clusters{end}" for label in ("Real", "Pet") for end in (".tsv", ".json")}
    found = app.files(FILES.replace("*", "01", 1))
    # What compares the baselines is tested where it is made.
    assert {name for name in found if "_concordance" not in name} == wanted
    assert lines(said, "sub-01: ictal SPECT minus real, pet")
    table = pd.read_csv(app.output_dir / f"{STEM}Real_clusters.tsv", sep="\t")
    assert list(table) == list(CLUSTERS_DICTIONARY)
    first = table.iloc[0]
    assert (first["rank"], first["sign"], first["side"]) == (1, "hyper", "L")
    assert np.linalg.norm(first[["x_mm", "y_mm", "z_mm"]].to_numpy(dtype=float) - (-32, -12, 20)) < 15
    described = json.loads((app.output_dir / "descriptions.json").read_text())
    assert described
    descriptions = (app.output_dir / "descriptions.tsv").read_text()
    assert "siscomReal" in descriptions
    assert "siscomPet" in descriptions


def test_siscom__a_second_run_makes_nothing_anew(app: App) -> None:
    patterns = (FILES, "siscom/*", ".manifests/**/*siscom*", "sub-*/**/*.nii.gz")
    before = app.stamps(*patterns)
    assert before
    assert app(*PREPROCESS).code == 0
    assert app.stamps(*patterns) == before


def test_siscom__other_options_make_it_again(app: App) -> None:
    options = {
        "siscom_fwhm": "14",
        "siscom_threshold": "1.5",
        "siscom_extent": "2",
        "siscom_level": "median",
        "siscom_gain": "off",
    }
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    before = app.stamps(f"{STEM}*")
    only = ("--siscom-baselines", "real", "--participant-label", "01")
    assert app(*PREPROCESS, *only, *words).code == 0
    after = app.stamps(f"{STEM}*")
    # What is not asked for any more goes: siscom_baselines.
    assert any("siscomPet" in name for name in before)
    assert not any("siscomPet" in name for name in after)
    assert all(after[name] != before[name] for name in after)
    facts = json.loads((app.output_dir / f"{STEM}Real_stat-difference_statmap.json").read_text())
    assert (facts["SmoothingFWHM"], facts["Threshold"], facts["MinimumVolume"]) == (14, 1.5, 2)
    assert facts["LevelUsed"] == "median"
    again = app.stamps(f"{STEM}*")
    assert app(*PREPROCESS, *only, *words).code == 0
    assert app.stamps(f"{STEM}*") == again


def test_siscom__a_map_that_is_gone_is_made_again(app: App) -> None:
    missing = app.output_dir / f"{STEM}Real_stat-z_statmap.nii.gz"
    missing.unlink()
    assert app(*PREPROCESS, "--siscom-baselines", "real", "--participant-label", "01").code == 0
    assert missing.exists()


def test_siscom__off_makes_nothing(app: App) -> None:
    for name in app.files(FILES):
        (app.output_dir / name).unlink()
    shutil.rmtree(app.output_dir / "siscom")
    result = app(*PREPROCESS, "--siscom", "off")
    assert result.code == 0
    assert not app.files(FILES)
    assert not app.files("siscom/*")
    assert not result.says("SISCOM")


@pytest.mark.parametrize(
    ("label", "why", "reason"),
    [
        # Such a scan is not even prepared.
        ("02", "all voxels hold the same value (7)", "n/a"),
        ("03", "the brain that both scans have measured is nowhere thick enough", "no SISCOM of the ictal SPECT: "),
        ("04", "no baseline to subtract", "no SISCOM of the ictal SPECT: "),
    ],
)
def test_siscom__a_scan_that_cannot_be_used_costs_one_line(
    made: tuple[App, str], label: str, why: str, reason: str
) -> None:
    app, said = made
    (line,) = lines(said, f"sub-{label}: ", why)
    assert " W " in line
    row = app.participants()[f"sub-{label}"]
    assert row["status"] == "ok"
    assert row["reason"].startswith(reason)
    assert not app.files(FILES.replace("*", label, 1))


def test_siscom__an_unforeseen_error_fails_that_participant_alone(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(work: Any) -> list[str]:
        raise RuntimeError("not foreseen")

    monkeypatch.setattr(stage, "make_siscom", broken)
    result = app(*PREPROCESS, "--siscom-threshold", "2.5", "--participant-label", "01")
    assert result.code == 4
    row = app.participants()["sub-01"]
    assert (row["status"], row["reason"]) == ("failed", "SISCOM of the ictal SPECT: RuntimeError: not foreseen")


def test_siscom__synthetic_baseline_is_marked_in_every_map(finished: App) -> None:
    # 07 has no interictal SPECT: its synthetic ones stand for it.
    found = sorted(finished.files("sub-07/spect/*_statmap.json"))
    assert found
    for name in found:
        facts = json.loads((finished.output_dir / name).read_text())
        synthetic = facts["Baseline"]["Kind"] == "synthetic"
        assert facts.get("Synthetic", False) is synthetic, name
        assert (facts["Baseline"]["Model"] is not None) or not synthetic
    kinds = {json.loads((finished.output_dir / name).read_text())["Baseline"]["Kind"] for name in found}
    assert {"synthetic", "pet", "cohort"} <= kinds
