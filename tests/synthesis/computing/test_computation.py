import copy
import shutil

import pytest
import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.computing import computation
from bids_spectsynth.synthesis.computing.computation import (
    MIN_STEPS_TO_COMPILE,
    Computation,
    can_compile,
    has_bfloat16,
    prediction_computation,
    resolve_precision,
    training_computation,
)
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.network.networks import UNetGenerator
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.steps import Stepper

CPU = torch.device("cpu")
CONFIG = TrainingConfig(label="a", inputs=("T1w", "pet"), base_filters=4, learning_rate=1e-3)


@pytest.fixture
def hardware(monkeypatch):
    """Says what the machine has."""

    def have(*, bfloat16=False, compiler=False):
        monkeypatch.setattr(computation, "has_bfloat16", lambda device: bfloat16)
        monkeypatch.setattr(computation, "can_compile", lambda device: compiler)

    return have


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(3, 2, 64, 64, generator=generator) * 2 - 1
    return inputs, (inputs[:, :1] * 0.5 + 0.1).clone()


def stepper_for(how, config=CONFIG, *, dropout=True, levels=6):
    stepper = Stepper(config, 2, levels, how, Processes())
    if not dropout:
        for module in stepper.generator.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    return stepper


def trained(how, batch, n_steps=3, **options):
    stepper = stepper_for(how, **options)
    losses = [stepper.step(*batch, number).tolist() for number in range(n_steps)]
    return torch.tensor(losses)[:, [0, 1, 2, 4]], stepper


def assert_alike(first, second, rtol):
    (losses, one), (others, other) = first, second
    torch.testing.assert_close(losses, others, rtol=rtol, atol=0)
    for name, value in one.generator.state_dict().items():
        # Adam's first steps have the size of the learning rate, whatever the gradient's.
        torch.testing.assert_close(value, other.generator.state_dict()[name], rtol=0.05, atol=4e-3, msg=name)


@pytest.mark.parametrize(("has", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_precision_follows_the_hardware(hardware, has, precision):
    hardware(bfloat16=has)
    assert resolve_precision("auto", CPU) == precision
    assert resolve_precision("float32", CPU) == "float32"


@pytest.mark.parametrize("has", [True, False])
def test_hardware_is_asked_for_bfloat16(monkeypatch, has):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert not has_bfloat16(CPU)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has, raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0) if has else (7, 5))
    assert has_bfloat16(CPU) == has_bfloat16(torch.device("cuda")) == has


def test_a_torch_that_cannot_say_has_no_bfloat16(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not has_bfloat16(CPU)


def test_emulated_bfloat16_is_warned_of(hardware, caplog):
    hardware(bfloat16=False)
    assert resolve_precision("bfloat16", CPU) == "bfloat16"
    assert "only emulates" in caplog.text


@pytest.mark.parametrize(
    ("device", "compiler", "n_steps", "n_processes", "compiled"),
    [
        ("cuda", True, MIN_STEPS_TO_COMPILE, 1, True),
        ("cuda", True, MIN_STEPS_TO_COMPILE - 1, 1, False),
        ("cuda", True, None, 1, False),
        ("cuda", False, MIN_STEPS_TO_COMPILE, 1, False),
        ("cuda", True, MIN_STEPS_TO_COMPILE, 2, False),
        ("cpu", True, MIN_STEPS_TO_COMPILE, 1, False),
    ],
)
def test_auto_compiles_long_trainings_on_a_gpu(hardware, device, compiler, n_steps, n_processes, compiled):
    hardware(bfloat16=True, compiler=compiler)
    how = training_computation(torch.device(device), n_steps=n_steps, n_processes=n_processes)
    assert how == Computation(torch.device(device), "bfloat16", "channels_last", compiled=compiled)


def test_auto_takes_channels_last_with_either_number_format(hardware):
    hardware(bfloat16=False)
    assert training_computation(CPU) == prediction_computation(CPU) == Computation(CPU, layout="channels_last")


def test_each_choice_can_be_overruled(hardware):
    hardware(bfloat16=True, compiler=True)
    how = training_computation(CPU, "float32", "channels_last", "on")
    assert how == Computation(CPU, "float32", "channels_last", compiled=True)
    assert not training_computation(CPU, compiling="off", n_steps=10**6).compiled
    assert prediction_computation(CPU, "float32", "contiguous") == Computation(CPU)
    assert prediction_computation(CPU) == Computation(CPU, "bfloat16", "channels_last")


def test_compiling_without_a_compiler_is_one_clear_line(hardware):
    hardware(compiler=False)
    with pytest.raises(ModelError, match=r"--compile on: no working C\+\+ compiler"):
        training_computation(CPU, compiling="on")


def test_channels_last_and_fused_adam_train_as_the_plain_path(batch, monkeypatch):
    # Without dropout: its random numbers fall elsewhere in another layout.
    fast = trained(Computation(CPU, layout="channels_last"), batch, dropout=False)
    plain_adam = torch.optim.Adam
    monkeypatch.setattr(
        torch.optim, "Adam", lambda *args, fused, **options: plain_adam(*args, foreach=False, **options)
    )
    assert_alike(trained(Computation(CPU), batch, dropout=False), fast, 1e-4)


def test_bfloat16_trains_nearly_as_float32(batch):
    half = trained(Computation(CPU, "bfloat16", "channels_last"), batch, dropout=False)
    torch.testing.assert_close(trained(Computation(CPU), batch, dropout=False)[0], half[0], rtol=0.03, atol=0)
    one, other = (stepper_for(Computation(CPU, p)).generator for p in ("float32", "bfloat16"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert {value.dtype for value in other.parameters()} == {torch.float32}


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_steps_are_those_of_the_plain_path(batch):
    plain = trained(Computation(CPU), batch, dropout=False, levels=3)
    # Through both forms of the discriminator, trained and frozen.
    compiled = trained(Computation(CPU, layout="channels_last", compiled=True), batch, dropout=False, levels=3)
    assert_alike(plain, compiled, 1e-3)
    assert plain[1].tensors().keys() == compiled[1].tensors().keys()


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_layout_leaves_predictions_alone(layout):
    network = UNetGenerator(2, 1, 4, 5).eval()
    image = torch.rand(2, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    how = prediction_computation(CPU, "float32", layout)
    with torch.inference_mode():
        plain = network(image)
        fast = copy.deepcopy(network).to(memory_format=how.memory_format)(image.to(memory_format=how.memory_format))
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-6)


def test_a_compiler_is_looked_for(monkeypatch):
    can_compile.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert not can_compile(CPU)
    can_compile.cache_clear()
