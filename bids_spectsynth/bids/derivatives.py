"""Names, sidecars and top-level files of the output folder; reading prepared images back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: Order of entities in a file name (BIDS schema, restricted to those used here).
ENTITY_ORDER = (
    "sub",
    "ses",
    "task",
    "acq",
    "trc",
    "ce",
    "rec",
    "run",
    "from",
    "to",
    "mode",
    "space",
    "res",
    "desc",
)


def file_name(entities: Mapping[str, str], suffix: str, extension: str) -> str:
    """BIDS file name: entities in the standard's order, then suffix and extension.

    Raises
    ------
    ValueError
        An entity is unknown or its value has other characters than letters, digits and ``+``.
    """
    unknown = set(entities) - set(ENTITY_ORDER)
    if unknown:
        raise ValueError(f"unknown entity {sorted(unknown)[0]}")
    for key, value in entities.items():
        if not value.replace("+", "").isalnum() or not value.isascii():
            raise ValueError(f"{key}-{value}: letters and digits only")
    pairs = [f"{key}-{entities[key]}" for key in ENTITY_ORDER if key in entities]
    return "_".join([*pairs, suffix]) + extension


def case_folder(output_dir: Path, participant: str, session: str | None) -> Path:
    """``sub-01`` or ``sub-01/ses-x`` in the output folder."""
    folder = output_dir / f"sub-{participant}"
    return folder / f"ses-{session}" if session else folder


@dataclass(frozen=True)
class PreparedCase:
    """The prepared images of one case in one space, as read from the output folder.

    Parameters
    ----------
    participant, session : str, str or None
    space : str
        ``T1w`` or a template name.
    images : mapping of role to Path
        ``desc-preproc`` images on the common grid: ``T1w``, ``pet``, ``interictal``, ``ictal``, other MR suffixes.
    masks : mapping of role to Path
        ``desc-brain_mask`` images on the same grid. ``masks["T1w"]`` is the brain mask used everywhere.
    template_xfm : Path
        ``from-T1w_to-<template>_mode-image_xfm.txt``.
    template : str
        The template that it leads to.
    """

    participant: str
    session: str | None
    space: str
    images: Mapping[str, Path]
    masks: Mapping[str, Path]
    template_xfm: Path | None
    template: str | None

    @property
    def name(self) -> str:
        """``sub-01`` or ``sub-01_ses-x``."""
        return f"sub-{self.participant}" + (f"_ses-{self.session}" if self.session else "")
