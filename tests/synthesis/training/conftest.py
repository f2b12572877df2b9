import pandas as pd
import pytest
import torch

from bids_spectsynth.synthesis.computing.computation import Computation
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.models.tensors import load_tensors
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.steps import Stepper
from bids_spectsynth.synthesis.training.train import train

COMPUTATION = Computation(torch.device("cpu"))


CONFIG = TrainingConfig(
    label="pix2pixT1wPet",
    inputs=("T1w", "pet"),
    voxel_size=2.0,
    slices_per_subject=5,
    epochs=3,
    batch_size=4,
    learning_rate=1e-3,
    base_filters=2,
    checkpoint_every=2,
    ssim_weight=1.0,
    precision="float32",
)


@pytest.fixture
def cohort(make_case):
    return [make_case("01", 1), make_case("02", 2)], [make_case("03", 3)]


def fit(cohort, config, folder):
    return train(*cohort, config, folder, device="cpu", progress=False)


def weights(folder):
    return load_tensors(folder / "model.safetensors")[0]


def assert_same_training(first, second):
    one, other = (load_tensors(folder / "checkpoint" / "state.safetensors") for folder in (first, second))
    assert one[0].keys() == other[0].keys()
    for name, value in one[0].items():
        torch.testing.assert_close(value, other[0][name], rtol=0, atol=0, equal_nan=True, msg=name)
    assert weights(first).keys() == weights(second).keys()
    assert all(torch.equal(value, weights(second)[name]) for name, value in weights(first).items())
    history = [pd.read_csv(folder / "history.tsv", sep="\t").drop(columns="seconds") for folder in (first, second)]
    pd.testing.assert_frame_equal(*history)


def interrupt(monkeypatch, at_step, action):
    """Run ``action`` after the given number of steps."""
    original, count = Stepper.step, [0]

    def step(self, *args):
        result = original(self, *args)
        count[0] += 1
        if count[0] == at_step:
            action()
        return result

    monkeypatch.setattr(Stepper, "step", step)


def make_stepper(config=CONFIG, processes=None):
    return Stepper(config, 2, 5, COMPUTATION, processes or Processes())


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(4, 2, 32, 32, generator=generator) * 2 - 1, torch.rand(4, 1, 32, 32, generator=generator) * 2 - 1
