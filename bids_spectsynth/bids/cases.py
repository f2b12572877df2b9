"""Which files of a participant are used, and why; why a participant is skipped."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

T1W = "T1w"
PET = "pet"
INTERICTAL = "interictal"
ICTAL = "ictal"


@dataclass(frozen=True)
class SourceImage:
    """One input image and what BIDS says of it.

    Parameters
    ----------
    path : Path
        Absolute path of the NIfTI file.
    role : str
        ``T1w``, ``pet``, ``interictal``, ``ictal``, or the suffix of another MR image (``T2w``, ``FLAIR``).
    entities : mapping of str to str
        Entities that its derivatives keep, by short BIDS key in BIDS order (``task``, ``trc``, ``rec``, ``run``).
        ``sub`` and ``ses`` are the case's; a SPECT always has ``task``.
    metadata : mapping
        Its JSON sidecar, inheritance applied.
    reason : str
        One line: why this file was taken.
    """

    path: Path
    role: str
    entities: Mapping[str, str]
    metadata: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class Case:
    """One participant, or one of its sessions, with the images that are used.

    ``session`` is that of the interictal SPECT; without one, that of the PET; without one, that of the T1w.
    ``images`` maps roles to images and always holds ``T1w``.
    """

    participant: str
    session: str | None
    images: Mapping[str, SourceImage]
    warnings: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """``sub-01`` or ``sub-01_ses-x``."""
        return f"sub-{self.participant}" + (f"_ses-{self.session}" if self.session else "")
