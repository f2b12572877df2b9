"""Steps as jobs of a cluster, with stand-ins for the scheduler that run each job as a process of this machine."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from nipype.pipeline.plugins import SLURMPlugin

from bids_spectsynth.errors import UsageError
from bids_spectsynth.preprocess.plugins import clusters as cluster_plugins
from bids_spectsynth.preprocess.plugins.dask import DaskPlugin
from bids_spectsynth.preprocess.workflow import build as workflow
from bids_spectsynth.preprocess.workflow.build import preprocess

EXAMPLES = Path(__file__).parents[3] / "examples"
PROGRAMS = {"SLURM": ("sbatch", "squeue", "sacct", "scancel"), "SGE": ("qsub", "qstat", "qdel")}


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a scheduler's programs on PATH; returns the folder of their notes."""

    def install(name: str) -> Path:
        programs, jobs = tmp_path / "programs", tmp_path / "jobs"
        programs.mkdir()
        jobs.mkdir()
        source = Path(__file__).with_name("fake_scheduler.py").read_text()
        for program in PROGRAMS[name]:
            (programs / program).write_text(f"#!{sys.executable}\n{source}")
            (programs / program).chmod(0o755)
        monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
        monkeypatch.setenv("FAKE_SCHEDULER", str(jobs))
        monkeypatch.delenv("LOGNAME", raising=False)
        cluster_plugins.cluster_plugin.cache_clear()
        # Its own are for schedulers that others use too.
        monkeypatch.setattr(workflow, "EXECUTION", {"poll_sleep_duration": "0.2", "job_finished_timeout": "1"})
        return jobs

    return install


def tree(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] != "logs"
    }


@pytest.mark.parametrize("name", ["SLURM", "SGE"])
def test_every_step_is_a_job(
    name: str, scheduler: Any, fake_fsl: Any, make_case: Any, make_options: Any, tmp_path: Path
) -> None:
    """The example file, a real workflow, other processes: the files of a run on this machine, and a working cache."""
    jobs = scheduler(name)
    case = make_case("01", ("T1w", "interictal"))
    options = make_options(backend="fsl", use_plugin=EXAMPLES / f"nipype_plugin_{name.lower()}.yml")
    (outcome,) = preprocess([case], options)
    assert outcome.status == "ok", outcome.reason
    submitted = [line for line in (jobs / "words").read_text().splitlines() if line.split()[0] in ("sbatch", "qsub")]
    # Brain extraction, two registrations, and three that write.
    assert len(submitted) == 6
    assert all("-o" in line and "batchscript" in line for line in submitted)
    arguments = yaml.safe_load(options.use_plugin.read_text())["plugin_args"]
    given = arguments.get("sbatch_args") or arguments["qsub_args"]
    assert all(given in line for line in submitted)
    here = make_options(backend="fsl", nprocs=1, work_dir=tmp_path / "work2", output_dir=tmp_path / "out2")
    assert preprocess([case], here)[0].status == "ok"
    assert tree(tmp_path / "out") == tree(tmp_path / "out2")
    # What is done is not submitted again.
    assert preprocess([case], options)[0].status == "ok"
    again = (jobs / "words").read_text().splitlines()
    assert len([line for line in again if line.split()[0] in ("sbatch", "qsub")]) == len(submitted)


def test_a_step_that_fails_in_its_job(scheduler: Any, fake_fsl: Any, make_case: Any, make_options: Any) -> None:
    """The reason reaches the participant, and the others go on."""
    scheduler("SLURM")
    cases = [make_case("01", ("T1w",)), make_case("02", ("T1w",))]
    cases[0].images["T1w"].path.write_bytes(b"no image")
    options = make_options(backend="fsl", use_plugin=EXAMPLES / "nipype_plugin_slurm.yml")
    first, second = preprocess(cases, options)
    assert first.status == "failed"
    assert "sub-01_T1w.nii.gz" in first.reason
    assert second.status == "ok"


def test_a_job_that_is_killed(
    scheduler: Any, fake_fsl: Any, make_case: Any, make_options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its participant fails with a reason, the others go on, and it never takes an earlier result for its own."""
    scheduler("SLURM")
    cases = [make_case("01", ("T1w", "interictal")), make_case("02", ("T1w",))]
    file = EXAMPLES / "nipype_plugin_slurm.yml"
    assert [one.status for one in preprocess(cases, make_options(backend="fsl", use_plugin=file))] == ["ok", "ok"]
    calls = len(fake_fsl.calls("bet"))
    monkeypatch.setenv("FAKE_DIES", "sub_01_T1w")
    changed = make_options(backend="fsl", use_plugin=file, bet_fractional_intensity=0.3)
    first, second = preprocess(cases, changed)
    assert first.status == "failed"
    assert "ended without a result, most likely killed" in first.reason
    assert second.status == "ok"
    monkeypatch.delenv("FAKE_DIES")
    assert [one.status for one in preprocess(cases, changed)] == ["ok", "ok"]
    # Once for each head, with the new option.
    assert all("-f 0.3" in call for call in fake_fsl.calls("bet")[calls:])
    assert len(fake_fsl.calls("bet")) == calls + 2
    # Of the jobs that ended well nothing is left.
    batch = changed.work_folder / "bids_spectsynth_wf" / "batch"
    assert all("sub_01_T1w" in path.name or path.name.startswith("slurm-") for path in batch.iterdir())
    assert len(list(batch.glob("slurm-*"))) == 1


def test_a_scheduler_that_is_busy(
    scheduler: Any, fake_fsl: Any, make_case: Any, make_options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that says nothing of the job is asked for again."""
    scheduler("SLURM")
    original, failures = SLURMPlugin._is_pending, iter([True] * 3)

    def busy(plugin: Any, task: int) -> bool:
        if next(failures, False):
            raise RuntimeError("slurm_load_jobs error: Unable to contact slurm controller")
        return bool(original(plugin, task))

    monkeypatch.setattr(SLURMPlugin, "_is_pending", busy)
    options = make_options(backend="fsl", use_plugin=EXAMPLES / "nipype_plugin_slurm.yml")
    (outcome,) = preprocess([make_case("01", ("T1w",))], options)
    assert outcome.status == "ok", outcome.reason
    assert next(failures, None) is None


def test_jobs_are_taken_back_when_the_run_is_interrupted(
    scheduler: Any, fake_fsl: Any, make_case: Any, make_options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = scheduler("SLURM")

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SLURMPlugin, "_get_result", interrupt)
    options = make_options(backend="fsl", use_plugin=EXAMPLES / "nipype_plugin_slurm.yml")
    with pytest.raises(KeyboardInterrupt):
        preprocess([make_case("01", ("T1w",))], options)
    # The brain extraction, and the transforms of no image, which wait for nothing.
    assert "scancel 1 2" in (jobs / "words").read_text().splitlines()


@pytest.mark.parametrize(("name", "program"), [("SLURM", "sbatch"), ("SGE", "qsub")])
def test_a_scheduler_that_is_not_here(name: str, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(UsageError, match=f"{program} is not on PATH"):
        cluster_plugins.check_scheduler(name, Path("/work folder"))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: program)
    with pytest.raises(UsageError, match="special characters; give --work-dir a plain path"):
        cluster_plugins.check_scheduler(name, Path("/work folder"))
    cluster_plugins.check_scheduler(name, Path("/scratch/a-b_c.d/work"))


def test_a_dask_cluster(fake_fsl: Any, make_case: Any, make_options: Any, tmp_path: Path) -> None:
    file = tmp_path / "dask.yml"
    file.write_text("plugin: Dask\nplugin_args: {cluster: {n_workers: 1}}\n")
    good, bad = make_case("01", ("T1w", "interictal")), make_case("02", ("T1w",))
    bad.images["T1w"].path.write_bytes(b"no image")
    first, second = preprocess([good, bad], make_options(backend="fsl", use_plugin=file))
    assert first.status == "ok", first.reason
    assert second.status == "failed"
    assert "sub-02_T1w.nii.gz" in second.reason


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"workers": 3}, "unknown in plugin_args: workers; known: scheduler"),
        ({"cluster": {"n_wokers": 1}}, "unknown in cluster: n_wokers; known: n_workers"),
        ({"cluster": 3}, "must be a mapping"),
        ({"scheduler": "nonsense://nowhere"}, "nonsense"),
    ],
)
def test_a_dask_cluster_that_cannot_be_had(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        DaskPlugin(arguments)


def test_dask_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'bids_spectsynth\[dask\]'"):
        DaskPlugin({})
