"""When the tracer was injected, as the sidecar of the ictal SPECT tells of it.

Keys, all in seconds from one moment, whichever that is (``TimeZero`` as for PET in BIDS; in the sidecars of derivatives
the onset of the seizure):

- ``InjectionStart``: when the injection of the tracer began.
- ``SeizureOnset``: when the seizure began, on the EEG or by its first sign. The injection at 0 and a seizure that began
  25 s before it give ``"InjectionStart": 0, "SeizureOnset": -25``.
- ``SeizureDuration``: from its onset to its end.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Injections later than this after the onset localise less often: 25.1 +- 8.9 s in scans that localised, 49.2 +- 55.8 s
#: in the others (Lee 2011, Epilepsia, 10.1111/j.1528-1167.2011.03257.x).
LATE_S = 45.0
#: A time between onset and injection beyond this is a mistake of clock or unit, s.
_IMPLAUSIBLE_S = 3600.0
_KEYS = ("InjectionStart", "SeizureOnset", "SeizureDuration")


@dataclass(frozen=True, kw_only=True)
class InjectionContext:
    """What is known of an injection.

    Parameters
    ----------
    latency_s : float
        From the seizure's onset to the injection, s; NaN where it is unknown or cannot be true.
    duration_s : float
        Of the seizure, s; NaN where unknown.
    notes : tuple of str
        Warnings for readers, one sentence each.
    """

    latency_s: float = math.nan
    duration_s: float = math.nan
    notes: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Part of the seizure that had passed at the injection; above 1 after its end, NaN where unknown."""
        return self.latency_s / self.duration_s

    @property
    def is_postictal(self) -> bool | None:
        """Whether the injection came after the seizure's end; None where that is unknown."""
        return None if math.isnan(self.share) else self.share > 1

    def as_sidecar(self) -> dict[str, Any]:
        """What is known, for the sidecar of a map: ``InjectionLatency`` (s), ``InjectionShareOfSeizure``."""
        values = {"InjectionLatency": self.latency_s, "InjectionShareOfSeizure": self.share}
        return {key: round(value, 3) for key, value in values.items() if not math.isnan(value)}


def injection_context(metadata: Mapping[str, Any]) -> InjectionContext:
    """What a sidecar tells of the injection.

    Parameters
    ----------
    metadata : mapping
        Sidecar of an ictal SPECT. Keys that are missing or ``null`` are unknown, and so are values that cannot be used,
        for which there is a note.

    Examples
    --------
    >>> context = injection_context({"InjectionStart": 0, "SeizureOnset": -52, "SeizureDuration": 80})
    >>> context.latency_s, context.share
    (52.0, 0.65)
    >>> context.notes
    ('injected 52 s after the onset of the seizure: later than 45 s, after which scans localise less often',)
    """
    values, notes = {}, []
    for key in _KEYS:
        values[key], problem = _seconds(key, metadata.get(key))
        notes += [problem] if problem else []
    duration = values["SeizureDuration"]
    if duration <= 0:
        notes.append(f"SeizureDuration of {duration:g} s: a seizure lasts longer than 0 s; correct the sidecar")
        duration = math.nan
    latency = values["InjectionStart"] - values["SeizureOnset"]
    if math.isnan(latency):
        if metadata.get("InjectionStart") is None and not math.isnan(values["SeizureOnset"]):
            notes.append("SeizureOnset without InjectionStart: the time of the injection is unknown")
        return InjectionContext(duration_s=duration, notes=tuple(notes))
    if latency < 0:
        notes.append(
            f"InjectionStart lies {-latency:g} s before SeizureOnset: no ictal injection, or a sign or clock is wrong; "
            "correct the sidecar"
        )
        return InjectionContext(duration_s=duration, notes=tuple(notes))
    if latency > _IMPLAUSIBLE_S:
        notes.append(f"InjectionStart lies {latency:g} s after SeizureOnset: both must be seconds on one clock; "
                     "correct the sidecar")  # fmt: skip
        return InjectionContext(duration_s=duration, notes=tuple(notes))
    if latency > duration:
        notes.append(f"postictal injection: {latency - duration:.0f} s after the end of the seizure")
    if latency > LATE_S:
        notes.append(f"injected {latency:.0f} s after the onset of the seizure: later than {LATE_S:.0f} s, after which "
                     "scans localise less often")  # fmt: skip
    return InjectionContext(latency_s=latency, duration_s=duration, notes=tuple(notes))


def _seconds(key: str, value: object) -> tuple[float, str]:
    """A value in seconds, NaN where there is none, and what is wrong with it."""
    if value is None:
        return math.nan, ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan, f"{key} holds {str(value)[:40]!r}: write a number of seconds without quotation marks"
    # JSON knows whole numbers of any length, which no float holds.
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        return math.nan, f"{key} is no finite number: write seconds"
    return seconds, ""
