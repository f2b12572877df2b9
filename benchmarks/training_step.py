"""Steps of training per second against the widely used form of pix2pix, at the same batch and the same mathematics.

python benchmarks/training_step.py                     # the published sizes: batch 8, 256 x 256, 64 feature maps
python benchmarks/training_step.py --compile           # torch.compile too; its start takes a minute
python benchmarks/training_step.py --device cuda --repeats 50
python benchmarks/training_step.py --quick             # small, for a look at the script

Variants take turns, so that a machine that slows down slows all of them. Before that, reference and plain variant are
given the same weights and slices, without dropout, and their losses over the first steps are compared. The last row is
less work instead of faster work: slices cropped to a brain of usual size (``--crop brain``), for which the network has
fewer levels.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from reference_pix2pix import LEARNING_RATE, ReferencePix2Pix
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bids_spectsynth.synthesis.computing.computation import Computation, can_compile, has_bfloat16, training_computation
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.data.cropping import Size
from bids_spectsynth.synthesis.network.networks import UNetGenerator, network_levels, parameter_count
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.steps import Stepper, loss_names
from bids_spectsynth.synthesis.training.trial import MIN_STEPS_TO_TRY, tried

SIZE = 256
#: What ``--crop brain`` leaves of such a slice at 1 mm.
CROPPED = (160, 192)
CHANNELS = 2
Step = Callable[[], object]


def batch_of(n: int, device: torch.device, size: Size = (SIZE, SIZE)) -> tuple[Tensor, Tensor]:
    """Random slices (n, 2, *size) and targets (n, 1, *size) in (-1, 1)."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(n, CHANNELS, *size, generator=generator) * 2 - 1
    targets = torch.rand(n, 1, *size, generator=generator) * 2 - 1
    return inputs.to(device), targets.to(device)


def stepper_for(how: Computation, filters: int, size: Size = (SIZE, SIZE)) -> Stepper:
    """The package's training step with the reference's losses and learning rate."""
    config = TrainingConfig(label="benchmark", inputs=("T1w", "pet"), base_filters=filters, learning_rate=LEARNING_RATE)
    return Stepper(config, CHANNELS, network_levels(size, (SIZE, SIZE)), how, Processes())


def reference_on(device: torch.device, filters: int) -> ReferencePix2Pix:
    """The reference on a device."""
    reference = ReferencePix2Pix(CHANNELS, filters)
    reference.generator.to(device)
    reference.discriminator.to(device)
    return reference


def take_weights(reference: ReferencePix2Pix, stepper: Stepper) -> None:
    """Give the reference the weights of the package's networks, whose layers are named otherwise."""
    own: UNetGenerator = stepper.generator
    reference.generator.first.load_state_dict(own.downs[0][0].state_dict())
    reference.generator.last[1].load_state_dict(own.last[1].state_dict())
    level, n_levels = reference.generator.levels, len(own.downs)
    for number in range(1, n_levels):
        for theirs, ours in ((level.down, own.downs[number]), (level.up, own.ups[n_levels - 1 - number])):
            for layer, source in zip(theirs, ours, strict=True):
                layer.load_state_dict(source.state_dict())
        level = level.inside
    assert stepper.discriminator is not None
    for layer, source in zip(reference.discriminator, stepper.discriminator.blocks, strict=True):
        layer.load_state_dict(source.state_dict())


def without_dropout(network: nn.Module) -> None:
    """Switch dropout off: both draw other random numbers."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def largest_difference(batch: tuple[Tensor, Tensor], filters: int, n_steps: int) -> float:
    """Largest relative difference of a loss between reference and plain variant over some steps."""
    device = batch[0].device
    stepper, reference = stepper_for(Computation(device), filters), reference_on(device, filters)
    take_weights(reference, stepper)
    without_dropout(stepper.generator)
    without_dropout(reference.generator)
    worst = 0.0
    for number in range(n_steps):
        losses = dict(zip(loss_names(stepper.config), stepper.step(*batch, number).tolist(), strict=True))
        for name, value in reference.step(*batch).items():
            worst = max(worst, abs(losses[name] / value - 1))
    return worst


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """GFLOP/s of a product of two 4096 x 4096 matrices, the best of five."""
    first, second = (torch.randn(4096, 4096, device=device).to(dtype) for _ in range(2))
    times = [timed(lambda: first @ second, device) for _ in range(6)][1:]
    return 2 * 4096**3 / min(times) / 1e9


def timed(step: Step, device: torch.device) -> float:
    """Seconds of a call, to the end of the GPU's work."""
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def gflop_of(step: Step) -> float:
    """Operations of a call in units of 1e9, multiplications and additions counted apart."""
    counter = FlopCounterMode(display=False)
    with counter:
        step()
    return counter.get_total_flops() / 1e9


def chosen_by_trial(device: torch.device, filters: int, batch_size: int, size: Size = (SIZE, SIZE)) -> Computation:
    """What a long training takes with ``auto``, after its own trial, which is printed."""
    config = dataclasses.replace(
        stepper_for(Computation(device), filters, size).config,
        precision="auto", memory_format="auto", batch_size=batch_size,
    )  # fmt: skip
    rule, levels = training_computation(device), network_levels(size, (SIZE, SIZE))
    chosen = tried(rule, config, levels, size, Processes(), n_steps=MIN_STEPS_TO_TRY)
    words = "; ".join(f"{name} {seconds:.3f} s" for name, seconds in chosen.trial)
    print(f"trial at {size[0]} x {size[1]}: {words}; taken: {chosen.precision}, {chosen.layout}")
    return chosen


def variants(args: argparse.Namespace, device: torch.device) -> dict[str, Computation]:
    """What is compared with the reference, by name."""
    plain = Computation(device)
    chosen = chosen_by_trial(device, args.filters, args.batch_size)
    found = {"float32": plain, "float32, channels last": dataclasses.replace(plain, layout="channels_last")}
    if has_bfloat16(device):
        half = Computation(device, "bfloat16", "channels_last")
        found |= {"bfloat16": dataclasses.replace(half, layout="contiguous"), "bfloat16, channels last": half}
        if args.compile and can_compile(device):
            found["bfloat16, channels last, compiled"] = dataclasses.replace(half, compiled=True)
    elif args.compile and can_compile(device):
        found["float32, compiled"] = dataclasses.replace(plain, compiled=True)
    return {name + (" (auto)" if how == chosen else ""): how for name, how in found.items()}


def described(
    args: argparse.Namespace, device: torch.device, reference: ReferencePix2Pix, gflop: float
) -> dict[str, float]:
    """Print what is measured; peak of matrix products by number format, GFLOP/s."""
    sizes = [
        parameter_count(network) / 1e6 for network in (reference.generator, reference.discriminator.requires_grad_())
    ]
    print(f"batch {args.batch_size} x {SIZE} x {SIZE}, {args.filters} feature maps, {args.threads} threads, {device}")
    print(f"generator {sizes[0]:.2f} M, discriminator {sizes[1]:.2f} M parameters, {gflop:.0f} GFLOP a step")
    peaks = {"float32": matrix_peak(device, torch.float32)}
    if has_bfloat16(device):
        peaks["bfloat16"] = matrix_peak(device, torch.bfloat16)
    else:
        print("bfloat16: not in this hardware, and not measured; auto takes float32")
    print("peak of matrix products: " + ", ".join(f"{name} {value:.0f} GFLOP/s" for name, value in peaks.items()))
    return peaks


def timed_in_turns(steps: Mapping[str, Step], repeats: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each step, of all of them in turns."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(repeats + 2):
        for name, step in steps.items():
            seconds = timed(step, device)
            # The first two take memory, make the state of Adam, and compile.
            if number >= 2:
                times[name].append(seconds)
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.batch_size, args.filters, args.repeats = 2, 8, 2
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    batch = batch_of(args.batch_size, device)

    reference = reference_on(device, args.filters)
    gflop = gflop_of(lambda: reference.step(*batch))
    peaks = described(args, device, reference, gflop)
    difference = largest_difference(batch, args.filters, 3)
    print(f"losses of the plain variant against the reference's, three steps: largest difference {difference:.1e}")

    steps: dict[str, Step] = {"reference (eager float32)": lambda: reference.step(*batch)}
    precision, work = {"reference (eager float32)": "float32"}, {"reference (eager float32)": gflop}
    for name, how in variants(args, device).items():
        stepper = stepper_for(how, args.filters)
        steps[name] = lambda stepper=stepper: stepper.step(*batch, 0)
        precision[name], work[name] = how.precision, gflop
    how = chosen_by_trial(device, args.filters, args.batch_size, CROPPED)
    cropped = stepper_for(how, args.filters, CROPPED)
    smaller = batch_of(args.batch_size, device, CROPPED)
    name = f"auto, slices cropped to {CROPPED[0]} x {CROPPED[1]}: another network"
    steps[name] = lambda: cropped.step(*smaller, 0)
    precision[name], work[name] = cropped.computation.precision, gflop_of(steps[name])
    times = timed_in_turns(steps, args.repeats, device)

    base = times["reference (eager float32)"]
    print("\n| variant | s a step, median | steps/s against the reference | GFLOP/s | share of its peak |")
    print("|---|---|---|---|---|")
    for name, values in times.items():
        ratio = statistics.median(one / other for one, other in zip(base, values, strict=True))
        median = statistics.median(values)
        rate = work[name] / median
        share = rate / peaks[precision[name]]
        print(f"| {name} | {median:.3f} | {ratio:.2f} | {rate:.0f} | {share:.0%} |")


if __name__ == "__main__":
    main()
