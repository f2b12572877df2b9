"""SISCOM through the program: what is made, when it is made again, and what bad scans cost."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.app import siscom as stage
from bids_spectsynth.app.stages import Context
from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.output_files import CALIBRATION
from bids_spectsynth.bids.validate import validate_dataset
from bids_spectsynth.errors import Outcome
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.siscom.baselines.errors import Errors
from bids_spectsynth.siscom.outputs.columns import CLUSTERS_DICTIONARY
from bids_spectsynth.siscom.outputs.paths import clusters_path, siscom_files
from bids_spectsynth.siscom.participant import Work
from bids_spectsynth.synthesis.models.ensemble import write_ensemble
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
        "siscom_trend": "off",
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
    # Everything that a run writes, models, tables and maps, is BIDS by the schema that knows SPECT.
    assert [str(issue) for issue in validate_dataset(finished.output_dir) if issue.severity == "error"] == []


@dataclass
class Maker:
    """Stands for the making of the files of a scan; counts, and writes a table for each label."""

    labels: list[str] = field(default_factory=lambda: ["Real", "Pet"])
    works: list[Work] = field(default_factory=list)
    broken: str = ""

    def __call__(self, work: Work) -> list[str]:
        self.works.append(work)
        for path in siscom_files(work.ictal):
            path.unlink()
        if self.broken and self.broken in work.ictal.name:
            raise RuntimeError("not foreseen")
        for label in self.labels:
            clusters_path(work.ictal, label).write_text(str(len(self.works)))
        return []

    def count(self, app: App, **options: Any) -> int:
        """How many scans a run of the stage has made."""
        self.works.clear()
        stage_run(app, **options)
        return len(self.works)


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> Maker:
    made = Maker()
    monkeypatch.setattr(stage, "make_siscom", made)
    return made


@pytest.fixture
def no_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of baselines take long, and are tested where they are gathered."""
    monkeypatch.setattr(stage, "baseline_errors", lambda *_: Errors())


def stage_run(app: App, *outcomes: Outcome, label: str = "01", **options: Any) -> list[Outcome]:
    """The stage alone, of one participant."""
    folders = {"bids_dir": app.bids_dir, "output_dir": app.output_dir, "analysis_level": "participant"}
    settings = make_settings({**folders, "mode": "preprocess", **options})
    context = Context(settings=settings, cases=[Case(label, None, {}, ())], outcomes=list(outcomes))
    return list(stage.siscom_outcomes(context))


def test_siscom__what_is_deleted_is_made_again_and_what_dropped_out_is_not_waited_for(app: App, maker: Maker) -> None:
    real, pet = (app.output_dir / f"{STEM}{label}_clusters.tsv" for label in ("Real", "Pet"))
    assert [maker.count(app, siscom_fwhm=13) for _ in range(2)] == [1, 0]
    for path in (real, pet):
        path.unlink()
    assert [maker.count(app, siscom_fwhm=13) for _ in range(2)] == [1, 0]
    maker.labels.remove("Pet")
    pet.unlink()
    assert [maker.count(app, siscom_fwhm=13) for _ in range(2)] == [1, 0]


def test_siscom__a_remake_that_failed_does_not_leave_what_was_before_as_current(app: App, maker: Maker) -> None:
    assert maker.count(app, siscom_fwhm=13) == 1
    maker.broken = "ictal"
    assert maker.count(app, siscom_fwhm=14) == 1
    maker.broken = ""
    assert [maker.count(app, siscom_fwhm=13) for _ in range(2)] == [1, 0]


def test_siscom__what_the_sidecar_of_a_scan_says_counts(app: App, maker: Maker) -> None:
    assert maker.count(app, siscom_fwhm=13) == 1
    path = app.output_dir / STEM.replace("_desc-siscom", "_desc-preproc_spect.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "InjectionStart": 7}))
    assert [maker.count(app, siscom_fwhm=13) for _ in range(2)] == [1, 0]


def test_siscom__an_unforeseen_error_leaves_the_other_scans_of_the_case(app: App, maker: Maker) -> None:
    folder = app.output_dir / "sub-01" / "spect"
    for path in folder.glob("*task-ictal_trc-HMPAO_space-T1w_desc-preproc*"):
        shutil.copy(path, path.with_name(path.name.replace("HMPAO_", "HMPAO_run-2_")))
    maker.broken = "HMPAO_space"
    (outcome,) = stage_run(app, siscom_fwhm=13)
    assert outcome.status == "failed"
    assert "RuntimeError: not foreseen" in outcome.reason
    assert len(maker.works) == 2
    assert len(list(folder.glob("*run-2*_clusters.tsv"))) == 2


def test_siscom__normals_without_a_mean_cost_themselves_alone(app: App, maker: Maker, tmp_path: Path) -> None:
    (tmp_path / "normals").mkdir()
    for _ in range(2):
        (outcome,) = stage_run(app, normals=tmp_path / "normals", siscom_fwhm=13)
        assert outcome.status == "ok"
        # Also where nothing is made anew.
        assert outcome.reason.startswith("Normals left out: --normals: ")
        assert len(maker.works) == 1


def test_siscom__a_failure_of_a_model_costs_the_case_nothing_else(app: App, maker: Maker) -> None:
    def outcomes(at: str) -> list[Outcome]:
        return stage_run(app, Outcome("01", None, at, "failed", "why"), siscom_fwhm=13)

    assert [outcome.status for outcome in outcomes("synthesise")] == ["ok"]
    assert len(maker.works) == 1
    assert outcomes("preprocess") == []


def test_siscom__image_of_a_model_that_is_not_there_is_left_out(app: App, maker: Maker) -> None:
    folder = app.output_dir / "sub-01" / "spect"
    image = next(folder.glob("*task-interictal*space-T1w_desc-preproc_spect.nii.gz"))
    shutil.copy(image, folder / "sub-01_task-interictal_space-T1w_desc-old_spect.nii.gz")
    (folder / "sub-01_task-interictal_space-T1w_desc-old_spect.json").write_text('{"Synthetic": true}')
    (outcome,) = stage_run(app)
    assert outcome.reason.startswith("synthetic SPECT of old left out: ")
    assert maker.works[0].request.splits == {}


def test_siscom__models_of_the_output_folder_tell_whom_they_have_seen_without_being_applied(
    finished: App, maker: Maker, no_errors: None, tmp_path: Path
) -> None:
    app = finished.copy(tmp_path)
    (outcome,) = stage_run(app, label="07", siscom_fwhm=13)
    assert outcome.status == "ok"
    (work,) = maker.works
    labels = {path.name for path in (app.output_dir / "models").iterdir()}
    assert labels
    assert set(work.request.splits) == labels
    # What an earlier training has made is of networks that are not there any more.
    old = sorted(labels)[0]
    (path,) = app.output_dir.glob(f"sub-07/**/*_space-T1w_desc-{old}_spect.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "ModelChecksum": "sha256:0"}))
    (outcome,) = stage_run(app, label="07", siscom_fwhm=13)
    assert outcome.reason.startswith(f"synthetic SPECT of {old} left out: ")
    assert set(maker.works[-1].request.splits) == labels - {old}


def test_siscom__calibrated_deviations_count(finished: App, maker: Maker, no_errors: None, tmp_path: Path) -> None:
    app = finished.copy(tmp_path)
    label = sorted(path.name for path in (app.output_dir / "models").iterdir())[0]
    (path,) = app.output_dir.glob(f"sub-07/**/*_space-T1w_desc-{label}_spect.json")
    facts, own = json.loads(path.read_text()), path.with_name(path.name.replace(f"-{label}_", f"-{label}Sd_"))
    counts, image = [maker.count(app, label="07")], own.with_suffix(".nii.gz")
    for content, sampled_by in ((b"1", "dropout"), (b"1", CALIBRATION), (b"1", CALIBRATION), (b"2", CALIBRATION)):
        image.write_bytes(content)
        own.write_text(json.dumps({**facts, "StandardDeviationOf": "interictal", "SampledBy": sampled_by}))
        counts.append(maker.count(app, label="07"))
    image.unlink()
    assert [*counts, maker.count(app, label="07")] == [1, 0, 1, 0, 1, 1]


def test_siscom__baselines_of_every_fold_count(finished: App, maker: Maker, no_errors: None, tmp_path: Path) -> None:
    app = finished.copy(tmp_path)
    label = sorted(path.name for path in (app.output_dir / "models").iterdir())[0]
    folder = app.output_dir / "models" / label
    fold = folder / "fold-1"
    fold.mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.rename(fold / path.name)
    write_ensemble(folder, label, [("fold-1", 1)])
    assert [maker.count(app, label="07", siscom_fwhm=13) for _ in range(2)] == [1, 0]
    card = fold / "baselines.json"
    card.write_text(card.read_text() + " ")
    assert maker.count(app, label="07", siscom_fwhm=13) == 1
