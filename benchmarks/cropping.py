"""What cropping slices to the brain would gain and cost: one training on whole slices, one on a box around the brain.

bids_spectsynth-phantom PH -n 12 --size paper --folds individual --seed 77
bids_spectsynth PH OUT participant --mode preprocess --voxel-size 2
python benchmarks/cropping.py OUT --seeds 3

The box is that of all brains, rounded up to 32 pixels. The U-Net of whole slices halves them down to one pixel; a box
that is no power of two can be halved five times, so that the cropped network has fewer levels: it is another network.
RMSE in the brain of held-out heads. A phantom proves the machinery, not clinical value.
"""

import argparse
import dataclasses
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bids_spectsynth.bids.derivatives import find_prepared
from bids_spectsynth.synthesis.computation import Computation
from bids_spectsynth.synthesis.devices import Processes
from bids_spectsynth.synthesis.generation import predict_slices
from bids_spectsynth.synthesis.slice_storage import decoded_on
from bids_spectsynth.synthesis.slices import CaseArrays, load_case
from bids_spectsynth.synthesis.steps import Stepper, derived_seed
from bids_spectsynth.synthesis.training_config import TrainingConfig
from bids_spectsynth.synthesis.training_data import gather_slices, shuffled_batches

INPUTS = ("T1w", "pet")
CPU = Computation(torch.device("cpu"))


def halvings(height: int, width: int) -> int:
    """How often an image of this size can be halved evenly, 8 times at most."""
    return min(8, int(math.log2(math.gcd(height, width, 256))))


def box_of(cases: Sequence[CaseArrays], step: int) -> tuple[slice, slice]:
    """Rows and columns that hold all brains, rounded up to a multiple of a step."""
    inside = np.any([case.mask.any(axis=2) for case in cases], axis=0)
    box = []
    for axis in (0, 1):
        found = np.flatnonzero(inside.any(axis=1 - axis))
        size = min(inside.shape[axis], step * math.ceil((found[-1] - found[0] + 1) / step))
        start = min(max(0, (found[0] + found[-1] + 1 - size) // 2), inside.shape[axis] - size)
        box.append(slice(int(start), int(start + size)))
    return box[0], box[1]


def cropped(case: CaseArrays, box: tuple[slice, slice]) -> CaseArrays:
    """The case within the box."""
    parts = {name: getattr(case, name)[box] for name in ("target", "mask", "rated")}
    return dataclasses.replace(case, inputs=case.inputs[(slice(None), *box)], **parts)


def trained(cases: Sequence[CaseArrays], config: TrainingConfig) -> tuple[Stepper, float]:
    """Networks after a training, and seconds of an epoch."""
    data, _ = gather_slices(cases, config.slices_per_subject, masks=False)
    height, width = data.images.shape[-2:]
    stepper = Stepper(config, config.recipe.n_channels, halvings(height, width), CPU, Processes())
    started = time.perf_counter()
    for epoch in range(config.epochs):
        stepper.set_rate(config.rate(epoch))
        order = torch.Generator().manual_seed(derived_seed(config.seed, epoch))
        for number, rows in enumerate(shuffled_batches(len(data), config.batch_size, order)):
            inputs, targets = decoded_on(data.inputs(rows), CPU), decoded_on(data.targets[rows], CPU)
            stepper.step(inputs, targets, derived_seed(config.seed, epoch, number))
    return stepper, (time.perf_counter() - started) / config.epochs


def rmse(stepper: Stepper, case: CaseArrays) -> float:
    """In-brain RMSE of a held-out head."""
    stepper.generator.eval()
    k = np.flatnonzero(case.rated.any(axis=(0, 1)))
    errors = 0.0
    with torch.inference_mode():
        for part in np.array_split(k, max(1, len(k) // 8)):
            batch = torch.from_numpy(np.ascontiguousarray(np.moveaxis(case.inputs[..., part], 3, 0)))
            made = predict_slices(stepper.generator, batch, stepper.recipe)[:, 0].numpy()
            wanted, rated = (np.moveaxis(volume[..., part], 2, 0) for volume in (case.target, case.rated))
            errors += float(((made - wanted)[rated] ** 2).sum())
    return math.sqrt(errors / int(case.rated.sum()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--base-filters", type=int, default=16)
    parser.add_argument("--held-out", type=int, default=4)
    args = parser.parse_args()
    prepared = [case for case in find_prepared(args.output, "T1w") if "interictal" in case.images]
    whole = [load_case(case, INPUTS, "volume") for case in prepared]
    boxes = {"whole slices": (slice(None), slice(None)), "box around the brain": box_of(whole, 32)}
    voxel_size = float(abs(whole[0].affine[0, 0]))
    rows: dict[str, list[float]] = {name: [] for name in boxes}
    seconds: dict[str, list[float]] = {name: [] for name in boxes}
    for seed in range(args.seeds):
        for name, box in boxes.items():
            cases = [cropped(case, box) for case in whole]
            config = dataclasses.replace(
                TrainingConfig(label="crop", inputs=INPUTS), scaling="volume", voxel_size=voxel_size, seed=seed,
                slices_per_subject=round(100 / voxel_size), epochs=args.epochs, base_filters=args.base_filters,
                learning_rate=1e-3, learning_rate_decay_epochs=args.epochs // 2, adversarial_weight=0.0,
            )  # fmt: skip
            stepper, each = trained(cases[args.held_out :], config)
            seconds[name].append(each)
            rows[name].append(statistics.mean(rmse(stepper, case) for case in cases[: args.held_out]))
    print(f"{len(whole) - args.held_out} heads to learn from, {args.held_out} held out, {voxel_size:g} mm\n")
    print("| slices | pixels | levels | RMSE by seed | mean | s an epoch |\n|---|---|---|---|---|---|")
    for name, box in boxes.items():
        height, width = whole[0].mask[box].shape[:2]
        each = ", ".join(f"{value:.4f}" for value in rows[name])
        print(
            f"| {name} | {height} x {width} | {halvings(height, width)} | {each} | {statistics.mean(rows[name]):.4f} | "
            f"{statistics.median(seconds[name]):.1f} |"
        )


if __name__ == "__main__":
    main()
