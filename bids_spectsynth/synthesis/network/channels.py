"""From a batch of input channels to synthetic slices: what a recipe adds around the network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bids_spectsynth.synthesis.data.orientation import Orientation


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How input channels are laid out and what becomes of the network's output.

    Parameters
    ----------
    n_images : int
        Input images, without the cohort prior.
    neighbours : int
        Slices on each side of the one that is synthesised.
    prior : bool
        Whether the cohort prior is a further, last image.
    residual : bool
        Whether the network's output is added to the prior.
    flip : bool
        Whether predictions are averaged over the slice and its left-right mirror image (not in training).
    orientation : {'axial', 'coronal', 'sagittal'}
    """

    n_images: int
    neighbours: int = 0
    prior: bool = False
    residual: bool = False
    flip: bool = False
    orientation: Orientation = "axial"

    @property
    def per_image(self) -> int:
        """Channels of one image: the slice and its neighbours."""
        return 2 * self.neighbours + 1

    @property
    def n_channels(self) -> int:
        """Channels that the network sees; those of one image follow each other, from low to high slices."""
        return (self.n_images + self.prior) * self.per_image

    @property
    def prior_channels(self) -> slice:
        """Channels of the cohort prior."""
        return slice(self.n_images * self.per_image, self.n_channels)


def recipe_of(config: Mapping[str, Any], n_images: int) -> Recipe:
    """The recipe of a training configuration, as a card keeps it; what an older card lacks is off."""
    prior = str(config.get("cohort_prior", "none"))
    return Recipe(
        n_images=n_images,
        neighbours=int(config.get("neighbour_slices", 0)),
        prior=prior != "none",
        residual=prior == "residual",
        flip=config.get("flip_average", "off") == "on",
        orientation=config.get("orientation", "axial"),
    )


def generate(generator: nn.Module, inputs: Tensor, recipe: Recipe) -> Tensor:
    """Synthetic slices (N, 1, H, W) from input channels (N, n_channels, H, W).

    Without a residual in (-1, 1); with one the sum of prior and network output, which may leave that range.
    """
    made: Tensor = generator(inputs)
    if recipe.residual:
        centre = recipe.n_images * recipe.per_image + recipe.neighbours
        made = made + inputs[:, centre : centre + 1]
    return made


def turned(inputs: Tensor, recipe: Recipe) -> Tensor:
    """Input channels (N, C, H, W) with each image's neighbours in opposite order: a stack seen from its other end."""
    order = torch.arange(inputs.shape[1]).reshape(-1, recipe.per_image).flip(1).flatten()
    return inputs[:, order]


def predict_slices(generator: nn.Module, inputs: Tensor, recipe: Recipe) -> Tensor:
    """Synthetic slices (N, 1, H, W), float32, in [-1, 1], with the average over mirror images where the recipe has it.

    The left-right axis is that of the rows of axial and coronal slices. Mirroring a sagittal slice in it changes only
    the order of its neighbours.
    """
    made = generate(generator, inputs, recipe).float()
    if recipe.flip:
        if recipe.orientation == "sagittal":
            mirrored = generate(generator, turned(inputs, recipe), recipe).float()
        else:
            mirrored = generate(generator, inputs.flip(2), recipe).float().flip(2)
        made = (made + mirrored) / 2
    return torch.clamp(made, -1, 1)
