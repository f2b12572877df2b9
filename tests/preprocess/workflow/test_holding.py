"""Two runs on one work folder: the second waits for the first, case by case."""

import errno
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.preprocess.workflow import build, holding
from bids_spectsynth.preprocess.workflow.anatomical import WORKFLOW, anatomical_of
from bids_spectsynth.preprocess.workflow.build import preprocess
from bids_spectsynth.preprocess.workflow.cleaning import clean_work_folder
from bids_spectsynth.preprocess.workflow.holding import HOLDER_FILE, held

SCRIPT = """
import sys
from pathlib import Path
from bids_spectsynth.preprocess.workflow.holding import held
with held(sys.argv[2:], Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def launch(folder: Path, *names: str) -> "subprocess.Popen[str]":
    """Another run, whose first line says that it holds the names, or for whom it waits."""
    words = [sys.executable, "-c", SCRIPT, str(folder), *names]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def first_line(other: "subprocess.Popen[str]") -> str:
    assert other.stdout is not None
    return other.stdout.readline()


def end(other: "subprocess.Popen[str]") -> None:
    with other:
        other.kill()


def start(folder: Path, *names: str) -> "subprocess.Popen[str]":
    other = launch(folder, *names)
    assert first_line(other) == "held\n"
    return other


@pytest.fixture
def other(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another run that holds sub-01; it ends when the test says so, or with it."""
    with start(tmp_path / "work" / "status", "sub-01") as run:
        yield run
        run.kill()


def test_held__waits_for_what_another_run_holds_and_says_for_whom(
    other: "subprocess.Popen[str]", tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    threading.Timer(1, other.kill).start()
    with held(["sub-00", "sub-01", "sub-02"], tmp_path / "work" / "status"):
        assert other.wait(10) is not None
    (line,) = caplog.messages
    assert line.startswith(f"sub-01: is being prepared by process {other.pid} on ")


def test_held__other_cases_do_not_wait(
    other: "subprocess.Popen[str]", tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with held(["sub-02"], tmp_path / "work" / "status"):
        assert other.poll() is None
    assert caplog.messages == []
    assert (tmp_path / "work" / "status" / "sub-02" / HOLDER_FILE).read_text().startswith("process ")


def test_held__a_full_disk_leaves_nothing_unlocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    names = ["sub-01", "sub-02", "sub-03"]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with held(names, tmp_path):
            others = [launch(tmp_path, name) for name in names]
            lines = [first_line(other) for other in others]
    for other, line in zip(others, lines, strict=True):
        assert "is being prepared by another run" in line
        end(other)
    assert caplog.messages == []


class Waiting(logging.Handler):
    """Set when this process has said that it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "waiting for it" in record.getMessage():
            self.begun.set()


@pytest.fixture
def waiting() -> Iterator[threading.Event]:
    handler = Waiting()
    logger = logging.getLogger(holding.__name__)
    logger.addHandler(handler)
    yield handler.begun
    logger.removeHandler(handler)


def test_preprocess__what_the_other_run_has_done_is_not_done_again(
    tiny: Any, tiny_template: Any, make_case: Any, make_options: Any, waiting: threading.Event, tmp_path: Path
) -> None:
    case, options = make_case("01", ("T1w",)), make_options(nprocs=1, clean_workdir=True)
    records, aside = options.work_folder / "status" / case.name, tmp_path / "aside"
    assert preprocess([case], options)[0].status == "ok"
    # As if nothing were prepared: the records are away until this run waits for the one that writes them.
    records.rename(aside)
    calls = list(tiny.calls)
    assert calls

    def finish() -> None:
        waiting.wait(60)
        for path in aside.glob("written_*.json"):
            path.rename(records / path.name)
        other.kill()

    with start(records.parent, case.name) as other:
        thread = threading.Thread(target=finish)
        thread.start()
        assert preprocess([case], options)[0].status == "ok"
        thread.join()
    assert waiting.is_set()
    assert tiny.calls == calls


def test_preprocess__what_is_done_need_not_be_held(
    tiny: Any, tiny_template: Any, make_case: Any, make_options: Any, waiting: threading.Event
) -> None:
    case, options = make_case("01", ("T1w",)), make_options(nprocs=1)
    assert preprocess([case], options)[0].status == "ok"
    with start(options.work_folder / "status", case.name) as other:
        timer = threading.Timer(20, other.kill)
        timer.start()
        assert preprocess([case], options)[0].status == "ok"
        timer.cancel()
        other.kill()
    assert not waiting.is_set()


@pytest.mark.parametrize("prepares", [True, False])
def test_preprocess__cleans_before_another_run_can_begin(
    prepares: bool,
    tiny: Any,
    tiny_template: Any,
    make_case: Any,
    make_options: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case, options = make_case("01", ("T1w",)), make_options(nprocs=1, clean_workdir=prepares)
    work, seen = options.work_folder / WORKFLOW, []

    def clean(*arguments: Any) -> None:
        assert list(work.iterdir())
        for name in (case.name, anatomical_of(case, options).key):
            other = launch(options.work_folder / "status", name)
            seen.append((other, first_line(other)))
        clean_work_folder(*arguments)

    monkeypatch.setattr(build, "clean_work_folder", clean)
    assert preprocess([case], options)[0].status == "ok"
    if not prepares:
        assert seen == []
        build.clean_prepared([case], (), options)
    assert len(seen) == 2
    for other, line in seen:
        assert "is being prepared by process" in line
        end(other)
    assert list(work.iterdir()) == []
