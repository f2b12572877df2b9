"""SIGTERM outside of training."""

import multiprocessing
import os
import signal
import threading
import time
from typing import Any

import pytest

from bids_spectsynth import application
from bids_spectsynth.termination import Terminated, clean_end


def test_sigterm_ends_the_block_and_its_workers() -> None:
    before = signal.getsignal(signal.SIGTERM)
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    worker.start()
    with pytest.raises(Terminated) as stopped, clean_end():
        os.kill(os.getpid(), signal.SIGTERM)
    worker.join(10)
    assert worker.exitcode == -signal.SIGKILL
    assert stopped.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


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


def test_a_stopped_run_is_recorded_and_goes_on(finished: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app = finished.copy(tmp_path)
    for path in app.output_dir.glob("sub-*/**/*_metrics.tsv"):
        path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(application, "evaluate_case", lambda *args, **options: os.kill(os.getpid(), signal.SIGTERM))
        result = app("--mode", "apply", "--participant-label", "04")
    assert result.code == 143
    assert result.err.splitlines()[-1] == "bids_spectsynth: stopped by SIGTERM; start again to go on from here"
    assert app("--mode", "apply", "--participant-label", "04").code == 0
    assert len(app.files("sub-04/**/*_metrics.tsv")) == 2
