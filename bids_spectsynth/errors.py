"""Errors whose message is one clear line for the user, and the one table of exit codes.

A message says which file, what is wrong, and what to do.
"""

import errno
import re
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Literal

#: Characters of a message; what is longer came from a file.
_LONGEST_LINE = 3000


class SpectSynthError(Exception):
    r"""Base of every error that is shown to the user without a traceback: one line, whatever a library said in it.

    Examples
    --------
    >>> print(SpectSynthError("sub-01_T1w.nii: Expected 6864 bytes\n - could the file be damaged?"))
    sub-01_T1w.nii: Expected 6864 bytes - could the file be damaged?
    """

    def __str__(self) -> str:
        line = " ".join(super().__str__().split())
        # What to do stands at the end.
        return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 500]} [...] {line[-400:]}"


class UsageError(SpectSynthError):
    """Options, a configuration file or a filter file cannot be followed."""


class DatasetError(SpectSynthError):
    """The input dataset as a whole is not usable."""


class ImageError(SpectSynthError):
    """One image is missing, damaged or empty; concerns one participant only."""


class ModelError(SpectSynthError):
    """A model folder is damaged, of another version, or does not fit the data."""


#: What to change where memory does not suffice.
MEMORY_ADVICE = "lower --nprocs or --batch-size, set --mem-mb to what this machine has, or use one with more"
#: In small letters; a library that cannot be loaded, or a thread that cannot be started, is a lack of memory, too.
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory",
              "unable to allocate", "can't start new thread", "can't allocate lock",
              "cannot allocate write+execute memory", "bad_alloc",
              # Of oneDNN, of Pillow where zlib gets none, of Python where one of its own functions did.
              "could not create a primitive", "could not execute a primitive",
              "codec configuration error when writing", "error return without exception set")  # fmt: skip
#: Characters of what a library said.
_LONGEST_QUOTE = 300
#: Newer C libraries name no cause behind this. One that is named is another: a disk whose files may not be executed.
_NO_PLACE_FOR_LIBRARY = re.compile("failed to map segment from shared object$")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice, in the words of Python, the system or torch."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    is_of_library = isinstance(error, RuntimeError | ImportError | OSError | SystemError)
    message = str(error).lower().rstrip()
    unplaced = _NO_PLACE_FOR_LIBRARY.search(message) is not None
    return is_of_library and (unplaced or any(words in message for words in _NO_MEMORY))


def _telling_line(error: BaseException) -> str:
    """Of what a library said of a lack of memory, the line with it: before and behind it may stand whole tracebacks."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if any(words in line.lower() for words in _NO_MEMORY)]
    return next(iter([*telling, *lines[:1]]), "")[:_LONGEST_QUOTE]


def reason_of(error: BaseException) -> str:
    """Why something failed, in one line: of a file that could not be read or written, which one.

    Examples
    --------
    >>> print(reason_of(OSError(28, "No space left on device", "out/group.html")))
    out/group.html: No space left on device; make room and start again
    >>> print(reason_of(ValueError("odd")))
    ValueError: odd
    """
    message = " ".join(str(error).split())
    if isinstance(error, SpectSynthError):
        return message
    if is_out_of_memory(error):
        # Which library, array or thread it was may be the only trace of another cause.
        said = "" if isinstance(error, OSError) else _telling_line(error)
        return f"out of memory; {MEMORY_ADVICE}" + (f" ({said})" if said else "")
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{error.filename}: "
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return f"{where}{error.strerror}" + ("; make room and start again" if full else "")
    return f"{type(error).__name__}: {message}"


@contextmanager
def naming(path: Path, also: Path | None = None) -> Iterator[None]:
    """Errors of the system in the block name a file; those of a full disk come without any name.

    Parameters
    ----------
    path : Path
        The name that users know.
    also : Path, optional
        A name that stands for it: of the temporary file.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(also)):
            error.filename = str(path)
        raise


class ExitCode(IntEnum):
    """What the process tells its caller."""

    OK = 0
    """Everything requested was done (participants without the needed images are skipped, not failed)."""
    SOME_FAILED = 1
    """At least one participant failed; the others are complete."""
    USAGE = 2
    """The options, the configuration file or the filter file are wrong."""
    DATASET = 3
    """The input dataset is not usable: not BIDS, not valid, no such participant; or a file or folder cannot be read
    or written, a full disk included."""
    NOBODY_LEFT = 4
    """Every participant was skipped or failed."""
    MODEL = 5
    """The model folder is damaged or does not fit, or training is not possible."""
    INTERNAL = 70
    """A defect of this software (sysexits EX_SOFTWARE)."""
    INTERRUPTED = 130
    """Stopped by SIGINT; the work so far is kept."""
    RESUBMIT = 138
    """Stopped by SIGUSR1, by which a scheduler announces its time limit; the same command goes on from here."""
    TERMINATED = 143
    """Stopped by SIGTERM; a checkpoint was written where training was under way."""


#: A process that does not handle a signal ends with 128 plus its number, for shells; SIGUSR1 is 10 on Linux.
_SIGNAL_CODES = {
    "SIGINT": ExitCode.INTERRUPTED,
    "SIGUSR1": ExitCode.RESUBMIT,
    "SIGTERM": ExitCode.TERMINATED,
}


def signal_code(number: int) -> ExitCode:
    """Exit code of a process that a signal has stopped, after it has put its affairs in order.

    Parameters
    ----------
    number : int
        Of SIGINT, SIGUSR1 or SIGTERM.
    """
    return _SIGNAL_CODES[signal.Signals(number).name]


#: What a terminal or a browser would obey instead of showing it: control characters, those that turn the direction of
#: writing, and halves of pairs, which cannot be written at all. Tabs and line ends are kept.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Text that can be shown as it is: what a terminal or a browser would obey is spelled out.

    Examples
    --------
    >>> print(printable("sub-01\x1b[2J: damaged"))
    sub-01\x1b[2J: damaged
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def size_text(shape: Iterable[int]) -> str:
    """Voxels or pixels by axis as a message shows them: ``256 x 256 x 192``."""
    return " x ".join(map(str, shape))


def value_text(value: object) -> str:
    """A value that somebody gave as a message shows it, without the brackets of a programming language.

    Parameters
    ----------
    value : object
        Of the command line, or of TOML or JSON.

    Examples
    --------
    >>> print(value_text([["T1", "pet"], ["T2"]]), value_text(["edge"]), value_text("lots"), value_text(None), sep="; ")
    T1 pet, T2; edge; 'lots'; none
    """
    match value:
        case None | bool():
            return "none" if value is None else str(value).lower()
        case Mapping():
            return ", ".join(f"{key}: {value_text(one)}" for key, one in value.items())
        case list() | tuple() | set() | frozenset():
            nested = any(isinstance(one, list | tuple | Mapping) for one in value)
            return (", " if nested else " ").join(map(_element_text, value)) or "an empty list"
        case str():
            return f"'{value}'"
        case _:
            return str(value)


def _element_text(value: object) -> str:
    # Quotes only where text would be overlooked, or taken for several.
    plain = isinstance(value, str) and value and not any(map(str.isspace, value))
    return str(value) if plain else value_text(value)


#: Values of ``desc-`` that are not models', and endings of those of a model's further images.
_RESERVED, _RESERVED_ENDS = ("preproc", "brain"), ("Sd", "Lower", "Upper")


def label_problem(label: str) -> str | None:
    """Why a model cannot have a label, which becomes the ``desc-`` of its images; None where it can.

    Examples
    --------
    >>> label_problem("pix2pixPet"), label_problem("preproc")
    (None, 'is the name of prepared images and masks')
    """
    if not (label.isascii() and label.isalnum()):
        return "has other characters than letters and digits"
    if label.lower() in _RESERVED:
        return "is the name of prepared images and masks"
    if label.endswith(_RESERVED_ENDS):
        return "ends as names of standard deviations and intervals do (Sd, Lower, Upper)"
    return None


Status = Literal["ok", "skipped", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What happened to one participant (and session) in one stage.

    Parameters
    ----------
    participant : str
        Label without ``sub-``.
    session : str or None
        Label without ``ses-``.
    stage : str
        Name of a stage of the participant level: ``find``, ``preprocess``, ``train``, ...; the list of stages
        decides.
    status : {'ok', 'skipped', 'failed'}
        A skipped participant lacks something; a failed one has a defect that the reason names.
    reason : str
        One line. Where the status is ``ok``: empty, or what was left out all the same.
    """

    participant: str
    session: str | None
    stage: str
    status: Status
    reason: str = ""


def by_participant(outcomes: Iterable[Outcome]) -> dict[str, Outcome]:
    """What became of each participant over its sessions, stages and models.

    Failed where anything failed; else ok where anything was done; else skipped. The reasons are joined, also those
    of a participant that was served but lacks something (an input of one of the models, say).
    """
    joined: dict[str, Outcome] = {}
    grouped: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault(outcome.participant, []).append(outcome)
    for label, own in grouped.items():
        statuses = {outcome.status for outcome in own}
        status: Status = "failed" if "failed" in statuses else "ok" if "ok" in statuses else "skipped"
        reasons = dict.fromkeys(outcome.reason for outcome in own if outcome.reason)
        joined[label] = Outcome(label, None, own[-1].stage, status, "; ".join(reasons))
    return joined


def exit_code(outcomes: Iterable[Outcome]) -> ExitCode:
    """Exit code of a run from the outcomes of its participants; no outcome at all counts as nobody left."""
    statuses = {outcome.status for outcome in by_participant(outcomes).values()}
    if "failed" in statuses:
        return ExitCode.SOME_FAILED if "ok" in statuses else ExitCode.NOBODY_LEFT
    return ExitCode.OK if "ok" in statuses else ExitCode.NOBODY_LEFT


def error_code(error: SpectSynthError) -> ExitCode:
    """Exit code for an error that ends the whole run."""
    match error:
        case UsageError():
            return ExitCode.USAGE
        case DatasetError():
            return ExitCode.DATASET
        case ModelError():
            return ExitCode.MODEL
        case _:
            return ExitCode.SOME_FAILED
