"""Nipype's plugins for the schedulers of clusters, made to survive a job that is killed."""

# mypy: allow-subclassing-any
import getpass
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("NIPYPE_NO_ET", "1")

from nipype.pipeline import plugins

from bids_spectsynth.errors import UsageError
from bids_spectsynth.preprocess.records import save_failure

logger = logging.getLogger(__name__)

#: Looks at the queue that may fail one after the other before a job is given up: an hour.
_PATIENCE = 360
#: Schedulers are not to be asked about every job ten times a second, and shared file systems show results late.
EXECUTION: Mapping[str, str] = {"poll_sleep_duration": "10", "job_finished_timeout": "60"}
#: What Nipype's shell commands leave as it is.
_PLAIN_PATH = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


@dataclass(frozen=True)
class Scheduler:
    """The programs that submit a job and take it back."""

    submits: str
    cancels: str


SCHEDULERS: Mapping[str, Scheduler] = {
    "SLURM": Scheduler("sbatch", "scancel"),
    "SGE": Scheduler("qsub", "qdel"),
    "PBS": Scheduler("qsub", "qdel"),
    "LSF": Scheduler("bsub", "bkill"),
}


def check_scheduler(name: str, work_folder: Path) -> None:
    """Raise an error if jobs of a scheduler cannot be submitted from here.

    Raises
    ------
    UsageError
        Its program is not on PATH, or the work folder's path cannot stand in Nipype's command.
    """
    program = SCHEDULERS[name].submits
    if shutil.which(program) is None:
        raise UsageError(f"--use-plugin: {name}: {program} is not on PATH; start where jobs can be submitted")
    if not _PLAIN_PATH.fullmatch(str(work_folder)):
        # Nipype hands it to a shell without quotes.
        raise UsageError(
            f"--use-plugin: {name}: {work_folder} has spaces or special characters; give --work-dir a plain path"
        )


class ClusterPlugin:
    """What is added to a plugin of Nipype that submits each step as a job.

    A job that ends without a result fails its participant alone, results of earlier runs are never taken for its own,
    and the files of jobs that ended well are removed. Put before Nipype's class.
    """

    _pending: dict[int, str]
    _nodes: dict[int, Any]
    _unanswered: dict[int, int]

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:
        # A job that dies before Python starts would leave these, and they would pass for its own.
        for old in Path(node.output_dir()).glob("result_*.pklz"):
            old.unlink()
        task: int = super()._submit_job(node, updatehash)  # type: ignore[misc]
        self.__dict__.setdefault("_nodes", {})[task] = node
        return task

    def _is_pending(self, taskid: int) -> bool:
        unanswered = self.__dict__.setdefault("_unanswered", {})
        try:
            pending = bool(super()._is_pending(taskid))  # type: ignore[misc]
        # Nipype passes on whatever the scheduler's program says when it is busy.
        except (RuntimeError, OSError, ValueError) as error:
            unanswered[taskid] = unanswered.get(taskid, 0) + 1
            logger.debug("job %s: the scheduler does not answer (%s)", taskid, error)
            if unanswered[taskid] < _PATIENCE:
                return True
            # It may still run, and would write into the folder of the next attempt.
            self._cancel([taskid])
            return False
        unanswered.pop(taskid, None)
        return pending

    def _get_result(self, taskid: int) -> Any:
        result = super()._get_result(taskid)  # type: ignore[misc]
        if result is None:
            return None
        node = self._nodes[taskid]
        if isinstance(result["traceback"], str):
            # Nipype found no result, and would stumble over a traceback that is one text.
            reason = f"{node.name}: job {taskid} ended without a result, most likely killed for lack of memory or time"
            if self.__dict__.get("_unanswered", {}).get(taskid, 0) >= _PATIENCE:
                reason = f"{node.name}: job {taskid} was given up, because the scheduler did not answer for an hour"
            reason += "; see the scheduler's accounting, and the files of the job in the work folder's batch"
            save_failure(Path(node.inputs.failure_file), reason)
            result["traceback"] = [reason]
        elif not result["traceback"]:
            self._remove_files(taskid, node)
        return result

    def _remove_files(self, taskid: int, node: Any) -> None:
        folder = Path(node.base_dir) / node._hierarchy.partition(".")[0] / "batch"
        patterns = (f"slurm-{taskid}.out", f"*.[oe]{taskid}", f"*_{node._hierarchy}_{node._id}.*")
        for path in (path for pattern in patterns for path in folder.glob(pattern)):
            path.unlink(missing_ok=True)

    def cancel(self) -> None:
        """Take back the jobs that have not ended."""
        self._cancel(list(self._pending))

    def _cancel(self, jobs: Sequence[int]) -> None:
        scheduler = SCHEDULERS[type(self).__name__.removesuffix("Plugin")]
        path = shutil.which(scheduler.cancels)
        if path is not None and jobs:
            with suppress(OSError, subprocess.SubprocessError):
                # Numbers that the scheduler gave, no shell.
                subprocess.run([path, *map(str, jobs)], check=False, timeout=30, capture_output=True)  # noqa: S603


@cache
def cluster_plugin(name: str) -> Any:
    """The class for one of :data:`SCHEDULERS`."""
    # Nipype names jobs after the user by this variable, which is not set in containers and services.
    os.environ.setdefault("LOGNAME", _user())
    base = getattr(plugins, f"{name}Plugin")
    return type(f"{name}Plugin", (ClusterPlugin, base), {"__doc__": ClusterPlugin.__doc__})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in a container
        return f"uid{os.getuid()}"
