"""Registrations in an output folder, as the sidecars of their transforms tell of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.roles import role_by_suffix, role_of
from bids_spectsynth.bids.sidecars import as_number, sidecar, strings
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.options.spaces import option_of


@dataclass(frozen=True)
class Transform:
    """A registration, from the sidecar of its transform.

    Parameters
    ----------
    path : Path
        The matrix file.
    case_name : str
        ``sub-01`` or ``sub-01_ses-x``.
    role : str
        What was registered: ``pet``, ``interictal``, ``ictal``, another MR suffix, or ``T1w`` (to a template).
    target : str
        ``T1w`` or the template.
    """

    path: Path
    case_name: str
    role: str
    target: str
    sidecar: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """``PET to T1w``."""
        return f"{role_of(self.role).title} to {self.target}"

    @property
    def template(self) -> str:
        """The template that a T1w was registered to, as ``--output-spaces`` takes it, with its resolution if known."""
        return str(self.sidecar.get("Template") or option_of(self.target))

    @property
    def poor(self) -> bool:
        """Whether the result should not be trusted without looking."""
        return self.sidecar.get("Poor") is True

    @property
    def score(self) -> float:
        """Final value of the metric; not a number where unknown."""
        return as_number(self.sidecar.get("Score"))

    @property
    def overlap(self) -> float:
        """Dice coefficient of the two brains, 0 to 1; not a number where unknown."""
        return as_number(self.sidecar.get("Overlap"))

    @property
    def metric(self) -> str:
        """What the score is."""
        return str(self.sidecar.get("Metric", "n/a"))

    @property
    def notes(self) -> list[str]:
        """One line each: why it is poor, how it was found."""
        return strings(self.sidecar.get("Notes"))


def find_transforms(output_dir: Path, participant: str = "*") -> list[Transform]:
    """Registrations in the output folder, each once (towards its target), by participant, session and file name.

    Parameters
    ----------
    output_dir : Path
    participant : str
        Label without ``sub-``; ``*`` for all.
    """
    pattern = f"sub-{participant}"
    files = [*output_dir.glob(f"{pattern}/*/*_xfm.txt"), *output_dir.glob(f"{pattern}/ses-*/*/*_xfm.txt")]
    found = [_transform(path) for path in sorted(files)]
    return [transform for transform in found if transform is not None]


def _transform(path: Path) -> Transform | None:
    entities, _, _ = parse_name(path.name)
    source, target, content = entities.get("from", ""), entities.get("to", ""), sidecar(path)
    affine = content.get("Type") == "affine"
    # Both directions are stored: an affine one belongs to a template, a rigid one leads to the T1w.
    if target != T1W_SPACE if not affine else source != T1W_SPACE:
        return None
    role = role_by_suffix(source, entities)
    session = entities.get("ses")
    name = f"sub-{entities.get('sub', '')}" + (f"_ses-{session}" if session else "")
    return Transform(path, name, role, target, content)
