"""The model that a training starts from: whether it fits, what is taken over, and what the new card keeps of it."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.models.card import ModelCard, is_selection_participant, is_training_participant
from bids_spectsynth.synthesis.models.ensemble import Member, load_members
from bids_spectsynth.synthesis.models.folder import load_model, weights_checksum
from bids_spectsynth.synthesis.models.tensors import load_tensors
from bids_spectsynth.synthesis.network.losses import predicts_scale

logger = logging.getLogger(__name__)

#: What two models must share that one can start from the other's weights, by name in a training's configuration; each
#: with the value that an older card, which lacks it, stands for.
_SHARED: Mapping[str, Any] = {
    "inputs": None,
    "voxel_size": None,
    "scaling": None,
    "base_filters": None,
    "neighbour_slices": 0,
    "cohort_prior": "none",
    "orientation": "axial",
    "crop": "none",
}
#: Of the checkpoint in a model's folder.
_DISCRIMINATOR = "discriminator."
#: What may differ between a model and the last checkpoint of its training.
_ASIDE = ("epochs", "patience", "checkpoint_every", "label", "configuration", "precision", "memory_format", "compile")


@dataclass(frozen=True, eq=False)
class InitialModel:
    """Weights that a training starts from.

    Parameters
    ----------
    folder : Path
    card : ModelCard
    generator, discriminator : mapping of str to tensor
        States; of the discriminator where the model's folder still has its checkpoint, else empty.
    """

    folder: Path
    card: ModelCard
    generator: Mapping[str, Tensor] = field(repr=False)
    discriminator: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def checksum(self) -> str:
        """SHA-256 of all weights that are taken over: a training from others is another one."""
        parts = [self.card.weights_sha256]
        parts += [weights_checksum(self.discriminator)] if self.discriminator else []
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    @property
    def has_scale(self) -> bool:
        """Whether its generator predicts the scale of its error."""
        return int(self.card.architecture["output_channels"]) > 1

    def start(self, networks: Mapping[str, nn.Module], levels: int) -> None:
        """Give networks these weights, in place; a head that only one side has, of the error's scale, stays random.

        Parameters
        ----------
        networks : mapping of str to Module
            ``generator`` and, where there is one, ``discriminator``.
        levels : int
            Of the generator.

        Raises
        ------
        ModelError
            The network is another one.
        """
        own = int(self.card.architecture["levels"])
        if own != levels:
            raise ModelError(_refusal(self.folder, f"its network halves a slice {own} times, this one {levels} times"))
        for name, network in networks.items():
            state = self.generator if name == "generator" else self.discriminator
            wanted = network.state_dict()
            taken = {key: value for key, value in state.items() if key in wanted}
            differing = [key for key, value in taken.items() if value.shape != wanted[key].shape]
            lost = [key for key in wanted if key not in taken and not key.startswith("scale.")] if state else []
            if differing or lost:
                raise ModelError(_refusal(self.folder, f"{(differing or lost)[0]} of its {name} is of another network"))
            network.load_state_dict(wanted | taken)

    def record(self) -> tuple[dict[str, Any], ...]:
        """What the card of a model that starts from this one keeps: of this one, and of those that it started from."""
        card = self.card
        own = {
            "label": card.label,
            "weights_sha256": card.weights_sha256,
            "created": card.created,
            "phantom": card.phantom,
            "salt": card.salt,
            "participants": list(card.participants),
            "selection_participants": list(card.selection_participants),
        }
        return (own, *(dict(one) for one in card.initial_models))

    def known_among(self, participants: Sequence[str]) -> list[str]:
        """Those of some participants (labels without ``sub-``) that it, or a model behind it, has learned from."""
        seen = (is_training_participant, is_selection_participant)
        return sorted({label for label in participants if any(knows(self.card, label) for knows in seen)})


def find_initial_model(folder: Path, name: str, config: Mapping[str, Any]) -> Member:
    """The network in a model's folder that one with this configuration can start from.

    Parameters
    ----------
    folder : Path
        Of a model, of one or several networks.
    name : str
        Of the network to train, within its own model; of several networks it starts from that of the same name.
    config : mapping
        Of the training (:meth:`bids_spectsynth.synthesis.training.config.TrainingConfig.as_json`).

    Raises
    ------
    ModelError
        There is no model, none of its networks has the name, or it does not fit; says what to do.
    """
    members = load_members(folder)
    if members[0].folder == folder:
        member = members[0]
    else:
        named = {one.folder.name: one for one in members}
        if name not in named:
            reason = f"it has the networks {', '.join(sorted(named))}; give the folder of one of them"
            raise ModelError(f"--initial-model {folder}: {reason}")
        member = named[name]
    _check_fits(member, config)
    return member


def _check_fits(member: Member, config: Mapping[str, Any]) -> None:
    own = {"inputs": list(member.card.inputs), "voxel_size": member.card.voxel_size, "scaling": member.card.scaling}
    own["base_filters"] = member.card.architecture["base_filters"]
    for name, default in _SHARED.items():
        there, here = own.get(name, member.card.config.get(name, default)), config[name]
        if there != here:
            words = f"its {name.replace('_', ' ')} is {_text(there)}, that of the model to train {_text(here)}"
            raise ModelError(_refusal(member.folder, words))
    there, here = member.card.config.get("harmonise", "none"), config.get("harmonise", "none")
    if there != here:
        words = "--initial-model %s: learned with --harmonise %s, the model to train has %s; it must get used to that"
        logger.warning(words, member.folder, there, here)
    learns_scale = (
        predicts_scale(dict(config.get("loss") or {})) and int(member.card.architecture["output_channels"]) == 1
    )
    if learns_scale and config["learning_rate"] == 0:
        words = "it predicts no scale of its error, which cannot be learned with --learning-rate 0"
        raise ModelError(f"--initial-model {member.folder}: {words}; give another rate, or train without that scale")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _refusal(folder: Path, words: str) -> str:
    return f"--initial-model {folder}: does not fit, {words}; train with the options of that model, or leave it out"


def load_initial_model(member: Member, checkpoint: Path | None) -> InitialModel:
    """Read the weights of a model that a training starts from.

    Parameters
    ----------
    member : Member
    checkpoint : Path or None
        Of its training; where it is gone, or of another training, a discriminator starts from random weights. None for
        a training without a discriminator, for which it makes no difference.

    Raises
    ------
    ModelError
        A file is damaged, or weights and card do not belong together.
    """
    model = load_model(member.folder, "cpu", member.card)
    discriminator = _discriminator(checkpoint, model.card) if checkpoint is not None else {}
    if checkpoint is not None and not discriminator:
        words = "--initial-model %s: no discriminator in %s that belongs to the model; it starts from random weights"
        logger.warning(words, member.folder, checkpoint)
    return InitialModel(member.folder, model.card, model.generator.state_dict(), discriminator)


def _discriminator(checkpoint: Path, card: ModelCard) -> dict[str, Tensor]:
    """State of the discriminator in a checkpoint; empty where there is none, or it is not of the card's training."""
    if not checkpoint.exists():
        return {}
    tensors, header = load_tensors(checkpoint)
    configs = (header.get("config"), card.config)
    own, wanted = ({**config, **dict.fromkeys(_ASIDE)} if isinstance(config, dict) else None for config in configs)
    if own != wanted:
        return {}
    return {
        name.removeprefix(_DISCRIMINATOR): value for name, value in tensors.items() if name.startswith(_DISCRIMINATOR)
    }
