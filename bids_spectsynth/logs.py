"""Where messages go: the console, one log of the run and one log of each participant."""

import logging
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from bids_spectsynth.errors import naming, printable

LOGGER_NAME = "bids_spectsynth"
#: In the output folder, with one folder for each run.
LOGS_FOLDER = "logs"
#: ``extra`` of a message that the console shows once in a run, however often it is logged.
ONCE = {"once": True}
#: Messages before there is a log file, of which there are some lines for each participant.
_MOST_HELD = 100_000
_FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_TIME_FORMAT = "%H:%M:%S"
#: From this count of ``-v`` on, libraries are heard, too.
LIBRARIES = 2


class PlainFormatter(logging.Formatter):
    """Lines that no terminal takes for commands; of a file, also without what must not be in it.

    Parameters
    ----------
    form, time : str
        See :class:`logging.Formatter`.
    clean : callable
        Takes and gives the text of a line.
    """

    def __init__(self, form: str, time: str | None = None, clean: Callable[[str], str] = str) -> None:
        super().__init__(form, time)
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        """Text of one message, its traceback included.

        Parameters
        ----------
        record : LogRecord
        """
        return printable(self._clean(super().format(record)))


class LogFile(logging.FileHandler):
    """A log that ends where its disk is full or gone, with one line on the console, and does not end the run.

    Parameters
    ----------
    path : Path
    delay : bool
        Whether the file is made with its first line.
    """

    def __init__(self, path: Path, *, delay: bool = False) -> None:
        super().__init__(path, encoding="utf-8", delay=delay)
        self._broken = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message.

        Parameters
        ----------
        record : LogRecord
        """
        if not self._broken:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Called by ``emit`` where a message could not be written.

        Parameters
        ----------
        record : LogRecord
        """
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._broken = True
        print(f"bids_spectsynth: {self.baseFilename}: {error.strerror}; this log ends here", file=sys.stderr)

    def close(self) -> None:
        """Close the file; what a full disk did not take is lost."""
        with suppress(OSError):
            super().close()


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

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Called by ``emit`` where a message could not be written: whom it was for has gone.

        Parameters
        ----------
        record : LogRecord
        """
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class _LibraryConsole(Console):
    """Shows what libraries log; a class of its own, so that the next run in this process finds and removes it."""


class _Held(logging.Handler):
    """Keeps messages until there is a log file, which is made only when nothing is left to refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.records: deque[logging.LogRecord] = deque(maxlen=_MOST_HELD)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


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
    console = Console(sys.stderr)
    console.setLevel(logging.DEBUG if verbose else logging.INFO)
    console.setFormatter(PlainFormatter("%(asctime)s %(levelname).1s %(message)s", _TIME_FORMAT))
    logger.addHandler(console)
    logger.addHandler(_Held())
    _show_libraries(verbose >= LIBRARIES)
    return logger


def _show_libraries(shown: bool) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _LibraryConsole)]:
        root.removeHandler(handler)
        root.setLevel(logging.WARNING)
    if shown:
        console = _LibraryConsole(sys.stderr)
        console.setFormatter(PlainFormatter("%(asctime)s %(levelname).1s %(name)s: %(message)s", _TIME_FORMAT))
        root.addHandler(console)
        root.setLevel(logging.DEBUG)


def open_run_log(output_dir: Path, level: str, settings_toml: str, clean: Callable[[str], str] = str) -> Path:
    """Create ``logs/<run>`` with the settings as TOML and a log file of every message, those before it included.

    Parameters
    ----------
    output_dir : Path
    level : str
        ``participant`` or ``group``; a part of the folder's name.
    settings_toml : str
        All settings of the run, see :func:`bids_spectsynth.options.settings.to_toml`.
    clean : callable
        Takes from the text of a line of ``run.log`` what is of this machine only.

    Returns
    -------
    Path
        The folder.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = output_dir / LOGS_FOLDER / f"{stamp}-{level}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    with naming(folder / "settings.toml"):
        (folder / "settings.toml").write_text(settings_toml, encoding="utf-8")
    handler = LogFile(folder / "run.log")
    handler.setLevel(logging.DEBUG)
    handler.setFormatter(PlainFormatter(_FILE_FORMAT, None, clean))
    logger = logging.getLogger(LOGGER_NAME)
    for held in [one for one in logger.handlers if isinstance(one, _Held)]:
        for record in held.records:
            handler.handle(record)
        logger.removeHandler(held)
    logger.addHandler(handler)
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
    path = run_folder / f"{name}.log"
    with naming(path), path.open("a", encoding="utf-8") as log:
        log.writelines(f"{stamp} {printable(line)}\n" for line in lines)


def duration_words(seconds: float) -> str:
    """A duration with one sensible unit: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    for limit, unit, digits in ((90, 1, 0), (90 * 60, 60, 0), (48 * 3600, 3600, 1)):
        if seconds < limit:
            name = {1: "s", 60: "min", 3600: "h"}[unit]
            return f"{seconds / unit:.{digits}f} {name}"
    return f"{seconds / 86400:.1f} days"
