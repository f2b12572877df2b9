import os
import signal

from bids_spectsynth.synthesis.training.state import StopSignals


def test_stop_signals_outside_the_block_are_the_callers():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
