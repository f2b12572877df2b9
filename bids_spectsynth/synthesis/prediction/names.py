"""Where the images that a model makes lie."""

from pathlib import Path

from bids_spectsynth.bids.cases import INTERICTAL
from bids_spectsynth.bids.names import output_path
from bids_spectsynth.bids.prepared import PreparedCase

ORIGINAL_SPACE = "orig"


def synthetic_path(output_dir: Path, prepared: PreparedCase, label: str, *, space: str | None = None) -> Path:
    """Where the synthetic SPECT of a model lies.

    Parameters
    ----------
    output_dir : Path
    prepared : PreparedCase
    label : str
        Of the model; letters and digits.
    space : str, optional
        By default that of the case.
    """
    entities = {"task": INTERICTAL, "space": space or prepared.space, "desc": label}
    return output_path(output_dir, prepared.participant, prepared.session, "spect", entities, "spect", ".nii.gz")


def standard_deviation_path(output_dir: Path, prepared: PreparedCase, label: str) -> Path:
    """Where the standard-deviation map of a model's synthetic SPECT lies.

    Parameters
    ----------
    output_dir : Path
    prepared : PreparedCase
    label : str
        Of the model; letters and digits.
    """
    return synthetic_path(output_dir, prepared, f"{label}Sd")
