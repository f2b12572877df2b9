"""How the work grows with the cohort: phantom subjects are prepared and trained on in cohorts of growing size.

    python benchmarks/scaling.py [--subjects 4 8 16 32] [--epochs 5] [--repeats 3] [--quick]

The dataset and one output folder grow from cohort to cohort. Only the new subjects are prepared, so that a row gives
what a subject costs beside those that are there already. Then one network is trained on each cohort, in turn, a few
times: half of a cohort trains, a quarter chooses the epoch, a quarter is held out. Measured through the command line:

- preparation: wall and CPU seconds of each new subject (with the program's start), memory of all its processes
  together at the peak (proportional set size), size and number of files in the work folder for each subject;
- training: wall seconds of an epoch (median of all but each first one, from history.tsv, validation included) and of
  1000 slices in it, wall seconds of the rest of the run (start, reading of images, baselines), memory at the peak;
- size of a subject's derivatives and of the model folder.

Behind each number stands its ratio to the smallest cohort: flat is 1, linear is the ratio of the numbers of subjects.
Wall seconds depend on what else the machine does; CPU seconds hardly.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pandas as pd
import psutil

PROGRAM = "import sys; from bids_spectsynth.cli import main; sys.exit(main(sys.argv[1:]))"
PHANTOM = "import sys; from bids_spectsynth.phantom.cli import main; sys.exit(main(sys.argv[1:]))"
#: Seconds between two looks at the processes.
INTERVAL = 0.5


@dataclass(frozen=True)
class Cost:
    """What a run took: wall and CPU seconds, and megabytes of all its processes together at the peak."""

    wall: float
    cpu: float
    megabytes: float


def measured(code: str, *arguments: object) -> Cost:
    """Run Python code with arguments and watch its processes; raises where it fails."""
    started = time.monotonic()
    # The user's own settings for the program's threads would be inherited.
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    with tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        with subprocess.Popen(command, stdout=log, stderr=log, env=environment) as running:
            cpu: dict[int, float] = {}
            peak = 0.0
            while running.poll() is None:
                peak = max(peak, look(running.pid, cpu))
                time.sleep(INTERVAL)
        if running.returncode:
            log.seek(0)
            raise RuntimeError(f"ended with {running.returncode}:\n{log.read()[-3000:]}")
    return Cost(time.monotonic() - started, sum(cpu.values()), peak)


def look(pid: int, cpu: dict[int, float]) -> float:
    """Megabytes that a process and its descendants hold; their CPU seconds go into ``cpu``."""
    total = 0
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in family:
        try:
            used = process.cpu_times()
            cpu[process.pid] = used.user + used.system
            # What several processes share counts once.
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 1e6


def size(folders: Sequence[Path]) -> tuple[float, int]:
    """Megabytes and number of files."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files) / 1e6, len(files)


def grow(pool: Path, data: Path, n_subjects: int) -> list[str]:
    """Make ``data`` the dataset of the first subjects of ``pool``; the labels of those that are new in it."""
    shutil.copytree(pool, data, dirs_exist_ok=True, ignore=shutil.ignore_patterns("sub-*"))
    table = pd.read_csv(pool / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
    table.head(n_subjects).to_csv(data / "participants.tsv", sep="\t", index=False)
    new = [name for name in table["participant_id"].head(n_subjects) if not (data / name).exists()]
    for name in new:
        shutil.copytree(pool / name, data / name)
    return [name.removeprefix("sub-") for name in new]


def prepare(data: Path, out: Path, labels: Sequence[str], options: argparse.Namespace) -> dict[str, float]:
    """Prepare new subjects; costs of one."""
    work = out.parent / "work"
    before = size([work])
    words = ["--mode", "preprocess", "--voxel-size", options.voxel_size, "--nprocs", options.nprocs, "-w", work]
    words += ["--skip-bids-validation", "--participant-label", *labels]
    words += ["--coreg-init", "identity"] if options.quick else []
    cost = measured(PROGRAM, data, out, "participant", *words)
    after = size([work])
    return {
        "prepared": len(labels),
        "wall s/subject": cost.wall / len(labels),
        "CPU s/subject": cost.cpu / len(labels),
        "peak MB": cost.megabytes,
        "work MB/subject": (after[0] - before[0]) / len(labels),
        "work files/subject": (after[1] - before[1]) / len(labels),
        "output MB/subject": size([out / f"sub-{label}" for label in labels])[0] / len(labels),
    }


def train(data: Path, out: Path, n_subjects: int, repeat: int, options: argparse.Namespace) -> dict[str, float]:
    """Train a network on half of the cohort of the first subjects."""
    label = f"cohort{n_subjects}run{repeat}"
    quarter = max(1, n_subjects // 4)
    words = ["--mode", "train", "--voxel-size", options.voxel_size, "--nprocs", options.nprocs, "--device", "cpu"]
    words += ["--participant-label", *(f"{number:02d}" for number in range(1, n_subjects + 1))]
    words += ["--split-counts", n_subjects - 2 * quarter, quarter, quarter, "--model-label", label]
    words += ["--epochs", options.epochs, "--base-filters", options.base_filters, "-w", out.parent / "work"]
    cost = measured(PROGRAM, data, out, "participant", *words)
    folder = out / "models" / label
    slices = json.loads((folder / "model.json").read_text())["training"]["slices"]
    seconds = pd.read_csv(folder / "history.tsv", sep="\t")["seconds"]
    # The first epoch also starts threads and fills caches.
    epoch = float(seconds.iloc[1:].median())
    return {
        "slices": slices,
        "epoch s": epoch,
        "s/1000 slices": 1000 * epoch / slices,
        "rest of the run s": cost.wall - float(seconds.sum()),
        "peak MB": cost.megabytes,
        "model MB": size([folder])[0],
    }


def show(title: str, rows: dict[int, dict[str, float]]) -> None:
    """Print a table: numbers, and their ratio to the first row's."""
    first = next(iter(rows.values()))
    print(f"\n{title}\n\n| subjects | {' | '.join(first)} |\n|{'---|' * (len(first) + 1)}")
    for n_subjects, row in rows.items():
        cells = [f"{value:.4g} (x{value / first[name]:.2f})" if first[name] else "0" for name, value in row.items()]
        print(f"| {n_subjects} | {' | '.join(cells)} |", flush=True)


def parse() -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, nargs="+", default=[4, 8, 16, 32], help="sizes of the cohorts")
    parser.add_argument("--voxel-size", type=float, default=4, help="mm")
    parser.add_argument("--base-filters", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=5, help="at least 2; the first is not counted")
    parser.add_argument("--repeats", type=int, default=3, help="trainings of each cohort, interleaved")
    parser.add_argument("--nprocs", type=int, default=2, help="processes at once, and threads of the network")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--quick", action="store_true", help="3 and 4 subjects, a tiny network, no registration")
    options = parser.parse_args()
    if options.quick:
        options.subjects, options.base_filters, options.epochs, options.repeats = [3, 4], 2, 2, 1
    return options


def main() -> None:
    """Grow the cohort and print the tables."""
    options = parse()
    sizes = sorted(options.subjects)
    prepared = {}
    runs: dict[int, list[dict[str, float]]] = {n_subjects: [] for n_subjects in sizes}
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        pool, data, out = folder / "pool", folder / "data", folder / "out"
        measured(PHANTOM, pool, "-n", sizes[-1], "--size", "small", "--seed", 1, "--nprocs", options.nprocs)
        for n_subjects in sizes:
            prepared[n_subjects] = prepare(data, out, grow(pool, data, n_subjects), options)
            print(f"{n_subjects} subjects prepared", file=sys.stderr, flush=True)
        for repeat in range(options.repeats):
            for n_subjects in sizes:
                runs[n_subjects].append(train(data, out, n_subjects, repeat, options))
    trained = {n: {name: median(run[name] for run in found) for name in found[0]} for n, found in runs.items()}
    show(f"Preparation at {options.voxel_size:g} mm, {options.nprocs} processes", prepared)
    title = f"{options.base_filters} filters, {options.epochs} epochs, {options.nprocs} threads, n = {options.repeats}"
    show(f"Training, {title}: medians", trained)


if __name__ == "__main__":
    main()
