"""Steps as jobs of a cluster, with stand-ins for the scheduler that run each job as a process of this machine."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bids_spectsynth.errors import UsageError
from bids_spectsynth.preprocess import plugins
from bids_spectsynth.preprocess.dask_plugin import DaskPlugin
from bids_spectsynth.preprocess.workflow import preprocess

EXAMPLES = Path(__file__).parents[2] / "examples"
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


def test_jobs_are_taken_back_when_the_run_is_interrupted(
    scheduler: Any, fake_fsl: Any, make_case: Any, make_options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = scheduler("SLURM")
    from nipype.pipeline.plugins import SLURMPlugin

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SLURMPlugin, "_get_result", interrupt)
    options = make_options(backend="fsl", use_plugin=EXAMPLES / "nipype_plugin_slurm.yml")
    with pytest.raises(KeyboardInterrupt):
        preprocess([make_case("01", ("T1w",))], options)
    # The brain extraction, and the transforms of no image, which wait for nothing.
    assert "scancel 1 2" in (jobs / "words").read_text().splitlines()


@pytest.mark.parametrize(("name", "program"), [("slurm", "sbatch"), ("sge", "qsub")])
def test_a_scheduler_that_is_not_here(name: str, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(UsageError, match=rf"nipype_plugin_{name}\.yml: .*: {program} is not on PATH"):
        plugins.read_plugin_file(EXAMPLES / f"nipype_plugin_{name}.yml")


def test_a_dask_cluster(fake_fsl: Any, make_case: Any, make_options: Any, tmp_path: Path) -> None:
    file = tmp_path / "dask.yml"
    file.write_text("plugin: Dask\nplugin_args: {cluster: {n_workers: 1, processes: true}}\n")
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
