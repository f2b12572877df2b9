"""What a run may choose of FSL: options of BET and FLIRT, and by what its programs are started."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bids_spectsynth.bids.roles import PET
from bids_spectsynth.options.settings import FlirtCost, FslRunner, Settings
from bids_spectsynth.preprocess.records import file_stamp

FlirtFunction = Literal["corratio", "normmi", "mutualinfo"]
#: Cost functions by role where they are not ``corratio``: of PET, normalised mutual information was closer.
_COSTS: Mapping[str, FlirtFunction] = {PET: "normmi"}


@dataclass(frozen=True)
class FslOptions:
    """Options of the fsl backend.

    Parameters
    ----------
    fractional_intensity : float
        BET's ``-f``, 0 to 1; smaller values give larger brains.
    robust : bool
        BET's ``-R`` for MR images; never for PET.
    pet_mask : bool
        Whether BET also makes the mask that a PET is masked by; it always makes the one that FLIRT needs.
    cost : str
        FLIRT's cost function, or ``auto``: see :meth:`cost_of`.
    whole_spect : bool
        Whether FLIRT gets a SPECT as it is, not only what its mask holds.
    runner : str
        ``local``, ``docker`` or ``singularity``.
    image : str or None
        Container image; None is the one that niwrap names. A file has an absolute path.
    image_stamp : tuple of int
        Of an image file, its size and time: another file of the same name prepares anew.
    """

    fractional_intensity: float = 0.5
    robust: bool = True
    pet_mask: bool = False
    cost: FlirtCost = "auto"
    whole_spect: bool = True
    runner: FslRunner = "local"
    image: str | None = None
    image_stamp: tuple[int, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> "FslOptions":
        """Options of a run."""
        image, stamp = settings.fsl_image, tuple[int, ...]()
        if image is not None and settings.fsl_runner == "singularity" and is_image_file(image):
            # Steps run in folders of their own.
            path = Path(image).expanduser().absolute()
            image, stamp = str(path), tuple(file_stamp(path))
        return cls(
            fractional_intensity=settings.bet_fractional_intensity,
            robust=settings.bet_robust == "on",
            pet_mask=settings.bet_pet == "on",
            cost=settings.flirt_cost,
            whole_spect=settings.flirt_spect == "whole",
            runner=settings.fsl_runner,
            image=image,
            image_stamp=stamp,
        )

    def cost_of(self, role: str) -> FlirtFunction:
        """FLIRT's cost function for an image of this role, as FLIRT calls it."""
        if self.cost != "auto":
            return self.cost
        return _COSTS.get(role, "corratio")

    @classmethod
    def from_text(cls, text: str) -> "FslOptions":
        """Options that :meth:`to_text` wrote."""
        content = json.loads(text)
        return cls(**{**content, "image_stamp": tuple(content["image_stamp"])})

    def to_text(self) -> str:
        """The options as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)


DEFAULT_OPTIONS = FslOptions()


def is_image_file(image: str) -> bool:
    """Whether a Singularity image is named by a path, not by the name that a registry knows."""
    return image.startswith(("/", "./", "../", "~")) or image.endswith((".sif", ".simg", ".img"))
