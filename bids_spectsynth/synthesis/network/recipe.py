"""What surrounds the network: how its input channels are laid out, and what becomes of its output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
