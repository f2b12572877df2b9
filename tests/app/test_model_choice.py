"""Which models a run applies, and how often it reads their cards."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bids_spectsynth.app.model_choice import AppliedModel, check_all_applied, choose_models
from bids_spectsynth.errors import ModelError, Outcome
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.synthesis.models.ensemble import Member
from tests.synthesis.models.conftest import make_model


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(
        {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
    )


@pytest.fixture
def models() -> list[AppliedModel]:
    card: Any = SimpleNamespace(label="m", space="MNI", inputs=("T1w",))
    return [AppliedModel(Path("m"), (Member(Path("m"), card),))]


def test_check_all_applied__one_model_that_fits_is_enough(settings: Settings, models: list[AppliedModel]) -> None:
    skipped = Outcome("01", None, "synthesise", "skipped", "has no pet")
    check_all_applied([skipped, Outcome("01", None, "synthesise", "ok")], models, settings)
    check_all_applied([skipped, Outcome("01", None, "synthesise", "failed", "broken")], models, settings)
    with pytest.raises(ModelError, match="has no pet"):
        check_all_applied([skipped], models, settings)


def test_check_all_applied__space_that_nobody_is_prepared_in(settings: Settings, models: list[AppliedModel]) -> None:
    with pytest.raises(ModelError, match=r"space MNI, not T1w; use --output-spaces MNI"):
        check_all_applied([], models, settings)


@pytest.mark.parametrize("given", [True, False], ids=["--model", "of the output folder"])
def test_choose_models__of_simulated_heads_alone_is_no_model(tmp_path: Path, given: bool) -> None:
    folder = tmp_path / "out" / "models" / "start"
    make_model(folder, participants=(), selection_participants=(), phantom=True)
    plain = {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
    own = {"mode": "apply", "voxel_size": 2, "device": "cpu", **({"model": folder} if given else {})}
    with pytest.raises(ModelError, match=r"learned from simulated heads alone.*--initial-model"):
        choose_models(make_settings({**plain, **own}))


@pytest.fixture
def card_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each ``model.json`` was read, by the name of its folder."""
    reads: Counter[str] = Counter()
    read_text, open_file = Path.read_text, Path.open

    def counted(method: Any) -> Any:
        def read(path: Path, *args: Any, **options: Any) -> Any:
            # Bytes are read for a checksum, which does not say what is in the card.
            other = args and set(str(args[0])) & set("waxb") and method is open_file
            if path.name == "model.json" and not other:
                reads[path.parent.name] += 1
            return method(path, *args, **options)

        return read

    monkeypatch.setattr(Path, "read_text", counted(read_text))
    monkeypatch.setattr(Path, "open", counted(open_file))
    return reads


def test_choose_models__each_card_is_read_once_in_a_run(finished: Any, tmp_path: Path, card_reads: Any) -> None:
    app = finished.copy(tmp_path)
    for path in app.output_dir.glob("sub-*/spect/*_desc-pix2pix*"):
        path.unlink()
    assert app("--mode", "apply", "--participant-label", "03", "04").code == 0
    assert len(app.files("sub-04/spect/*_metrics.tsv")) == 2
    # Path.read_text opens by Path.open in some versions of Python: one read, counted once or twice for all alike.
    first = dict(card_reads)
    assert set(first) == {"pix2pixT1w", "pix2pixT1wPet"}
    card_reads.clear()
    for label in first:
        (app.output_dir / "models" / label / "model.json").read_text()
    assert first == dict(card_reads)


def test_choose_models__cards_of_a_named_ensemble_are_read_once(finished: Any, tmp_path: Path, card_reads: Any) -> None:
    app = finished.copy(tmp_path)
    options = ("--inputs", "T1w", "--model-label", "two", "--ensemble-members", "2")
    assert app("--mode", "train", *options, "--split-file", app.split_file).code == 0
    model = app.output_dir / "models" / "two"
    card_reads.clear()
    # Where the space is not given it is the model's, for which the command line reads the cards before the run does.
    applying = ("--mode", "apply", "--model", model, "--output-spaces", "T1w", "--participant-label", "04")
    assert app(*applying).code == 0
    assert len(app.files("sub-04/spect/*_desc-two_metrics.tsv")) == 1
    first = dict(card_reads)
    assert set(first) == {"member-1", "member-2"}
    card_reads.clear()
    for label in first:
        (model / label / "model.json").read_text()
    assert first == dict(card_reads)


KNOWN = {"pet": {"scans": 2, "fwhm_mm": {"min": 5, "p5": 5, "median": 6, "p95": 7, "max": 7, "n": 2}}}


def harmonising(tmp_path: Path, *models: dict[str, Any], **options: Any) -> Settings:
    """Settings of a run that applies models, m0, m1, ..., with ``--harmonise resolution``."""
    for number, changes in enumerate(models):
        make_model(tmp_path / "out" / "models" / f"m{number}", label=f"m{number}", **changes)
    plain = {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
    own = {"mode": "apply", "voxel_size": 2, "device": "cpu", "harmonise": "resolution"}
    return make_settings({**plain, **own, **options})


def test_choose_models__one_old_card_does_not_refuse_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, models = choose_models(harmonising(tmp_path, {}, {"scans": KNOWN}))
    assert [model.label for model in models] == ["m1"]
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("model m0: --harmonise resolution needs")
    assert line.endswith("not applied")


def test_choose_models__an_old_card_that_is_named_or_the_only_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model m0: .* its card does not record; train it again"):
        choose_models(harmonising(tmp_path, {}))
    with pytest.raises(ModelError, match=r"model m0: .* its card does not record; train it again"):
        choose_models(harmonising(tmp_path, {}, {"scans": KNOWN}, model=tmp_path / "out" / "models" / "m0"))


def test_choose_models__a_harmonised_training_without_any_resolution_is_called_that(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model m0: .* could not be measured; leave the option out"):
        choose_models(harmonising(tmp_path, {"config": {"epochs": 1, "harmonise": "resolution"}}))
