"""Layout of the comparison figures: bands of comparable configurations, rows of violins, brackets between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bids_spectsynth.evaluation.group.configurations import (
    Configuration,
    Kind,
    input_name,
    level_name,
    loss_name,
    pairs,
    space_name,
)
from bids_spectsynth.options.settings import T1W_SPACE

#: Most brackets side by side; a band that needs more has none, because violins would have no room.
MAX_LEVELS = 4
#: Rows that a band takes besides its violins: the heading, and the gap below.
HEADING, GAP = 1.0, 0.35


@dataclass(frozen=True)
class Bracket:
    """A compared pair: places of both in the band, and the bracket's distance from the violins, from 0."""

    first: int
    second: int
    level: int


@dataclass(frozen=True)
class Band:
    """Configurations that differ in one respect, one row below the other.

    ``top`` is the height of the heading's row, 0 for the first band and lower for the next; ``labels`` name the rows.
    ``crowded`` bands have more pairs than brackets have room for, and no brackets.
    """

    group: tuple[Configuration, ...]
    heading: str
    labels: tuple[str, ...]
    top: float
    brackets: tuple[Bracket, ...]
    crowded: bool = False

    @property
    def heights(self) -> tuple[float, ...]:
        """Height of each row."""
        return tuple(self.top - HEADING - place for place in range(len(self.group)))

    @property
    def bottom(self) -> float:
        """Lower end of the band's last row."""
        return self.heights[-1] - 0.5


def bands_of(groups: Sequence[tuple[Configuration, ...]], kind: Kind) -> list[Band]:
    """Bands from the top down.

    Parameters
    ----------
    groups : sequence of tuple of Configuration
        See :func:`bids_spectsynth.evaluation.group.configurations.comparison_groups`.
    kind : {'space', 'loss', 'inputs'}
    """
    several = len({one.space for group in groups for one in group} - {T1W_SPACE}) > 1
    headings = [heading_of(group[0], kind, several_templates=several) for group in groups]
    bands, top = [], 0.0
    for number, group in enumerate(groups):
        levels = [level_name(one, kind) for one in group]
        # Two templates, or models of two labels: their own names tell them apart.
        labels = tuple(
            level if levels.count(level) == 1 else one.name for one, level in zip(group, levels, strict=True)
        )
        brackets = tuple(_brackets(group, kind))
        crowded = any(bracket.level >= MAX_LEVELS for bracket in brackets)
        heading = f"{_letter(number)}  {headings[number]}"
        if headings.count(headings[number]) > 1:
            heading += f", training {group[0].training}"
        if crowded:
            heading += " (tests: see the table)"
        bands.append(Band(group, heading, labels, top, () if crowded else brackets, crowded))
        top -= len(group) + HEADING + GAP
    return bands


def heading_of(one: Configuration, kind: Kind, *, several_templates: bool = False) -> str:
    """What the configurations of a band share, in few words.

    Parameters
    ----------
    one : Configuration
        Any of the band.
    kind : {'space', 'loss', 'inputs'}
        What differs within the band.
    several_templates : bool
        Whether the figure has bands of several templates, so that they must be named.
    """
    parts = {
        "inputs": input_name(one.inputs),
        "space": space_name(one.space, short=not several_templates),
        "loss": loss_name(one.losses, short=True),
    }
    shared = [text for name, text in parts.items() if name != kind]
    return ", ".join([*shared, *([one.recipe_name] if one.recipe_name else [])])


def _letter(number: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    head, last = divmod(number, 26)
    return (_letter(head - 1) if head else "") + chr(ord("A") + last)


def _brackets(group: Sequence[Configuration], kind: Kind) -> Iterator[Bracket]:
    """Short brackets next to the violins; longer ones, which would cross them, further out."""
    compared = [(group.index(a), group.index(b)) for a, b in pairs(group, kind)]
    taken: list[list[tuple[int, int]]] = []
    for first, second in sorted(compared, key=lambda pair: (pair[1] - pair[0], pair)):
        level = next((n for n, own in enumerate(taken) if _is_free(own, first, second)), len(taken))
        taken += [[]] if level == len(taken) else []
        taken[level].append((first, second))
        yield Bracket(first, second, level)


def _is_free(taken: Sequence[tuple[int, int]], first: int, second: int) -> bool:
    # Brackets may meet at a row; they may not overlap.
    return all(second <= start or end <= first for start, end in taken)
