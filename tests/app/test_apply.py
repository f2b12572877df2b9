"""Who counts as held out, what is made again, and who is served."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bids_spectsynth.app import apply as application
from bids_spectsynth.app.apply import check_served, is_younger, made_by, split_of
from bids_spectsynth.bids.prepared import PreparedCase, update_participants
from bids_spectsynth.errors import ModelError, Outcome
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.synthesis.models.card import participant_hash
from bids_spectsynth.synthesis.models.ensemble import Member


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
        weights_sha256="abc", prior_sha256="",
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
        ("03", "train", True, "external"),
    ],
)
def test_the_card_decides_who_has_been_seen(
    settings: Settings, tmp_path: Path, label: str, row: str | None, here: bool, expected: str
) -> None:
    if row is not None:
        update_participants(settings.output_dir, {label: {"split": row}})
    folder = (settings.output_dir if here else tmp_path / "other") / "models" / "m"
    assert split_of([card("01", "02")], folder, case(label), settings) == expected


@pytest.mark.parametrize(
    ("made", "sources", "expected"), [([2, 3], [1, 2], True), ([2, 1], [1, 2], False), ([2, None], [1], False)]
)
def test_what_is_older_than_a_source_is_made_again(
    tmp_path: Path, made: list[int | None], sources: list[int], expected: bool
) -> None:
    paths = []
    for number, time in enumerate([*made, *sources]):
        paths.append(tmp_path / str(number))
        if time is not None:
            paths[-1].write_text("")
            os.utime(paths[-1], (time, time))
    assert is_younger(paths[: len(made)], paths[len(made) :]) is expected


def test_one_model_that_fits_is_enough(settings: Settings) -> None:
    skipped = Outcome("01", None, "synthesise", "skipped", "has no pet")
    check_served([skipped, Outcome("01", None, "evaluate", "ok")], [Path("m")], settings)
    check_served([skipped, Outcome("01", None, "synthesise", "failed", "broken")], [Path("m")], settings)
    with pytest.raises(ModelError, match="has no pet"):
        check_served([skipped], [Path("m")], settings)


def test_a_model_of_a_space_that_nobody_is_prepared_in(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "load_members", lambda folder: (Member(folder, card("01", "02")),))
    with pytest.raises(ModelError, match=r"space MNI, not T1w; use --output-spaces MNI"):
        check_served([], [Path("m")], settings)


@pytest.mark.parametrize(("error", "words"), [(ModelError("no room"), "no room"), (KeyError("x"), "KeyError: 'x'")])
def test_a_case_that_fails_is_an_outcome_and_leaves_the_others(
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


def test_an_image_of_another_model_of_the_same_label_is_told_apart(tmp_path: Path) -> None:
    image = tmp_path / "sub-01_desc-m_spect.nii.gz"
    sidecar = tmp_path / "sub-01_desc-m_spect.json"
    model: Any = SimpleNamespace(weights_sha256="abc", prior_sha256="")
    assert not made_by(image, [model])
    sidecar.write_text('{"ModelChecksum": "sha256:abc"}')
    assert made_by(image, [model])
    sidecar.write_text('{"ModelChecksum": "sha256:other"}')
    assert not made_by(image, [model])


def test_a_table_of_an_earlier_training_does_not_outlive_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "synthesise", lambda *_, **options: None)
    prepared = PreparedCase("01", None, "T1w", {"interictal": tmp_path}, {}, None, None)
    table = application.metrics_path(settings.output_dir, prepared, "m")
    table.parent.mkdir(parents=True)
    for path in (table, table.with_suffix(".json")):
        path.write_text("rated when it was held out")
    folder = tmp_path / "models" / "m"
    model = application._Applied(folder, (Member(folder, card("01", "02")),), torch.device("cpu"))
    monkeypatch.setattr(application, "load_model", lambda *_: None)
    outcome = application._serve(model, prepared, settings)
    assert outcome.status == "ok"
    assert not table.exists()
    assert not table.with_suffix(".json").exists()


def test_a_deviation_is_of_these_networks_and_of_as_many_samples(settings: Settings) -> None:
    prepared, networks = case("01"), [card("01", "02")]
    path = application.standard_deviation_path(settings.output_dir, prepared, "m")
    path.parent.mkdir(parents=True)

    def held(samples: int, cards: Any = networks, **facts: Any) -> bool:
        content = {"ModelChecksum": "sha256:abc", "SampledBy": "dropout", "Samples": 5} | facts
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(content))
        return application._is_same_sampling(prepared, "m", cards, samples, settings.output_dir)

    assert held(5)
    assert not held(6)
    assert not held(5, ModelChecksum="sha256:other")
    assert not held(5, SampledBy="ensemble")
    assert not held(5, cards=[*networks, *networks])


def test_what_was_said_of_an_image_goes_with_it(settings: Settings) -> None:
    prepared = case("01")
    deviation = application.standard_deviation_path(settings.output_dir, prepared, "m")
    table = application.rating_tables(settings.output_dir, prepared, "m")[-1]
    deviation.parent.mkdir(parents=True)
    for path in (deviation, table):
        path.write_text("old")
    application._remove_deviation(settings.output_dir, prepared, "m")
    assert not deviation.exists()
    assert not table.exists()
