"""The files in a model folder that hold its baselines."""

import hashlib
from pathlib import Path

from bids_spectsynth.bids.sidecars import read_object
from bids_spectsynth.errors import ModelError

FORMAT_VERSION = 3
TENSORS_FILE = "baselines.safetensors"
CARD_FILE = "baselines.json"


def has_baselines(folder: Path) -> bool:
    """Whether a model folder comes with baselines that this version can read."""
    return bool(read_object(folder / CARD_FILE).get("FormatVersion") == FORMAT_VERSION)


def baselines_checksum(folder: Path) -> str:
    """SHA-256 of the baselines' two files, hexadecimal: of the cohort prior, for a model that has one.

    Raises
    ------
    ModelError
        A file is missing.
    """
    digest = hashlib.sha256()
    for name in (CARD_FILE, TENSORS_FILE):
        try:
            digest.update((folder / name).read_bytes())
        except OSError as error:
            raise ModelError(
                f"{folder / name}: cannot be read ({error.strerror}); the model needs it for its cohort prior: copy "
                "the whole model folder"
            ) from error
    return digest.hexdigest()


def baseline_files(folder: Path) -> list[Path]:
    """The baselines' files that a model folder holds."""
    return [path for path in (folder / CARD_FILE, folder / TENSORS_FILE) if path.exists()]


def remove_baselines(folder: Path) -> None:
    """Remove the baselines from a model folder, so that they are fitted anew."""
    for path in baseline_files(folder):
        path.unlink()
