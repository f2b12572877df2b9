"""``--equivalence-margins NAME=MARGIN``: which names there are, the registry of metrics knows."""

import math
from collections.abc import Sequence
from typing import Any

#: What three plain numbers are of: the form of version 0.1.0.
_THREE = ("rmse", "ssim", "psnr")


def read_margins(value: Any) -> tuple[tuple[str, float], ...]:
    """Margins as the settings have them, by name.

    Parameters
    ----------
    value : str or list
        ``NAME=MARGIN``, one or several; or pairs of name and margin; or three numbers, of RMSE, SSIM and PSNR.

    Raises
    ------
    ValueError
        Another form, a margin that is not above zero, or two margins of one metric.
    """
    entries: list[Any] = [value] if isinstance(value, str) else list(value)
    if entries and not any(_is_named(entry) for entry in entries):
        entries = _of_three(entries)
    margins: dict[str, float] = {}
    for entry in entries:
        name, number = _pair(entry)
        if margins.setdefault(name, number) != number:
            raise ValueError(f"two margins of {name}")
    return tuple(sorted(margins.items()))


def write_margins(margins: tuple[tuple[str, float], ...]) -> list[str]:
    """Margins as ``NAME=MARGIN``, which :func:`read_margins` takes."""
    return [f"{name}={margin!r}" for name, margin in margins]


def _is_named(entry: Any) -> bool:
    return "=" in entry if isinstance(entry, str) else isinstance(entry, tuple | list)


def _of_three(numbers: Sequence[Any]) -> list[tuple[str, Any]]:
    if len(numbers) != len(_THREE):
        raise ValueError("NAME=MARGIN needed, e.g. rmse=0.02; or three numbers, of RMSE, SSIM and PSNR")
    return list(zip(_THREE, numbers, strict=True))


def _pair(entry: Any) -> tuple[str, float]:
    name, margin = entry.partition("=")[::2] if isinstance(entry, str) else entry
    if not (isinstance(name, str) and name.isascii() and name.replace("_", "").isalnum()) or margin == "":
        raise ValueError("NAME=MARGIN needed, e.g. rmse=0.02")
    number = float(margin)
    if not math.isfinite(number) or number <= 0:
        raise ValueError("a margin above zero needed")
    return name.lower(), number
