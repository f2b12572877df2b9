"""The libraries that DICOM needs and nothing else does: ``pip install bids_spectsynth[dicom]``."""

import importlib.util

from bids_spectsynth.errors import UsageError

#: What the extra installs.
LIBRARIES = ("pydicom", "highdicom")


def require_dicom() -> None:
    """Refuse to begin without the libraries of the extra.

    Raises
    ------
    UsageError
        One of them is not installed.
    """
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise UsageError(f"DICOM: {' and '.join(missing)} {verb} not installed; pip install 'bids_spectsynth[dicom]'")
