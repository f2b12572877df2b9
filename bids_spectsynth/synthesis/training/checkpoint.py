"""The checkpoint of a training: written, and taken over by the training that goes on from it."""

import logging
from pathlib import Path
from typing import Any

from bids_spectsynth.synthesis.models.tensors import load_tensors, read_header, save_tensors
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.state import TrainingState
from bids_spectsynth.synthesis.training.steps import Stepper

logger = logging.getLogger(__name__)


def checkpoint_path(folder: Path) -> Path:
    """Where the checkpoint of a model folder lies."""
    return folder / "checkpoint" / "state.safetensors"


def begun_header(folder: Path, config: TrainingConfig) -> dict[str, Any] | None:
    """Header of the checkpoint that :func:`resume` would take over; None without one.

    Raises
    ------
    ModelError
        The checkpoint is damaged.
    """
    path = checkpoint_path(folder)
    header = read_header(path) if path.exists() else None
    return header if header is not None and config.continues(header["config"]) else None


def resume(folder: Path, config: TrainingConfig, stepper: Stepper, state: TrainingState) -> TrainingState:
    """Take over the checkpoint, if there is one of this training.

    Parameters
    ----------
    folder : Path
        Of the model.
    config : TrainingConfig
    stepper : Stepper
        Gets the networks and the optimisers of the checkpoint, in place.
    state : TrainingState
        At the start of the training.

    Returns
    -------
    TrainingState
        That of the checkpoint; ``state`` where there is none, or where it cannot be gone on from, which is logged.

    Raises
    ------
    ModelError
        The checkpoint is damaged.
    """
    path, count = checkpoint_path(folder), stepper.processes.count
    if not path.exists():
        return state
    tensors, header = load_tensors(path)
    if not config.continues(header["config"]) or header["epoch"] > config.epochs:
        logger.warning("%s: of another training; starting anew", path)
        return state
    if header["step"] and header.get("processes") != count:
        # Another number of processes would share out the epoch's slices otherwise: some twice, some never.
        logger.warning(
            "%s: was written in the middle of an epoch by %s process(es), now there are %d; starting anew",
            path, header.get("processes", "an unknown number of"), count,
        )  # fmt: skip
        return state
    if any(header.get(name, value) != value for name, value in stepper.computation.facts().items()):
        logger.warning("%s: was computed otherwise or elsewhere; the result may differ slightly", path)
    stepper.restore(tensors)
    stepper.n_parts = int(header.get("batch_parts", 1))
    best = {k.removeprefix("best."): v for k, v in tensors.items() if k.startswith("best.")}
    # What an earlier version did not write is as at the start.
    numbers = {name: header.get(name, value) for name, value in state.numbers().items()}
    resumed = TrainingState(sums=tensors["sums"], best_weights=best, **numbers)
    logger.info("Model %s: going on after epoch %d, step %d", config.label, resumed.epoch, resumed.step)
    return resumed


def save(folder: Path, config: TrainingConfig, stepper: Stepper, state: TrainingState) -> None:
    """Write the checkpoint, whole or not at all.

    Parameters
    ----------
    folder : Path
        Of the model.
    config : TrainingConfig
    stepper : Stepper
    state : TrainingState
    """
    header = {
        "config": config.as_json(),
        **stepper.computation.facts(),
        **stepper.computation.trial_facts(),
        "processes": stepper.processes.count,
        "batch_parts": stepper.n_parts,
    }
    tensors = stepper.tensors() | {"sums": state.sums}
    tensors |= {f"best.{name}": value for name, value in state.best_weights.items()}
    save_tensors(checkpoint_path(folder), tensors, header | state.numbers())
