"""Registrations in an output folder, as the sidecars of their transforms tell of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.prepared import PREPARED
from bids_spectsynth.bids.roles import ICTAL, ictal_name, role_by_suffix, role_of
from bids_spectsynth.bids.scans import CASE_KEY, scan_key_of
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
        ``sub-01`` or ``sub-01_ses-x``; an ictal scan's file may lie in another session's folder.
    role : str
        What was registered: ``pet``, ``interictal``, ``ictal`` (``ictal2``, ... as in
        :class:`~bids_spectsynth.bids.prepared.PreparedCase`), another MR suffix, or ``T1w`` (to a template).
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
    def external(self) -> str | None:
        """URI of the file of ``--derivatives`` that it was taken from; None of our own."""
        return external_source(self.sidecar)

    @property
    def notes(self) -> list[str]:
        """One line each: why it is poor, how it was found."""
        return strings(self.sidecar.get("Notes"))


def external_source(content: Mapping[str, Any]) -> str | None:
    """URI of what took the place of one of our steps, by the sidecar of its result; None of our own."""
    found = content.get("ExternalSource")
    return found if isinstance(found, str) and found else None


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
    return _numbered([transform for transform in found if transform is not None])


def _numbered(transforms: Iterable[Transform]) -> list[Transform]:
    """The same with the ictal scans of each case named in the order of its prepared images."""
    transforms = list(transforms)
    scans: defaultdict[str, list[Path]] = defaultdict(list)
    for one in transforms:
        if one.role == ICTAL:
            scans[one.case_name].append(one.path)
    # A scan that was registered and then left out must not take the number of one that was not.
    ordered = {name: sorted(paths, key=lambda path: (not _is_prepared(path), scan_key_of(path)))
               for name, paths in scans.items()}  # fmt: skip
    names = {path: ictal_name(number) for paths in ordered.values() for number, path in enumerate(paths, start=1)}
    return [replace(one, role=names.get(one.path, one.role)) for one in transforms]


def _is_prepared(path: Path) -> bool:
    images = path.parent.glob(f"*_desc-{PREPARED}_{role_of(ICTAL).suffix}.nii.gz")
    return scan_key_of(path) in map(scan_key_of, images)


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
    return Transform(path, str(content.get(CASE_KEY) or name), role, target, content)
