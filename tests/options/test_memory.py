"""Whether there is room for what the program loads."""

import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from bids_spectsynth.options import memory

_MB = 2**20
_CHECK = "from bids_spectsynth.options.memory import check_room; check_room()"
_LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_AS, ({0} * 2**20,) * 2)"


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def _torch_takes() -> int:
    """MB of address space of a process that has loaded torch."""
    done = _run("import torch, psutil; print(psutil.Process().memory_info().vms)")
    return int(done.stdout) // _MB


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on address space is believed to be there, and torch not to be loaded yet."""
    monkeypatch.setattr(memory.resource, "getrlimit", lambda which: (1, 1))
    monkeypatch.delitem(sys.modules, "torch", raising=False)


def test_check_room__without_a_limit_nothing_is_asked_for(monkeypatch: pytest.MonkeyPatch, limited: None) -> None:
    monkeypatch.setattr(memory.mmap, "mmap", None)
    with pytest.raises(TypeError):
        memory.check_room()
    monkeypatch.setattr(memory.resource, "getrlimit", lambda which: (memory.resource.RLIM_INFINITY,) * 2)
    memory.check_room()


def test_check_room__less_than_torch_takes_is_said_before_it_is_loaded() -> None:
    # The largest library of torch's CPU build alone has 400 MB.
    done = _run(f"{_LIMIT.format(450)}; {_CHECK}")
    assert done.returncode == 1
    assert "MemoryError: " in done.stderr.splitlines()[-1]
    assert "MB of address space beside the " in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].endswith("of a limit of 450 MB")


def test_check_room__what_passes_can_load_torch_and_what_is_less_than_torch_does_not_pass() -> None:
    takes = _torch_takes()
    assert _run(f"{_LIMIT.format(takes - 60)}; {_CHECK}").returncode == 1
    assert _run(f"{_LIMIT.format(takes + 350)}; {_CHECK}; import torch").returncode == 0


def test_check_room__what_is_loaded_is_not_asked_for_again() -> None:
    done = _run(f"import torch; {_LIMIT.format(_torch_takes() + 100)}; {_CHECK}")
    assert done.stderr == ""


def test_check_room__without_torch_there_is_nothing_to_load(monkeypatch: pytest.MonkeyPatch, limited: None) -> None:
    monkeypatch.setattr(memory, "find_spec", lambda name: None)
    monkeypatch.setattr(memory.mmap, "mmap", None)
    memory.check_room()


def test_check_room__a_library_of_several_names_counts_once(
    monkeypatch: pytest.MonkeyPatch, limited: None, tmp_path: Path
) -> None:
    folder = tmp_path / "torch" / "lib"
    folder.mkdir(parents=True)
    (folder / "liba.so.1").write_bytes(b"x" * 1000)
    (folder / "liba.so").symlink_to("liba.so.1")
    (folder / "libgone.so").symlink_to("nowhere")
    monkeypatch.setattr(memory, "find_spec", lambda name: SimpleNamespace(origin=str(folder.parent / "__init__.py")))
    asked: list[int] = []
    monkeypatch.setattr(memory.mmap, "mmap", lambda _, size, **how: asked.append(size) or StringIO())
    memory.check_room()
    assert asked == [1000 + memory._BESIDE_TORCH]


def test_total_memory__a_container_s_limit_where_it_is_less(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMITS", (limit, tmp_path / "none"))
    machine = psutil.virtual_memory().total
    assert memory.total_memory() == machine
    for text, expected in (("max\n", machine), (f"{7 * _MB}\n", 7 * _MB), (f"{machine * 2}\n", machine)):
        limit.write_text(text)
        assert memory.total_memory() == expected
