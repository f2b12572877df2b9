from pathlib import Path

import numpy as np
import pytest
import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.data.slices import PreparedCases, load_case
from bids_spectsynth.synthesis.models.folder import load_model
from bids_spectsynth.synthesis.network.recipe import Recipe
from bids_spectsynth.synthesis.prediction.predict import predict, predict_members, predict_with_scale
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.train import train

INPUTS = ("T1w", "pet")


@pytest.fixture(scope="module")
def models(tmp_path_factory, write_prepared):
    """Two networks of different seeds, one of them of coronal slices with neighbours, and a head that both are new to.

    They have enough levels for dropout.
    """
    output = tmp_path_factory.mktemp("out")
    prepared = [write_prepared(output, label, seed) for label, seed in (("01", 1), ("02", 2), ("03", 3))]
    folders = []
    for seed, orientation, neighbours in ((1, "axial", 0), (2, "coronal", 1)):
        config = TrainingConfig(
            label=f"m{seed}", inputs=INPUTS, scaling="volume", voxel_size=2.0, slices_per_subject=8, epochs=1,
            base_filters=2, seed=seed, orientation=orientation, neighbour_slices=neighbours, flip_average="on",
        )  # fmt: skip
        parts = (PreparedCases((prepared[n],), INPUTS, "volume") for n in (0, 1))
        folders.append(output / "models" / f"m{seed}")
        train(*parts, config, folders[-1], device="cpu", progress=False)
    return [load_model(folder, torch.device("cpu")) for folder in folders], prepared[2]


def test_the_recipe_comes_with_the_model(models):
    assert models[0][1].recipe == Recipe(n_images=2, neighbours=1, flip=True, orientation="coronal")


def test_out_of_memory_is_met_with_smaller_batches(models, monkeypatch):
    networks, prepared = models
    arrays = load_case(prepared, INPUTS, "volume", target=False)
    whole = predict(networks[0], arrays)
    forward, sizes = type(networks[0].generator).forward, []

    def small_memory(self, image):
        sizes.append(len(image))
        if len(image) > 3:
            raise torch.cuda.OutOfMemoryError("no memory")
        return forward(self, image)

    monkeypatch.setattr(type(networks[0].generator), "forward", small_memory)
    assert np.allclose(predict(networks[0], arrays), whole, atol=1e-5)
    assert max(sizes[sizes.index(2) :]) == 2
    monkeypatch.setattr(
        type(networks[0].generator), "forward", lambda *_: (_ for _ in ()).throw(torch.cuda.OutOfMemoryError())
    )
    with pytest.raises(ModelError, match="single slice"):
        predict(networks[0], arrays)


def test_the_mean_and_deviation_of_two_networks(models):
    networks, prepared = models
    arrays = load_case(prepared, INPUTS, "volume", target=False)
    found = predict_members(networks, prepared, arrays, samples=5)
    mean, deviation = found.mean, found.standard_deviation
    assert found.log_scale is None
    first, second = (predict(network, arrays) for network in networks)
    assert np.allclose(mean, (first + second) / 2, atol=1e-6)
    assert np.allclose(deviation, np.abs(first - second) / np.sqrt(2), atol=1e-5)
    assert not np.allclose(first, second)


def test_dropout_samples_differ_but_leave_the_image_and_the_network_alone(models):
    networks, prepared = models
    arrays = load_case(prepared, INPUTS, "volume", target=False)
    before = predict(networks[0], arrays)
    weights = {name: value.clone() for name, value in networks[0].generator.state_dict().items()}
    found = predict_members(networks[:1], prepared, arrays, samples=3)
    mean, deviation = found.mean, found.standard_deviation
    assert np.array_equal(mean, before)
    assert deviation is not None
    assert deviation[arrays.mask].mean() > 0
    again = predict_members(networks[:1], prepared, arrays, samples=3).standard_deviation
    assert np.array_equal(deviation, again)
    assert all(torch.equal(value, weights[name]) for name, value in networks[0].generator.state_dict().items())
    assert np.array_equal(predict(networks[0], arrays), before)


def test_without_samples_there_is_no_deviation(models):
    networks, prepared = models
    arrays = load_case(prepared, INPUTS, "volume", target=False)
    assert predict_members(networks[:1], prepared, arrays).standard_deviation is None


def test_coronal_slices_come_back_to_their_place(models, monkeypatch):
    """A network that gives its input back gives the volume back, whatever the orientation."""
    networks, prepared = models
    arrays = load_case(prepared, INPUTS, "volume", target=False)
    monkeypatch.setattr(
        "bids_spectsynth.synthesis.prediction.predict.predict_slices", lambda network, inputs, recipe: inputs[:, 1:2]
    )
    # Channel 1 of a coronal batch is the middle slice of the first image; its neighbours stand around it.
    made = predict(networks[1], arrays)
    shown = arrays.mask.any(axis=(0, 2))
    assert np.allclose(made[:, shown], arrays.inputs[0][:, shown])
    assert Path(networks[1].folder).name == "m2"


def test_predict_with_scale__of_a_network_that_was_trained_to(tmp_path, write_prepared):
    prepared = [write_prepared(tmp_path, label, seed) for label, seed in (("01", 1), ("02", 2), ("03", 3))]
    images = []
    for name, loss in (("plain", ()), ("scaled", (("scale", 1.0),))):
        config = TrainingConfig(
            label=name, inputs=INPUTS, scaling="volume", voxel_size=2.0, slices_per_subject=8, epochs=2,
            base_filters=2, seed=5, flip_average="on", loss=loss, precision="float32",
        )  # fmt: skip
        parts = (PreparedCases((prepared[n],), INPUTS, "volume") for n in (0, 1))
        train(*parts, config, tmp_path / name, device="cpu", progress=False)
        model = load_model(tmp_path / name, torch.device("cpu"))
        images.append(predict_with_scale(model, load_case(prepared[2], INPUTS, "volume", target=False)))
    (plain, none), (scaled, log_scale) = images
    assert none is None
    assert np.array_equal(plain, scaled), "what is learned of the scale changes no image"
    brain = log_scale > -20
    assert brain.any()
    assert not brain.all()
    assert log_scale[brain].std() > 0
