import pytest
import torch
from torch import nn

from bids_spectsynth.synthesis.network.channels import generate, predict_slices, with_reversed_neighbours
from bids_spectsynth.synthesis.network.recipe import Recipe


class Sum(nn.Module):
    """The mean over the channels; it knows no left from right and no order of slices."""

    def forward(self, image):
        return image.mean(dim=1, keepdim=True)


class Ramp(nn.Module):
    """Grows from left to right, whatever the image is."""

    def forward(self, image):
        return torch.linspace(-1, 1, image.shape[2])[None, None, :, None].expand(len(image), 1, -1, image.shape[3])


def slices(channels, n=3, size=8, seed=0):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed)) * 1.4 - 0.7


def test_a_residual_is_added_to_the_priors_own_slice():
    recipe = Recipe(n_images=2, neighbours=1, prior=True, residual=True)
    inputs = slices(9)
    made = generate(Ramp(), inputs, recipe) - Ramp()(inputs)
    assert torch.allclose(made[:, 0], inputs[:, 7])


def test_predictions_stay_in_range():
    recipe = Recipe(n_images=1, prior=True, residual=True)
    inputs = slices(2).clone()
    inputs[:, 1] = 0.9
    made = predict_slices(Ramp(), inputs, recipe)
    assert float(made.max()) == 1
    assert float(made.min()) == pytest.approx(-0.1)


def test_an_average_over_mirror_images_is_symmetric_for_symmetric_input():
    recipe = Recipe(n_images=1, flip=True)
    made = predict_slices(Ramp(), torch.zeros(1, 1, 8, 8), recipe)
    assert torch.allclose(made, torch.zeros_like(made), atol=1e-6)


def test_mirror_images_are_mirrored_back():
    """A network that treats both sides alike gives the same with and without the average."""
    inputs = slices(2)
    for orientation in ("axial", "coronal", "sagittal"):
        plain, flipped = (
            predict_slices(Sum(), inputs, Recipe(n_images=2, flip=flip, orientation=orientation))
            for flip in (False, True)
        )
        assert torch.allclose(plain, flipped, atol=1e-6)


def test_a_stack_from_its_other_end():
    inputs = torch.arange(6.0)[None, :, None, None]
    recipe = Recipe(n_images=2, neighbours=1)
    assert with_reversed_neighbours(inputs, recipe).flatten().tolist() == [2, 1, 0, 5, 4, 3]
