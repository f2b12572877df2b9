"""Filter files: a JSON object that says which of several images to use."""

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.finding.layout import read_config
from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.roles import ROLES
from bids_spectsynth.bids.sidecars import parse_object
from bids_spectsynth.errors import UsageError, value_text

Filters = Mapping[str, Mapping[str, Any]]

#: Names of filters besides those of other MR images.
BASE_FILTERS = tuple(dict.fromkeys(name.lower() for role in ROLES.values() for name in (role.suffix, role.name)))
_SHORT = {
    "sub": "subject",
    "ses": "session",
    "acq": "acquisition",
    "ce": "ceagent",
    "trc": "tracer",
    "rec": "reconstruction",
    "dir": "direction",
    "proc": "processing",
    "mod": "modality",
}
_SPECIAL = {
    None: "NONE",
    "Query.NONE": "NONE",
    "Query.ANY": "ANY",
    "Query.REQUIRED": "ANY",
    "Query.OPTIONAL": "OPTIONAL",
    "*": "ANY",
}


def read_filters(path: Path | None, mr_roles: Collection[str]) -> Filters:
    """Read a filter file, as fMRIPrep has them: ``{"t1w": {"run": 1}, "interictal": {"session": "nuc2"}}``.

    Parameters
    ----------
    path : Path or None
        None gives no filters.
    mr_roles : collection of str
        Suffixes of MR images that may be filtered besides T1w; their lower-case form is the name of the filter.

    Returns
    -------
    mapping of filter name to PyBIDS query
        Entities by PyBIDS name; ``null`` and ``"Query.NONE"`` mean that the entity must be absent, ``"*"`` and
        ``"Query.ANY"`` that it must be there.

    Raises
    ------
    UsageError
        The file cannot be read, is no such object, or names an unknown image or entity.
    """
    if path is None:
        return {}
    wanted = f'{path}: not an object of objects such as {{"t1w": {{"run": 1}}}}'
    try:
        # It may be a pipe: <(echo '{...}').
        content = parse_object(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the filter file ({error.strerror})") from error
    except ValueError as error:
        raise UsageError(f"{path}: not valid JSON ({error})") from error
    except TypeError as error:
        raise UsageError(wanted) from error
    known = (*BASE_FILTERS, *sorted({role.lower() for role in (*mr_roles, "T2w", "FLAIR")} - set(BASE_FILTERS)))
    if not all(isinstance(query, dict) for query in content.values()):
        raise UsageError(wanted)
    unknown = [name for name in content if name.lower() not in known]
    if unknown:
        raise UsageError(f"{path}: unknown image {unknown[0]!r}; known: {', '.join(known)}")
    return {name.lower(): _query(path, name, query) for name, query in content.items()}


def distinguishing_query(chosen: Path, others: Collection[Path], first: Sequence[str] = ()) -> dict[str, Any] | None:
    """The shortest query that takes one image and none of the others.

    Parameters
    ----------
    chosen : Path
    others : collection of Path
    first : sequence of str
        Keys that are tried before the others.

    Returns
    -------
    dict or None
        As filter files have it: short keys of entities, ``datatype``, ``suffix``, ``extension``; ``None`` where the
        entity must be absent. None if nothing that a filter can name tells them apart.
    """
    own, rivals = _facts(chosen), [_facts(path) for path in others]
    keys = [*first, *(key for key in own if key not in first)]
    differing = [key for key in keys if any(rival[key] != own[key] for rival in rivals)]
    for count in range(1, len(differing) + 1):
        for some in combinations(differing, count):
            if all(any(rival[key] != own[key] for key in some) for rival in rivals):
                return {key: own[key] for key in some}
    return None


def _facts(path: Path) -> dict[str, str | int | None]:
    """What a filter can ask of an image, the most telling first; entities as PyBIDS reads them."""
    short = {name: key for key, name in _SHORT.items()}
    rest = {"subject", "datatype", "suffix", "extension"}
    _, suffix, extension = parse_name(path.name)
    facts: dict[str, str | int | None] = {}
    for entity in read_config()["entities"]:
        if entity["name"] not in rest:
            found = re.search(entity["pattern"], f"/{path.parent.parent.name}/{path.parent.name}/{path.name}")
            value = found[1] if found else None
            is_number = value is not None and entity.get("dtype") == "int"
            facts[short.get(entity["name"], entity["name"])] = int(value) if is_number and value else value
    return {**facts, "datatype": path.parent.name, "suffix": suffix, "extension": extension}


def _query(path: Path, name: str, query: Mapping[str, Any]) -> dict[str, Any]:
    entities = [entity["name"] for entity in read_config()["entities"]]
    result = {}
    for key, value in query.items():
        entity = _SHORT.get(key, key)
        if entity not in entities:
            raise UsageError(f"{path}: {name}: unknown entity {key!r}; known: {', '.join(entities)}")
        values = [_value(path, entity, item) for item in (value if isinstance(value, list) else [value])]
        result[entity] = values if isinstance(value, list) else values[0]
    return result


def _value(path: Path, entity: str, value: Any) -> Any:
    if value is None or (isinstance(value, str) and value in _SPECIAL):
        from bids.layout import Query  # slow to import, and only needed here

        return Query[_SPECIAL[value]]
    if isinstance(value, bool | float | dict | list):
        raise UsageError(
            f"{path}: {entity}: {value_text(value)} is not a label; give text, a number, a list of them or null"
        )
    if entity == "run":
        try:
            return int(value)
        except ValueError as error:
            raise UsageError(f"{path}: run: {value_text(value)} is not a number") from error
    prefix = {"subject": "sub-", "session": "ses-"}.get(entity, "")
    return str(value).removeprefix(prefix)
