"""Whether there is room for what the program loads."""

import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bids_spectsynth.options import memory

_CHECK = "from bids_spectsynth.options.memory import check_room; check_room()"
_MB = 2**20


def _check_with(megabytes: int) -> subprocess.CompletedProcess[str]:
    """Of a process with so much address space in all."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * _MB,) * 2)

    return subprocess.run(
        [sys.executable, "-c", _CHECK], capture_output=True, text=True, preexec_fn=limit, timeout=60, check=False
    )


def test_check_room__without_a_limit_there_is_room() -> None:
    memory.check_room()


def test_check_room__less_than_torch_takes_is_said_before_it_is_loaded() -> None:
    # The largest library of torch's CPU build alone has 400 MB.
    done = _check_with(450)
    assert done.returncode == 1
    assert "MemoryError" in done.stderr
    assert "address space are needed to load PyTorch" in done.stderr.splitlines()[-1]


def test_check_room__where_it_passes_torch_can_be_loaded() -> None:
    loaded = f"{_CHECK}; import torch, psutil; print(psutil.Process().memory_info().vms)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, timeout=120, check=True)
    assert _check_with(int(done.stdout) // _MB - 100).returncode == 1
    # Of nothing larger than what a process with torch and all else takes.
    assert _check_with(int(done.stdout) // _MB + 600).returncode == 0


def test_check_room__without_torch_there_is_nothing_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "find_spec", lambda name: None)
    monkeypatch.setattr(memory.mmap, "mmap", None)
    memory.check_room()


def test_total_memory__a_container_s_limit_where_it_is_less(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMITS", (limit, tmp_path / "none"))
    machine = psutil.virtual_memory().total
    assert memory.total_memory() == machine
    for text, expected in (("max\n", machine), (f"{7 * _MB}\n", 7 * _MB), (f"{machine * 2}\n", machine)):
        limit.write_text(text)
        assert memory.total_memory() == expected
