"""Where messages go: the console, one log of the run and one log of each participant."""

import logging
import sys
import uuid
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

LOGGER_NAME = "bids_spectsynth"
#: In the output folder, with one folder for each run.
LOGS_FOLDER = "logs"
#: ``extra`` of a message that the console shows once in a run, however often it is logged.
ONCE = {"once": True}
_FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Console(logging.StreamHandler[TextIO]):
    """Writes lines between progress bars instead of into them, and what is marked :data:`ONCE` once."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message.

        Parameters
        ----------
        record : LogRecord
        """
        if getattr(record, "once", False):
            words = record.getMessage()
            if words in self._said:
                return
            self._said.add(words)
        # Where nothing has imported it, there is no bar.
        bars = getattr(sys.modules.get("tqdm"), "tqdm", None)
        with bars.external_write_mode(file=self.stream) if bars is not None else nullcontext():
            super().emit(record)


def console_logging(verbose: int) -> logging.Logger:
    """Send messages of the package to standard error: warnings and progress, with ``-v`` details."""
    logger = logging.getLogger(LOGGER_NAME)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    console = Console(sys.stderr)
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


def duration_words(seconds: float) -> str:
    """A duration with one sensible unit: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    for limit, unit, digits in ((90, 1, 0), (90 * 60, 60, 0), (48 * 3600, 3600, 1)):
        if seconds < limit:
            name = {1: "s", 60: "min", 3600: "h"}[unit]
            return f"{seconds / unit:.{digits}f} {name}"
    return f"{seconds / 86400:.1f} days"
