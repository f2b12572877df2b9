"""What the commands of DICOM share: messages on the console, and every error as one line with its exit code."""

import sys
from collections.abc import Callable

from bids_spectsynth.dicom.extra import require_dicom
from bids_spectsynth.errors import ExitCode, SpectSynthError, error_code, reason_of
from bids_spectsynth.logs import console_logging


def run_command(name: str, verbosity: int, command: Callable[[], int]) -> int:
    """Run a command; what stops it is one line.

    Parameters
    ----------
    name : str
        Of the command.
    verbosity : int
        How often ``-v`` was given.
    command : callable
        Gives the exit code.

    Returns
    -------
    int
        One of :class:`bids_spectsynth.errors.ExitCode`.
    """
    console_logging(verbosity)
    try:
        require_dicom()
        return command()
    except SpectSynthError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return int(error_code(error))
    except OSError as error:
        print(f"{name}: error: {reason_of(error)}", file=sys.stderr)
        return int(ExitCode.DATASET)
