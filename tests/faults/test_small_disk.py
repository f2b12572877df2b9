"""A disk that is really full: one line with the file, the right code, and with room the same command goes on."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.errors import ExitCode
from tests.conftest import App
from tests.faults.program import Ended, Reference, contents, half_written, reference, start, temporary_files

#: Parts of the room that a level takes which are there, one after the other.
STATES = (0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 0.95, 0.99)
ROOM = 4096 * 2**10


class Disk:
    """A small disk in memory, whose size can be changed: the output folder, beside the dataset on a large one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        done = self._mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder))
        if done.returncode != 0:
            pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")

    def _mount(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(["mount", *words], capture_output=True, text=True, check=False)

    def leave(self, room: int) -> None:
        """Make it so large that so many bytes are free."""
        taken = os.statvfs(self.folder)
        used = (taken.f_blocks - taken.f_bfree) * taken.f_frsize
        done = self._mount("-o", f"remount,size={(used + max(room, 4096)) // 1024}k", str(self.folder))
        assert done.returncode == 0, done.stderr

    def end(self) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root")
    made = Disk(tmp_path / "out")
    yield made
    made.end()


def check_full(ended: Ended) -> None:
    """One line of the run, or one of each participant that failed, names the file."""
    assert ended.code in (ExitCode.DATASET, ExitCode.SOME_FAILED, ExitCode.NOBODY_LEFT), ended.err
    assert "Traceback" not in ended.err
    assert "Logging error" not in ended.err
    lines = [line for line in ended.err.splitlines() if "No space left on device" in line]
    assert lines, ended.err
    assert all("/" in line or "." in line.partition("No space")[0] for line in lines), lines
    assert len(ended.errors) == (1 if ended.code == ExitCode.DATASET else 0), ended.err


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("room", [4096])
def test_apply__full_and_then_with_room(finished: Any, disk: Disk, room: int) -> None:
    shutil.copytree(finished.output_dir, disk.folder, ignore=shutil.ignore_patterns("work"), dirs_exist_ok=True)
    app = App(finished.bids_dir, disk.folder)
    options = ("--mode", "apply", "--participant-label", "04")
    for name in app.files("sub-04/spect/*pix2pixT1wPet_*"):
        (app.output_dir / name).unlink()
    disk.leave(room)
    ended = start(app, *options).wait()
    check_full(ended)
    assert half_written(app.output_dir) == []
    disk.leave(ROOM)
    ended = start(app, *options).wait()
    assert ended.code == 0, ended.err
    assert temporary_files(app.output_dir) == []


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return reference(tmp_path_factory.getbasetemp())


@pytest.mark.faults
@pytest.mark.parametrize("level", ["participant", "group"])
def test_level__full_again_and_again(
    uninterrupted: Reference, disk: Disk, level: str, record_property: Callable[[str, object], None]
) -> None:
    app, options = uninterrupted.again(disk.folder.parent, level), uninterrupted.options_of(level)
    before = size(app.output_dir) if level == "group" else 0
    needed = size(uninterrupted.app.output_dir if level == "group" else uninterrupted.after_participant) - before
    codes = []
    for state in STATES:
        disk.leave(max(int(needed * state) - size(app.output_dir) + before, 8192))
        ended = start(app, *options, level=level).wait()
        codes.append(ended.code)
        if ended.code == 0:
            break
        check_full(ended)
        assert half_written(app.output_dir) == []
    disk.leave(16 * ROOM)
    ended = start(app, *options, level=level).wait()
    assert ended.code == 0, ended.err
    assert temporary_files(app.output_dir) == []
    assert contents(app.output_dir) == uninterrupted.of(level)
    assert len([code for code in codes if code]) >= 8 or level == "group", codes
    record_property("tried", f"{level} level on a disk with {len(codes)} amounts of room, each time started again")
    record_property("seen", f"exit codes {' '.join(map(str, codes))}, a line with the file; then equal to one run")
