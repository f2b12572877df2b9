"""Whether how a network is computed changes what it learns: the in-brain RMSE of held-out heads, variant by variant.

bids_spectsynth-phantom PH -n 12 --size paper --folds individual --seed 77
bids_spectsynth PH OUT participant --mode preprocess --voxel-size 4
python benchmarks/computation_quality.py OUT --seeds 3

Every variant is trained from the same seeds on the same heads, by the article's losses with the weights averaged over
the steps (--ema-decay 0: without); the first one in float32, not compiled. Another layout draws other dropout masks,
and rounding alone leads a training elsewhere, so that a difference within that of two seeds says nothing: the more
seeds, the narrower the interval, which is that of the mean difference between pairs of the same seed (Student's t).
On a CPU without bfloat16 units bfloat16 is emulated: the numbers are those of the format, the time is not. A phantom
proves the machinery, not clinical value.
"""

import argparse
import dataclasses
import math
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.synthesis.computing.computation import prediction_computation
from bids_spectsynth.synthesis.data.slices import PreparedCases, load_case
from bids_spectsynth.synthesis.models.folder import load_model
from bids_spectsynth.synthesis.prediction.predict import predict
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.train import train

INPUTS = ("T1w", "pet")
VARIANTS = {
    "float32": {"precision": "float32", "memory_format": "contiguous", "compile": "off"},
    "float32, channels last": {"precision": "float32", "memory_format": "channels_last", "compile": "off"},
    "float32, compiled": {"precision": "float32", "memory_format": "contiguous", "compile": "on"},
    "bfloat16, channels last": {"precision": "bfloat16", "memory_format": "channels_last", "compile": "off"},
}
#: What the program takes on CPUs without and with bfloat16 units, and what both are compared with.
USUAL = ("float32", "float32, channels last", "bfloat16, channels last")


def held_out_rmse(folder: Path, cases: list[PreparedCase], precision: str) -> float:
    """In-brain RMSE on the (-1, 1) scale, mean over held-out heads."""
    model = load_model(folder, torch.device("cpu"))
    how = prediction_computation(model.device, precision)
    found = []
    for case in cases:
        arrays = load_case(case, INPUTS, model.card.scaling)
        made = predict(model, arrays, computation=how)
        found.append(float(np.sqrt(np.mean((made - arrays.target)[arrays.evaluation_mask] ** 2))))
    return statistics.mean(found)


def interval_of_the_mean(percents: npt.NDArray[np.float64]) -> str:
    """Mean and its 95 % interval by Student's t, as words."""
    mean = percents.mean()
    if len(percents) < 2:
        return f"{mean:+.2f} %"
    half = stats.t.ppf(0.975, len(percents) - 1) * percents.std(ddof=1) / math.sqrt(len(percents))
    return f"{mean:+.2f} % [{mean - half:+.2f}, {mean + half:+.2f}]"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--base-filters", type=int, default=8)
    parser.add_argument("--held-out", type=int, default=4)
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=list(USUAL))
    parser.add_argument("--ema-decay", type=float, default=0.99)
    args = parser.parse_args()
    cases = [case for case in find_prepared(args.output, "T1w") if "interictal" in case.images]
    test, chosen, training = (
        cases[: args.held_out],
        cases[args.held_out : args.held_out + 1],
        cases[args.held_out + 1 :],
    )
    arrays = load_case(cases[0], INPUTS, "volume")
    voxel_size = float(abs(arrays.affine[0, 0]))
    rows: dict[str, list[float]] = {name: [] for name in args.variants}
    times: dict[str, list[float]] = {name: [] for name in args.variants}
    applied_otherwise: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            for number, name in enumerate(args.variants):
                config = dataclasses.replace(
                    TrainingConfig(label=f"v{number}s{seed}", inputs=INPUTS),
                    scaling="volume", voxel_size=voxel_size, slices_per_subject=round(100 / voxel_size),
                    epochs=args.epochs, learning_rate=1e-3, learning_rate_decay_epochs=args.epochs // 2,
                    base_filters=args.base_filters, ema_decay=args.ema_decay, seed=seed, **VARIANTS[name],
                )  # fmt: skip
                folder = Path(temporary) / config.label
                parts = (PreparedCases(tuple(part), INPUTS, "volume") for part in (training, chosen))
                start = time.perf_counter()
                train(*parts, config, folder, device="cpu", progress=False)
                times[name].append(time.perf_counter() - start)
                rmse = {how: held_out_rmse(folder, test, how) for how in ("float32", "bfloat16")}
                rows[name].append(rmse[VARIANTS[name]["precision"]])
                applied_otherwise.append(100 * (rmse["bfloat16"] / rmse["float32"] - 1))
    print(
        f"{len(training)} heads to learn from, {len(test)} held out, {voxel_size:g} mm, {args.base_filters} feature "
        f"maps, {args.epochs} epochs, averaged weights {args.ema_decay:g}, {args.seeds} seeds from {args.first_seed}\n"
    )
    print("| variant | in-brain RMSE of held-out heads, mean (SD) over seeds | first three seeds | difference ", end="")
    print("from the first variant [95 %] | s a training |\n|---|---|---|---|---|")
    plain = np.array(next(iter(rows.values())))
    for name, values in rows.items():
        spread = statistics.stdev(values) if len(values) > 1 else math.nan
        three = ", ".join(f"{value:.4f}" for value in values[:3])
        change = interval_of_the_mean(100 * (np.array(values) - plain) / plain.mean())
        seconds = statistics.median(times[name])
        print(f"| {name} | {statistics.mean(values):.4f} ({spread:.4f}) | {three} | {change} | {seconds:.0f} |")
    least, most = min(applied_otherwise), max(applied_otherwise)
    print(f"\nThe same network applied in bfloat16 instead of float32: RMSE {least:+.3f} % to {most:+.3f} %, ", end="")
    print(f"mean {statistics.mean(applied_otherwise):+.3f} %, {len(applied_otherwise)} networks")


if __name__ == "__main__":
    main()
