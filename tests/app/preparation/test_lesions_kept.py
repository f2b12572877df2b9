"""Lesion masks that lie in the output folder: those of other sessions and spaces than the run's."""

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pytest

from bids_spectsynth.app.preparation import lesions
from bids_spectsynth.app.preparation.lesions import prepare_lesions
from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.finding.external import External
from bids_spectsynth.bids.output_files import rating_path
from bids_spectsynth.bids.participants import read_participants, to_be_rated
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_json, write_text
from bids_spectsynth.errors import ImageError, Outcome
from bids_spectsynth.evaluation.columns import LESION_KEY
from bids_spectsynth.options.settings import Settings, make_settings

UNRATED = (
    "sub-01_ses-{}: ratings in T1w that the earlier lesion mask was left out of are removed, of m; those that this run "
    "does not make anew, --mode apply with the model makes"
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(
        {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
    )


def lay(settings: Settings, session: str, space: str, volume: float | None) -> Path:
    """A prepared case, by names alone, and its lesion mask where that has a volume."""
    folder = settings.output_dir / "sub-01" / f"ses-{session}" / "anat"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"sub-01_ses-{session}_space-{space}"
    for name in ("desc-preproc_T1w", "desc-brain_mask"):
        (folder / f"{stem}_{name}.nii.gz").touch()
    path = folder / f"{stem}_label-lesion_mask.nii.gz"
    if volume is not None:
        path.touch()
        facts = {"Volume": volume, "VolumeInBrain": volume, "ExternalSource": "bids:hand:sub-01/anat/mask.nii.gz"}
        path.with_name(f"{stem}_label-lesion_mask.json").write_text(json.dumps(facts))
    return path


def rate(settings: Settings, space: str, session: str = "pre", **facts: bool) -> Path:
    """A table of ratings, by its name and what its sidecar says."""
    case = PreparedCase("01", session, space, {}, {}, None, None)
    path = rating_path(settings.output_dir, case, "m", "metrics")
    write_text(path, "x")
    write_json(path.with_suffix(".json"), facts)
    return path


def run(settings: Settings, *sessions: str) -> str:
    """Prepare sessions without a mask; what the table of participants has then."""
    cases = [Case("01", session, {}) for session in sessions]
    outcomes = [Outcome("01", session, "preprocess", "ok") for session in sessions]
    assert prepare_lesions(cases, outcomes, settings) == outcomes
    (volume,) = read_participants(settings.output_dir)["lesion_ml"]
    return str(volume)


def give(
    given: Path, settings: Settings, write: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> list[Outcome]:
    """Prepare a session with a mask, whose writing is replaced."""
    monkeypatch.setattr(lesions, "original_grid", lambda path: ((4, 4, 4), np.eye(4)))
    monkeypatch.setattr(lesions, "write_lesion", write)
    case = Case("01", "pre", {}, lesion=External(given, "hand", settings.output_dir))
    own = replace(settings, lesion_mask="siscom")
    return prepare_lesions([case], [Outcome("01", "pre", "preprocess", "ok")], own)


def written(path: Path, *_: object) -> SimpleNamespace:
    path.touch()
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text('{"Volume": 7.5}')
    return SimpleNamespace(notes=())


def unreadable(kind: str) -> Exception:
    """What a disk that does not answer for a moment gives: from the system, or as readers of images say it."""
    error = ImageError("the mask: damaged or truncated (Input/output error); write it again")
    error.__cause__ = MemoryError() if kind == "memory" else OSError(errno.EIO, "Input/output error")
    return OSError(errno.EIO, "Input/output error") if kind == "system" else error


def test_volume__is_that_of_all_sessions_that_lie_there(settings: Settings) -> None:
    lay(settings, "pre", "T1w", None)
    paths = lay(settings, "post", "T1w", 12.5), lay(settings, "late", "T1w", 3.0)
    assert run(settings, "pre") == "12.5", "of a session that the run does not have"
    assert all(path.exists() for path in paths)
    assert run(settings, "post") == "3.0"
    assert run(settings, "late") == "n/a"


@pytest.mark.parametrize(("volume", "text"), [(0.0271, "0.03"), (0.0004, "0.0004"), (0.1, "0.1"), (29.46, "29.5")])
def test_volume__however_small_is_not_none(settings: Settings, volume: float, text: str) -> None:
    lay(settings, "pre", "T1w", None)
    lay(settings, "post", "T1w", volume)
    assert run(settings, "pre") == text


def test_mask__that_is_gone_goes_in_every_space_and_one_line_says_so(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    paths = lay(settings, "pre", "T1w", 12.5), lay(settings, "pre", "MNI152NLin6Asym", 12.5)
    assert settings.spaces == ("T1w",)
    assert run(settings, "pre") == "n/a"
    assert not any(path.exists() or path.with_suffix("").with_suffix(".json").exists() for path in paths)
    (line,) = caplog.messages
    assert line.startswith("sub-01_ses-pre: the lesion mask bids:hand:sub-01/anat/mask.nii.gz is not given any more")
    assert line.endswith("give it again with --derivatives")
    assert caplog.records[0].levelname == "WARNING"
    assert run(settings, "pre") == "n/a"
    assert len(caplog.messages) == 1, "once"


def test_mask__that_is_not_wanted_goes_without_a_warning(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    path = lay(settings, "pre", "T1w", 12.5)
    assert run(replace(settings, lesion_mask="none"), "pre") == "n/a"
    assert not path.exists()
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert "--lesion-mask none" in record.message


def test_mask__that_is_gone_takes_the_ratings_without_the_lesion_along(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that does not rate would leave them, and the group level would take them for those of the whole brain."""
    lay(settings, "pre", "T1w", 12.5)
    other = lay(settings, "post", "T1w", 3.0)
    gone = rate(settings, "T1w", **{LESION_KEY: True})
    kept = (
        rate(settings, "MNI152NLin6Asym"),
        rate(settings, "MNI152NLin2009cAsym", **{LESION_KEY: True}),
        rate(settings, "T1w", "post", **{LESION_KEY: True}),
    )
    run(replace(settings, mode="preprocess"), "pre")
    assert not gone.exists()
    assert not gone.with_suffix(".json").exists()
    assert all(path.exists() for path in (*kept, other))
    assert caplog.messages[0] == UNRATED.format("pre")
    assert len(caplog.messages) == 2
    run(replace(settings, mode="apply", model=settings.output_dir / "other"), "post")
    assert not kept[2].exists()
    assert caplog.messages[2] == UNRATED.format("post"), "another model may be applied than that rated"


@pytest.mark.parametrize("failing", [("T1w", "MNI152NLin6Asym"), ("T1w",), ("MNI152NLin6Asym",)])
def test_mask__that_is_refused_leaves_none_of_an_earlier_one(
    settings: Settings, failing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    paths = lay(settings, "pre", "T1w", 12.5), lay(settings, "pre", "MNI152NLin6Asym", 12.5)
    given = settings.output_dir / "mask.nii.gz"
    given.touch()

    def write(path: Path, case: PreparedCase, *_: object) -> SimpleNamespace:
        if case.space in failing:
            raise ImageError("the lesion mask is empty")
        return written(path)

    (outcome,) = give(given, settings, write, monkeypatch)
    (volume,) = read_participants(settings.output_dir)["lesion_ml"]
    if "T1w" in failing:
        assert (outcome.status, outcome.reason, volume) == ("failed", "the lesion mask is empty", "n/a")
        assert not any(path.exists() for path in paths)
    else:
        # Of a space that an earlier run has left, and this one does not ask for.
        assert (outcome.status, volume, [path.exists() for path in paths]) == ("ok", "7.5", [True, False])
        (line,) = caplog.messages
        assert line.startswith("sub-01_ses-pre: no lesion mask in MNI152NLin6Asym, which this run does not ask for: ")


@pytest.mark.parametrize("mode", ["preprocess", "apply"])
def test_mask__that_is_changed_takes_ratings_with_a_line_and_the_group_level_knows(
    settings: Settings,
    mode: Literal["preprocess", "apply"],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lay(settings, "pre", "T1w", None)
    given = settings.output_dir / "mask.nii.gz"
    given.write_text("a")
    own = replace(settings, mode=mode)
    give(given, own, written, monkeypatch)
    rated = rate(settings, "T1w", **{LESION_KEY: True})
    spect = "sub-01_ses-pre_task-interictal_space-T1w_desc-m_spect.nii.gz"
    (rated.parent / spect).touch()
    give(given, own, written, monkeypatch)
    assert (rated.exists(), caplog.messages, to_be_rated(settings.output_dir)) == (True, [], [])
    given.write_text("another")
    give(given, own, written, monkeypatch)
    assert (rated.exists(), caplog.messages) == (False, [UNRATED.format("pre")])
    assert to_be_rated(settings.output_dir) == ["01"]


def test_mask__that_is_refused_takes_ratings_with_a_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lay(settings, "pre", "T1w", 12.5)
    rated = rate(settings, "T1w", **{LESION_KEY: True})
    given = settings.output_dir / "mask.nii.gz"
    given.touch()

    def refuse(*_: object) -> None:
        raise ImageError("the lesion mask is empty")

    give(given, settings, refuse, monkeypatch)
    assert (rated.exists(), caplog.messages) == (False, [UNRATED.format("pre")])


@pytest.mark.parametrize("kind", ["system", "reader", "memory", "missing"])
def test_mask__that_cannot_be_read_for_a_moment_costs_nothing(
    settings: Settings, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    paths = lay(settings, "pre", "T1w", None), lay(settings, "pre", "MNI152NLin6Asym", None)
    given = settings.output_dir / "mask.nii.gz"
    given.write_text("a")
    give(given, settings, written, monkeypatch)
    rated = rate(settings, "T1w", **{LESION_KEY: True}), rate(settings, "MNI152NLin6Asym", **{LESION_KEY: True})

    def fail(*_: object) -> None:
        raise ImageError("the mask: no such file") if kind == "missing" else unreadable(kind)

    away = given.rename(given.with_name("away")) if kind == "missing" else given
    away.write_text("a" if kind == "missing" else "another")
    (outcome,) = give(given, settings, fail, monkeypatch)
    assert outcome.status == "failed"
    assert all(path.exists() for path in (*paths, *rated))
    if kind == "missing":
        away.rename(given)
        (outcome,) = give(given, settings, fail, monkeypatch)
        assert outcome.status == "ok", "nothing is to be made anew"
    assert caplog.messages == []


def test_mask__that_a_space_never_had_is_no_warning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every run of a folder with such a space says it."""
    caplog.set_level("INFO")
    lay(settings, "pre", "T1w", None)
    lay(settings, "pre", "MNI152NLin6Asym", 12.5)
    given = settings.output_dir / "mask.nii.gz"
    given.touch()

    def write(path: Path, case: PreparedCase, *_: object) -> SimpleNamespace:
        if case.space != "T1w":
            raise ImageError("no transform")
        return written(path)

    for _ in range(2):
        give(given, settings, write, monkeypatch)
    assert [record.levelname for record in caplog.records if "does not ask for" in record.message] == [
        "WARNING",
        "INFO",
    ]
