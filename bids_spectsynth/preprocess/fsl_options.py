"""What a run may choose of FSL: BET's options, and by what its programs are started."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bids_spectsynth.settings import FslRunner, Settings


@dataclass(frozen=True)
class FslOptions:
    """Options of the fsl backend.

    Parameters
    ----------
    fractional_intensity : float
        BET's ``-f``, 0 to 1; smaller values give larger brains.
    robust : bool
        BET's ``-R`` for MR images; never for PET.
    runner : str
        ``local``, ``docker`` or ``singularity``.
    image : str or None
        Container image; None is the one that niwrap names. A file has an absolute path.
    """

    fractional_intensity: float = 0.5
    robust: bool = True
    runner: FslRunner = "local"
    image: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> "FslOptions":
        """Options of a run."""
        image = settings.fsl_image
        if image is not None and settings.fsl_runner == "singularity" and is_image_file(image):
            # Steps run in folders of their own.
            image = str(Path(image).expanduser().absolute())
        return cls(settings.bet_fractional_intensity, settings.bet_robust == "on", settings.fsl_runner, image)

    @classmethod
    def from_text(cls, text: str) -> "FslOptions":
        """Options that :meth:`to_text` wrote."""
        return cls(**json.loads(text))

    def to_text(self) -> str:
        """The options as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)


DEFAULT_OPTIONS = FslOptions()


def is_image_file(image: str) -> bool:
    """Whether a Singularity image is named by a path, not by the name that a registry knows."""
    return image.startswith(("/", "./", "../", "~")) or image.endswith((".sif", ".simg", ".img"))
