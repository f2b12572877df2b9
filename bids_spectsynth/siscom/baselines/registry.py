"""All baselines of a SISCOM, in the order in which readers see them.

A new one is a file of its own and an entry here.
"""

from collections.abc import Iterable

from bids_spectsynth.siscom.baselines.cohort import COHORT
from bids_spectsynth.siscom.baselines.normals import NORMALS
from bids_spectsynth.siscom.baselines.pet import PET
from bids_spectsynth.siscom.baselines.real import REAL
from bids_spectsynth.siscom.baselines.request import BaselineSource, Request
from bids_spectsynth.siscom.baselines.synthetic import SYNTHETIC

SOURCES: dict[str, BaselineSource] = {one.name: one for one in (REAL, SYNTHETIC, PET, COHORT, NORMALS)}


def unavailable(request: Request, wanted: Iterable[str]) -> dict[str, str]:
    """Why there are no baselines of some kinds.

    Parameters
    ----------
    request : Request
    wanted : iterable of str
        Names of :data:`SOURCES`.

    Returns
    -------
    dict of str to str
        Reason by name, without those that there are.
    """
    reasons = {name: SOURCES[name].available(request) for name in in_order(wanted)}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def in_order(names: Iterable[str]) -> list[str]:
    """Names of baselines in the order of the registry, each once."""
    wanted = set(names)
    return [name for name in SOURCES if name in wanted]
