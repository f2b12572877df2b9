"""Spaces as users write them, ``NAME[:cohort-X][:res-Y]``, and as file names do, ``NAME`` or ``NAME+X``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

#: The space of each participant's own T1w image.
T1W_SPACE = "T1w"
#: What fMRIPrep calls it besides.
_T1W_ALIASES = ("anat", "t1w")
#: The template that needs no download; T1w images are registered to it where no other template is asked for.
BUILT_IN_TEMPLATE = "MNI152NLin2009aSym"

_LABEL = re.compile(r"[0-9A-Za-z]+", re.ASCII)
_SYNTAX = "NAME[:cohort-X][:res-Y]"


@dataclass(frozen=True)
class Space:
    """The T1w's own space, or that of a template.

    Parameters
    ----------
    name : str
        ``T1w`` or TemplateFlow's identifier, letters and digits.
    cohort : str or None
        Of a template that has cohorts, age groups mostly; numbers without zeros in front.
    resolution : str or None
        Which of the template's images the T1w is registered to: TemplateFlow's ``res-``, an index that need not be
        millimetres, without zeros in front. It is no part of the space's label.
    """

    name: str
    cohort: str | None = None
    resolution: str | None = None

    @property
    def label(self) -> str:
        """Value of ``space-`` and ``to-``: the name, with a cohort ``NAME+X`` as NiPreps write it."""
        return self.name if self.cohort is None else f"{self.name}+{self.cohort}"

    def __str__(self) -> str:
        """As ``--output-spaces`` takes it; :func:`parse_space` gives an equal space."""
        parts = [self.name, *([f"cohort-{self.cohort}"] if self.cohort else [])]
        return ":".join([*parts, *([f"res-{self.resolution}"] if self.resolution else [])])


def parse_space(text: str) -> Space:
    """Read a space as users write it; ``anat`` is the T1w's, as in fMRIPrep.

    Raises
    ------
    ValueError
        The text does not follow ``NAME[:cohort-X][:res-Y]``.
    """
    name, *modifiers = text.split(":")
    name = T1W_SPACE if name.lower() in _T1W_ALIASES else name
    plain, plus, cohort = name.partition("+")
    if plus and _LABEL.fullmatch(plain) and _LABEL.fullmatch(cohort):
        raise ValueError(f"write {option_of(name)}")
    if not _LABEL.fullmatch(name):
        raise ValueError(f"{_SYNTAX} needed, e.g. MNIPediatricAsym:cohort-3")
    values: dict[str, str] = {}
    for modifier in modifiers:
        key, _, value = modifier.partition("-")
        if key not in ("cohort", "res") or key in values or not _LABEL.fullmatch(value):
            raise ValueError(f"{modifier!r}: {_SYNTAX} needed, each part once")
        values[key] = index_of(value)
    if name == T1W_SPACE and values:
        raise ValueError(f"{T1W_SPACE} has neither cohorts nor resolutions; --voxel-size sets the voxels of the output")
    return Space(name, values.get("cohort"), values.get("res"))


def parse_spaces(texts: Iterable[object]) -> tuple[str, ...]:
    """Spaces in their one spelling, each once.

    Raises
    ------
    ValueError
        See :func:`parse_space`; one of them is no text; or two of them would share the label that their files bear.
    """
    found: dict[str, Space] = {}
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"{text!r}: {_SYNTAX} needed")
        space = parse_space(text)
        other = found.setdefault(space.label, space)
        if other != space:
            raise ValueError(f"{other} and {space} would both be space-{space.label}; ask for one of them a run")
    return tuple(map(str, found.values()))


def index_of(value: str) -> str:
    """A cohort or resolution in its one spelling: ``01`` is ``1``, because some templates pad and others do not."""
    return str(int(value)) if value.isdecimal() else value


def option_of(label: str) -> str:
    """How to ask for the space that files name by this label."""
    return label.replace("+", ":cohort-", 1)


def plain_label(label: str) -> str:
    """A space's label in letters and digits alone, for names that allow no others."""
    return label.replace("+", "Cohort", 1)
