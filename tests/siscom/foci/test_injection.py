import math
import re
from typing import Any

import pytest

from bids_spectsynth.siscom.foci.injection import injection_context


def test_injection_context__latency_and_share_on_any_clock() -> None:
    for zero in (0, -500, 12.5):
        context = injection_context({"InjectionStart": zero + 20, "SeizureOnset": zero, "SeizureDuration": 80})
        assert (context.latency_s, context.duration_s, context.share) == (20, 80, 0.25)
        assert context.is_postictal is False
        assert context.notes == ()
        assert context.as_sidecar() == {"InjectionLatency": 20, "InjectionShareOfSeizure": 0.25}


def test_injection_context__nothing_known_says_nothing() -> None:
    for metadata in ({}, {"InjectionStart": 0}, dict.fromkeys(("InjectionStart", "SeizureOnset", "SeizureDuration"))):
        context = injection_context(metadata)
        assert math.isnan(context.latency_s)
        assert context.is_postictal is None
        assert context.notes == ()
        assert context.as_sidecar() == {}


@pytest.mark.parametrize(
    ("start", "onset", "duration", "words"),
    [
        (45.0, 0, 90, None),
        (46, 0, 90, "later than 45 s"),
        (40, 0, 30, "postictal injection: 10 s after the end"),
        (-5, 20, 60, "25 s before SeizureOnset"),
        (0, -9000, 60, "seconds on one clock"),
        (30, 0, 0, "longer than 0 s"),
        (30, 0, -60, "longer than 0 s"),
        (None, 0, 60, "without InjectionStart"),
        ("12", 0, 60, "InjectionStart holds '12'"),
        (12, "n/a", 60, "SeizureOnset holds 'n/a'"),
        (12, True, 60, "SeizureOnset holds 'True'"),
        (12, [0], 60, r"SeizureOnset holds '\[0\]'"),
        (12, math.nan, 60, "SeizureOnset is no finite number"),
        (12, 10**400, 60, "SeizureOnset is no finite number"),
    ],
)
def test_injection_context__what_is_late_or_cannot_be_true_gets_one_line(
    start: Any, onset: Any, duration: Any, words: str | None
) -> None:
    context = injection_context({"InjectionStart": start, "SeizureOnset": onset, "SeizureDuration": duration})
    if words is None:
        assert context.notes == ()
        return
    (note,) = context.notes
    assert re.search(words, note)
    assert "\n" not in note


def test_injection_context__late_and_postictal_are_two_notes_and_a_wrong_time_is_unknown() -> None:
    context = injection_context({"InjectionStart": 100, "SeizureOnset": 0, "SeizureDuration": 60})
    assert len(context.notes) == 2
    assert context.is_postictal is True
    assert math.isnan(injection_context({"InjectionStart": -5, "SeizureOnset": 0}).latency_s)
