"""How training slices are kept and given to the network: bytes, what they cost of a step, and what rounding does.

python benchmarks/feeding.py                # the article's cohort: 48 participants x 100 slices x 3 images, 256 x 256
python benchmarks/feeding.py --train 3      # and three short trainings for each number format, on a simulated task
python benchmarks/feeding.py --quick        # small, for a look at the script
"""

import argparse
import dataclasses
import resource
import statistics
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bids_spectsynth.synthesis.computing.computation import training_computation
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.data.batches import shuffled_batches
from bids_spectsynth.synthesis.data.dataset import SliceData, SliceLayout
from bids_spectsynth.synthesis.data.gathering import gather_slices
from bids_spectsynth.synthesis.data.slices import CaseArrays
from bids_spectsynth.synthesis.data.storage import Storage, decode, decoded_on, encode
from bids_spectsynth.synthesis.network.networks import unet_levels
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.steps import Stepper

CPU = torch.device("cpu")
FORMATS = {
    "float32": lambda values: values,
    "int16 in 65,535 steps (kept)": lambda values: decode(encode(values)),
    "float16": lambda values: values.half().float(),
    "8 bits": lambda values: torch.round(values * 127) / 127,
}


def cohort(layout: SliceLayout, storage: Storage) -> SliceData:
    """Random slices of a cohort, filled case by case."""
    data = SliceData(layout, **storage.allocate(layout.specs))
    generator = torch.Generator().manual_seed(0)
    for tensor in (data.images, data.targets):
        for part in tensor.split(layout.per_case):
            part.copy_(torch.randint(-32767, 32768, part.shape, generator=generator, dtype=torch.int16))
    return data


class SimulatedCohort(Collection[CaseArrays]):
    """Cases of random voxels, made one at a time as those on disk are read."""

    def __init__(self, n: int, size: int) -> None:
        self.n, self.shape = n, (size, size, 3 * size // 4)

    def __len__(self) -> int:
        return self.n

    def __contains__(self, case: object) -> bool:
        return False

    def __iter__(self) -> Iterator[CaseArrays]:
        mask = np.zeros(self.shape, dtype=bool)
        mask[tuple(slice(length // 4, -length // 4) for length in self.shape)] = True
        ones = np.ones(self.shape[2])
        for number in range(self.n):
            volumes = np.random.default_rng(number).random((3, *self.shape), dtype=np.float32)
            yield CaseArrays(
                f"{number:03d}", None, volumes[:2], volumes[2], mask, np.eye(4), ones, 0.5, "arbitrary", mask
            )


def training_memory(args: argparse.Namespace) -> None:
    """Print the peak memory of a process that has gathered the cohort and makes two steps of training."""
    data, _ = gather_slices(SimulatedCohort(args.participants, args.size), args.slices, masks=False)
    gathered = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    step_seconds(data.layout, args.batch_size, args.filters, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory: {gathered:.2f} GB when the slices are gathered, {peak:.2f} GB in training")


def feeding_seconds(data: SliceData, batch_size: int, n_batches: int) -> list[float]:
    """Seconds per batch: picked, decoded, in the layout of the network."""
    how, times = training_computation(CPU), []
    batches = shuffled_batches(len(data), batch_size, torch.Generator().manual_seed(1))
    for rows in batches[:n_batches]:
        start = time.perf_counter()
        decoded_on(data.inputs(rows), how)
        decoded_on(data.targets[rows], how)
        times.append(time.perf_counter() - start)
    return times


def step_seconds(layout: SliceLayout, batch_size: int, filters: int, repeats: int) -> float:
    """Median seconds of a step of the published network, computed as the program does here."""
    config = TrainingConfig(label="benchmark", inputs=("T1w", "pet"), base_filters=filters)
    levels = unet_levels(layout.height, layout.width)
    stepper = Stepper(config, layout.channels, levels, training_computation(CPU), Processes())
    inputs = torch.rand(batch_size, layout.channels, layout.height, layout.width) * 2 - 1
    times = []
    for number in range(repeats + 1):
        start = time.perf_counter()
        stepper.step(inputs, inputs[:, :1].clone(), number)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def task(n: int, size: int) -> tuple[Tensor, Tensor]:
    """Smooth slices and a target that follows from them: something to learn, with values down to the last bit."""
    coarse = torch.rand(n, 2, size // 8, size // 8, generator=torch.Generator().manual_seed(2)) * 2 - 1
    inputs = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(-1, 1)
    return inputs, (inputs[:, :1] * inputs[:, 1:] * 0.8).clamp(-1, 1)


def trained_error(name: str, seed: int, n_steps: int = 300) -> float:
    """Root mean square error on other slices after a training on slices that were stored in a format."""
    inputs, targets = task(160, 64)
    config = TrainingConfig(label="benchmark", inputs=("T1w", "pet"), base_filters=8, learning_rate=1e-3, seed=seed)
    stepper = Stepper(
        dataclasses.replace(config, adversarial_weight=0.0), 2, 6, training_computation(CPU, "float32"), Processes()
    )
    stored = [FORMATS[name](values) for values in (inputs[:128], targets[:128])]
    for number in range(n_steps):
        rows = torch.randint(0, 128, (8,), generator=torch.Generator().manual_seed(number))
        stepper.step(stored[0][rows], stored[1][rows], number)
    stepper.generator.eval()
    with torch.inference_mode():
        return float((stepper.generator(inputs[128:]) - targets[128:]).square().mean().sqrt())


def print_formats(n_seeds: int) -> None:
    """Print what each format loses, alone and after training."""
    values = torch.rand(10**6, generator=torch.Generator().manual_seed(3)) * 2 - 1
    errors = {name: [trained_error(name, seed) for seed in range(n_seeds)] for name in FORMATS}
    plain = np.array(errors["float32"])
    print("\n| format | bytes | largest rounding | RMSE after training, mean over seeds | difference from float32 |")
    print("|---|---|---|---|---|")
    for name, change in FORMATS.items():
        n_bytes = 4 if name == "float32" else 1 if name == "8 bits" else 2
        own = np.array(errors[name])
        rounding = (change(values) - values).abs().max()
        print(f"| {name} | {n_bytes} | {rounding:.1e} | {own.mean():.4f} | {(own / plain - 1).mean():+.2%} |")
    print(f"{n_seeds} seeds; their standard deviation with float32 is {plain.std(ddof=1) / plain.mean():.2%}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=48)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--train", type=int, default=0, metavar="SEEDS")
    parser.add_argument("--folder", type=Path, help="for the mapped files (default: a temporary folder)")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.participants, args.slices, args.size, args.filters, args.batches = 4, 8, 64, 8, 4
    training_memory(args)
    layout = SliceLayout(args.participants, args.slices, 2, args.size, args.size, 0, masks=False)
    n_values = args.participants * args.slices * 3 * args.size**2
    step = step_seconds(layout, args.batch_size, args.filters, 1 if args.quick else 3)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        places = {"in memory": Storage(), "files mapped into memory": Storage(Path(folder) / "slices", 0)}
        data = {name: cohort(layout, storage) for name, storage in places.items()}
        times = {name: feeding_seconds(own, args.batch_size, args.batches) for name, own in data.items()}
        for name, own in data.items():
            times[name] += feeding_seconds(own, args.batch_size, args.batches)
    print(f"{args.participants} x {args.slices} slices of 3 images, {args.size} x {args.size}: ", end="")
    print(f"{2 * n_values / 1e9:.2f} GB (float32: {4 * n_values / 1e9:.2f} GB); a step takes {step * 1e3:.0f} ms")
    print("\n| slices | ms a batch, median | share of a step | against memory |")
    print("|---|---|---|---|")
    base = statistics.median(times["in memory"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"| {name} | {median * 1e3:.2f} | {median / step:.2%} | {median / base:.2f} |")
    if args.train:
        print_formats(args.train)


if __name__ == "__main__":
    main()
