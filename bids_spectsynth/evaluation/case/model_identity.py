"""What the tables say of the model behind a row, so that only like is compared with like."""

import hashlib
import json
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.presets import LOSS_OPTIONS
from bids_spectsynth.synthesis.models.card import CARD_FILE, ModelCard
from bids_spectsynth.synthesis.models.ensemble import ENSEMBLE_FILE, read_ensemble
from bids_spectsynth.synthesis.network.losses import LOSSES, loss_titles
from bids_spectsynth.synthesis.training.config import COMPUTATION

#: Options with columns of their own, and those that the weights of a single network do not tell apart.
_NOT_TRAINING = (
    "label", "configuration", "inputs", "space", "seed", "data", "checkpoint_every", "orientation",
    *LOSS_OPTIONS, *COMPUTATION,
)  # fmt: skip
_DIGITS = 8


def losses_label(card: ModelCard) -> str:
    """Terms of a model's loss with a weight above 0: ``L1+BCE``, ``L1+LSGAN+SSIM``, ...; ``n/a`` if unknown.

    A weight is named where it is not the loss's usual one: ``L1+BCE(0.1)``.
    """
    weights = {name: float(weight) for name, weight in card.losses.items()}
    usual = {name: loss.default_weight for name, loss in LOSSES.items()}
    titles = loss_titles(weights, card.config)
    terms = [t if weights[name] == usual.get(name) else f"{t}({weights[name]:g})" for name, t in titles.items()]
    return "+".join(terms) or "n/a"


def training_fingerprint(card: ModelCard, model_folder: Path) -> str:
    """A label that two models share if they were trained alike: ``t`` and eight hexadecimal digits.

    The letter keeps readers of tables from taking it for a number. The digits are those of the SHA-256 of all training
    options but inputs, space, seed and loss, and of how many
    networks and folds the model has.

    Parameters
    ----------
    card : ModelCard
    model_folder : Path
        Of the network; its parent may be an ensemble.
    """
    networks, folds = _networks_and_folds(model_folder)
    options = {name: value for name, value in card.config.items() if name not in _NOT_TRAINING}
    if options.get("crop") == "none":
        # Cards of earlier versions, which could not crop, do not have it.
        del options["crop"]
    if options.get("initial_weights"):
        # Folds and seeds of one model may start from those of another: they are trained alike.
        options["initial_weights"] = [one["label"] for one in card.initial_models]
    content = {"options": options, "networks": networks, "folds": folds}
    return "t" + hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def _networks_and_folds(model_folder: Path) -> tuple[int, int]:
    whole = model_folder.parent
    if not (whole / ENSEMBLE_FILE).exists():
        return 1, 1
    try:
        _, members = read_ensemble(whole)
    except ModelError:
        return 1, 1
    if not all((whole / name / CARD_FILE).exists() for name, _ in members):
        # One network of an ensemble whose others are gone stands for itself.
        return 1, 1
    return len(members), len({fold for _, fold in members})


def model_identity(prepared: PreparedCase, card: ModelCard, model_folder: Path, label: str) -> dict[str, Any]:
    """Whose and what the rows of a case and a model are, by column of ``group_metrics.tsv``.

    Parameters
    ----------
    prepared : PreparedCase
    card : ModelCard
    model_folder : Path
        Of the network that the card describes.
    label : str
        Of the whole model.
    """
    return {
        "participant_id": f"sub-{prepared.participant}",
        "session_id": f"ses-{prepared.session}" if prepared.session else "n/a",
        "model": label,
        # Whoever renames a model cannot mean the configuration of its card.
        "configuration": card.configuration if card.label == label else label,
        "seed": card.seed,
        "inputs": "+".join(card.inputs),
        "space": prepared.space,
        "scaling": card.scaling,
        "losses": losses_label(card),
        "recipe": card.preset_name,
        "training": training_fingerprint(card, model_folder),
    }
