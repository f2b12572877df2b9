"""What a dry run says of time and disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from bids_spectsynth.app import estimate
from bids_spectsynth.logs import duration_words
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.computing.computation import Computation
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.study import PlannedModel, planned_models
from bids_spectsynth.synthesis.training.config import TrainingConfig, training_config
from bids_spectsynth.synthesis.training.steps import Stepper

SMALL = {"voxel_size": 4, "base_filters": 8}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def models(**values: Any) -> tuple[PlannedModel, ...]:
    plain = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant"}
    return planned_models(make_settings({**plain, **SMALL, **values}))


def config(**values: Any) -> TrainingConfig:
    (model,) = models(**values)
    return training_config(model.settings, model.inputs, model.space)


def test_prepared_images_shrink_with_the_cube_of_the_voxel() -> None:
    one = estimate.prepared_bytes(1, 1, 1.0)
    assert one == pytest.approx(6e6, rel=0.1)
    assert estimate.prepared_bytes(12, 2, 2.0) == pytest.approx(24 * one / 8)


@pytest.mark.parametrize(
    "values", [{}, {"adversarial_weight": 0}, {"ema_decay": 0.9}, {"neighbour_slices": 2}], ids=str
)
def test_a_network_takes_what_its_checkpoint_and_weights_take(values: dict[str, Any]) -> None:
    own = config(**values)
    stepper = Stepper(own, own.recipe.n_channels, 6, Computation(torch.device("cpu")), Processes())
    batch = torch.zeros((2, own.recipe.n_channels, 64, 64))
    stepper.step(batch, torch.zeros((2, 1, 64, 64)), 0)
    best = {name: value.clone().contiguous() for name, value in stepper.weights().items()}
    written = {name: value.clone().contiguous() for name, value in stepper.tensors().items()}
    size = len(save(written)) + 2 * len(save(best))
    assert estimate.network_bytes(own) == pytest.approx(size, rel=0.05)


def test_time_grows_with_what_is_trained() -> None:
    own = config(epochs=3, slices_per_subject=10)
    once = estimate.training_seconds(own, 4, 2, 0.5)
    assert once == 3 * 10 * (4 + 0.25 * 2) * 0.5
    loads = [
        estimate.Load(model, ((4, 2), (4, 2)))
        for model in models(epochs=3, slices_per_subject=10, inputs=[["pet"], ["T1w"]])
    ]
    asked: list[TrainingConfig] = []

    def measure(given: TrainingConfig) -> float:
        asked.append(given)
        return 0.5

    assert estimate.estimated_seconds(loads, measure) == 4 * once
    assert len(asked) == 1


def test_with_and_without_a_discriminator_are_measured_apart() -> None:
    path = Path(__file__).parents[2] / "examples" / "study.toml"
    loads = [estimate.Load(model, ((1, 1),)) for model in models(study=str(path))]
    asked: list[bool] = []

    def measure(given: TrainingConfig) -> float:
        asked.append(given.adversarial_weight > 0)
        return 1.0

    estimate.estimated_seconds(loads, measure)
    assert sorted(asked) == [False, True]


def test_a_cropped_network_has_fewer_levels_and_slices_of_a_usual_brain(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cropped = (config(voxel_size=2, crop=crop) for crop in ("none", "brain"))
    assert estimate.network_bytes(cropped) < estimate.network_bytes(whole)
    seen: list[tuple[int, ...]] = []

    def step(self: Stepper, inputs: torch.Tensor, targets: torch.Tensor, seed: int) -> torch.Tensor:
        seen.append(tuple(inputs.shape[2:]))
        assert targets.shape[2:] == inputs.shape[2:]
        return torch.zeros(1)

    monkeypatch.setattr(Stepper, "step", step)
    for own in (whole, cropped):
        estimate.measure_step(own, "cpu", 1)
    assert set(seen) == {(128, 128), (96, 96)}


def test_sizes_of_a_run() -> None:
    one, two = models(inputs=[["pet"], ["T1w"]])
    sizes = estimate.estimated_sizes([estimate.Load(one, ((1, 1),)), estimate.Load(two, ((1, 1),) * 3)], 5, 15, 1)
    assert sizes.total == sizes.prepared + sizes.networks + sizes.synthetic
    assert sizes.networks == 4 * estimate.network_bytes(config(inputs=["pet"]))
    (template,) = models(output_spaces=["MNI152NLin2009aSym"])
    plain, in_template = (estimate.synthetic_bytes([model], 5) for model in (one, template))
    assert plain - in_template == 5 * estimate.ORIGINAL_BYTES
    (uncertain,) = models(output_spaces=["MNI152NLin2009aSym"], uncertainty=4)
    assert estimate.synthetic_bytes([uncertain], 5) == 2 * in_template
    (calibrated,) = models(output_spaces=["MNI152NLin2009aSym"], uncertainty="calibrated")
    assert estimate.synthetic_bytes([calibrated], 5) == 4 * in_template
    assert estimate.network_bytes(config(loss=(("scale", 1.0),))) > estimate.network_bytes(config())


def test_a_step_is_measured_and_leaves_no_trace() -> None:
    state = torch.get_rng_state()
    torch.set_num_threads(2)
    assert estimate.measure_step(config(), "cpu", 1) > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (172799, "48.0 h"),
        (172800, "2.0 days"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


def test_sizes_in_words() -> None:
    assert [estimate.size_words(size) for size in (4e5, 12e6, 1e9, 13.46e9)] == ["0 MB", "12 MB", "1.0 GB", "13.5 GB"]
