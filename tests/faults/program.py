"""The app in a process of its own, which can be killed, watched and given little memory; and what it leaves behind."""

import contextlib
import functools
import gzip
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nibabel as nib
import pandas as pd
import psutil
from safetensors import safe_open

from bids_spectsynth.bids.table_records import table_fault
from tests.conftest import ALL, App, write_dataset
from tests.faults.watching import watch
from tests.packed import unpacked

#: A process that a signal ends before the app listens for it ends as the system has it; for shells it is the same.
SHELL = 128
#: What a file says of when it was made, and where; a card, hidden by its salt, of whom.
_OWN = {"created", "salt", "participants", "selection_participants", "seconds", "URL", "raw", "Identity"}
#: Logs say when; manifests hold the times of files; the work folder is of the machine.
_NOT_COMPARED = ("logs", ".manifests", "work")
_TIMES = re.compile(rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?( UTC|Z)?|\d{8}T\d{6}Z-\w+-[0-9a-f]{8}")


@dataclass(frozen=True)
class Ended:
    """How a process ended: its code as a shell has it, what it said, processor time, and times from a signal on."""

    code: int
    err: str
    cpu: float
    wall_after: float = 0.0
    cpu_after: float = 0.0

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("bids_spectsynth: error: ")]


def temporary_folder(app: App) -> Path:
    """The folder for temporary files that :func:`start` gives to the process."""
    return app.bids_dir.with_name("tmp")


class Running:
    """The app in a forked process: nothing has to be imported, so that a run costs what it does."""

    def __init__(self, app: App, options: Sequence[str], level: str, prepare: Callable[[], object] | None) -> None:
        # Beside the dataset: the disk of the output folder may be full.
        self.said = app.bids_dir.with_name(f"said-{time.monotonic_ns()}.txt")
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(app, options, level, prepare)

    def _run(self, app: App, options: Sequence[str], level: str, prepare: Callable[[], object] | None) -> None:
        code = 99
        try:
            file = os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(file, 1)
            os.dup2(file, 2)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.alarm(0)
            temporary = temporary_folder(app)
            temporary.mkdir(exist_ok=True)
            os.environ["TMPDIR"], tempfile.tempdir = str(temporary), None
            if prepare is not None:
                prepare()
            result = app(*options, level=level)
            os.write(2, result.err.encode())
            code = result.code
        except KeyboardInterrupt:
            code = SHELL + signal.SIGINT
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)

    def cpu(self) -> float:
        """Processor time so far; not a number where it has ended."""
        try:
            used = psutil.Process(self.pid).cpu_times()
        except psutil.NoSuchProcess:
            return float("nan")
        return float(used.user + used.system)

    def signal_at(self, number: int, cpu: float) -> Ended:
        """Send a signal once so much processor time is used up, and wait for the end."""
        while psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE and self.cpu() < cpu:
            time.sleep(0.005)
        os.kill(self.pid, number)
        return self.wait(self.cpu())

    def wait(self, cpu: float = 0.0, limit: float = 900) -> Ended:
        """Wait for the end; one that does not come is an error."""
        begun = time.monotonic()
        while True:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - begun > limit:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"still running after {limit} s: {self.said.read_text()[-2000:]}")
            time.sleep(0.005)
        code = os.waitstatus_to_exitcode(status)
        total = used.ru_utime + used.ru_stime
        said = self.said.read_text() if self.said.exists() else ""
        return Ended(SHELL - code if code < 0 else code, said, total, time.monotonic() - begun, total - cpu)


def start(app: App, *options: str, level: str = "participant", prepare: Callable[[], object] | None = None) -> Running:
    """Begin a run.

    Parameters
    ----------
    app : App
    options : str
    level : str
    prepare : callable, optional
        Called in the process before the app.
    """
    return Running(app, options, level, prepare)


#: What a process holds so that others have no use of it.
_BALLAST: list[bytearray] = []


def memory_limit(megabytes: int) -> Callable[[], None]:
    """For :func:`start`: so much memory is left, once what the process has got and does not use is filled."""

    def prepare() -> None:
        has, most = psutil.Process().memory_info().vms, resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (has, most))
        with contextlib.suppress(MemoryError):
            while True:
                _BALLAST.append(bytearray(2**16))
        limit = has + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    return prepare


#: Everything that the participant level does, on three heads: all parts of a split, and one with an ictal scan.
PARTICIPANTS = {"01": ALL, "02": ALL, "03": (*ALL, "ictal")}
PARTS = {"01": "train", "02": "validation", "03": "test"}


def small_study(folder: Path) -> tuple[App, tuple[str, ...]]:
    """An app on a new dataset in a folder, and the options of its participant level."""
    app = App(write_dataset(folder / "data", PARTICIPANTS), folder / "out", reports=True)
    lines = [f"sub-{label}\t{part}\n" for label, part in PARTS.items()]
    app.split_file.write_text("participant_id\tsplit\n" + "".join(lines))
    return app, ("--split-file", str(app.split_file), "--epochs", "2")


@dataclass(frozen=True)
class Reference:
    """An uninterrupted run of both levels: what it left, and what it took and did."""

    app: App
    options: tuple[str, ...]
    after_participant: Path
    cpu: Mapping[str, float]
    notes: Mapping[str, Path]
    data: Mapping[str, tuple[int, str]]

    def again(self, folder: Path, level: str) -> App:
        """The same dataset and the output folder as it is before a level, in another place, side by side as here."""
        shutil.copytree(self.app.bids_dir, folder / "data")
        if level == "group":
            shutil.copytree(self.after_participant, folder / "out", dirs_exist_ok=True)
        return App(folder / "data", folder / "out", reports=True)

    def options_of(self, level: str) -> tuple[str, ...]:
        return self.options if level == "participant" else ()

    def of(self, level: str) -> dict[str, str]:
        """See :func:`contents`."""
        return contents(self.after_participant if level == "participant" else self.app.output_dir)


@functools.cache
def reference(base: Path) -> Reference:
    """The reference of a test session, made once.

    Parameters
    ----------
    base : Path
        A new folder of it is made here.
    """
    folder = base / "reference"
    folder.mkdir()
    app, options = small_study(folder)
    data, cpu, notes = untouched(app.bids_dir), {}, {}
    for level, own in (("participant", options), ("group", ())):
        notes[level] = folder / f"{level}.jsonl"
        ended = start(app, *own, level=level, prepare=watch(notes[level])).wait()
        assert ended.code == 0, ended.err
        cpu[level] = ended.cpu
        if level == "participant":
            shutil.copytree(app.output_dir, folder / "before-group")
    return Reference(app, options, folder / "before-group", cpu, notes, data)


def contents(folder: Path) -> dict[str, str]:
    """Digest of what each file of an output folder says, by name; times are left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] not in _NOT_COMPARED:
            found[name.as_posix()] = hashlib.sha256(_content(path)).hexdigest()
    return found


def _content(path: Path) -> bytes:
    if path.suffix == ".json":
        return json.dumps(_without_own(json.loads(path.read_text())), sort_keys=True).encode()
    if path.suffix == ".safetensors":  # a checkpoint's header has times
        with safe_open(path, "np") as file:
            return b"".join(key.encode() + file.get_tensor(key).tobytes() for key in sorted(file.keys()))
    if path.name == "history.tsv":
        return str(pd.read_csv(path, sep="\t").drop(columns="seconds").to_csv()).encode()
    if path.suffix in (".html", ".toml"):
        return _TIMES.sub(b"", path.read_bytes())
    return unpacked(path)


def _without_own(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_own(one) for key, one in value.items() if key not in _OWN}
    return [_without_own(one) for one in value] if isinstance(value, list) else value


def half_written(folder: Path) -> list[str]:
    """Files of an output folder that cannot be read to their end, with the reason."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if not path.is_file() or name.parts[0] in ("logs", "work") or path.name.endswith(".tmp"):
            continue
        try:
            _read(path)
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {error}")
    return found


def _read(path: Path) -> None:
    """Read a file to its end by what it is."""
    if path.name.endswith(".nii.gz"):
        nib.load(path).get_fdata()
        gzip.decompress(path.read_bytes())
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".tsv":
        pd.read_csv(path, sep="\t", quoting=3)
        if "_metrics" in path.name and table_fault(path):
            raise ValueError(table_fault(path))
    elif path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118  (not a mapping)
                file.get_tensor(key)
    elif path.suffix == ".svg":
        ElementTree.parse(path)
    elif path.suffix == ".html":
        text = path.read_text().strip().lower()
        if text.startswith("<!doctype") and not text.endswith("</html>"):
            raise ValueError("has no end")


def temporary_files(folder: Path) -> list[str]:
    """Temporary files that a run left in its output folder."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob(".*.tmp")]


def untouched(bids_dir: Path) -> dict[str, tuple[int, str]]:
    """Time of the last change and digest of all files of a dataset, and its folders."""
    found = {}
    for path in sorted(bids_dir.rglob("*")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[path.relative_to(bids_dir).as_posix()] = (path.stat().st_mtime_ns, digest)
    return found
