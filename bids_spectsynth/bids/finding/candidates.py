"""The images that could play a role, for all chosen participants at once."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_spectsynth.bids.finding.filters import Filters
from bids_spectsynth.bids.finding.layout import read_metadata
from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.roles import NUCLEAR, PET, ROLES, is_spect, role_of, spect_state
from bids_spectsynth.errors import ImageError, UsageError

if TYPE_CHECKING:
    from bids.layout import BIDSLayout

NUCLEAR_QUERY = {
    "datatype": sorted({ROLES[name].datatype for name in NUCLEAR}),
    "suffix": sorted({suffix for name in NUCLEAR for suffix in ROLES[name].suffixes}),
}
_STATES = frozenset(name for name in NUCLEAR if ROLES[name].task is not None)
_EXTENSIONS = [".nii", ".nii.gz"]
#: Parts of a complex image that show no magnitude.
_NO_MAGNITUDE = frozenset({"phase", "real", "imag"})


@dataclass(frozen=True)
class Candidate:
    """An image that could play a role for its participant.

    Parameters
    ----------
    path : Path
    role : str
        ``T1w``, ``pet``, ``interictal``, ``ictal``, or the suffix of another MR image.
    session : str or None
        Label without ``ses-``.
    entities : mapping of str to str
        All entities of its name, by short key.
    metadata : mapping
        Its sidecar.
    reason : str
        Why it has this role.
    problem : str
        Why its sidecar cannot be read, and so is not known; empty where it can be.
    """

    path: Path
    role: str
    session: str | None
    entities: Mapping[str, str]
    metadata: Mapping[str, Any]
    reason: str
    problem: str = ""


def find_candidates(
    layout: "BIDSLayout", bids_dir: Path, mr_roles: Collection[str], filters: Filters
) -> Mapping[str, tuple[Candidate, ...]]:
    """Sort the images of a layout into roles.

    Parameters
    ----------
    layout : BIDSLayout
        Of the chosen participants.
    bids_dir : Path
        Root of the dataset.
    mr_roles : collection of str
        Suffixes of the MR images that matter, ``T1w`` among them.
    filters : mapping
        See :func:`~bids_spectsynth.bids.finding.filters.read_filters`. A filter named ``interictal`` or ``ictal``
        decides alone which images have that role; the others only narrow the choice.

    Returns
    -------
    mapping of participant label to tuple of Candidate
    """
    found: defaultdict[str, list[Candidate]] = defaultdict(list)
    assigned = _assigned_images(layout, mr_roles, filters)
    for path, roles in {**_free_nuclear_images(layout, filters), **assigned}.items():
        participant = path.relative_to(bids_dir).parts[0].removeprefix("sub-")
        entities = _entities(path)
        metadata: Mapping[str, Any] = {}
        problem = ""
        try:
            metadata = read_metadata(path, bids_dir)
        except ImageError as error:
            # Whether that matters depends on who needs the image.
            problem = str(error)
        if path in assigned:
            (role,) = roles
            reason = f"{role} by the filter file" if role in filters else "the only candidate"
        else:
            role, reason = _classify(path, entities, metadata)
        if role in roles:
            found[participant].append(Candidate(path, role, entities.get("ses"), entities, metadata, reason, problem))
    return {label: tuple(candidates) for label, candidates in found.items()}


def _query(layout: "BIDSLayout", default: Mapping[str, Any], filters: Filters, name: str) -> list[Path]:
    query = {"extension": _EXTENSIONS, **default, **filters.get(name, {})}
    paths = sorted(Path(path) for path in layout.get(return_type="filename", **query))
    return [path for path in paths if _entities(path).get("part") not in _NO_MAGNITUDE]


def _entities(path: Path) -> dict[str, str]:
    """Entities of the name, and the session of the folder where the name lacks it."""
    entities, _, _ = parse_name(path.name)
    folder = path.parent.parent.name
    return {"ses": folder.removeprefix("ses-"), **entities} if folder.startswith("ses-") else entities


def _assigned_images(layout: "BIDSLayout", mr_roles: Collection[str], filters: Filters) -> dict[Path, frozenset[str]]:
    """Images whose one role is known before their sidecar is read: MR images, and SPECT that a filter names."""
    assigned: dict[Path, frozenset[str]] = {}
    for role in mr_roles:
        query = {"datatype": role_of(role).datatype, "suffix": list(role_of(role).suffixes)}
        assigned |= dict.fromkeys(_query(layout, query, filters, role.lower()), frozenset({role}))
    for state in sorted(_STATES & set(filters)):
        found = dict.fromkeys(_query(layout, NUCLEAR_QUERY, filters, state), frozenset({state}))
        for path in found.keys() & assigned.keys():
            (other,) = assigned[path]
            raise UsageError(f"--bids-filter-file: {path.name} is taken as {other} and as {state}; tell them apart")
        assigned |= found
    return assigned


def _free_nuclear_images(layout: "BIDSLayout", filters: Filters) -> dict[Path, frozenset[str]]:
    """PET and SPECT images with the roles that the filters leave open to them; their sidecars decide."""
    pet = dict.fromkeys(_query(layout, NUCLEAR_QUERY, filters, PET), frozenset({PET}))
    spect = dict.fromkeys(_query(layout, NUCLEAR_QUERY, filters, "spect"), _STATES - set(filters))
    return {path: pet.get(path, frozenset()) | spect.get(path, frozenset()) for path in {**pet, **spect}}


def _classify(path: Path, entities: Mapping[str, str], metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Role of a nuclear image by its folder, tracer and name, and why."""
    if not is_spect(path.parent.name, entities, metadata):
        return PET, "the only candidate"
    state, reason = spect_state(entities)
    return state, reason + ("; SPECT by its tracer, though stored as PET" if path.parent.name == "pet" else "")
