"""SIGTERM and SIGUSR1 outside of training."""

import multiprocessing
import os
import signal
import threading
import time
from typing import Any

import pytest

from bids_spectsynth.app import apply as application
from bids_spectsynth.synthesis.training.state import Interrupted, StopSignals
from bids_spectsynth.termination import Terminated, clean_end, interruptible

#: Signals that end a run outside of training, and the exit code.
ENDS = [(signal.SIGTERM, 143), (signal.SIGUSR1, 138)]


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_a_signal_ends_the_block_and_its_workers(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    worker.start()
    with pytest.raises(Terminated, match=number.name) as stopped, clean_end():
        os.kill(os.getpid(), number)
    worker.join(10)
    assert worker.exitcode == -signal.SIGKILL
    assert stopped.value.exit_code == code
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("numbers", "first"),
    [
        ([signal.SIGUSR1], signal.SIGUSR1),
        ([signal.SIGUSR1, signal.SIGTERM], signal.SIGUSR1),
        ([signal.SIGTERM, signal.SIGINT], signal.SIGTERM),
    ],
)
def test_training_remembers_the_first_signal(numbers: list[signal.Signals], first: signal.Signals) -> None:
    before = [signal.getsignal(number) for number in numbers]
    with StopSignals() as stop:
        for number in numbers:
            os.kill(os.getpid(), number)
    assert stop.number == first
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize(("number", "code"), [*ENDS, (signal.SIGINT, 130)])
def test_a_stopped_training_says_by_what(number: signal.Signals, code: int) -> None:
    stopped = Interrupted(number)
    assert stopped.exit_code == code
    assert number.name in str(stopped)


def test_signals_are_left_alone_in_other_threads() -> None:
    seen: list[Any] = []

    def look() -> None:
        with clean_end():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]


def test_interruptible__gives_what_the_function_gives_and_raises_what_it_raises() -> None:
    assert interruptible(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 / 0)


def test_interruptible__a_signal_does_not_wait_for_the_end_of_the_call() -> None:
    released, begun = threading.Event(), threading.Event()
    where: list[threading.Thread] = []

    def library() -> bool:
        where.append(threading.current_thread())
        begun.set()
        return released.wait(60)

    def stop() -> None:
        begun.wait(60)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    with pytest.raises(Terminated), clean_end():
        interruptible(library)
    assert where[0].is_alive(), "it is left to itself"
    assert where[0] is not threading.main_thread(), "whose calls into a library nothing interrupts"
    released.set()


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_a_stopped_run_is_recorded_and_goes_on(
    finished: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    app = finished.copy(tmp_path)
    for path in app.output_dir.glob("sub-*/**/*_metrics.tsv"):
        path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(application, "evaluate_case", lambda *args, **options: os.kill(os.getpid(), number))
        result = app("--mode", "apply", "--participant-label", "04")
    assert result.code == code
    assert result.err.splitlines()[-1] == f"bids_spectsynth: stopped by {number.name}; start again to go on from here"
    row = app.participants()["sub-04"]
    assert row["status"] == "stopped"
    assert f"stopped by {number.name}" in row["reason"]
    assert app("--mode", "apply", "--participant-label", "04").code == 0
    assert app.participants()["sub-04"]["status"] == "ok"
    assert len(app.files("sub-04/**/*_metrics.tsv")) == 2
