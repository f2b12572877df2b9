"""The list of stages: what one more entry changes, and where a run stops."""

from collections.abc import Iterator
from typing import Any

import pytest

from bids_spectsynth.app import apply as application
from bids_spectsynth.app import participant
from bids_spectsynth.app.stages import NOT_FINISHED, Context, Stage, run_stages
from bids_spectsynth.errors import Outcome
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.reports.subject import all_pages


@pytest.fixture
def further_stage(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """One more stage before the reports, which fails on sub-05; what it has seen: cases, and stages so far."""
    seen: list[tuple[str, list[str]]] = []

    def subtract(context: Context) -> Iterator[Outcome]:
        for model, case in context.synthesised:
            seen.append((f"{case.name} {model.label}", sorted({outcome.stage for outcome in context.outcomes})))
            status: Any = "failed" if case.participant == "05" else "ok"
            yield Outcome(case.participant, case.session, "", status, "no ictal SPECT" if status == "failed" else "")

    stage = Stage("subtract", lambda settings: settings.mode == "apply", subtract, lambda _: "mirror the images")
    monkeypatch.setattr(participant, "STAGES", (*participant.STAGES[:-1], stage, participant.STAGES[-1]))
    return seen


def test_stages__one_more_runs_in_order_and_its_outcomes_count(
    finished: Any, tmp_path: Any, further_stage: list[tuple[str, list[str]]]
) -> None:
    app = finished.copy(tmp_path)
    model = app.output_dir / "models" / "pix2pixT1w"
    result = app("--mode", "apply", "--model", model, "--participant-label", "04", "05")
    names = ["sub-04 pix2pixT1w", "sub-05_ses-a pix2pixT1w"]
    assert [name for name, _ in further_stage] == names
    assert further_stage[0][1] == ["evaluate", "preprocess", "synthesise"]
    # The second is told of what the stage itself has done to the first.
    assert further_stage[1][1] == ["evaluate", "preprocess", "subtract", "synthesise"]
    assert result.code == 1
    assert result.says("sub-05_ses-a failed: no ictal SPECT")
    rows = app.participants()
    assert rows["sub-04"]["status"] == "ok"
    assert (rows["sub-05"]["status"], rows["sub-05"]["reason"]) == ("failed", "no ictal SPECT")


def test_stages__one_more_has_its_line_in_the_plan(finished: Any, further_stage: list[tuple[str, list[str]]]) -> None:
    options = ("--dry-run", "--mode", "apply", "--participant-label", "04")
    lines = [line.split("then: ")[1] for line in finished(*options).says("then: ")]
    assert [line.split()[0] for line in lines] == ["prepare", "apply", "subtract", "mirror"]
    assert not finished("--dry-run", "--mode", "preprocess").says("mirror")
    assert further_stage == []


def settings(**values: Any) -> Settings:
    return make_settings({"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant", **values})


def stage(name: str, *statuses: str, only_reads: bool = False) -> Stage:
    outcomes = [Outcome(f"{n}", None, "named otherwise", status) for n, status in enumerate(statuses)]  # type: ignore[arg-type]
    return Stage(name, lambda _: True, lambda _: outcomes, only_reads=only_reads)


@pytest.mark.parametrize(("stop", "expected"), [(False, ["find", "one", "two"]), (True, ["find", "one"])])
def test_run_stages__stop_on_first_crash(stop: bool, expected: list[str]) -> None:
    context = Context(settings(stop_on_first_crash=stop))
    # Who cannot be found keeps nobody from being prepared.
    run_stages([stage("find", "failed", only_reads=True), stage("one", "ok", "failed"), stage("two", "ok")], context)
    assert list(dict.fromkeys(outcome.stage for outcome in context.outcomes)) == expected


def test_run_stages__outcomes_before_an_error_are_kept() -> None:
    def broken(context: Context) -> Iterator[Outcome]:
        yield Outcome("01", None, "", "skipped", "has no pet")
        raise ValueError("no model fits")

    context = Context(settings())
    with pytest.raises(ValueError, match="no model fits"):
        run_stages([Stage("synthesise", lambda _: True, broken)], context)
    assert [(outcome.stage, outcome.reason) for outcome in context.outcomes] == [("synthesise", "has no pet")]


@pytest.mark.parametrize("function", ["synthesise", "evaluate_case"])
def test_stop_on_first_crash__after_the_preparation(
    finished: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    app = finished.copy(tmp_path)
    for path in app.output_dir.glob("sub-*/**/*_desc-pix2pixT1w_*"):
        path.unlink()
    for path in app.output_dir.glob("sub-*.html"):
        path.unlink()
    called: list[str] = []

    def broken(*args: Any, **options: Any) -> None:
        called.append(function)
        raise OSError("disk full")

    monkeypatch.setattr(application, function, broken)
    options = (
        "--mode",
        "apply",
        "--model",
        app.output_dir / "models" / "pix2pixT1w",
        "--participant-label",
        "04",
        "05",
    )
    result = app(*options, "--stop-on-first-crash")
    assert result.code == 4
    assert len(called) == 1
    rows = app.participants()
    assert rows["sub-04"]["reason"] == "OSError: disk full"
    assert (rows["sub-05"]["status"], rows["sub-05"]["reason"]) == ("failed", NOT_FINISHED)
    assert not app.files("sub-*.html")
    assert app(*options).code == 4
    assert len(called) == 3
    assert app.files("sub-*.html") == {"sub-04.html", "sub-05.html"}


def test_stop_on_first_crash__reports(finished: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app = finished.copy(tmp_path)
    for path in app.output_dir.glob("sub-*.html"):
        path.unlink()
    app.reports = True
    called: list[str] = []

    def broken(output_dir: Any, label: str, heads: Any) -> None:
        called.append(label)
        raise OSError("disk full")

    monkeypatch.setattr(all_pages, "subject_report", broken)
    options = ("--mode", "apply", "--participant-label", "03", "04")
    assert app(*options, "--stop-on-first-crash").code == 1
    assert called == ["03"]
    assert app(*options).code == 4
    assert called == ["03", "03", "04"]
