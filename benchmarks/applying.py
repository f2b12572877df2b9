"""A trained network on one subject: slices per second against the common way, loading, and the whole program.

python benchmarks/applying.py                         # 256 x 256 x 192 voxels, 64 feature maps
python benchmarks/applying.py --bids PH --output OUT  # and the program on a prepared participant of OUT
python benchmarks/applying.py --bids PH --output OUT2 --voxel-size 2 --program-only
python benchmarks/applying.py --quick                 # small, for a look at the script

The common way, that of the test scripts of public implementations, sends one slice at a time through the network in
eager float32, all 192 of them. The package leaves slices without brain out; both rates are given. The last row is less
work instead of faster work: a network for slices cropped to the brain (``--crop brain``), with fewer levels.

The part of the program needs a phantom that was prepared with an interictal SPECT (``--mode preprocess``); models of
the published size are trained on it for one epoch of few slices, because their quality does not matter here.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from reference_pix2pix import ReferencePix2Pix

from bids_spectsynth.synthesis.computing.computation import Computation, has_bfloat16, prediction_computation
from bids_spectsynth.synthesis.data.cropping import Size, brain_size
from bids_spectsynth.synthesis.data.slices import CaseArrays
from bids_spectsynth.synthesis.data.through_slice import brain_slices
from bids_spectsynth.synthesis.models.card import ModelCard
from bids_spectsynth.synthesis.models.folder import Model, load_model
from bids_spectsynth.synthesis.models.tensors import load_tensors
from bids_spectsynth.synthesis.network.networks import UNetGenerator, network_levels
from bids_spectsynth.synthesis.prediction.predict import predict

CHANNELS = 2


def head(size: int, depth: int) -> CaseArrays:
    """A case whose brain is an ellipsoid of 140 x 170 x 140 mm, noise inside."""
    axes = [np.linspace(-128, 128, size), np.linspace(-128, 128, size), np.linspace(-96, 96, depth)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    mask = (x / 70) ** 2 + (y / 85) ** 2 + (z / 70) ** 2 < 1
    noise = np.random.default_rng(0).uniform(-1, 1, (CHANNELS, *mask.shape)).astype(np.float32)
    return CaseArrays("01", None, np.where(mask, noise, np.float32(-1)), None, mask, np.eye(4))


def model_of(filters: int, size: int, cropped: Size | None = None) -> Model:
    """A network of random weights on the CPU, for whole slices or cropped ones."""
    torch.manual_seed(0)
    learned = cropped or (size, size)
    levels = network_levels(learned, (size, size))
    generator = UNetGenerator(CHANNELS, 1, filters, levels).eval().requires_grad_(False)
    statistics_ = dict.fromkeys(("heights", "log_gain", "log_step"), ())
    card = ModelCard(
        label="benchmark", inputs=("T1w", "pet"), target="interictal", space="T1w", voxel_size=1.0,
        grid_shape=(size, size, size), scaling="slice", architecture={"slice_shape": learned}, losses={}, training={},
        versions={},
        target_statistics=statistics_, validation={}, config={}, salt="", participants=(), selection_participants=(),
        weights_sha256="", created="",
    )  # fmt: skip
    return Model(Path(), card, generator, torch.device("cpu"))


def seconds(call: Callable[[], object]) -> float:
    """Wall time of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def slices_per_second(filters: int, size: int, depth: int, repeats: int) -> None:
    """Print the table of networks on a volume."""
    arrays, model, device = head(size, depth), model_of(filters, size), torch.device("cpu")
    n_brain = len(brain_slices(arrays.mask))
    reference = ReferencePix2Pix(CHANNELS, filters)
    slices = torch.from_numpy(np.moveaxis(arrays.inputs, -1, 0).copy())
    plain = Computation(device)
    calls: dict[str, Callable[[], object]] = {
        "reference: eager float32, one slice at a time": lambda: reference.predict(slices),
        "float32, one slice at a time": lambda: predict(model, arrays, batch_size=1, computation=plain),
        "float32, batches of 8": lambda: predict(model, arrays, computation=plain),
        "float32, batches of 8, channels last": lambda: predict(
            model, arrays, computation=Computation(device, layout="channels_last")
        ),
    }
    if has_bfloat16(device):
        calls["bfloat16, batches of 8, channels last"] = lambda: predict(
            model, arrays, computation=prediction_computation(device)
        )
    calls["as the program does it (auto)"] = lambda: predict(model, arrays)
    box = brain_size(arrays.mask)
    cropped = model_of(filters, size, box)
    calls[f"auto, slices cropped to {box[0]} x {box[1]}: another network"] = lambda: predict(cropped, arrays)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(seconds(call))
    fast = predict(model, arrays)
    difference = np.abs(fast - predict(model, arrays, batch_size=1, computation=plain)).max()
    print(f"{size} x {size} x {depth} voxels, {n_brain} slices with brain, {filters} feature maps, ", end="")
    print(f"{torch.get_num_threads()} threads; largest difference of auto from one slice at a time {difference:.1e}\n")
    print("| variant | s a volume | slices/s of all | slices/s computed | against the reference |")
    print("|---|---|---|---|---|")
    base = times["reference: eager float32, one slice at a time"]
    for name, values in times.items():
        median = statistics.median(values)
        ratio = statistics.median(one / other for one, other in zip(base, values, strict=True))
        computed = depth if name.startswith("reference") else n_brain
        print(f"| {name} | {median:.1f} | {depth / median:.1f} | {computed / median:.1f} | {ratio:.2f} |")


def program(bids: Path, output: Path, labels: list[str], voxel_size: str) -> None:
    """Print how long the program takes for one prepared participant, and the loading of a model in it."""
    run = [sys.executable, "-c", "import sys; from bids_spectsynth.cli import main; sys.exit(main(sys.argv[1:]))"]
    common = [str(bids), str(output), "participant", "--skip-bids-validation", "--voxel-size", voxel_size]
    train = ["--epochs", "1", "--slices-per-subject", "8", "--split", "1", "1", "0"]
    models = {crop: output / "models" / f"speed{crop}" for crop in ("none", "brain")}
    times: dict[str, list[float]] = {crop: [] for crop in models}
    with tempfile.TemporaryDirectory() as folder:
        work = ["-w", folder]
        for crop, model in models.items():
            own = ["--crop", crop, "--model-label", model.name]
            subprocess.run([*run, *common, *work, "--mode", "train", *train, *own], check=True)
            loading = seconds(partial(load_model, model, torch.device("cpu")))
            print(f"\n--crop {crop}: loading {loading:.2f} s", end="")
            n_bytes = sum(tensor.nbytes for tensor in load_tensors(model / "model.safetensors")[0].values())
            print(f" ({n_bytes / 1e6:.0f} MB)", flush=True)
        for label in labels:
            for crop, model in models.items():
                # What is there already would not be made again.
                for path in output.glob(f"sub-{label}/**/*_desc-{model.name}_*"):
                    path.unlink()
                apply = ["--mode", "apply", "--model", str(model), "--participant-label", label]
                times[crop].append(seconds(partial(subprocess.run, [*run, *common, *work, *apply], check=True)))
    for crop, values in times.items():
        each = ", ".join(f"{value:.1f}" for value in values)
        print(f"whole program, --mode apply of one participant, report and all, --crop {crop}: {each} s")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--depth", type=int, default=192)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--bids", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--participants", nargs="+", default=["01"])
    parser.add_argument("--voxel-size", default="1", help="of what OUT holds")
    parser.add_argument("--program-only", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.filters, args.depth, args.repeats = 8, 48, 1
    torch.set_num_threads(args.threads)
    if not args.program_only:
        slices_per_second(args.filters, args.size, args.depth, args.repeats)
    if args.bids and args.output:
        program(args.bids, args.output, args.participants, args.voxel_size)


if __name__ == "__main__":
    main()
