"""The process pool: what its workers need not load, and what its main process need not look at."""

import gc
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.errors import UsageError
from bids_spectsynth.preprocess.plugins.pool import ResilientMultiProcPlugin, make_plugin, quick_collection
from bids_spectsynth.preprocess.workflow.build import preprocess


class Loop:
    """Only the garbage collector can tell that nobody else refers to it."""

    def __init__(self) -> None:
        self.own = self


def test_old_objects_are_not_looked_at_inside_the_block_only() -> None:
    gc.unfreeze()  # what the tests themselves have frozen
    assert gc.get_freeze_count() == 0
    with quick_collection():
        assert gc.get_freeze_count() > 10_000
        # What is made inside and is of no use is still collected.
        gone = weakref.ref(Loop())
        gc.collect()
        assert gone() is None
    assert gc.get_freeze_count() == 0
    with pytest.raises(KeyboardInterrupt), quick_collection():
        raise KeyboardInterrupt
    assert gc.get_freeze_count() == 0


def test_workers_are_forked_with_everything_loaded(tmp_path: Path) -> None:
    # In a process of its own, because the server of the workers is one per process.
    code = f"""
from bids_spectsynth.errors import UsageError
from bids_spectsynth.preprocess.plugins.pool import ResilientMultiProcPlugin
if __name__ == "__main__":
    plugin = ResilientMultiProcPlugin({{"n_procs": 1, "memory_gb": 1, "mp_context": "forkserver",
                                       "log_file": {str(tmp_path / "log")!r}}})
    names = [f"bids_spectsynth.preprocess.workflow.{{one}}" for one in ("interfaces", "writers")]
    print(plugin.pool.submit(eval, f"set({{names!r}}) <= set(__import__('sys').modules)").result())
    plugin.close()
"""
    script = tmp_path / "main.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "True"


@pytest.mark.usefixtures("tiny_template")
def test_nipypes_pool_collects_no_old_garbage(
    tiny: Any, make_case: Any, make_options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[int] = []
    original = tiny.extract_brain

    def extract_brain(*args: Any) -> Any:
        frozen.append(gc.get_freeze_count())
        return original(*args)

    monkeypatch.setattr(tiny, "extract_brain", extract_brain)
    assert preprocess([make_case("01", ("T1w",))], make_options())[0].status == "ok"
    assert frozen[0] > 10_000
    assert gc.get_freeze_count() == 0


def test_make_plugin__multiproc_of_a_file_survives_a_killed_worker_too(make_options: Any, tmp_path: Path) -> None:
    file = tmp_path / "plugin.yml"
    file.write_text("plugin: MultiProc\nplugin_args: {n_procs: 1}\n")
    plugin, arguments = make_plugin(make_options(use_plugin=file, nprocs=4), tmp_path / "nipype.log", print)
    plugin.close()
    assert isinstance(plugin, ResilientMultiProcPlugin)
    assert (arguments["n_procs"], arguments["raise_insufficient"]) == (1, False)


@pytest.mark.parametrize("nprocs", [1, 2])
def test_make_plugin__no_room_for_the_paths_of_sockets_is_said(
    make_options: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nprocs: int
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("t" * 60)))
    if nprocs == 1:
        make_plugin(make_options(nprocs=1), tmp_path / "nipype.log", print)
        return
    with pytest.raises(UsageError, match=r"set TMPDIR to a folder of 7[15] at most, or use --nprocs 1"):
        make_plugin(make_options(nprocs=nprocs), tmp_path / "nipype.log", print)
