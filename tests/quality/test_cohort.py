"""The stage that judges prepared images: who is flagged neither trains nor is rated, and everybody is told."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bids_spectsynth.bids.prepared import PreparedCase, begin_preparation, is_unfinished
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.images.nifti import content_checksum
from bids_spectsynth.quality import cohort as stage
from bids_spectsynth.quality import files, marking
from bids_spectsynth.quality.files import CaseQuality
from bids_spectsynth.quality.judge import Flag
from tests.conftest import App

FLAG = Flag("spect-foreign", 0.03, 0.2, "the interictal SPECT is not this head's (interictal.own_anatomy 0.03)")
LABELS = ["01", "02", "03", "04", "05"]


@pytest.fixture
def app(make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch) -> App:
    """Five participants, of which the judge doubts the second."""

    def judge(measures: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[Flag, ...]]:
        return {name: (FLAG,) if name == "sub-02" else () for name in measures}

    made = make_app(LABELS)
    made.judge = judge
    return made


def trained_on(app: App) -> int:
    card = json.loads(next(app.output_dir.glob("models/*/model.json")).read_text())
    return int(card["training"]["participants"]) + int(card["training"]["validation_participants"])


def test_flagged_case__neither_trains_nor_is_rated(app: App) -> None:
    result = app()
    assert result.code == 0, result.err
    rows = app.participants()
    assert rows["sub-02"]["quality_flags"] == "spect-foreign"
    assert rows["sub-02"]["split"] == "excluded"
    assert rows["sub-02"]["status"] == "ok"
    assert {rows[f"sub-{label}"]["quality_flags"] for label in LABELS if label != "02"} == {"n/a"}
    assert trained_on(app) < len(LABELS) - 1
    assert result.says("sub-02, spect-foreign", FLAG.sentence)
    assert result.says("Participants: 5 ok", "1 with quality flags (sub-02)")
    # It is synthesised, and the image says so.
    image = next(app.output_dir.glob("sub-02/spect/*_space-T1w_desc-pix2pix*_spect.json"))
    assert json.loads(image.read_text())["QC"] == [FLAG.as_json()]
    assert not list(app.output_dir.glob("sub-02/spect/*_metrics.tsv"))
    assert "QC" not in json.loads(next(app.output_dir.glob("sub-01/spect/*_space-T1w_desc-pix2pix*.json")).read_text())


def test_qc_file__flags_measures_and_what_was_measured(app: App) -> None:
    app("--mode", "preprocess")
    content = json.loads((app.output_dir / "sub-02" / "sub-02_qc.json").read_text())
    assert content["QC"] == [FLAG.as_json()]
    assert content["Measures"]["pet.score"] == 0.9
    assert content["Measures"]["pet.spread"] > 0
    assert set(content["Inputs"]) >= {"image T1w", "image pet", "image interictal"}
    assert any(name.startswith("registration pet ") for name in content["Inputs"])
    assert json.loads((app.output_dir / "sub-01" / "sub-01_qc.json").read_text())["QC"] == []
    assert "*_qc.json" in (app.output_dir / ".bidsignore").read_text().splitlines()


def test_include_flagged__trains_on_everybody_and_still_says_so(app: App) -> None:
    assert app("--include-flagged").code == 0
    assert app.participants()["sub-02"]["quality_flags"] == "spect-foreign"
    assert app.participants()["sub-02"]["split"] in ("train", "validation", "test")


def test_include_flagged__rates_whom_it_left_out_before(app: App) -> None:
    app("--mode", "preprocess")
    split = app.bids_dir.parent / "split.tsv"
    parts = dict(zip(LABELS, ("train", "test", "validation", "train", "train"), strict=True))
    rows = [f"sub-{label}\t{part}\n" for label, part in parts.items()]
    split.write_text("participant_id\tsplit\n" + "".join(rows))
    result = app("--include-flagged", "--split-file", str(split))
    assert result.code == 0, result.err
    (table,) = app.output_dir.glob("sub-02/spect/*_metrics.tsv")
    assert len(pd.read_csv(table, sep="\t"))
    folder = next(app.output_dir.glob("models/*"))
    result = app("--mode", "apply", "--model", str(folder), "--participant-label", "02")
    assert result.code == 0, result.err
    assert not table.exists(), "rated no longer"
    assert "not rated, because its prepared images are doubtful" in app.participants()["sub-02"]["reason"]


def test_strict__flagged_case_has_failed(app: App) -> None:
    result = app("--strict")
    assert result.code == 1, result.err
    row = app.participants()["sub-02"]
    assert (row["status"], row["failed_in"]) == ("failed", "quality")
    assert row["reason"] == "doubtful images: spect-foreign"
    assert not list(app.output_dir.glob("sub-02/spect/*_desc-pix2pix*"))


def test_strict_and_include_flagged__contradict(app: App) -> None:
    result = app("--strict", "--include-flagged")
    assert result.code == 2
    assert "--include-flagged" in result.errors[0]


def test_train_mode__leaves_flagged_cases_out_too(app: App) -> None:
    app("--mode", "preprocess")
    result = app("--mode", "train")
    assert result.code == 0, result.err
    assert result.says("Not trained on", "sub-02 (--include-flagged takes them)")
    assert app.participants()["sub-02"]["split"] == "excluded"


def test_train__too_few_are_left(app: App) -> None:
    app.judge = lambda measures: {name: () if name == "sub-01" else (FLAG,) for name in measures}
    result = app()
    assert result.code == 5
    assert "4 of 5 cases are left out by quality flags" in result.errors[0]


def test_damaged_prepared_image__is_not_judged_and_costs_nobody_else(app: App) -> None:
    app("--mode", "preprocess")
    next(app.output_dir.glob("sub-03/pet/*_desc-preproc_pet.nii.gz")).write_bytes(b"no image")
    result = app("--mode", "train")
    assert result.says("sub-03: not judged", "prepare the participant again")
    assert (app.output_dir / "sub-04" / "sub-04_qc.json").exists()


@pytest.mark.parametrize("options", [(), ("--include-flagged",)])
def test_train_mode__never_takes_a_case_that_is_not_judged(app: App, options: tuple[str, ...]) -> None:
    app("--mode", "preprocess")
    app.judge = lambda measures: dict.fromkeys(measures, ())
    begin_preparation(app.output_dir, "sub-03")  # as another job does
    next(app.output_dir.glob("sub-04/pet/*_desc-preproc_pet.nii.gz")).write_bytes(b"no image")
    result = app("--mode", "train", "--split-counts", "2", "1", "0", *options)
    assert result.code == 0, result.err
    assert result.says("Not trained on, because they are not judged: sub-03 sub-04 (prepare them first)")
    splits = {name: row["split"] for name, row in app.participants().items()}
    assert splits.pop("sub-03") == splits.pop("sub-04") == "n/a"
    assert sorted(splits.values()) == ["train", "train", "validation"]


def test_train_mode__half_prepared_and_flagged_before_are_told_apart(app: App) -> None:
    app("--mode", "preprocess")
    begin_preparation(app.output_dir, "sub-03")
    app.judge = lambda measures: {name: () if name == "sub-01" else (FLAG,) for name in measures}
    result = app("--mode", "train")
    assert result.code == 5
    assert "3 of 5 cases are left out by quality flags" in result.errors[0]
    assert "1 of 5 cases are not judged, prepare them first" in result.errors[0]


def test_judging__measures_without_the_lock(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = [False]
    measured: list[bool] = []
    lock, measure = marking.judging_lock, files._measured

    @contextmanager
    def watched(output_dir: Path) -> Iterator[None]:
        with lock(output_dir):
            held[0] = True
            yield
            held[0] = False

    def seen(case: PreparedCase) -> dict[str, float]:
        measured.append(held[0])
        return measure(case)

    monkeypatch.setattr(marking, "judging_lock", watched)
    monkeypatch.setattr(files, "_measured", seen)
    app("--mode", "preprocess")
    assert measured == [False] * len(LABELS)
    assert (app.output_dir / "sub-02" / "sub-02_qc.json").exists()


def test_judge_folder__measures_again_what_changed_before_the_lock(app: App) -> None:
    app("--mode", "preprocess")
    known = stage.measure_folder(app.output_dir, ["T1w"])
    assert sorted(known) == [f"sub-{label}" for label in LABELS]
    image, other = (next(app.output_dir.glob(f"sub-{n}/pet/*_desc-preproc_pet.nii.gz")) for n in ("03", "04"))
    image.write_bytes(other.read_bytes())
    stage.judge_folder(app.output_dir, ["T1w"], write=True, known=known)
    content = json.loads((app.output_dir / "sub-03" / "sub-03_qc.json").read_text())
    assert content["Inputs"]["image pet"] == content_checksum(image)
    assert content["Inputs"]["image pet"] != known["sub-03"].contents["image pet"]


def test_measures__are_taken_from_the_file_while_the_images_stay(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    app("--mode", "preprocess")
    asked: list[Path] = []
    measure = stage.case_quality

    def count(*args: Any) -> CaseQuality:
        monkeypatch.setattr("bids_spectsynth.quality.files._measured", lambda case: asked.append(case.name) or {})
        return measure(*args)

    monkeypatch.setattr(stage, "case_quality", count)
    app("--mode", "preprocess")
    assert asked == []
    image = next(app.output_dir.glob("sub-03/pet/*_desc-preproc_pet.nii.gz"))
    image.write_bytes(next(app.output_dir.glob("sub-04/pet/*_desc-preproc_pet.nii.gz")).read_bytes())
    app("--mode", "train")
    assert asked == ["sub-03"]


def test_flags_of_another_run__reach_the_table_and_take_the_ratings_away(app: App) -> None:
    flagging, app.judge = app.judge, lambda measures: dict.fromkeys(measures, ())
    split = app.bids_dir.parent / "split.tsv"
    parts = dict(zip(LABELS, ("train", "test", "validation", "train", "train"), strict=True))
    split.write_text("participant_id\tsplit\n" + "".join(f"sub-{k}\t{part}\n" for k, part in parts.items()))
    assert app("--split-file", str(split)).code == 0
    (table,) = app.output_dir.glob("sub-02/spect/*_metrics.tsv")
    app.judge = flagging
    assert app("--mode", "apply", "--participant-label", "01").code == 0
    assert app.participants()["sub-02"]["quality_flags"] == "spect-foreign"
    assert not table.exists()


def test_run_that_ends_before_the_judge__keeps_what_was_flagged(app: App) -> None:
    app("--mode", "preprocess")
    next(app.bids_dir.glob("sub-01/anat/*_T1w.nii.gz")).write_bytes(b"no image")
    assert app("--mode", "preprocess", "--stop-on-first-crash").code != 0
    assert app.participants()["sub-02"]["quality_flags"] == "spect-foreign"


def test_include_flagged__rates_whom_the_training_left_out(app: App) -> None:
    assert app().code == 0
    assert app.participants()["sub-02"]["split"] == "excluded"
    assert app("--mode", "apply", "--include-flagged").code == 0
    (table,) = app.output_dir.glob("sub-02/spect/*_metrics.tsv")
    assert set(pd.read_csv(table, sep="\t")["split"]) == {"external"}


def test_case_whose_preparation_has_not_ended__is_not_judged(app: App) -> None:
    app("--mode", "preprocess")
    (app.output_dir / "sub-03" / "sub-03_qc.json").unlink()
    begin_preparation(app.output_dir, "sub-03")  # as another job does
    result = app("--mode", "preprocess", "--participant-label", "01")
    assert result.says("sub-03: not judged", "has not ended")
    assert not (app.output_dir / "sub-03" / "sub-03_qc.json").exists()
    app("--mode", "preprocess", "--participant-label", "03")
    assert (app.output_dir / "sub-03" / "sub-03_qc.json").exists()


def test_preparation_that_fails__leaves_its_case_unjudged(app: App) -> None:
    app("--mode", "preprocess")
    next(app.bids_dir.glob("sub-03/pet/*_pet.nii.gz")).write_bytes(b"no image")
    assert is_unfinished(app.output_dir, "sub-03") is False
    assert app("--mode", "preprocess").says("sub-03: not judged")
    assert is_unfinished(app.output_dir, "sub-03") is True


def test_flags_that_another_job_takes_back__sidecar_follows_and_somebody_says_who_is_to_be_rated(app: App) -> None:
    split = app.bids_dir.parent / "split.tsv"
    parts = dict(zip(LABELS, ("train", "test", "validation", "train", "train"), strict=True))
    split.write_text("participant_id\tsplit\n" + "".join(f"sub-{k}\t{part}\n" for k, part in parts.items()))
    flagging, app.judge = app.judge, lambda measures: dict.fromkeys(measures, ())
    assert app("--split-file", str(split)).code == 0
    (image,) = app.output_dir.glob("sub-02/spect/*_space-T1w_desc-pix2pixT1wPet_spect.nii.gz")
    written = image.stat().st_mtime_ns
    app.judge = flagging
    assert not app("--mode", "apply", "--participant-label", "01").says("not rated yet")
    assert sidecar(image)["QC"] == [FLAG.as_json()]
    app.judge = lambda measures: dict.fromkeys(measures, ())
    result = app("--mode", "apply", "--participant-label", "01")
    assert "QC" not in sidecar(image)
    assert result.says("sub-02", "not rated yet", "--mode apply --participant-label 02")
    group = app(level="group")
    assert group.says("sub-02", "not rated yet"), group.err
    assert "--mode apply --participant-label 02" in (app.output_dir / "group.html").read_text()
    assert not app("--mode", "apply", "--participant-label", "02").says("not rated yet")
    assert image.stat().st_mtime_ns == written, "only its sidecar has changed"
    assert list(app.output_dir.glob("sub-02/spect/*_metrics.tsv"))
