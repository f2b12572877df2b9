"""Filter files: a JSON object that says which of several images to use."""

import json
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.layout import CONFIG_FILE
from bids_spectsynth.bids.roles import ROLES
from bids_spectsynth.bids.sidecars import load_object
from bids_spectsynth.errors import UsageError

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
        content = load_object(path)
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


def _query(path: Path, name: str, query: Mapping[str, Any]) -> dict[str, Any]:
    config = json.loads(resources.files("bids_spectsynth.data").joinpath(CONFIG_FILE).read_text(encoding="utf-8"))
    entities = [entity["name"] for entity in config["entities"]]
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
        raise UsageError(f"{path}: {entity}: {value!r} is not a label; give text, a number, a list of them or null")
    if entity == "run":
        try:
            return int(value)
        except ValueError as error:
            raise UsageError(f"{path}: run: {value!r} is not a number") from error
    prefix = {"subject": "sub-", "session": "ses-"}.get(entity, "")
    return str(value).removeprefix(prefix)
