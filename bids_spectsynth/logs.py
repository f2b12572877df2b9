"""Where messages go: the console, one log of the run and one log of each participant."""

import logging
import sys
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

LOGGER_NAME = "bids_spectsynth"
#: In the output folder, with one folder for each run.
LOGS_FOLDER = "logs"
_FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def console_logging(verbose: int) -> logging.Logger:
    """Send messages of the package to standard error: warnings and progress, with ``-v`` details."""
    logger = logging.getLogger(LOGGER_NAME)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.DEBUG if verbose else logging.INFO)
    console.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(message)s", "%H:%M:%S"))
    logger.addHandler(console)
    return logger


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
    """Append lines to the log of one participant (``name`` is ``sub-01`` or ``sub-01_ses-x``)."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    with (run_folder / f"{name}.log").open("a", encoding="utf-8") as log:
        log.writelines(f"{stamp} {line}\n" for line in lines)
