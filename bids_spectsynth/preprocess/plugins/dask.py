"""Nipype's steps on a Dask cluster: ``plugin: Dask`` in the file of ``--use-plugin``.

Nipype 1.11 has no such plugin of its own.
"""

# mypy: allow-subclassing-any
import logging
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("NIPYPE_NO_ET", "1")

from nipype.pipeline.plugins.base import DistributedPluginBase
from nipype.pipeline.plugins.multiproc import run_node

from bids_spectsynth.errors import UsageError

_OWN = ("scheduler", "scheduler_file", "cluster", "max_jobs", "status_callback")
_CLUSTER = ("n_workers", "memory_limit", "local_directory", "host")


class DaskPlugin(DistributedPluginBase):
    """Each step is a task of a Dask scheduler; work and output folder must be seen by all workers.

    Parameters
    ----------
    plugin_args : dict
        ``scheduler``, the address of a running scheduler (``tcp://host:8786``), or ``scheduler_file``, the JSON file
        that one writes with ``--scheduler-file``; with neither, ``cluster`` has arguments of a
        ``distributed.LocalCluster`` on this machine: ``n_workers``, ``memory_limit``,
        ``local_directory``, ``host``. ``max_jobs`` bounds the steps that are handed over at once.

    start_worker : callable, optional
        Called in each worker of a cluster that is made here, e.g. to send its messages to a file.

    Raises
    ------
    UsageError
        ``distributed`` is not installed, an argument is unknown, or the scheduler does not answer.
    """

    def __init__(self, plugin_args: dict[str, Any], start_worker: Callable[[], None] | None = None) -> None:
        super().__init__(plugin_args=plugin_args)
        _check_names("plugin_args", plugin_args, _OWN)
        _check_names("cluster", plugin_args.get("cluster", {}), _CLUSTER)
        self._tasks: dict[int, Any] = {}
        self._count = 0
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise UsageError("--use-plugin: Dask: not installed; pip install 'bids_spectsynth[dask]'") from error
        self._cluster: Any = None
        try:
            if "scheduler" in plugin_args:
                self._client = Client(plugin_args["scheduler"], set_as_default=False)
            elif "scheduler_file" in plugin_args:
                self._client = Client(scheduler_file=str(plugin_args["scheduler_file"]), set_as_default=False)
            else:
                # One thread: Nipype changes the working folder of the process for each step.
                how = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": logging.ERROR}
                how |= plugin_args.get("cluster", {})
                self._cluster = LocalCluster(**how)
                self._client = Client(self._cluster, set_as_default=False)
                if start_worker is not None:
                    self._client.run(start_worker)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            if self._cluster is not None:
                self._cluster.close()
            raise UsageError(f"--use-plugin: Dask: {' '.join(str(error).split())}") from error
        self._check_threads()

    def _check_threads(self) -> None:
        # Nipype changes the working folder of the process for each step.
        if any(threads > 1 for threads in self._client.nthreads().values()):
            self.close()
            raise UsageError("--use-plugin: Dask: workers need one thread each: dask worker --nthreads 1")

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        self._check_threads()  # workers may join later
        self._count += 1
        # Not pure: a step that is run again must not be answered from the scheduler's memory.
        self._tasks[self._count] = self._client.submit(run_node, node, updatehash, self._count, pure=False)
        return self._count

    def _get_result(self, taskid: int) -> Any:
        future = self._tasks[taskid]
        if not future.done():
            return None
        error = future.exception()
        if error is None:
            return future.result()
        return {"result": None, "traceback": [f"{type(error).__name__}: {error}"], "taskid": taskid}

    def _clear_task(self, taskid: int) -> None:
        del self._tasks[taskid]

    def _postrun_check(self) -> None:
        self.close()

    def close(self) -> None:
        """Give up what still runs, and leave the cluster; one that was made here is ended. May be called again."""
        if self._client.status == "closed":
            return
        self._client.cancel(list(self._tasks.values()))
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _check_names(where: str, options: Any, known: tuple[str, ...]) -> None:
    if not isinstance(options, dict):
        raise UsageError(f"--use-plugin: Dask: {where} must be a mapping")
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UsageError(f"--use-plugin: Dask: unknown in {where}: {', '.join(unknown)}; known: {', '.join(known)}")
