"""From the plain values of the command line and of TOML to those of the settings."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from bids_spectsynth.errors import UsageError, value_text
from bids_spectsynth.options.declare import Declared, flag
from bids_spectsynth.options.toml import plain_path


def coerce(one: Declared, value: Any) -> Any:
    """A plain value as the option's field has it.

    Parameters
    ----------
    one : Declared
    value : object
        A string, number, list or path, or a value of the field itself.

    Raises
    ------
    UsageError
        The value is of the wrong type or no allowed choice, or the option's ``check`` refuses it; names the option.
    """
    try:
        usable = one.option.read(value) if one.option.read is not None else _of_type(one, value)
    except (TypeError, ValueError, OverflowError) as error:
        # What Python says of types means nothing to users.
        why = "another kind of value needed" if isinstance(error, TypeError) else error
        raise UsageError(f"{flag(one.name)}: {value_text(value)} is not usable ({why})") from error
    if one.option.check is not None and (wrong := one.option.check(usable)) is not None:
        raise UsageError(f"{flag(one.name)}: {wrong}")
    return usable


def _of_type(one: Declared, value: Any) -> Any:
    hint = one.hint
    if hint is Path:
        return plain_path(value)
    if one.choices:
        if value not in one.choices:
            raise ValueError(f"choose from {', '.join(one.choices)}")
        return value
    if get_origin(hint) is tuple and get_args(hint)[1:] == (...,):
        values = dict.fromkeys([str(value)] if isinstance(value, str | Path) else [str(v) for v in value])
        return _several(get_args(hint)[0], list(values))
    if get_origin(hint) is tuple:
        return _numbers(value, get_args(hint))
    if hint is bool and not isinstance(value, bool):
        raise ValueError("true or false needed")
    if hint in (int, float) and (isinstance(value, bool) or not math.isfinite(float(value))):
        raise ValueError("number needed")
    if hint is int and float(value) != int(value):
        raise ValueError("whole number needed")
    return hint(value)


def _several(element: Any, values: Sequence[str]) -> tuple[Any, ...]:
    """Paths, texts, or some of the choices, these in one order so that one set has one meaning."""
    if element is Path:
        return tuple(plain_path(value) for value in values)
    choices = get_args(element) if get_origin(element) is Literal else ()
    if choices and (unknown := [value for value in values if value not in choices]):
        raise ValueError(f"{unknown[0]}: choose from {', '.join(choices)}")
    return tuple(choice for choice in choices if choice in values) if choices else tuple(values)


def _numbers(value: Any, types: Sequence[type]) -> tuple[float, ...]:
    parts = tuple(float(v) for v in value)
    if len(parts) != len(types) or not all(map(math.isfinite, parts)):
        raise ValueError(f"{len(types)} numbers needed")
    if any(kind is int and part != int(part) for kind, part in zip(types, parts, strict=True)):
        raise ValueError("whole numbers needed")
    return tuple(kind(part) for kind, part in zip(types, parts, strict=True))
