"""``--loss NAME=WEIGHT``: weights of the terms of the loss, and how they meet the terms with an option of their own."""

import math
from collections.abc import Mapping
from typing import Any

from bids_spectsynth.errors import UsageError, value_text
from bids_spectsynth.options.declare import declared, flag

#: The term by which a network learns how large its error is; no image comes of it.
SCALE = "scale"


def read_losses(value: Any) -> tuple[tuple[str, float], ...]:
    """Weights of terms as the settings have them: by name, without those of weight 0, which are not computed.

    Parameters
    ----------
    value : str or list
        ``NAME=WEIGHT``, one or several; or pairs of name and weight.

    Raises
    ------
    ValueError
        Another form, a weight that is no number from zero on, or two weights of one term.
    """
    return tuple(sorted((name, weight) for name, weight in _weights(value).items() if weight > 0))


def write_losses(weights: tuple[tuple[str, float], ...]) -> list[str]:
    """Weights of terms as ``NAME=WEIGHT``, which :func:`read_losses` takes."""
    return [f"{name}={weight!r}" for name, weight in weights]


def fold_losses(values: Mapping[str, Any], options: type) -> dict[str, Any]:
    """Values of options in which the terms that have an option of their own are told by that option alone.

    Parameters
    ----------
    values : mapping of str to object
        What one source, the command line or a file, gives.
    options : type
        The dataclass that declares the options; ``l1_weight`` is the own option of the term ``l1``.

    Returns
    -------
    dict of str to object
        Where ``loss`` is given, it holds the other terms.

    Raises
    ------
    UsageError
        ``loss`` cannot be read, or a term is given in both ways with two weights.
    """
    if values.get("loss") is None:
        return dict(values)
    try:
        weights = _weights(values["loss"])
    except (TypeError, ValueError) as error:
        why = "NAME=WEIGHT needed, e.g. l1=100" if isinstance(error, TypeError) else error
        raise UsageError(f"--loss: {value_text(values['loss'])} is not usable ({why})") from error
    folded = dict(values)
    for name in list(weights):
        own = f"{name}_weight"
        if own not in declared(options):
            continue
        weight = weights.pop(name)
        if values.get(own) is not None and values[own] != weight:
            raise UsageError(f"--loss: {name}={weight:g} is not {flag(own)} {values[own]}; leave one of the two out")
        folded[own] = weight
    return {**folded, "loss": tuple(weights.items())}


def _weights(value: Any) -> dict[str, float]:
    weights: dict[str, float] = {}
    for entry in [value] if isinstance(value, str) else value:
        name, weight = _pair(entry)
        if weights.setdefault(name, weight) != weight:
            raise ValueError(f"two weights of {name}")
    return weights


def _pair(entry: Any) -> tuple[str, float]:
    name, weight = entry.partition("=")[::2] if isinstance(entry, str) else entry
    if not (isinstance(name, str) and name.isascii() and name.isalnum()) or weight == "":
        raise ValueError("NAME=WEIGHT needed, e.g. l1=100")
    number = float(weight)
    if not math.isfinite(number) or number < 0:
        raise ValueError("a weight from zero on needed")
    return name, number
