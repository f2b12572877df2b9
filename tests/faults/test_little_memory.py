"""Too little memory: the word, what to change, the right code; and without the limit the same command goes on."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.errors import MEMORY_ADVICE, ExitCode
from tests.faults.program import Ended, Reference, contents, half_written, memory_limit, reference, start

#: Of the whole process, below what imports need.
SMALL_MB = (200, 300, 400, 600, 900, 1300, 1500)
#: Left to a process that has imported what it needs; the heads are small, and so are these. Of less than this Python
#: itself, which compiles modules, makes errors of any kind.
MORE_MB = (48, 64, 96, 128, 192, 300, 600, 1000, 1500, 3000)
_PROGRAM = "import sys; from bids_spectsynth.cli import main; sys.exit(main(sys.argv[1:]))"


def check_memory(code: int, err: str) -> None:
    """It sufficed; or of the run or of a participant one line has the word and the advice."""
    assert code in (ExitCode.OK, ExitCode.SOME_FAILED, ExitCode.NOBODY_LEFT), err
    assert "Traceback" not in err
    if code != ExitCode.OK:
        lines = [line for line in err.splitlines() if "out of memory" in line or "lack of memory" in line]
        assert lines, err
        assert all(MEMORY_ADVICE in line for line in lines)


def run_with(megabytes: int, *words: str, program: str = _PROGRAM) -> subprocess.CompletedProcess[str]:
    """The program with so much address space in all."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20,) * 2)

    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, timeout=600, check=False)


@pytest.mark.parametrize(
    "words", [("participant", "--skip-bids-validation"), ("participant", "--reports-only"), ("group",)], ids=" ".join
)
def test_run__too_little_memory_for_the_imports_is_one_line(finished: Any, words: tuple[str, ...]) -> None:
    # With some 600 MB in all, torch ends the process while it is loaded.
    for megabytes in (300, 600):
        done = run_with(megabytes, str(finished.bids_dir), str(finished.output_dir), *words)
        check_memory(done.returncode, done.stderr)
        assert done.returncode == ExitCode.SOME_FAILED
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.endswith(f"MB in use, of a limit of {megabytes} MB)\n")


def test_pretraining__too_little_memory_for_the_imports_is_one_line(tmp_path: Path) -> None:
    program = _PROGRAM.replace("bids_spectsynth.cli", "bids_spectsynth.pretraining.cli")
    for megabytes in (300, 400, 600):
        done = run_with(megabytes, str(tmp_path / "start"), "--preset", "best", program=program)
        assert done.returncode == ExitCode.SOME_FAILED
        (line,) = done.stderr.splitlines()
        assert MEMORY_ADVICE in line
        assert line.endswith(f"MB in use, of a limit of {megabytes} MB)")


@pytest.mark.faults
@pytest.mark.parametrize("megabytes", SMALL_MB)
def test_run__little_memory_from_the_start(
    finished: Any, tmp_path: Path, megabytes: int, record_property: Callable[[str, object], None]
) -> None:
    words = (str(finished.bids_dir), str(tmp_path / "out"), "participant", "--skip-bids-validation", "--nprocs", "2")
    done = run_with(megabytes, *words, "--mode", "preprocess", "--participant-label", "04")
    check_memory(done.returncode, done.stderr)
    record_property("tried", f"{megabytes} MB of address space for the whole program, worker processes included")
    telling = [line for line in done.stderr.splitlines() if MEMORY_ADVICE in line]
    said = telling[-1].rpartition(MEMORY_ADVICE)[2].strip() if telling else ""
    told = f": out of memory, and what to change {said[:120]}" if telling else ""
    record_property("seen", f"exit code {done.returncode}{told}")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return reference(tmp_path_factory.getbasetemp())


@pytest.mark.faults
@pytest.mark.parametrize("level", ["participant", "group"])
def test_level__little_memory_goes_on_without_the_limit(
    uninterrupted: Reference, tmp_path: Path, level: str, record_property: Callable[[str, object], None]
) -> None:
    options, codes = uninterrupted.options_of(level), []
    app = uninterrupted.again(tmp_path, level)
    for megabytes in MORE_MB:
        ended: Ended = start(app, *options, level=level, prepare=memory_limit(megabytes)).wait()
        codes.append(ended.code)
        check_memory(ended.code, ended.err)
        assert half_written(app.output_dir) == []
        if ended.code == ExitCode.OK:
            break
    assert start(app, *options, level=level).wait().code == 0
    assert contents(app.output_dir) == uninterrupted.of(level)
    shutil.rmtree(app.output_dir)
    record_property(
        "tried", f"{level} level with {', '.join(map(str, MORE_MB[: len(codes)]))} MB more than imports need"
    )
    record_property("seen", f"exit codes {' '.join(map(str, codes))}; then equal to an uninterrupted run")
