"""A disk that is full when one file is written: one line with the file's name, the right code, and the run goes on."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.bids import writing
from bids_spectsynth.errors import ExitCode
from bids_spectsynth.logs import LogFile

ADVICE = "No space left on device; make room and start again"


@pytest.fixture
def full_for(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """From the call on, files whose final name fits a pattern cannot be brought to the disk."""
    sync = os.fsync

    def start(pattern: str) -> None:
        def fsync(descriptor: int) -> None:
            name = Path(f"/proc/self/fd/{descriptor}").readlink().name
            if re.search(pattern, name):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)

    yield start
    monkeypatch.setattr(os, "fsync", sync)


def assert_one_line(result: Any, name: str) -> None:
    assert "Traceback" not in result.err
    assert "Logging error" not in result.err
    (line,) = result.errors
    assert re.search(name, line)
    assert ADVICE in line


@pytest.mark.parametrize(
    ("level", "pattern"),
    [
        ("participant", r"dataset_description\.json"),
        ("participant", r"descriptions\.tsv"),
        ("participant", r"participants\.tsv"),
        pytest.param("group", r"group_metrics\.tsv", marks=pytest.mark.faults),
        pytest.param("group", r"group_.*\.svg", marks=pytest.mark.faults),
        pytest.param("group", r"group\.html", marks=pytest.mark.faults),
    ],
)
def test_run__full_when_a_file_of_all_is_written(
    finished: Any, tmp_path: Path, full_for: Callable[[str], None], level: str, pattern: str
) -> None:
    app = finished.copy(tmp_path)
    before = app.files()
    options = ("--mode", "apply", "--participant-label", "04") if level == "participant" else ()
    full_for(pattern)
    result = app(*options, level=level)
    assert result.code == ExitCode.DATASET
    assert_one_line(result, pattern)
    assert not [name for name in app.files() if name.endswith(".tmp")]
    assert before <= app.files()
    full_for("^$")
    assert app(*options, level=level).code == ExitCode.OK


@pytest.mark.parametrize("pattern", [r"_metrics\.tsv", r"_desc-pix2pixT1w_spect\.nii\.gz"])
def test_run__full_when_a_file_of_one_participant_is_written(
    finished: Any, tmp_path: Path, full_for: Callable[[str], None], pattern: str
) -> None:
    app = finished.copy(tmp_path)
    for name in app.files("sub-04*") | app.files("sub-04/spect/*pix2pix*"):
        (app.output_dir / name).unlink()
    full_for(pattern)
    result = app("--mode", "apply", "--participant-label", "04")
    assert result.code == ExitCode.NOBODY_LEFT
    assert "Traceback" not in result.err
    assert ADVICE in app.participants()["sub-04"]["reason"]
    full_for("^$")
    assert app("--mode", "apply", "--participant-label", "04").code == ExitCode.OK


def test_run__full_when_a_log_is_written(finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = finished.copy(tmp_path)
    monkeypatch.setattr(LogFile, "_open", lambda self: Path("/dev/full").open("a"))  # noqa: SIM115
    result = app("--mode", "apply", "--participant-label", "04")
    assert result.code == ExitCode.OK
    assert "Logging error" not in result.err
    assert len(result.says("run.log", "No space left on device", "this log ends here")) == 1


def test_training__full_when_weights_are_written(
    finished: Any, tmp_path: Path, full_for: Callable[[str], None]
) -> None:
    app = finished.copy(tmp_path)
    options = ("--mode", "train", "--inputs", "pet", "--split-file", str(app.bids_dir.parent / "split.tsv"))
    full_for(r"model\.safetensors")
    result = app(*options)
    assert result.code == ExitCode.DATASET, result.err
    assert_one_line(result, r"model\.safetensors")
    full_for("^$")
    assert app(*options).code == ExitCode.OK


def test_save_tensors__the_librarys_words_for_a_full_disk_become_the_systems(tmp_path: Path) -> None:
    # The size of files is limited instead of the disk, which needs no rights.
    script = """
import resource, sys, torch
from pathlib import Path
from bids_spectsynth.synthesis.models.tensors import save_tensors
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save_tensors(Path(sys.argv[1]), {"a": torch.zeros(10_000)}, {})
except OSError as error:
    print(error.filename, error.strerror)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "m.safetensors")], capture_output=True, text=True, check=False
    )
    assert done.stdout.split(maxsplit=1) == [str(tmp_path / "m.safetensors"), "File too large\n"], done.stderr
    assert list(tmp_path.iterdir()) == []


def test_atomic_file__a_full_disk_names_the_file(tmp_path: Path, full_for: Callable[[str], None]) -> None:
    full_for("table")
    with pytest.raises(OSError, match="table") as caught:
        writing.write_text(tmp_path / "table.tsv", "a")
    assert caught.value.filename == str(tmp_path / "table.tsv")
    assert list(tmp_path.iterdir()) == []
