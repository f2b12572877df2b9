"""What a failing step leaves."""

import signal
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.errors import ExitCode, ImageError
from bids_spectsynth.preprocess.records import (
    load_failure,
    save_failure,
)
from bids_spectsynth.preprocess.workflow import interfaces
from bids_spectsynth.preprocess.workflow.build import preprocess
from bids_spectsynth.preprocess.workflow.interfaces import PrepareReference
from bids_spectsynth.preprocess.workflow.step import named


def common(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    base = {"backend": "embedded", "software": "a 1", "failure_file": str(tmp_path / "why")}
    return {**base, **changes}


def test_a_failing_step_leaves_its_reason(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "sub-01_T1w.nii.gz").write_bytes(b"")
    interface = PrepareReference(t1w=str(tmp_path / "sub-01_T1w.nii.gz"), **common(tmp_path))
    with pytest.raises(ImageError):
        interface.run(cwd=str(tmp_path))
    reason = load_failure(tmp_path / "why")
    assert reason is not None
    assert "sub-01_T1w.nii.gz" in reason
    save_failure(tmp_path / "why", "a later one")
    assert load_failure(tmp_path / "why") == reason


def test_an_error_without_a_file_gets_one() -> None:
    def failing(path: str) -> None:
        raise ImageError(f"{path}the mask is empty")

    with pytest.raises(ImageError, match=r"^/a/b.nii: the mask is empty$"):
        named(Path("/a/b.nii"), failing, "")
    with pytest.raises(ImageError, match=r"^/a/b.nii: the mask is empty$"):
        named(Path("/a/b.nii"), failing, "/a/b.nii: ")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, ExitCode.INTERRUPTED),
        (signal.SIGTERM, ExitCode.TERMINATED),
        (signal.SIGUSR1, ExitCode.RESUBMIT),
    ],
)
def test_run__a_signal_in_a_step_of_one_process_ends_the_run(
    tiny: Any,
    tiny_template: Any,
    make_case: Any,
    make_options: Any,
    monkeypatch: Any,
    number: signal.Signals,
    code: ExitCode,
) -> None:
    cases, options = [make_case("01", ("T1w",)), make_case("02", ("T1w",))], make_options(nprocs=1)
    load, begun = interfaces.load_image, []

    def interrupted(path: Path, *args: Any) -> Any:
        begun.append(path)
        signal.raise_signal(number)
        return load(path, *args)

    monkeypatch.setattr(interfaces, "load_image", interrupted)
    with pytest.raises(KeyboardInterrupt) as stopped:
        preprocess(cases, options)
    assert getattr(stopped.value, "exit_code", ExitCode.INTERRUPTED) == code
    assert len(begun) == 1
    monkeypatch.setattr(interfaces, "load_image", load)
    assert [outcome.status for outcome in preprocess(cases, options)] == ["ok", "ok"]


def test_run__no_environment_is_stored(tiny: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SECRET_KEY", "0815")
    (tmp_path / "sub-01_T1w.nii.gz").write_bytes(b"")
    interface = PrepareReference(t1w=str(tmp_path / "sub-01_T1w.nii.gz"), **common(tmp_path))
    result = interface.run(cwd=str(tmp_path), ignore_exception=True)
    assert result.runtime.environ == {}
