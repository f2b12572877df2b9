"""Which Nipype plugin runs the workflow, and a process pool that survives a killed worker."""

# mypy: allow-subclassing-any
import gc
import logging
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("NIPYPE_NO_ET", "1")

import psutil
import yaml
from nipype.pipeline.plugins import LinearPlugin, MultiProcPlugin
from nipype.pipeline.plugins.multiproc import run_node

from bids_spectsynth.errors import MEMORY_ADVICE, UsageError, value_text
from bids_spectsynth.logs import LogFile
from bids_spectsynth.options.memory import total_memory
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.preprocess.backends.fsl.environment import FSL_PROGRAMS
from bids_spectsynth.preprocess.plugins.clusters import SCHEDULERS, check_scheduler, cluster_plugin
from bids_spectsynth.preprocess.records import save_failure
from bids_spectsynth.threads import begin

#: Share of the machine's memory that is used where --mem-mb is not given.
MEMORY_SHARE = 0.9
NIPYPE_LOGGERS = ("nipype.workflow", "nipype.utils", "nipype.filemanip", "nipype.interface")
#: Plugins that a file may name, besides those of schedulers. Nipype's others do not wait, or are for its developers.
_LOCAL = ("Dask", "Linear", "MultiProc")
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def memory_gb(settings: Settings) -> float:
    """Memory that the workflow may plan with, in GB: the option, else 90 % of what this machine or container has."""
    if settings.mem_mb is not None:
        return settings.mem_mb / 1024
    return MEMORY_SHARE * total_memory() / 1024**3


def make_plugin(settings: Settings, log_file: Path, status_callback: Any) -> tuple[Any, dict[str, Any]]:
    """Plugin (an object) and its arguments.

    With ``--use-plugin`` those of the file; else one process after another for ``--nprocs 1`` and a process pool for
    more.

    Parameters
    ----------
    settings : Settings
    log_file : Path
        Where the workers write what Nipype says.
    status_callback : callable
        Nipype's: called with a node and its status.

    Raises
    ------
    UsageError
        The plugin file cannot be followed.
    """
    if settings.use_plugin is not None:
        name, arguments = read_plugin_file(settings.use_plugin)
        arguments["status_callback"] = status_callback
        return _make_named(name, arguments, settings, log_file), arguments
    arguments = {"status_callback": status_callback}
    if settings.nprocs == 1:
        return LinearPlugin(arguments), arguments
    arguments |= _pool_arguments(settings, log_file)
    return ResilientMultiProcPlugin(arguments), arguments


#: Of a socket's path, in bytes, on Linux and elsewhere; and what Python adds to the folder for temporary files.
_LONGEST_SOCKET = 107 if sys.platform == "linux" else 103
_SOCKET = "/pymp-xxxxxxxx/listener-xxxxxxxx"


def _check_sockets() -> None:
    """Refuse a folder for temporary files in which the workers' sockets would have too long a path."""
    folder, longest = tempfile.gettempdir(), _LONGEST_SOCKET - len(_SOCKET)
    size = len(os.fsencode(folder))
    if size > longest:
        raise UsageError(
            f"{folder}: sockets of worker processes have no room in a name of {size} characters; set TMPDIR to a "
            f"folder of {longest} at most, or use --nprocs 1"
        )


def _pool_arguments(settings: Settings, log_file: Path) -> dict[str, Any]:
    _check_sockets()
    return {
        "n_procs": settings.nprocs,
        "memory_gb": memory_gb(settings),
        # A node whose estimate exceeds the limit then runs alone instead of not at all.
        "raise_insufficient": False,
        "mp_context": "forkserver",
        "log_file": str(log_file),
    }


def check_plugin(settings: Settings) -> None:
    """Refuse a plugin file that cannot be followed, before anything is written.

    Raises
    ------
    UsageError
        See :func:`make_plugin`.
    """
    if settings.use_plugin is not None:
        name, _ = read_plugin_file(settings.use_plugin)
        if name in SCHEDULERS:
            check_scheduler(name, settings.work_folder)


def read_plugin_file(path: Path) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a Nipype plugin from a YAML (or JSON) file with ``plugin`` and ``plugin_args``.

    Raises
    ------
    UsageError
        The file cannot be read, is no YAML, or lacks ``plugin``.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the plugin file ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not isinstance(content.get("plugin"), str):
        raise UsageError(f"{path}: needs a key 'plugin' with the name of a Nipype plugin, e.g. 'plugin: SLURM'")
    arguments = content.get("plugin_args") or {}
    if not isinstance(arguments, dict):
        raise UsageError(f"{path}: 'plugin_args' must be a mapping")
    known = sorted((*_LOCAL, *SCHEDULERS))
    if content["plugin"] not in known:
        raise UsageError(f"{path}: unknown plugin {value_text(content['plugin'])}; known: {', '.join(known)}")
    return content["plugin"], dict(arguments)


def _make_named(name: str, arguments: dict[str, Any], settings: Settings, log_file: Path) -> Any:
    if name in SCHEDULERS:
        check_scheduler(name, settings.work_folder)
        return cluster_plugin(name)(plugin_args=arguments)
    if name == "Dask":
        from bids_spectsynth.preprocess.plugins.dask import DaskPlugin

        return DaskPlugin(arguments, partial(log_nipype_to, log_file, logging.getLogger("nipype.workflow").level))
    if name == "Linear":
        return LinearPlugin(plugin_args=arguments)
    # Nipype's own pool would wait for ever for a worker that was killed. What the file says wins.
    arguments.update({**_pool_arguments(settings, log_file), **arguments})
    return ResilientMultiProcPlugin(arguments)


def log_nipype_to(log_file: Path, level: int) -> None:
    """Send Nipype's messages to a file instead of the user's terminal; called in every process.

    At the level of debug (``-vv``) they go on to wherever the messages of libraries go.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    parent = logging.getLogger("nipype")
    for handler in list(parent.handlers):
        parent.removeHandler(handler)
        handler.close()
    handler = LogFile(log_file, delay=True)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    parent.addHandler(handler)
    parent.propagate = level <= logging.DEBUG
    for name in NIPYPE_LOGGERS:
        logging.getLogger(name).setLevel(level)


def _start_worker(folder: str, log_file: str, level: int) -> None:
    if not begin(_end_with_parent):
        raise MemoryError("can't start new thread")
    os.chdir(folder)
    os.environ["NIPYPE_NO_ET"] = "1"
    log_nipype_to(Path(log_file), level)


def _end_with_parent() -> None:
    """A worker whose main process was killed would wait for ever; it ends instead, with the programs it runs."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    _kill(psutil.Process().children(recursive=True))
    os._exit(1)


def end_processes(plugin: Any) -> None:
    """End the worker processes of a plugin, and the external programs that they or this process run.

    For a run that was interrupted; nothing is waited for. Files are written whole or not at all.
    """
    workers = plugin.close() if isinstance(plugin, ResilientMultiProcPlugin) else frozenset()
    doomed = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            family = {process.pid, *(parent.pid for parent in process.parents())}
            if family & workers or process.name() in FSL_PROGRAMS:
                doomed.append(process)
    _kill(doomed)


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@contextmanager
def quick_collection() -> Iterator[None]:
    """Inside the block, garbage is looked for only among objects that are made in it.

    Nipype's pool collects garbage at every look at its tasks, ten times a second while a processor is free. Through all
    that the imports of this process left, each time takes 0.1 s of a processor that a step could use.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


#: The modules of the steps, by name: they stand on a floor above.
_STEPS = tuple(f"bids_spectsynth.preprocess.workflow.{name}" for name in ("interfaces", "writers"))


class ResilientMultiProcPlugin(MultiProcPlugin):
    """Nipype's process pool; a step whose process was killed is tried once more, alone in a process of its own.

    Nipype's own pool waits for ever for a task whose process is gone, or ends the whole run with BrokenProcessPool.
    """

    pool: ProcessPoolExecutor

    def __init__(self, plugin_args: dict[str, Any]) -> None:
        super().__init__(plugin_args=plugin_args)
        self.pool.shutdown(wait=False)
        self._context = multiprocessing.get_context(self.plugin_args["mp_context"])
        # Imported once in the server that the workers are forked from, instead of in each of them.
        self._context.set_forkserver_preload([run_node.__module__, *_STEPS])
        self.pool = self._new_pool(self.processors)
        self._nodes: dict[int, Any] = {}
        self._own_pools: dict[int, ProcessPoolExecutor] = {}

    def _new_pool(self, workers: int) -> ProcessPoolExecutor:
        level = logging.getLogger("nipype.workflow").level
        return ProcessPoolExecutor(
            max_workers=workers,
            mp_context=self._context,
            initializer=_start_worker,
            initargs=(self._cwd, self.plugin_args["log_file"], level),
        )

    def close(self) -> frozenset[int]:
        """Take no more tasks; returns the ids of the workers, which may still be at work."""
        pools = (self.pool, *self._own_pools.values())
        workers = frozenset(pid for pool in pools for pid in (pool._processes or {}))
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        return workers

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        self._taskid += 1
        task = int(self._taskid)
        self._nodes[task] = node
        try:
            future = self.pool.submit(run_node, node, updatehash, task)
        except RuntimeError:  # BrokenProcessPool: a worker died earlier
            self.pool.shutdown(wait=False)
            self.pool = self._new_pool(self.processors)
            future = self.pool.submit(run_node, node, updatehash, task)
        self._task_obj[task] = future
        return task

    def _get_result(self, taskid: int) -> Any:
        future: Future[Any] = self._task_obj[taskid]
        if not future.done():
            return None
        error = future.exception()
        if error is None:
            return future.result()
        if taskid not in self._own_pools:
            # All tasks of a broken pool fail together; alone, only the one to blame fails again.
            self._own_pools[taskid] = self._new_pool(1)
            self._task_obj[taskid] = self._own_pools[taskid].submit(run_node, self._nodes[taskid], False, taskid)
            return None
        node = self._nodes[taskid]
        reason = f"{node.name}: its process was killed twice, most likely for lack of memory; {MEMORY_ADVICE}"
        save_failure(Path(node.inputs.failure_file), reason)
        return {"result": None, "traceback": [reason], "taskid": taskid}

    def _clear_task(self, taskid: int) -> None:
        super()._clear_task(taskid)
        self._nodes.pop(taskid, None)
        pool = self._own_pools.pop(taskid, None)
        if pool is not None:
            pool.shutdown(wait=False)
