"""Who counts as held out, and what becomes of a case that fails or must not be rated."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bids_spectsynth.app import apply as application
from bids_spectsynth.app.apply import (
    STATE_ASSUMED,
    begin_model,
    rate_case,
    split_of,
    synthesise_case,
    warn_of_known_site,
)
from bids_spectsynth.app.model_choice import AppliedModel, load_models
from bids_spectsynth.bids.manifests import Product, manifest_path
from bids_spectsynth.bids.output_files import rating_path, synthetic_path
from bids_spectsynth.bids.participants import to_be_rated, update_participants
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import ASSUMED_STATE
from bids_spectsynth.bids.sidecars import sidecar_path
from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.quality.judge import Flag
from bids_spectsynth.quality.marking import judging_lock, mark_images
from bids_spectsynth.synthesis.models.card import participant_hash
from bids_spectsynth.synthesis.models.ensemble import Member, write_ensemble
from tests.synthesis.models.conftest import make_model


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(
        {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
    )


def case(label: str) -> PreparedCase:
    return PreparedCase(label, None, "T1w", {}, {}, None, None)


def card(train: str, validation: str) -> Any:
    """A card that knows one training and one validation participant."""
    return SimpleNamespace(
        label="m", salt="s", participants=(participant_hash("s", train),),
        selection_participants=(participant_hash("s", validation),), space="MNI", inputs=("T1w",),
        weights_sha256="abc", prior_sha256="", initial_models=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("label", "row", "here", "expected"),
    [
        ("01", "train", True, "train"),
        ("02", "validation", True, "validation"),
        ("03", "test", True, "test"),
        ("03", "test", False, "external"),
        ("04", "n/a", True, "external"),
        ("05", None, True, "external"),
        ("06", "excluded", True, "excluded"),
        ("06", "excluded", False, "external"),
        # The card decides, not a table that another run has changed.
        ("01", "test", True, "train"),
        ("02", "test", True, "validation"),
        ("01", None, False, "train"),
        # A later training on another split does not make a stranger of somebody who was held out.
        ("03", "train", True, "test"),
        ("03", "validation", True, "test"),
        ("03", "train", False, "external"),
    ],
)
def test_split_of__card_decides_who_has_been_seen(
    settings: Settings, tmp_path: Path, label: str, row: str | None, here: bool, expected: str
) -> None:
    if row is not None:
        update_participants(settings.output_dir, {label: {"split": row}})
    folder = (settings.output_dir if here else tmp_path / "other") / "models" / "m"
    assert split_of([card("01", "02")], folder, case(label), settings) == expected


@pytest.mark.parametrize(
    ("row", "by_site", "fold", "warned"),
    [
        # Of a site that one fold has held out: by that fold alone.
        ("cross-validated", True, 1, False),
        # In no fold, whatever a later training of another model has made of the participant.
        (None, True, 0, True),
        ("train", True, 0, True),
        ("cross-validated", True, 0, True),
        ("excluded", True, 0, True),
        # Held out on purpose, which is refused for whoever is of a site that trains.
        ("test", True, 0, False),
        ("train", False, 0, False),
    ],
)
def test_warn_of_known_site__whom_no_fold_has_held_out(
    settings: Settings, caplog: pytest.LogCaptureFixture, row: str | None, by_site: bool, fold: int, warned: bool
) -> None:
    if row is not None:
        update_participants(settings.output_dir, {"03": {"split": row}})
    folder = settings.output_dir / "models" / "m"
    folder.mkdir(parents=True)
    write_ensemble(folder, "m", [("fold-1", 1), ("fold-2", 2)], by_site=by_site)
    serving: Any = [SimpleNamespace(fold=number) for number in ([fold] if fold else [1, 2])]
    model: Any = SimpleNamespace(folder=folder, label="m", members_for=lambda participant: serving)
    warn_of_known_site(model, case("03"), settings)
    assert ("took no part in --cross-validate site" in caplog.text) is warned


@pytest.mark.parametrize(("error", "words"), [(ModelError("no room"), "no room"), (KeyError("x"), "KeyError: 'x'")])
def test_rate_case__failure_is_an_outcome_and_leaves_the_others(
    finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    app = finished.copy(tmp_path)
    original = application.evaluate_case

    def broken(prepared: PreparedCase, *args: Any, **options: Any) -> Path:
        if prepared.participant == "04":
            raise error
        return original(prepared, *args, **options)

    monkeypatch.setattr(application, "evaluate_case", broken)
    for path in app.output_dir.glob("sub-*/**/*_metrics.tsv"):
        path.unlink()
    result = app("--mode", "apply", "--participant-label", "04", "05")
    assert result.code == 1
    # Both models fail on it, each in one line; the table tells the reason once.
    assert len(result.says("sub-04 failed: ", words)) == 2
    assert app.participants()["sub-04"]["reason"] == words
    assert len(app.files("sub-05/**/*_metrics.tsv")) == 2


def test_synthesise_case__a_judge_cannot_write_the_sidecar_of_before_over_the_new_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models" / "m"
    model, prepared = AppliedModel(folder, (Member(folder, card("01", "02")),)), case("03")
    image = synthetic_path(settings.output_dir, prepared, "m")
    image.parent.mkdir(parents=True)
    image.write_bytes(b"old")
    sidecar_path(image).write_text(json.dumps({"Synthetic": True, "ModelChecksum": "old"}))
    flag = Flag("pet-flat", 0.05, 0.12, "the PET hardly varies")
    left: list[bool] = []

    def synthesise(*args: Any, **options: Any) -> None:
        # Meanwhile another job judges.
        with judging_lock(settings.output_dir):
            mark_images(settings.output_dir, prepared, [flag])
        left.extend((image.exists(), sidecar_path(image).exists()))
        image.write_bytes(b"new")
        sidecar_path(image).write_text(json.dumps({"Synthetic": True, "ModelChecksum": "new"}))

    product = Product(
        name="image", manifest=manifest_path(settings.output_dir, image), inputs={},
        outputs=(image, sidecar_path(image)), is_current=lambda: False,
    )  # fmt: skip
    monkeypatch.setattr(application, "check_fit", lambda *_: None)
    monkeypatch.setattr(application, "image_product", lambda *_, **__: product)
    monkeypatch.setattr(application, "synthesise", synthesise)
    loader: Any = SimpleNamespace(load=lambda members: [])
    assert synthesise_case(model, prepared, settings, loader).status == "ok"
    assert left == [False, False]
    assert json.loads(sidecar_path(image).read_text())["ModelChecksum"] == "new"


def test_rate_case__table_of_an_earlier_training_does_not_outlive_it(settings: Settings, tmp_path: Path) -> None:
    prepared = PreparedCase("01", None, "T1w", {"interictal": tmp_path}, {}, None, None)
    table = rating_path(settings.output_dir, prepared, "m", "metrics")
    table.parent.mkdir(parents=True)
    for path in (table, table.with_suffix(".json")):
        path.write_text("rated when it was held out")
    folder = tmp_path / "models" / "m"
    model = AppliedModel(folder, (Member(folder, card("01", "02")),))
    outcome = rate_case(model, prepared, settings)
    assert (outcome.status, outcome.reason) == ("ok", "")
    assert not table.exists()
    assert not table.with_suffix(".json").exists()


def test_rate_case__a_spect_that_may_be_ictal_is_no_reference(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rated: list[str] = []
    monkeypatch.setattr(application, "_rate", lambda model, case, *further: rated.append(case.participant))
    folder = tmp_path / "models" / "m"
    model = AppliedModel(folder, (Member(folder, card("01", "02")),))
    for label, reason in (("03", f"{ASSUMED_STATE}; in the same session"), ("04", "task-interictal")):
        image = tmp_path / f"sub-{label}_spect.nii.gz"
        image.with_name(f"sub-{label}_spect.json").write_text(json.dumps({"SourceReason": reason}))
        prepared = PreparedCase(label, None, "T1w", {"interictal": image}, {}, None, None)
        table = rating_path(settings.output_dir, prepared, "m", "metrics")
        table.parent.mkdir(parents=True)
        table.write_text("of an earlier version")
        outcome = rate_case(model, prepared, settings)
        assert outcome.status == "ok"
        assert table.exists() is (label == "04")
        assert outcome.reason == ("" if label == "04" else STATE_ASSUMED)
    assert rated == ["04"]


def test_rate_case__who_is_to_be_rated_when_the_flags_are_gone(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "_rate", lambda *_: None)
    model = AppliedModel(tmp_path / "models" / "m", (Member(tmp_path / "models" / "m", card("01", "02")),))
    update_participants(settings.output_dir, {"01": {}, "03": {}})
    flag = Flag("pet-flat", 0.05, 0.12, "the PET hardly varies")
    for label in ("01", "03"):
        prepared = PreparedCase(label, None, "T1w", {"interictal": tmp_path / "spect.nii.gz"}, {}, None, None)
        image = synthetic_path(settings.output_dir, prepared, "m")
        image.parent.mkdir(parents=True)
        image.touch()
        rate_case(model, prepared, settings, flags=[flag])
    assert to_be_rated(settings.output_dir) == ["03"], "the model has learned from 01"
    rate_case(model, prepared, settings)
    assert to_be_rated(settings.output_dir) == []


@pytest.mark.parametrize(
    ("label", "by_site", "here", "is_said"),
    [("09", True, True, True), ("09", False, True, False), ("09", True, False, False), ("03", True, True, False)],
)
def test_rate_case__who_took_no_part_in_a_cross_validation_by_site_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    label: str, by_site: bool, here: bool, is_said: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(application, "_rate", lambda *_: None)
    folder = (settings.output_dir if here else tmp_path) / "models" / "m"
    # 03 is held out by the first fold.
    members = [Member(folder / f"fold-{n}", card(*seen), n) for n, seen in ((1, ("01", "02")), (2, ("03", "01")))]
    write_ensemble(folder, "m", [("fold-1", 1), ("fold-2", 2)], by_site=by_site)
    update_participants(settings.output_dir, {"03": {"split": "cross-validated"}})
    prepared = PreparedCase(label, None, "T1w", {"interictal": tmp_path / "spect.nii.gz"}, {}, None, None)
    rate_case(AppliedModel(folder, tuple(members)), prepared, settings)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line.partition(":")[0] for line in lines] == [f"sub-{label}, model m"] * is_said


def test_begin_model__harmonising_what_has_learned_from_several_resolutions_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    widths = {"min": 4.5, "p5": 4.6, "median": 8.4, "p95": 8.9, "max": 9.0, "n": 12}
    make_model(tmp_path / "models" / "m", label="m", scans={"pet": {"scans": 12, "fwhm_mm": widths}})
    (model,) = load_models([tmp_path / "models" / "m"])
    plain = {"bids_dir": tmp_path / "data", "output_dir": tmp_path, "analysis_level": "participant", "mode": "apply"}
    for option in ("none", "resolution"):
        settings = make_settings({**plain, "device": "cpu", "nprocs": 1, "harmonise": option})
        begin_model(model, 1, application.NetworkLoader(settings), settings)
        lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(lines) == (option == "resolution")
    assert lines[0].startswith("Model m: learned from PET images of several resolutions")
