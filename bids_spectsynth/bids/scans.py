"""Ictal scans, of which a case may have several: what tells them apart, their order, and whose they are."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.sidecars import sidecar

#: Sidecar key of the derivatives of a scan from another session than its case's: the case, as ``sub-01_ses-x``.
CASE_KEY = "Case"
_SCAN_ENTITIES = ("task", "acq", "ce", "trc", "rec", "run")
_DIGITS = 9

#: A session's label (empty without one), and the entities: as they sort, and as they are.
ScanKey = tuple[str, str, str]


def scan_key(session: str | None, entities: Mapping[str, str]) -> ScanKey:
    """What tells a scan of a participant from others; keys sort by session, then by name, numbers by value.

    Parameters
    ----------
    session : str or None
        Label without ``ses-``.
    entities : mapping of str to str
        Of a derivative's name, or those that it keeps; ``space``, ``desc`` and the like do not count.

    Examples
    --------
    >>> scan_key("a", {"task": "ictal", "run": "2"}) < scan_key("a", {"task": "ictal", "run": "10"})
    True
    """
    pairs = [f"{key}-{entities[key]}" for key in _SCAN_ENTITIES if key in entities]
    name = "_".join(pairs)
    return session or "", re.sub("[0-9]+", lambda digits: digits[0].zfill(_DIGITS), name), name


def scan_key_of(path: Path) -> ScanKey:
    """The :func:`scan_key` of a derivative: an image, a mask, a transform or a table."""
    entities, _, _ = parse_name(path.name)
    return scan_key(entities.get("ses"), entities)


def recorded_case(path: Path) -> str | None:
    """The case that the scan of a derivative was prepared with, where its sidecar names one."""
    stated = sidecar(path).get(CASE_KEY)
    return stated if isinstance(stated, str) else None


def owner(session: str | None, cases: Collection[str | None]) -> tuple[str | None, bool]:
    """Which case an ictal scan belongs to, so that it is prepared once.

    That of its own session; else the one without a session; else the only one; else the first by session.

    Parameters
    ----------
    session : str or None
        Of the scan.
    cases : collection of str or None
        Sessions of the participant's cases, at least one.

    Returns
    -------
    session : str or None
        Of the case.
    clear : bool
        Whether no other case could have it as well.
    """
    if session in cases:
        return session, True
    if None in cases:
        return None, True
    return min(case for case in cases if case is not None), len(cases) == 1
