"""Types and ranges of all that a model card holds: the one table that a card is checked against when it is read."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from bids_spectsynth.bids.public import is_public_text
from bids_spectsynth.errors import value_text
from bids_spectsynth.options.settings import T1W_SPACE, Scaling
from bids_spectsynth.synthesis.data.scans import ATTENUATION, CAMERA, FWHM, PERCENTILES, TRACER

Check = Callable[[Any], bool]

#: Texts of a card are shown in reports and sidecars; nothing that a person writes there is longer.
_LONGEST_TEXT = 2000
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Resolutions of images, mm.
_WIDTHS = (0.5, 200)
_LABEL = re.compile(r"[A-Za-z0-9]{1,120}")


def _number(low: float, high: float) -> Check:
    """A finite number between two values, both included."""
    return lambda value: type(value) in (int, float) and math.isfinite(value) and low <= value <= high


def _whole(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", value)


def _matching(pattern: re.Pattern[str], *, empty: bool = False) -> Check:
    return lambda value: isinstance(value, str) and bool(pattern.fullmatch(value) or (empty and not value))


def _each(check: Check, least: int = 0, most: int = 100_000) -> Check:
    """A list of values that all pass, at least and at most so many."""
    return lambda value: isinstance(value, list | tuple) and least <= len(value) <= most and all(map(check, value))


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _inputs(value: Any) -> bool:
    return _each(_matching(_LABEL), 1, 32)(value) and len(set(value)) == len(value)


def _space(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        return False
    return value == T1W_SPACE or bool(re.fullmatch(r"[A-Za-z0-9]+(\+[A-Za-z0-9]+)?", value))


def _initial_model(value: Any) -> bool:
    """What a card keeps of a model that the training started from."""
    return _object(value) and all(
        name in value and check(value[name])
        for name, (_, check) in FIELDS.items()
        if name in ("label", "weights_sha256", "created", "phantom", "salt", "participants", "selection_participants")
    )


def _table(name: Check, value: Check, most: int) -> Check:
    """An object of at most so many entries, whose names and values pass."""
    return lambda one: _object(one) and len(one) <= most and all(map(name, one)) and all(map(value, one.values()))


def _distribution(value: Any) -> bool:
    """Resolutions of scans: the percentiles in order, and their number."""
    names = tuple(PERCENTILES)
    if not _object(value) or not _table(_text, _number(0, 1e9), len(names) + 1)(value) or {*value} != {*names, "n"}:
        return False
    widths = [value[name] for name in names]
    return all(map(_number(*_WIDTHS), widths)) and widths == sorted(widths) and _whole(1, 10**6)(value["n"])


def _role_scans(value: Any) -> bool:
    if not _object(value) or not _whole(0, 10**6)(value.get("scans")):
        return False
    counts = _table(is_public_text, _whole(1, 10**6), 1000)
    known = {"scans": _whole(0, 10**6), FWHM: _distribution, **dict.fromkeys((CAMERA, TRACER, ATTENUATION), counts)}
    return all(name in known and known[name](one) for name, one in value.items())


def _scans(value: Any) -> bool:
    """What a card keeps of the scans of its training."""
    return _table(_matching(_LABEL), _role_scans, 32)(value)


#: What each field of a card must be, in words and as a check.
FIELDS: Mapping[str, tuple[str, Check]] = {
    "label": ("letters and digits", _matching(_LABEL)),
    "inputs": ("one role or more, each once", _inputs),
    "target": ("a role", _matching(_LABEL)),
    "space": ("T1w or a template", _space),
    "voxel_size": ("0.2 to 20 mm", _number(0.2, 20)),
    "grid_shape": ("three whole numbers from 1 to 2048", _each(_whole(1, 2048), 3, 3)),
    "scaling": (" or ".join(get_args(Scaling)), lambda value: value in get_args(Scaling)),
    "architecture": ("an object", _object),
    "losses": ("weights by loss", lambda value: _object(value) and all(map(_number(0, 1e9), value.values()))),
    "training": ("an object", _object),
    "versions": ("texts by program", lambda value: _object(value) and all(map(_text, value.values()))),
    "target_statistics": ("an object", _object),
    "validation": ("an object", _object),
    "config": ("an object", _object),
    "salt": ("a text", _text),
    "participants": ("SHA-256 checksums", _each(_matching(_SHA256))),
    "selection_participants": ("SHA-256 checksums", _each(_matching(_SHA256))),
    "weights_sha256": ("a SHA-256 checksum", _matching(_SHA256)),
    "prior_sha256": ("a SHA-256 checksum or empty", _matching(_SHA256, empty=True)),
    "created": ("a text", _text),
    "licence": ("a text", _text),
    "statement": ("a text", _text),
    "phantom": ("true, false or null", lambda value: value is None or isinstance(value, bool)),
    "initial_models": (
        "objects with label, checksums and participants of earlier models",
        _each(_initial_model, 0, 100),
    ),
    "scans": ("numbers, and counts of scans by names, of each role", _scans),
    "harmonised": ("0.5 to 200 mm by role", _table(_matching(_LABEL), _number(*_WIDTHS), 32)),
}
#: The same of what is computed with in the objects of a card; those without an entry here are descriptions.
PARTS: Mapping[str, Mapping[str, tuple[str, Check]]] = {
    "architecture": {
        "levels": ("a whole number from 2 to 12", _whole(2, 12)),
        "base_filters": ("a whole number of filters from 1 to 1024", _whole(1, 1024)),
        "input_channels": ("a whole number from 1 to 512", _whole(1, 512)),
        "output_channels": ("1 or 2", _whole(1, 2)),
    },
    "target_statistics": {
        "mean_in_brain": ("a number above 0", _number(1e-12, 1e15)),
        "units": ("a text", _text),
        "heights": ("numbers from 0 to 1", _each(_number(0, 1), 1, 10_000)),
        # Logarithms; the second per height of the whole brain.
        "log_gain": ("numbers from -20 to 20", _each(_number(-20, 20), 1, 10_000)),
        "log_step": ("numbers from -1000 to 1000", _each(_number(-1000, 1000), 1, 10_000)),
    },
}
#: What is taken from the training configuration, where the card has it: earlier ones had less.
CONFIG: Mapping[str, tuple[str, Check]] = {
    "configuration": ("a text", _text),
    "cohort_prior": ("a text", _text),
    "flip_average": ("a text", _text),
    "neighbour_slices": ("a whole number from 0 to 50", _whole(0, 50)),
    "seed": ("a whole number", _whole(-1, 2**63)),
}


def check_values(content: Mapping[str, Any]) -> None:
    """Refuse a card with a field or a part that is missing or is not what it must be.

    Parameters
    ----------
    content : mapping
        Of the card, as read from JSON; fields that the table does not have are left to others.

    Raises
    ------
    ValueError
        Says which, what it must be, and what it is.
    """
    _check("", FIELDS, content)
    for name, parts in PARTS.items():
        _check(f"{name}: ", parts, content[name])
    config = content["config"]
    _check("config: ", {name: one for name, one in CONFIG.items() if name in config}, config)


def _check(where: str, table: Mapping[str, tuple[str, Check]], content: Mapping[str, Any]) -> None:
    for name, (words, check) in table.items():
        if name not in content:
            raise ValueError(f"{where}{name} is missing")
        if not check(content[name]):
            raise ValueError(f"{where}{name} must be {words}, not {value_text(content[name])[:100]}")
