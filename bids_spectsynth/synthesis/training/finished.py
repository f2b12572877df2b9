"""Whether a folder holds a model already: the one that is asked for, or another that must not be written over."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.models.card import CARD_FILE, ModelCard, load_card
from bids_spectsynth.synthesis.models.tensors import read_header
from bids_spectsynth.synthesis.training.checkpoint import checkpoint_path
from bids_spectsynth.synthesis.training.config import TrainingConfig


def finished_card(folder: Path, config: TrainingConfig) -> ModelCard | None:
    """Card of the model in a folder, if its training had the same configuration (besides the checkpoints).

    Of another patience it is the same where that keeps the same epoch.
    """
    if not (folder / CARD_FILE).exists():
        return None
    card = load_card(folder)
    if config.same_as(card.config):
        return card
    alike = dataclasses.replace(config, patience=_patience(card)).same_as(card.config)
    return card if alike and _has_ended(card, config) and _reaches_best(card, config.patience) else None


def _patience(card: ModelCard) -> int:
    return int(card.config.get("patience", 0))


def _has_ended(card: ModelCard, config: TrainingConfig) -> bool:
    """Whether a training with this configuration would not go beyond the epochs that a model was trained for."""
    n, best = int(card.training.get("epochs", 0)), int(card.training.get("best_epoch", 0))
    return n >= config.epochs or 0 < config.patience <= n - best


def _reaches_best(card: ModelCard, patience: int) -> bool:
    """Whether a training with this patience surely comes to the epoch that a model has kept.

    It does where it waits as long as the model's own did, or longer than all epochs up to the best one.
    """
    own = _patience(card)
    return not patience or 0 < own <= patience or int(card.training.get("best_epoch", 0)) <= patience


def begun_config(folder: Path) -> Mapping[str, Any] | None:
    """Configuration of the model or, before that is finished, of the checkpoint in a folder; None without either.

    Raises
    ------
    ModelError
        The card or the checkpoint is damaged.
    """
    if (folder / CARD_FILE).exists():
        return load_card(folder).config
    if not checkpoint_path(folder).exists():
        return None
    saved = read_header(checkpoint_path(folder)).get("config")
    return saved if isinstance(saved, dict) else None


def check_replaceable(folder: Path, config: TrainingConfig) -> None:
    """Refuse to train over a finished model of another configuration, unless it is only to be trained for longer.

    Raises
    ------
    ModelError
        The folder holds a model that was trained with other options or on other images.
    """
    if not (folder / CARD_FILE).exists() or finished_card(folder, config) is not None:
        return
    card = load_card(folder)
    earlier = config.filled(card.config)
    if config.continues(earlier) and not _reaches_best(card, config.patience):
        # Trained anew it might end before its best epoch.
        raise ModelError(
            f"{folder}: holds a model that was trained with more patience; give --patience {_patience(card)}, or "
            "--model-label NAME to train another beside it, or remove the folder"
        )
    if not config.continues(earlier) or int(earlier.get("epochs", 0)) > config.epochs:
        own = config.as_json()
        differing = sorted(name for name in {*own, *earlier} if own.get(name) != earlier.get(name))
        raise ModelError(
            f"{folder}: holds a model that was trained otherwise ({', '.join(differing)} differ); "
            "give those options as they were, or --model-label NAME to train another beside it, or remove the folder"
        )
