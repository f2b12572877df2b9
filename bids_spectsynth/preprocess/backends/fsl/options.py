"""What a run may choose of FSL: BET's options, and by what its programs are started."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bids_spectsynth.options.settings import FslRunner, Settings
from bids_spectsynth.preprocess.records import file_stamp


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
    image_stamp : tuple of int
        Of an image file, its size and time: another file of the same name prepares anew.
    """

    fractional_intensity: float = 0.5
    robust: bool = True
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
        robust = settings.bet_robust == "on"
        return cls(settings.bet_fractional_intensity, robust, settings.fsl_runner, image, stamp)

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
