"""Two runs on one work folder: the second waits for the first, case by case."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.preprocess.workflow.build import preprocess
from bids_spectsynth.preprocess.workflow.holding import HOLDER_FILE, held

SCRIPT = """
import sys
from pathlib import Path
from bids_spectsynth.preprocess.workflow.holding import held
with held(sys.argv[2:], Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def start(folder: Path, *names: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", SCRIPT, str(folder), *names]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
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


def test_preprocess__what_the_other_run_has_done_is_not_done_again(
    tiny: Any, tiny_template: Any, make_case: Any, make_options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    case, options = make_case("01", ("T1w",)), make_options(nprocs=1)
    assert preprocess([case], options)[0].status == "ok"
    caplog.clear()
    with start(options.work_folder / "status", "sub-01") as other:
        threading.Timer(1, other.kill).start()
        assert preprocess([case], options)[0].status == "ok"
    assert not any("waiting" in line for line in caplog.messages), "what is done need not be held"
