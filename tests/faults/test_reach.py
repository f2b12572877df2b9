"""What the program writes to and reaches for: its own folders, and nothing else."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.program import Reference, reference, start, temporary_folder, untouched
from tests.faults.watching import REACHING, noted, watch

#: Programs that a run may start where the built-in backend registers: Python asks for the processor's name.
ALLOWED_PROGRAMS = ("uname",)
#: Devices that take what is written, and what a process says of itself.
_DEVICES = ("/dev/", "/proc/self/", "/proc/thread-self/")


def elsewhere(notes: Path, *allowed: Path) -> list[str]:
    """What was changed outside of some folders; paths as they lead through links."""
    real = [folder.resolve() for folder in allowed]
    found = []
    for event, what in noted(notes):
        path = Path(os.path.normpath(what))
        # What a link leads to counts, for the folder that it lies in: a file may be a link that is replaced.
        path = path.parent.resolve() / path.name
        # Where the tests' coverage is measured, its files are written beside them.
        if event in REACHING or what.startswith(_DEVICES) or path.name.startswith(".coverage"):
            continue
        if not any(path == folder or folder in path.parents for folder in real):
            found.append(f"{event}: {what}")
    return found


def reached(notes: Path) -> list[str]:
    """Network, and programs that are not allowed."""
    return [
        f"{event}: {what}"
        for event, what in noted(notes)
        if event in REACHING and not any(f"'{name}'" in what for name in ALLOWED_PROGRAMS)
    ]


def test_apply__changes_nothing_outside_its_folders(finished: Any, tmp_path: Path) -> None:
    app, notes = finished.copy(tmp_path), tmp_path / "notes.jsonl"
    for name in app.files("sub-04/spect/*pix2pixT1w_*"):
        (app.output_dir / name).unlink()
    before = untouched(app.bids_dir)
    ended = start(app, "--mode", "apply", "--participant-label", "04", prepare=watch(notes)).wait()
    assert ended.code == 0, ended.err
    assert len(noted(notes)) > 20
    assert elsewhere(notes, app.output_dir, temporary_folder(app)) == []
    assert reached(notes) == []
    assert untouched(app.bids_dir) == before


def test_watch__sees_what_it_is_to_see(finished: Any, tmp_path: Path) -> None:
    notes, far = tmp_path / "notes.jsonl", tmp_path / "far"

    def beyond() -> None:
        watch(notes)()
        far.mkdir()
        (far / "a").write_text("a")
        (far / "a").rename(far / "b")
        (far / "c").symlink_to("b")
        subprocess.run([sys.executable, "-c", ""], check=True)
        os._exit(7)

    ended = start(finished.copy(tmp_path), prepare=beyond).wait()
    assert ended.code == 7, ended.err
    events = {line.partition(":")[0] for line in elsewhere(notes, tmp_path / "out")}
    assert events == {"os.mkdir", "open", "os.rename", "os.symlink"}
    assert any(line.startswith("subprocess.Popen") for line in reached(notes))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return reference(tmp_path_factory.getbasetemp())


@pytest.mark.faults
@pytest.mark.parametrize("level", ["participant", "group"])
def test_level__changes_nothing_outside_its_folders(
    uninterrupted: Reference, level: str, record_property: Callable[[str, object], None]
) -> None:
    notes, output_dir = uninterrupted.notes[level], uninterrupted.app.output_dir
    assert elsewhere(notes, output_dir, temporary_folder(uninterrupted.app)) == []
    assert reached(notes) == []
    assert untouched(uninterrupted.app.bids_dir) == uninterrupted.data
    record_property("tried", f"{level} level, every file that is opened for writing and every reach for the network")
    record_property("seen", f"{len(noted(notes))} changes, all in the output folder; no network, no program but uname")


_STRACE = "trace=openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,connect,bind"
_PROGRAM = "import sys; from bids_spectsynth.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.faults
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_system_calls__of_a_run_with_worker_processes(
    uninterrupted: Reference, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """What libraries in C do is seen by the system alone; the dataset may not be written, and home is empty."""
    trace, home = tmp_path / "trace", tmp_path / "home"
    home.mkdir()
    # The paths of the workers' sockets have a limit, which the folder of a test comes near to.
    temporary = Path(tempfile.mkdtemp(prefix="reach"))
    words = ["strace", "-f", "-o", str(trace), "-e", _STRACE, sys.executable, "-c", _PROGRAM]
    words += [str(uninterrupted.app.bids_dir), str(tmp_path / "out"), "participant", "--mode", "preprocess"]
    words += ["--voxel-size", "4", "--nprocs", "2", "--participant-label", "01", "--skip-bids-validation"]
    environment = os.environ | {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    del environment["MPLCONFIGDIR"]  # of the tests
    try:
        done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    finally:
        shutil.rmtree(temporary)
    assert done.returncode == 0, done.stderr
    outside = [line for line in trace.read_text().splitlines() if is_outside(line, (tmp_path / "out", temporary))]
    assert outside == []
    assert list(home.iterdir()) == []
    assert untouched(uninterrupted.app.bids_dir) == uninterrupted.data
    record_property("tried", "preparation with two workers under strace, home empty")
    record_property("seen", "no write outside the output and the temporary folder, no network, nothing in home")


def is_outside(line: str, allowed: tuple[Path, ...]) -> bool:
    """Whether a line of strace is a change that came about and was of something else, or a call to a network."""
    if " = -1 " in line:
        return False
    if "connect(" in line or "bind(" in line:
        # urllib3 asks when it is imported whether there is IPv6, by a port of this machine that nobody connects to.
        return "AF_UNIX" not in line and not ("bind(" in line and '"::1"' in line)
    if "openat(" in line and not any(word in line for word in ("O_WRONLY", "O_RDWR", "O_CREAT")):
        return False
    paths = [word for word in line.split('"')[1::2] if word.startswith("/")]
    return any(not path.startswith((*map(str, allowed), "/dev/", "/proc/")) for path in paths)
