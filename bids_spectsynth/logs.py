"""Where messages go: the console, one log of the run and one log of each participant."""

import logging
import sys
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

LOGGER_NAME = "bids_spectsynth"
#: In the output folder, with one folder for each run.
LOGS_FOLDER = "logs"
_FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_TIME_FORMAT = "%H:%M:%S"
#: From this count of ``-v`` on, libraries are heard, too.
LIBRARIES = 2


class _LibraryConsole(logging.StreamHandler[TextIO]):
    """Shows what libraries log; a class of its own, so that the next run in this process finds and removes it."""


def console_logging(verbose: int) -> logging.Logger:
    """Send messages to standard error.

    Parameters
    ----------
    verbose : int
        0 shows progress and warnings of the package; 1 its details, too; 2 and more also all that libraries log,
        Nipype among them, each line with the name of its logger.

    Returns
    -------
    Logger
        Of the package.
    """
    logger = logging.getLogger(LOGGER_NAME)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.DEBUG if verbose else logging.INFO)
    console.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(message)s", _TIME_FORMAT))
    logger.addHandler(console)
    _show_libraries(verbose >= LIBRARIES)
    return logger


def _show_libraries(shown: bool) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _LibraryConsole)]:
        root.removeHandler(handler)
        root.setLevel(logging.WARNING)
    if shown:
        console = _LibraryConsole(sys.stderr)
        console.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s", _TIME_FORMAT))
        root.addHandler(console)
        root.setLevel(logging.DEBUG)


def open_run_log(output_dir: Path, level: str, settings_toml: str) -> Path:
    """Create ``logs/<run>`` with the settings as TOML and a log file of every message.

    Parameters
    ----------
    output_dir : Path
    level : str
        ``participant`` or ``group``; a part of the folder's name.
    settings_toml : str
        All settings of the run, see :func:`bids_spectsynth.options.settings.to_toml`.

    Returns
    -------
    Path
        The folder.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = output_dir / LOGS_FOLDER / f"{stamp}-{level}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    (folder / "settings.toml").write_text(settings_toml, encoding="utf-8")
    handler = logging.FileHandler(folder / "run.log", encoding="utf-8")
    handler.setLevel(logging.DEBUG)
    handler.setFormatter(logging.Formatter(_FILE_FORMAT))
    logging.getLogger(LOGGER_NAME).addHandler(handler)
    return folder


def write_case_log(run_folder: Path, name: str, lines: Iterable[str]) -> None:
    """Append lines to the log of one participant.

    Parameters
    ----------
    run_folder : Path
        See :func:`open_run_log`.
    name : str
        ``sub-01`` or ``sub-01_ses-x``.
    lines : iterable of str
        Each gets the time in front.
    """
    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    with (run_folder / f"{name}.log").open("a", encoding="utf-8") as log:
        log.writelines(f"{stamp} {line}\n" for line in lines)
