"""How long an evaluation takes: metrics of slices, and the group level of a study.

Slices: RMSE, SSIM and PSNR of simulated slices, whole and in the brain, by this package and slice by slice with
scikit-image (a test dependency), interleaved, with the largest difference between both.

Group: writes the output folder of a made-up study (see output_folder.py), then runs the group level on it in a process
of its own, without and with bootstrap, and prints the time of each stage and the peak memory. ``paper``: rows of the
networks on the article's scale alone, 48 subjects x 12 models x 100 slices = 57,600 rows. ``everything``: as the
program writes them, also the networks on the other scale, five baselines, and slices beyond the block.

python benchmarks/evaluating.py [slices|group|all] [--quick]
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

DATA_RANGE = 2.0
#: Functions of the group level that are timed: module, name, what they do. Those further in lie within another.
STAGES = (
    ("app.group", "group_tables", "metric tables and tests"),
    ("evaluation.group.tables", "gather_metrics", ". read metric tables"),
    ("evaluation.group.tables", "summarise", ". summary"),
    ("evaluation.group.tables", "compare_methods", ". tests"),
    ("app.group", "write_group_tables", "write group tables"),
    ("app.group", "write_paper_tables", "paper tables"),
    ("app.group", "group_agreement", "regional agreement"),
    ("app.group", "write_agreement_tables", "write agreement tables"),
    ("app.group", "write_group_calibration", "calibration"),
    ("app.group", "write_figures", "figures of metrics"),
    ("app.group", "write_paper_figures", "figures of the article"),
    ("app.group", "write_agreement_figures", "figures of agreement"),
    ("app.group", "group_report", "report"),
)


def simulate(shape: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Real and synthetic volume in (-1, 1), -1 outside of a brain that takes 27 % of each slice, and the brain."""
    rng = np.random.default_rng(seed)
    x, y = (np.linspace(-1, 1, n) for n in shape[:2])
    # An ellipse of semi-axes a, b takes pi a b / 4 of a slice from -1 to 1.
    inside = (x[:, None] / 0.53) ** 2 + (y[None] / 0.65) ** 2 < 1
    brain = np.repeat(inside[..., None], shape[2], axis=2)
    real, error = (gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 3) for _ in range(2))
    real, error = real / real.std(), error / error.std()
    images = (np.clip(values, -1, 1) for values in (0.3 * real, 0.3 * real + 0.15 * error))
    return (*(np.where(brain, image, -1).astype(np.float32) for image in images), brain)


def with_scikit_image(real: np.ndarray, synthetic: np.ndarray, mask: np.ndarray) -> pd.DataFrame:
    """The six metrics, one slice after the other."""
    from skimage.metrics import structural_similarity

    rows = []
    for k in range(real.shape[2]):
        x, y, inside = real[..., k], synthetic[..., k], mask[..., k]
        ssim, values = structural_similarity(
            x, y, data_range=DATA_RANGE, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
        )
        squared = np.square(x.astype(np.float64) - y)
        mse, mask_mse = squared.mean(), squared[inside].mean()
        psnr, mask_psnr = (10 * np.log10(DATA_RANGE**2 / value) for value in (mse, mask_mse))
        rows.append((np.sqrt(mse), ssim, psnr, np.sqrt(mask_mse), values[inside].mean(), mask_psnr))
    return pd.DataFrame(rows, columns=["rmse", "ssim", "psnr", "mask_rmse", "mask_ssim", "mask_psnr"])


def timed(function: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, CPU seconds of all threads, result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def slices(n_slices: int, size: int, repeats: int) -> None:
    """Print the table of slices."""
    from bids_spectsynth.evaluation.case.metrics import slice_metrics

    n_volumes = max(round(n_slices / 100), 1)
    volumes = [simulate((size, size, n_slices // n_volumes), seed) for seed in range(n_volumes)]
    methods: dict[str, Callable[[], list[pd.DataFrame]]] = {
        "this package": lambda: [slice_metrics(*volume, DATA_RANGE) for volume in volumes],
        "scikit-image": lambda: [with_scikit_image(*volume) for volume in volumes],
    }
    runs = [{name: timed(function) for name, function in methods.items()} for _ in range(repeats)]
    tables = {name: pd.concat(result, ignore_index=True) for name, (_, _, result) in runs[0].items()}
    ours, theirs = tables.values()
    brain = np.mean([volume[2].mean() for volume in volumes])
    print(f"\n{len(ours)} slices of {size} x {size}, brain {100 * brain:.0f} %, {repeats} interleaved runs\n")
    print("| by | s, median (least) | CPU s, median | slices/s | time, ratio |\n|---|---|---|---|---|")
    reference = median(run["scikit-image"][0] for run in runs)
    for name in methods:
        wall = [run[name][0] for run in runs]
        cpu = median(run[name][1] for run in runs)
        middle = median(wall)
        print(
            f"| {name} | {middle:.2f} ({min(wall):.2f}) | {cpu:.2f} | {len(ours) / middle:.0f} "
            f"| {middle / reference:.2f} |"
        )
    largest = {name: float(np.abs(ours[name] - theirs[name]).max()) for name in theirs}
    print("\nlargest difference: " + ", ".join(f"{name} {value:.1e}" for name, value in largest.items()))


@contextmanager
def timers() -> Iterator[dict[str, tuple[float, float]]]:
    """Wall and CPU seconds by stage, while the block runs."""
    from importlib import import_module

    spent: dict[str, tuple[float, float]] = {}

    def measured(title: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            wall, cpu, result = timed(lambda: function(*args, **kwargs))
            spent[title] = (wall, cpu)
            return result

        return call

    kept = []
    for module_name, name, title in STAGES:
        module = import_module(f"bids_spectsynth.{module_name}")
        kept.append((module, name, getattr(module, name)))
        setattr(module, name, measured(title, getattr(module, name)))
    try:
        yield spent
    finally:
        for module, name, function in kept:
            setattr(module, name, function)


def run_group_level(folder: Path, samples: int) -> dict[str, tuple[float, float]]:
    """Seconds by stage, and of the whole; ``peak`` memory in MiB. To be called in a process of its own."""
    start = time.perf_counter(), time.process_time()
    from bids_spectsynth.app.group import write_group_level
    from bids_spectsynth.options.settings import make_settings

    values = {"bids_dir": folder, "output_dir": folder, "analysis_level": "group", "bootstrap_samples": samples}
    imports = time.perf_counter() - start[0], time.process_time() - start[1]
    with timers() as spent:
        wall, cpu, _ = timed(lambda: write_group_level(make_settings(values)))
    # Kilobytes, but bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"imports": imports, **spent, "all but imports": (wall, cpu), "peak": (peak, peak)}


def group(study: Any, samples: Sequence[int], repeats: int, folder: Path) -> None:
    """Build the output folder and print the table of stages."""
    from output_folder import build

    seconds, _, _ = timed(lambda: None if folder.exists() else build(folder, study))
    content = "everything" if study.everything else "paper"
    n_rows = sum(len(path.read_text().splitlines()) - 1 for path in folder.glob("sub-*/spect/*_metrics.tsv"))
    print(
        f"\n{content}: {study.subjects} subjects x {study.models} models, {n_rows} rows of metrics, images of "
        f"{' x '.join(map(str, study.image_shape))}; made in {seconds:.0f} s; {repeats} interleaved runs\n"
    )
    found: dict[int, list[dict[str, tuple[float, float]]]] = {count: [] for count in samples}
    for _ in range(repeats):
        for count in samples:
            # A fresh process: peak memory is its own.
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found[count].append(pool.apply(run_group_level, (folder, count)))
    print("| stage | " + " | ".join(f"{count} bootstrap samples: s (CPU s)" for count in samples) + " |")
    print("|---|" + "---|" * len(samples))
    for stage in (name for name in found[samples[0]][0] if name != "peak"):
        cells = [[median(run[stage][place] for run in found[count]) for place in (0, 1)] for count in samples]
        print(f"| {stage} | " + " | ".join(f"{wall:.1f} ({cpu:.1f})" for wall, cpu in cells) + " |")
    peaks = [median(run["peak"][0] for run in found[count]) for count in samples]
    print("| peak memory | " + " | ".join(f"{peak:.0f} MiB" for peak in peaks) + " |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("slices", "group", "all"), nargs="?", default="all")
    parser.add_argument("--quick", action="store_true", help="few and small: does it run at all?")
    parser.add_argument("--slices", type=int, default=1100)
    parser.add_argument("--slice-size", type=int, default=256)
    parser.add_argument("--subjects", type=int, default=48)
    parser.add_argument("--models", type=int, default=12, choices=range(1, 13), metavar="1 to 12")
    parser.add_argument("--slices-per-subject", type=int, default=100)
    parser.add_argument("--image-size", type=int, default=256, help="voxels of images across; three quarters of it up")
    parser.add_argument("--content", choices=("paper", "everything"), nargs="+", default=["paper", "everything"])
    parser.add_argument("--scaling", choices=("slice", "volume"), default="slice", help="of the models' training")
    parser.add_argument("--ragged", action="store_true", help="not the same number of slices of every subject")
    parser.add_argument("--bootstrap-samples", type=int, nargs="+", default=[0, 10_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the output folders here; those that exist are not made anew")
    args = parser.parse_args()
    if args.quick:
        small = {"slices": 20, "slice_size": 64, "subjects": 4, "models": 2, "slices_per_subject": 8, "image_size": 32}
        vars(args).update(**small, content=["paper"], bootstrap_samples=[100], repeats=1)
    if args.what in ("slices", "all"):
        slices(args.slices, args.slice_size, args.repeats)
    if args.what in ("group", "all"):
        from output_folder import Study

        shape = (args.image_size, args.image_size, args.image_size * 3 // 4)
        study = Study(
            args.subjects, args.models, args.slices_per_subject, shape, everything=False, scaling=args.scaling,
            ragged=args.ragged,
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as temporary:
            for content in args.content:
                folder = (args.folder or Path(temporary)) / content
                group(replace(study, everything=content == "everything"), args.bootstrap_samples, args.repeats, folder)


if __name__ == "__main__":
    main()
