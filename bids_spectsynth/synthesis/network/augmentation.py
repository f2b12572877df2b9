"""Random changes of training slices that leave them plausible: mirror images, small deformations, intensities."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bids_spectsynth.synthesis.network.channels import with_reversed_neighbours
from bids_spectsynth.synthesis.network.recipe import Recipe

#: Largest rotation (degrees), scaling and shift (fraction of half the slice) of an affine change.
ROTATION, SCALING, SHIFT = 6.0, 0.06, 0.04
#: Nodes along a side and standard deviation (fraction of half the slice) of an elastic displacement.
ELASTIC_NODES, ELASTIC = 8, 0.012
#: Standard deviation of the log of the exponent that intensities in (0, 1) are raised to.
GAMMA = 0.12


def augment(inputs: Tensor, targets: Tensor, kinds: Sequence[str], seed: int, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Change every slice of a batch at random, inputs and target alike.

    Parameters
    ----------
    inputs, targets : tensor, shape (N, C, H, W) and (N, 1, H, W)
        In (-1, 1), -1 being no signal.
    kinds : sequence of {'flip', 'affine', 'elastic', 'intensity'}
        ``flip`` mirrors left and right in every other slice on average (sagittal slices: the order of neighbours);
        ``affine`` rotates, scales and shifts; ``elastic`` bends; ``intensity`` changes the input images' contrast,
        each image's on its own, but neither the cohort prior's nor the target's.
    seed : int
    recipe : Recipe

    Returns
    -------
    inputs, targets : tensor
        Of the same shapes, on the same device.
    """
    if not kinds:
        return inputs, targets
    random = torch.Generator().manual_seed(seed)
    n = inputs.shape[0]
    if "flip" in kinds:
        chosen = (torch.rand(n, generator=random) < 0.5).to(inputs.device)[:, None, None, None]
        if recipe.orientation == "sagittal":
            inputs = torch.where(chosen, with_reversed_neighbours(inputs, recipe), inputs)
        else:
            inputs = torch.where(chosen, inputs.flip(2), inputs)
            targets = torch.where(chosen, targets.flip(2), targets)
    if "affine" in kinds or "elastic" in kinds:
        grid = _positions(n, inputs.shape[2:], kinds, random).to(inputs.device)
        inputs, targets = (_sample(images, grid) for images in (inputs, targets))
    if "intensity" in kinds:
        inputs = _change_contrast(inputs, random, recipe)
    return inputs, targets


def _positions(n: int, size: Sequence[int], kinds: Sequence[str], random: torch.Generator) -> Tensor:
    """Where each pixel takes its value from, (N, H, W, 2), in units of half the slice."""
    matrix = torch.eye(2, 3).repeat(n, 1, 1)
    if "affine" in kinds:
        angle, scale_x, scale_y, *shift = (2 * torch.rand(5, n, generator=random) - 1).unbind()
        angle = angle * math.radians(ROTATION)
        cos, sin = torch.cos(angle), torch.sin(angle)
        x, y = 1 + SCALING * scale_x, 1 + SCALING * scale_y
        # Positions are in halves of the slice: to turn one that is not square, its sides are made equal in between.
        tall = size[0] / size[1]
        matrix[:, 0] = torch.stack([cos * x, -sin * y * tall, SHIFT * shift[0]], dim=1)
        matrix[:, 1] = torch.stack([sin * x / tall, cos * y, SHIFT * shift[1]], dim=1)
    grid = F.affine_grid(matrix, [n, 1, *size], align_corners=False)
    if "elastic" in kinds:
        nodes = ELASTIC * torch.randn(n, 2, ELASTIC_NODES, ELASTIC_NODES, generator=random)
        bent = F.interpolate(nodes, size=tuple(size), mode="bicubic", align_corners=True)
        grid = grid + bent.permute(0, 2, 3, 1)
    return grid


def _sample(images: Tensor, grid: Tensor) -> Tensor:
    # Padding is with 0, so no signal has to be 0 meanwhile.
    return F.grid_sample(images + 1, grid, mode="bilinear", padding_mode="zeros", align_corners=False) - 1


def _change_contrast(inputs: Tensor, random: torch.Generator, recipe: Recipe) -> Tensor:
    exponents = torch.exp(GAMMA * torch.randn(len(inputs), recipe.n_images, generator=random))
    # All slices of one image change alike.
    exponents = exponents.repeat_interleave(recipe.per_image, dim=1)[:, :, None, None].to(inputs.device)
    n = recipe.n_images * recipe.per_image
    changed = 2 * ((inputs[:, :n] + 1) / 2).clamp(0, 1) ** exponents - 1
    return torch.cat([changed, inputs[:, n:]], dim=1)
