"""Which values an option may have: each function says what is wrong with one, or None."""

from collections.abc import Callable, Sequence
from typing import Any

from bids_spectsynth.errors import label_problem


def positive(value: float) -> str | None:
    """Numbers above zero."""
    return None if value > 0 else f"{value} is not above zero"


def not_negative(value: float) -> str | None:
    """Numbers from zero on."""
    return None if value >= 0 else f"{value} is below zero"


def within(low: float, high: float, *, below: bool = False) -> Callable[[float], str | None]:
    """Numbers of a range.

    Parameters
    ----------
    low, high : float
        The first and the last that is usable.
    below : bool
        Whether ``high`` itself is not.
    """

    def check(value: float) -> str | None:
        inside = low <= value < high if below else low <= value <= high
        return None if inside else f"{value} is not in {low} to {'below ' if below else ''}{high}"

    return check


def one_of(values: Sequence[float], why: str) -> Callable[[float], str | None]:
    """Some numbers alone; ``why`` says what is special about them."""
    *most, last = (f"{value:g}" for value in values)

    def check(value: float) -> str | None:
        return None if value in values else f"{value} is not {', '.join(most)} or {last} ({why})"

    return check


def zero_or_at_least(least: int, why: str) -> Callable[[int], str | None]:
    """Whole numbers from ``least`` on, and 0 for none."""

    def check(value: int) -> str | None:
        return not_negative(value) or (why if 0 < value < least else None)

    return check


def parts(of_what: str) -> Callable[[Sequence[float]], str | None]:
    """Shares of training, validation and test, of which the test alone may have none."""

    def check(values: Sequence[float]) -> str | None:
        usable = min(values) >= 0 and min(values[:2]) > 0
        return None if usable else f"{of_what} for training, validation, test; the first two above zero"

    return check


def some(what: str) -> Callable[[Sequence[Any]], str | None]:
    """Lists with something in them."""
    return lambda values: None if values else f"at least one {what} needed"


def label(value: str) -> str | None:
    """ASCII letters and digits, and no name that other images have."""
    problem = label_problem(value)
    return None if problem is None else f"{value!r} {problem}"


def image_name(value: str) -> str | None:
    """What a container program takes for an image, and not for one of its options."""
    return None if value.strip() and not value.startswith("-") else f"{value!r} is no name of an image"


def conditions(values: Sequence[str]) -> str | None:
    """Each ``COLUMN=VALUE``."""
    for condition in values:
        if not all(part.strip() for part in condition.partition("=")):
            return f"{condition!r} is not COLUMN=VALUE, e.g. resection=yes"
    return None
