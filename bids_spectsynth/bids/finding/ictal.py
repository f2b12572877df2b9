"""The ictal scans of a case, of which there may be several (repeated injections), in sessions of their own."""

import json
from collections.abc import Collection, Sequence

from bids_spectsynth.bids.finding.candidates import Candidate
from bids_spectsynth.bids.finding.choosing import (
    ByRole,
    Choice,
    check_labels,
    hint,
    kept_entities,
    names,
    rivals,
    take,
)
from bids_spectsynth.bids.finding.filters import distinguishing_query
from bids_spectsynth.bids.roles import ICTAL, role_of
from bids_spectsynth.bids.scans import owner, scan_key
from bids_spectsynth.errors import ImageError


def ictal_scans(by_role: ByRole, anchor: str, session: str | None) -> tuple[list[Choice], list[str]]:
    """The ictal scans that belong to a case, each of them to one case only.

    Parameters
    ----------
    by_role : mapping of str to sequence of Candidate
    anchor : str
        The role whose sessions are the participant's cases.
    session : str or None
        Of the case.

    Returns
    -------
    scans : list of Choice
        By session and name.
    warnings : list of str
        Scans that cannot be used, which costs only themselves, and whose case was not clear.
    """
    cases = {one.session for one in by_role[anchor]}
    own = [one for one in by_role.get(ICTAL, ()) if owner(one.session, cases)[0] == session]
    scans: list[Choice] = []
    warnings: list[str] = []
    for alike in _alike(own):
        try:
            scans.append(_scan(by_role, alike, session, cases))
        except ImageError as error:
            warnings.append(f"{error}; the {role_of(ICTAL).sentence} is left out")
    unclear = [one.candidate for one in scans if not owner(one.candidate.session, cases)[1]]
    if unclear:
        warnings.append(
            f"{names(unclear)}: ictal SPECT in a session of its own, prepared with ses-{session}, the first of "
            f"{len(cases)} sessions with {role_of(anchor).sentence}{_other_case(by_role, anchor, session)}"
        )
    return sorted(scans, key=lambda one: scan_key(one.candidate.session, one.entities)), warnings


def _alike(scans: Sequence[Candidate]) -> list[list[Candidate]]:
    """Scans in groups of which all derivatives would have the same names."""
    groups: dict[object, list[Candidate]] = {}
    for one in sorted(scans, key=lambda scan: scan.path):
        groups.setdefault(scan_key(one.session, kept_entities(one)), []).append(one)
    return list(groups.values())


def _scan(by_role: ByRole, alike: Sequence[Candidate], session: str | None, cases: Collection[str | None]) -> Choice:
    scan = alike[0]
    if len(alike) > 1:
        kept = ", ".join(f"{key}-" for key in role_of(ICTAL).kept_entities[1:])
        raise ImageError(
            f"{names(alike)}: {len(alike)} {role_of(ICTAL).sentence} images that neither {kept} nor the session tell "
            f"apart; rename them with run-1, run-2, or {hint(by_role, ICTAL, alike)}"
        )
    if scan.session == session:
        return take(scan, "in the same session")
    if scan.session is not None:
        check_labels(scan.path.name, {"ses": scan.session})
    where = f"in ses-{scan.session}" if scan.session else "outside sessions"
    return take(scan, where if owner(scan.session, cases)[1] else f"{where}, prepared with the first of the others")


def _other_case(by_role: ByRole, anchor: str, session: str | None) -> str:
    """How to have scans prepared with the next session instead."""
    others = [one for one in by_role[anchor] if one.session != session]
    other = min(others, key=lambda one: (one.session or "", one.path))
    query = distinguishing_query(
        other.path, rivals(by_role, anchor, [one for one in by_role[anchor] if one is not other])
    )
    if query is None:
        return ""
    return f"; for another, leave only that one with --bids-filter-file, e.g. {json.dumps({anchor.lower(): query})}"
