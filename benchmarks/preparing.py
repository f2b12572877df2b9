"""What preparing one participant takes: each step, all of it on one and two processes, and how often images are read.

A phantom participant with T1w, PET, interictal and ictal SPECT at the article's sizes is prepared at 1 mm. The first
table has the workflow's steps one after another in one process: wall and CPU seconds, the process's peak memory in that
step, image files opened for reading and for writing; with FSL's steps beside it where FSL is installed. The second
lists the image files that were opened more than once, and by which steps. The third has whole runs of the app (imports,
indexing, preparation, report) with --nprocs 1 and 2, interleaved: wall and CPU seconds and peak memory (proportional
set size) of all their processes.

python benchmarks/preparing.py [--size paper] [--repeats 3] [--quick]
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

APP = "import sys; from bids_spectsynth.cli import main; sys.exit(main(sys.argv[1:]))"
#: A file that is being written: .NAME.PROCESS-RANDOM.tmp
TEMPORARY = re.compile(r"\.(.+\.nii(?:\.gz)?)\.\d+-[0-9a-f]+\.tmp")
IMAGE = re.compile(r".+\.nii(?:\.gz)?")
#: Looking at a large process's memory takes the kernel some milliseconds.
SAMPLE_SECONDS = 0.5


@dataclass
class Step:
    """What one step of the workflow took; images by name, with how often each was opened."""

    name: str
    wall: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0
    read: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)


class Recorder:
    """Called by the workflow where a step starts or ends, and by Python where a file is opened."""

    def __init__(self, names: Any = None) -> None:
        self.steps: list[Step] = []
        self._started = (0.0, 0.0)

    def __call__(self, node: Any, status: str) -> None:
        now = (time.perf_counter(), time.process_time())
        if status == "start":
            forget_peak()
            self.steps.append(Step(node.name))
            self._started = now
        elif self.steps:
            step = self.steps[-1]
            step.wall, step.cpu = now[0] - self._started[0], now[1] - self._started[1]
            step.peak_mb = peak_mb()

    def opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook (see ``sys.addaudithook``)."""
        if event != "open" or not self.steps or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path = Path(os.fsdecode(arguments[0]))
        temporary = TEMPORARY.fullmatch(path.name)
        if temporary is not None:
            count(self.steps[-1].written, path.with_name(temporary[1]))
        elif IMAGE.fullmatch(path.name):
            count(self.steps[-1].read, path)


def count(openings: dict[str, int], path: Path) -> None:
    """One more opening of a file."""
    openings[str(path)] = openings.get(str(path), 0) + 1


def forget_peak() -> None:
    """Let the kernel's peak of this process start anew (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """Peak of this process's resident memory since :func:`forget_peak`; not a number where the kernel has none."""
    with suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) / 1024 if found else float("nan")
    return float("nan")


def record_steps(dataset: Path, output: Path, backend: str, voxel_size: float) -> list[dict[str, Any]]:
    """Prepare the first participant in this process, step by step."""
    from bids_spectsynth.bids.finding.cases import find_cases
    from bids_spectsynth.options.settings import make_settings
    from bids_spectsynth.preprocess.workflow import build as workflow

    settings = make_settings(
        {"bids_dir": dataset, "output_dir": output, "analysis_level": "participant", "nprocs": 1, "backend": backend,
         "voxel_size": voxel_size, "mode": "preprocess"}
    )  # fmt: skip
    recorder = Recorder()
    workflow.Progress = lambda names: recorder  # type: ignore[assignment,misc]
    cases, _ = find_cases(settings)
    sys.addaudithook(recorder.opened)
    outcomes = workflow.preprocess(cases, settings)
    if any(outcome.status != "ok" for outcome in outcomes):
        raise SystemExit(f"not prepared: {outcomes}")
    return [asdict(step) for step in recorder.steps]


def steps_of(dataset: Path, output: Path, backend: str, voxel_size: float) -> list[Step]:
    """:func:`record_steps` in a fresh process."""
    command = [sys.executable, __file__, "--steps", str(dataset), str(output), backend, str(voxel_size)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return [Step(**step) for step in json.loads(done.stdout.splitlines()[-1])]


@dataclass(frozen=True)
class Run:
    """A whole run with all its processes."""

    wall: float
    cpu: float
    peak_mb: float


def whole_run(dataset: Path, output: Path, nprocs: int, voxel_size: float) -> Run:
    """Run the app and sample its processes; what a process uses in its last half second is not seen."""
    command = [sys.executable, "-c", APP, str(dataset), str(output), "participant", "--mode", "preprocess",
               "--skip-bids-validation", "--nprocs", str(nprocs), "--voxel-size", f"{voxel_size:g}"]  # fmt: skip
    start = time.perf_counter()
    cpu: dict[int, float] = {}
    peak = 0.0
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                peak = max(peak, sum(_sample(one, cpu) for one in (root, *root.children(recursive=True))))
            time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise SystemExit(f"the app ended with code {process.returncode}")
    return Run(time.perf_counter() - start, sum(cpu.values()), peak)


def _sample(process: psutil.Process, cpu: dict[int, float]) -> float:
    """Memory in MB that a process has for itself, plus its part of what is shared; notes its CPU seconds."""
    try:
        times = process.cpu_times()
        cpu[process.pid] = times.user + times.system
        return float(getattr(process.memory_full_info(), "pss", process.memory_info().rss)) / 2**20
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0


def print_steps(steps: Sequence[Step], fsl: Sequence[Step] | None) -> None:
    """One line per step and their sum."""
    print("| step | wall s | CPU s | peak MB | images read | images written | FSL wall s | FSL CPU s |")
    print("|---|---|---|---|---|---|---|---|")
    others = {step.name: step for step in fsl or ()}
    for step in steps:
        other = others.get(step.name)
        beside = f"{other.wall:.1f} | {other.cpu:.1f}" if other else "not at hand | not at hand"
        counts = f"{sum(step.read.values())} | {sum(step.written.values())}"
        print(f"| {step.name} | {step.wall:.1f} | {step.cpu:.1f} | {step.peak_mb:.0f} | {counts} | {beside} |")
    wall, cpu = sum(step.wall for step in steps), sum(step.cpu for step in steps)
    print(f"| all steps | {wall:.1f} | {cpu:.1f} | {max(step.peak_mb for step in steps):.0f} | | | | |")


def print_openings(steps: Sequence[Step]) -> None:
    """The images that were opened more than once, and those that one step opened more than once."""
    for kind in ("read", "written"):
        users: dict[str, list[str]] = {}
        twice = []
        for step in steps:
            for path, count in getattr(step, kind).items():
                users.setdefault(path, []).append(step.name)
                twice += [f"{Path(path).name} by {step.name}"] * (count > 1)
        print(f"\nimages {kind}: {len(users)} files; more than once in one step: {', '.join(twice) or 'none'}")
        for path, names in users.items():
            if len(names) > 1:
                print(f"- {Path(path).name}: {len(names)} steps ({', '.join(names)})")


def print_runs(dataset: Path, folder: Path, repeats: int, voxel_size: float) -> None:
    """Whole runs on one and two processes in turn, and their ratios."""
    runs: dict[int, list[Run]] = {1: [], 2: []}
    for turn in range(repeats):
        for nprocs, done in runs.items():
            done.append(whole_run(dataset, folder / f"run-{turn}-{nprocs}", nprocs, voxel_size))
    print(
        "\n| --nprocs | n | wall s | wall s by run | CPU s | peak MB | wall ratio to 1 |\n|---|---|---|---|---|---|---|"
    )
    for nprocs, done in runs.items():
        wall, cpu, peak = (statistics.median(getattr(run, key) for run in done) for key in ("wall", "cpu", "peak_mb"))
        ratio = statistics.median(run.wall / one.wall for run, one in zip(done, runs[1], strict=True))
        each = ", ".join(f"{run.wall:.1f}" for run in done)
        print(f"| {nprocs} | {len(done)} | {wall:.1f} | {each} | {cpu:.1f} | {peak:.0f} | {ratio:.2f} |")


def parse_arguments() -> argparse.Namespace:
    """Options of this benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("small", "paper"), default="paper", help="of the phantom")
    parser.add_argument("--voxel-size", type=float, default=1.0, metavar="MM")
    parser.add_argument("--repeats", type=int, default=3, help="whole runs with each number of processes")
    parser.add_argument("--quick", action="store_true", help="small phantom, 4 mm voxels, steps only")
    parser.add_argument("--steps", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Print the tables."""
    args = parse_arguments()
    if args.steps:
        dataset, output, backend, voxel_size = args.steps
        print(json.dumps(record_steps(Path(dataset), Path(output), backend, float(voxel_size))))
        return
    from bids_spectsynth.phantom.participants import make_cohort
    from bids_spectsynth.preprocess.backends.fsl.environment import missing_programs

    size, voxel_size, repeats = ("small", 4.0, 0) if args.quick else (args.size, args.voxel_size, args.repeats)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_cohort(folder / "phantom", 1, size=size)
        print(f"one participant, phantom of size {size}, prepared at {voxel_size:g} mm\n")
        steps = steps_of(folder / "phantom", folder / "embedded", "embedded", voxel_size)
        fsl = None if missing_programs() else steps_of(folder / "phantom", folder / "fsl", "fsl", voxel_size)
        print_steps(steps, fsl)
        print_openings(steps)
        if repeats:
            print_runs(folder / "phantom", folder, repeats, voxel_size)


if __name__ == "__main__":
    main()
