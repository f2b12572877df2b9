"""One training by several processes: real ones, connected by Gloo on the CPU.

Each ``worker_*`` function is what such a process does; this file is then run as a script.
"""

import copy
import dataclasses
import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.computing.computation import Computation
from bids_spectsynth.synthesis.computing.devices import Processes, connected_processes, environment_rank
from bids_spectsynth.synthesis.models.tensors import load_tensors
from bids_spectsynth.synthesis.network.networks import PatchDiscriminator, UNetGenerator, init_weights
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.steps import Stepper
from bids_spectsynth.synthesis.training.train import train
from bids_spectsynth.synthesis.training.trial import tried

CPU = torch.device("cpu")
#: Few enough that every slice shows some brain, and none equals another.
SLICES = 12
CONFIG = TrainingConfig(
    label="pix2pixT1wPet",
    inputs=("T1w", "pet"),
    voxel_size=2.0,
    slices_per_subject=SLICES,
    epochs=5,
    batch_size=6,
    learning_rate=1e-3,
    base_filters=2,
    checkpoint_every=2,
    ssim_weight=1.0,
    precision="float32",
)


def start(worker: str, *arguments: object, count: int) -> list[Any]:
    """Run ``worker`` in ``count`` processes; what each of them has printed, from JSON."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, worker, *map(str, arguments)],
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    try:
        results = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * count, results
    return [json.loads(out) for out, _ in results]


def digest(slices: Tensor) -> list[str]:
    return [hashlib.sha256(one.contiguous().numpy().tobytes()).hexdigest()[:12] for one in slices]


def worker_train(folder: str, batch_size: str, frozen: str) -> None:
    """Train; print the losses of every step, which slices it saw, and the checksum of the weights."""
    import conftest

    if frozen == "frozen":
        # In evaluation mode batch norm and dropout do the same to each slice, whatever else is in the batch.
        for layer in (nn.BatchNorm2d, nn.Dropout):
            layer.train = lambda self, mode=True: nn.Module.train(self, False)  # type: ignore[method-assign]
    seen: list[dict[str, Any]] = []
    original = Stepper.step

    def step(self: Stepper, inputs: Tensor, targets: Tensor, seed: int) -> Tensor:
        losses = original(self, inputs, targets, seed)
        seen.append({"losses": losses.tolist(), "slices": digest(targets)})
        return losses

    Stepper.step = step  # type: ignore[method-assign]
    cases = [conftest.make_case(label, seed) for label, seed in (("01", 1), ("02", 2), ("03", 3))]
    config = dataclasses.replace(CONFIG, batch_size=int(batch_size))
    card = train(cases[:2], cases[2:], config, Path(folder), device="cpu", progress=False)
    print(json.dumps({"steps": seen, "weights": card.weights_sha256}))


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, list[Any]]]:
    """The same training by one process and by two with half the batch: folder and steps of each process."""
    found = {}
    for count in (1, 2):
        folder = tmp_path_factory.mktemp(f"by{count}")
        results = start("worker_train", folder, CONFIG.batch_size // count, "frozen", count=count)
        found[count] = folder, [result["steps"] for result in results]
    return found


def test_two_processes_have_the_losses_of_one_with_the_doubled_batch(frozen: Any) -> None:
    (_, (one,)), (_, two) = frozen[1], frozen[2]
    assert len(one) == len(two[0]) == len(two[1]) == 20
    losses = torch.tensor([[step["losses"] for step in steps] for steps in two], dtype=torch.float64).mean(0)
    wanted = torch.tensor([step["losses"] for step in one], dtype=torch.float64)
    assert wanted.isfinite().all()
    assert (losses - wanted).abs().max() < 1e-4
    assert (wanted[-1] - wanted[0]).abs().min() > 0.01, "a training that changes nothing compares nothing"


def test_two_processes_end_with_the_weights_and_the_history_of_one(frozen: Any) -> None:
    state = {n: load_tensors(frozen[n][0] / "checkpoint" / "state.safetensors")[0] for n in (1, 2)}
    names = [name for name in state[1] if name.startswith(("generator.", "discriminator."))]
    assert len(names) > 20
    for name in names:
        torch.testing.assert_close(state[2][name], state[1][name], rtol=1e-3, atol=1e-4, msg=name)
    tables = [pd.read_csv(frozen[n][0] / "history.tsv", sep="\t").drop(columns="seconds") for n in (1, 2)]
    assert len(tables[0]) == CONFIG.epochs
    pd.testing.assert_frame_equal(tables[1], tables[0], rtol=1e-4, atol=1e-4)


def test_the_slices_of_two_processes_are_every_slice_once(frozen: Any) -> None:
    (_, (one,)), (_, two) = frozen[1], frozen[2]
    n_steps = 2 * SLICES // CONFIG.batch_size
    for epoch in range(CONFIG.epochs):
        own = [
            [name for step in steps[epoch * n_steps :][:n_steps] for name in step["slices"]] for steps in (*two, one)
        ]
        assert len(set(own[0])) == len(set(own[1])) == SLICES
        assert not set(own[0]) & set(own[1])
        assert set(own[0]) | set(own[1]) == set(own[2])
    for step, parts in zip(one, zip(*two, strict=True), strict=True):
        assert set(step["slices"]) == set(parts[0]["slices"]) | set(parts[1]["slices"])


def test_two_processes_train_one_model(tmp_path: Path) -> None:
    """As it is on the CPU, with batch norm of each process's own; the first process writes the model."""
    results = start("worker_train", tmp_path, 3, "as it is", count=2)
    assert results[0]["steps"] != results[1]["steps"]
    assert results[0]["weights"] == results[1]["weights"]
    card = json.loads((tmp_path / "model.json").read_text())
    assert card["training"]["processes"] == 2
    assert len(pd.read_csv(tmp_path / "history.tsv", sep="\t")) == CONFIG.epochs
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"model.json", "model.safetensors", "history.tsv", "history.json", "checkpoint/state.safetensors"}


def local_mean(gradients: list[Tensor]) -> list[Tensor]:
    """The plain way: one exchange per parameter."""
    means = []
    for gradient in gradients:
        mean = gradient.clone()
        dist.all_reduce(mean)
        means.append(mean / dist.get_world_size())
    return means


def worker_gradients() -> None:
    """Gradients of a discriminator that judges twice a step, and is frozen in between, against the plain way."""
    torch.set_num_threads(1)
    with connected_processes(CPU) as processes:
        discriminator = PatchDiscriminator(2, 2)
        init_weights(discriminator, torch.Generator().manual_seed(0))
        plain = copy.deepcopy(discriminator)
        shared = processes.with_shared_gradients(discriminator)
        draw = torch.Generator().manual_seed(processes.rank)
        worst, largest = 0.0, 0.0
        for _ in range(3):
            image, real, made = (torch.randn(2, 1, 32, 32, generator=draw) for _ in range(3))
            for network, call in ((discriminator, shared), (plain, plain)):
                network.requires_grad_(True)
                network.zero_grad()
                (call(image, real).square().mean() + (call(image, made) - 1).square().mean()).backward()
            wanted = local_mean([p.grad for p in plain.parameters() if p.grad is not None])
            found = [p.grad for p in discriminator.parameters() if p.grad is not None]
            worst = max(worst, *(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True)))
            largest = max(largest, *(float(one.abs().max()) for one in wanted))
            # As in the generator's step: the loss goes through the frozen network itself.
            discriminator.requires_grad_(False)
            discriminator(image, made.requires_grad_(True)).mean().backward()
        result: dict[str, Any] = {"worst": worst, "largest": largest, "rank": processes.rank}
        result["buffers"] = [b.double().sum().item() for b in discriminator.buffers() if b.is_floating_point()]
        result["number"] = processes.largest(-3 + processes.rank)
        result["agree"] = [processes.agree(7, 8), processes.agree(7, processes.rank)]
        result["mean"] = processes.mean(torch.tensor([float(processes.rank), 2.0])).tolist()
        # A run trains several networks, one after the other, over one connection.
        for _ in range(3):
            with connected_processes(CPU) as inner:
                result["again"] = inner.largest(processes.rank)
    result["connected"] = dist.is_initialized()
    print(json.dumps(result))


def test_shared_gradients_are_the_mean_of_those_of_the_processes() -> None:
    results = start("worker_gradients", count=2)
    assert [result["rank"] for result in results] == [0, 1]
    for result in results:
        assert result["worst"] < 1e-6 < 1e-2 < result["largest"]
        assert result["number"] == -2
        assert result["agree"] == [True, False]
        assert result["mean"] == [0.5, 2.0]
        assert result["again"] == 1
        assert not result["connected"]
    assert results[0]["buffers"] != results[1]["buffers"], "nobody's batch norm is written over"


def worker_tried() -> None:
    """Only the first process sees the checkpoint that the training is to go on from."""
    rule = Computation(CPU, "float32", "channels_last")
    config = dataclasses.replace(CONFIG, memory_format="auto")
    with connected_processes(CPU) as processes:
        begun = rule.facts() if processes.is_first else None
        try:
            tried(rule, config, 5, (32, 32), processes, n_steps=10**6, begun=begun, timer=lambda way: 1.0)
            refusal = ""
        except ModelError as error:
            refusal = str(error)
    print(json.dumps(refusal))


def test_a_checkpoint_that_one_of_two_processes_sees_is_refused_by_both() -> None:
    assert all("do not see the same checkpoint" in refusal for refusal in start("worker_tried", count=2))


@pytest.mark.parametrize("make", [lambda: UNetGenerator(2, 1, 2, 5), lambda: PatchDiscriminator(3, 2)])
def test_batch_norm_over_processes_keeps_the_names_of_the_state(make: Any) -> None:
    plain, network = make(), make()
    init_weights(network, torch.Generator().manual_seed(3))
    state = {name: value.clone() for name, value in network.state_dict().items()}
    parameters = list(network.parameters())
    Processes(count=2).share_norm(network, torch.device("cuda"))
    layers = [module for module in network.modules() if isinstance(module, nn.SyncBatchNorm)]
    assert len(layers) == sum(isinstance(module, nn.BatchNorm2d) for module in plain.modules()) > 0
    assert list(network.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    # An optimiser that was made before goes on with the same parameters.
    assert all(one is other for one, other in zip(network.parameters(), parameters, strict=True))
    plain.load_state_dict(network.state_dict())
    images = [torch.randn(2, n, 32, 32, generator=torch.Generator().manual_seed(n)) for n in (2, 1)]
    images = images[:1] if isinstance(plain, UNetGenerator) else images
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(*images), plain.eval()(*images), rtol=0, atol=0)
    network.load_state_dict(make().state_dict())


@pytest.mark.parametrize(("count", "device"), [(1, "cuda"), (2, "cpu")])
def test_batch_norm_stays_as_it_is_for_one_process_and_on_the_cpu(count: int, device: str) -> None:
    network = UNetGenerator(2, 1, 2, 5)
    Processes(count=count).share_norm(network, torch.device(device))
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in network.modules())


def test_one_process_needs_nobody() -> None:
    processes = Processes()
    network = nn.Linear(1, 1)
    assert processes.with_shared_gradients(network) is network
    assert processes.largest(-4) == -4
    assert processes.agree(1, 2)
    assert processes.mean(torch.tensor([3.0])).item() == 3
    processes.wait()


def test_the_place_among_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert environment_rank() == Processes()
    monkeypatch.setenv("RANK", "3")
    assert environment_rank().is_first, "alone, whatever a scheduler has left in the environment"
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert environment_rank() == Processes(3, 4, 1)
    monkeypatch.setenv("RANK", "third")
    with pytest.raises(ModelError, match="torchrun"):
        environment_rank()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
