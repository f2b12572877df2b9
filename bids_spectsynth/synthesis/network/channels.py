"""From a batch of input channels to synthetic slices: what a recipe adds around the network."""

import torch
from torch import Tensor, nn

from bids_spectsynth.synthesis.network.recipe import Recipe


def generate(generator: nn.Module, inputs: Tensor, recipe: Recipe) -> Tensor:
    """Synthetic slices from input channels.

    Parameters
    ----------
    generator : nn.Module
    inputs : tensor, shape (N, n_channels, H, W)
        In (-1, 1).
    recipe : Recipe

    Returns
    -------
    tensor, shape (N, 1 or 2, H, W)
        Without a residual in (-1, 1); with one the sum of prior and network output, which may leave that range. Of a
        network that predicts the scale of its error its logarithm is the second channel.
    """
    output: Tensor = generator(inputs)
    if recipe.residual:
        centre = recipe.n_images * recipe.per_image + recipe.neighbours
        prior = inputs[:, centre : centre + 1]
        output = output + prior if output.shape[1] == 1 else torch.cat([output[:, :1] + prior, output[:, 1:]], dim=1)
    return output


def with_reversed_neighbours(inputs: Tensor, recipe: Recipe) -> Tensor:
    """Input channels (N, C, H, W) with each image's neighbours in opposite order: a stack seen from its other end."""
    order = torch.arange(inputs.shape[1]).reshape(-1, recipe.per_image).flip(1).flatten()
    return inputs[:, order]


def predict_slices(generator: nn.Module, inputs: Tensor, recipe: Recipe) -> Tensor:
    """Synthetic slices, with the average over mirror images where the recipe has it.

    The left-right axis is that of the rows of axial and coronal slices. Mirroring a sagittal slice in it changes only
    the order of its neighbours.

    Parameters
    ----------
    generator : nn.Module
        In evaluation mode.
    inputs : tensor, shape (N, n_channels, H, W)
        In (-1, 1).
    recipe : Recipe

    Returns
    -------
    tensor, shape (N, 1 or 2, H, W), float32
        The slices in [-1, 1]; of a network that predicts the scale of its error, its logarithm in the second channel.
    """
    synthetic = generate(generator, inputs, recipe).float()
    if recipe.flip:
        if recipe.orientation == "sagittal":
            mirrored = generate(generator, with_reversed_neighbours(inputs, recipe), recipe).float()
        else:
            mirrored = generate(generator, inputs.flip(2), recipe).float().flip(2)
        synthetic = (synthetic + mirrored) / 2
    # A scale on a range of 2 lies far within these limits.
    return torch.cat([torch.clamp(synthetic[:, :1], -1, 1), torch.clamp(synthetic[:, 1:], -20, 5)], dim=1)
