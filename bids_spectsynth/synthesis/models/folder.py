"""A trained model as a folder: ``model.safetensors`` (weights) and ``model.json`` (the card)."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.baselines.files import baselines_checksum
from bids_spectsynth.synthesis.computing.devices import as_device
from bids_spectsynth.synthesis.models.card import (
    CARD_FILE,
    ModelCard,
    load_card,
)
from bids_spectsynth.synthesis.models.tensors import LARGEST_WEIGHT, load_tensors, save_tensors, unusable
from bids_spectsynth.synthesis.network.networks import UNetGenerator
from bids_spectsynth.synthesis.network.recipe import Recipe, recipe_of

WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True, eq=False)
class Model:
    """A card and its generator, in evaluation mode on its device, and the folder that they were read from."""

    folder: Path
    card: ModelCard
    generator: UNetGenerator
    device: torch.device

    @property
    def recipe(self) -> Recipe:
        """What is done around the network."""
        return recipe_of(self.card.config, len(self.card.inputs))

    @property
    def predicts_scale(self) -> bool:
        """Whether the network also predicts how large its error is."""
        return self.generator.scale is not None


def weights_checksum(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and values of the weights, hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def save_model(folder: Path, card: ModelCard, weights: Mapping[str, Tensor]) -> None:
    """Write weights and card; a folder without a card is never taken for a model.

    Parameters
    ----------
    folder : Path
        ``models/<label>``, or that of a member of an ensemble.
    card : ModelCard
    weights : mapping of str to tensor
        State of the generator.
    """
    (folder / CARD_FILE).unlink(missing_ok=True)
    save_tensors(folder / WEIGHTS_FILE, weights, {"label": card.label})
    write_json(folder / CARD_FILE, dataclasses.asdict(card))


def load_model(folder: str | Path, device: str | torch.device | None = None, card: ModelCard | None = None) -> Model:
    """Load one network for prediction; :func:`bids_spectsynth.api.load_model` loads all of an ensemble.

    Parameters
    ----------
    folder : str or Path
        ``models/<label>``, or that of a member of an ensemble.
    device : str or torch.device, optional
        See :func:`bids_spectsynth.synthesis.computing.devices.as_device`.
    card : ModelCard, optional
        Of this folder, where it has been read already.

    Raises
    ------
    ModelError
        A file is missing or damaged, the card is of a newer version, or weights and card do not belong together.
    """
    folder, device = Path(folder), as_device(device)
    card = card or load_card(folder)
    weights, _ = load_tensors(folder / WEIGHTS_FILE)
    architecture = card.architecture
    with torch.device("meta"):
        generator = UNetGenerator(
            int(architecture["input_channels"]),
            int(architecture["output_channels"]),
            int(architecture["base_filters"]),
            int(architecture["levels"]),
        )
    wanted = {name: (value.shape, value.dtype) for name, value in generator.state_dict().items()}
    found = {name: (value.shape, value.dtype) for name, value in weights.items()}
    if wanted != found:
        differing = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        raise ModelError(f"{folder / WEIGHTS_FILE}: does not fit {CARD_FILE} ({differing[0]}); copy the folder again")
    if card.prior_sha256 and baselines_checksum(folder) != card.prior_sha256:
        raise ModelError(
            f"{folder}: the baselines, of which the cohort prior is made, are not the model's; copy it again"
        )
    if weights_checksum(weights) != card.weights_sha256:
        raise ModelError(f"{folder / WEIGHTS_FILE}: not the weights that {CARD_FILE} describes; copy the folder again")
    absurd = unusable(weights, LARGEST_WEIGHT)
    if absurd:
        raise ModelError(
            f"{folder / WEIGHTS_FILE}: {absurd} holds values that are no numbers or beyond {LARGEST_WEIGHT:g}; "
            "train the model anew"
        )
    generator.load_state_dict(weights, assign=True)
    generator.requires_grad_(False).eval().to(device)
    return Model(folder, card, generator, device)
