"""How long the app takes to answer, and to find the files of a dataset of 200 subjects.

Start-up: whole processes of --help and --version, and their ratio to a Python that does nothing (`python -c pass`), the
runs interleaved. Indexing: datasets of empty images with sidecars, plain or with two sessions, and in both cases with
derivatives/ and sourcedata/ that hold as many files again; `find_cases` (layout, roles, sidecars) is timed inside a
fresh process, for all subjects and for ten chosen ones. Imports are timed apart: those of the app, and PyBIDS.

python benchmarks/start_up.py [--quick]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

IMAGES = ("anat/T1w", "pet/trc-FDG_pet", "spect/task-interictal_trc-HMPAO_spect", "spect/task-ictal_trc-HMPAO_spect")
APP = "import sys; from bids_spectsynth.cli import main; sys.exit(main(sys.argv[1:]))"
PROCESSES = {
    "python -c pass": ("-c", "pass"),
    "--version": ("-c", APP, "--version"),
    "--help": ("-c", APP, "--help"),
}
INDEXING = """
import json, logging, sys, time
logging.disable()
start = time.perf_counter()
from bids_spectsynth.bids.finding.cases import find_cases
from bids_spectsynth.options.settings import make_settings
app = time.perf_counter()
import bids.layout
pybids = time.perf_counter()
root, *labels = sys.argv[1:]
settings = make_settings(
    {"bids_dir": root, "output_dir": root + "-out", "analysis_level": "participant", "participant_label": labels}
)
cases, outcomes = find_cases(settings)
end = time.perf_counter()
print(json.dumps({"app": app - start, "pybids": pybids - app, "index": end - pybids, "cases": len(cases)}))
"""


def make_dataset(root: Path, labels: Sequence[str], sessions: Sequence[str | None]) -> Path:
    """Empty images with sidecars, once as raw data and again below derivatives/ and sourcedata/."""
    for folder in (root, root / "derivatives" / "other", root / "sourcedata"):
        folder.mkdir(parents=True)
        (folder / "dataset_description.json").write_text(json.dumps({"Name": "many", "BIDSVersion": "1.10.1"}))
        for label in labels:
            for session in sessions:
                _add_images(folder, label, session)
    return root


def _add_images(folder: Path, label: str, session: str | None) -> None:
    own = [f"sub-{label}", *([f"ses-{session}"] if session else [])]
    for image in IMAGES:
        datatype, name = image.split("/")
        path = folder.joinpath(*own, datatype, "_".join((*own, name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name + ".nii.gz").touch()
        path.with_name(path.name + ".json").write_text(json.dumps({"TracerName": "test"}))


def process_seconds(arguments: Sequence[str]) -> float:
    """Wall seconds of a whole Python process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def index_seconds(root: Path, labels: Sequence[str]) -> dict[str, float]:
    """Seconds of imports and of indexing in a fresh process, and the number of cases."""
    command = [sys.executable, "-c", INDEXING, str(root), *labels]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def print_start_up(repeats: int) -> None:
    """One line per way to call Python."""
    seconds: dict[str, list[float]] = {name: [] for name in PROCESSES}
    for _ in range(repeats):
        for name, arguments in PROCESSES.items():
            seconds[name].append(process_seconds(arguments))
    bare = statistics.median(seconds["python -c pass"])
    print("| process | n | median s | slowest s | times bare Python |\n|---|---|---|---|---|")
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"| {name} | {repeats} | {median:.3f} | {max(values):.3f} | {median / bare:.1f} |")


def print_indexing(datasets: Mapping[str, Path], labels: Sequence[str], chosen: int, repeats: int) -> None:
    """One line per dataset and choice of participants."""
    some = labels[:: max(1, len(labels) // chosen)][:chosen]
    choices = {f"{len(some)} of {len(labels)}": some, f"all {len(labels)}": ()}
    print("\n| dataset | chosen | n | cases | indexing s | slowest s | import of app s | import of PyBIDS s |")
    print("|---|---|---|---|---|---|---|---|")
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for _ in range(repeats):
        for dataset, root in datasets.items():
            for choice, own in choices.items():
                found.setdefault((dataset, choice), []).append(index_seconds(root, own))
    for (dataset, choice), runs in found.items():
        medians = [statistics.median(run[key] for run in runs) for key in ("index", "app", "pybids")]
        seconds = [medians[0], max(run["index"] for run in runs), *medians[1:]]
        cells = [dataset, choice, str(repeats), f"{runs[0]['cases']}", *(f"{value:.2f}" for value in seconds)]
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=200)
    parser.add_argument("--chosen", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="20 subjects, 2 repeats")
    args = parser.parse_args()
    subjects, repeats = (20, 2) if args.quick else (args.subjects, args.repeats)
    labels = [f"{number:03d}" for number in range(1, subjects + 1)]
    print_start_up(repeats)
    with tempfile.TemporaryDirectory() as folder:
        datasets = {
            "without sessions": make_dataset(Path(folder, "plain"), labels, (None,)),
            "two sessions": make_dataset(Path(folder, "sessions"), labels, ("a", "b")),
        }
        print_indexing(datasets, labels, min(args.chosen, subjects), repeats)


if __name__ == "__main__":
    main()
