"""The training of one model, from prepared cases to a model folder."""

import contextlib
import logging
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import Device
from bids_spectsynth.synthesis.computing.devices import Processes, connected_processes, environment_rank, resolve_device
from bids_spectsynth.synthesis.data.slices import CaseArrays
from bids_spectsynth.synthesis.data.storage import Storage
from bids_spectsynth.synthesis.models.card import ModelCard, load_card
from bids_spectsynth.synthesis.models.initial_model import InitialModel
from bids_spectsynth.synthesis.network.prior_channel import with_prior
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.finished import finished_card
from bids_spectsynth.synthesis.training.loop import TrainingLoop
from bids_spectsynth.synthesis.training.state import Interrupted, StopSignals

logger = logging.getLogger(__name__)


def train(
    training: Collection[CaseArrays],
    validation: Collection[CaseArrays],
    config: TrainingConfig,
    folder: Path,
    *,
    device: Device = "auto",
    progress: bool = True,
    threads: int | None = None,
    phantom: bool | None = None,
    storage: Storage | None = None,
    initial: InitialModel | None = None,
) -> ModelCard:
    """Train a model, or go on with its training, or return it where it is finished.

    Parameters
    ----------
    training, validation : collection of CaseArrays
        With targets; each is iterated over once (twice where slices are cropped), so that they may be read from disk
        on the way (:class:`~bids_spectsynth.synthesis.data.slices.PreparedCases`). The weights depend on ``training``
        alone; which epoch's weights are kept depends on ``validation``. With a cohort prior they are
        ``PreparedCases``, and the baselines that it is made of lie in ``folder``.
    config : TrainingConfig
    folder : Path
        ``models/<label>``; receives ``model.safetensors``, ``model.json``, ``history.tsv`` and ``checkpoint``.
    device : {'auto', 'cpu', 'cuda'}
    progress : bool
        Show a bar, if the error stream is a terminal.
    threads : int, optional
        Of the CPU; repeated trainings are equal only with equal numbers.
    phantom : bool, optional
        Whether the images are simulated, for the card.
    storage : Storage, optional
        Where the slices lie while the training lasts; by default in memory.
    initial : InitialModel, optional
        Whose weights the networks start from; ``config.initial_weights`` is its checksum.

    Returns
    -------
    ModelCard

    Raises
    ------
    ModelError
        Nobody to train on, images of different shapes, no such device, or a damaged checkpoint.
    Interrupted
        SIGTERM, SIGUSR1 or SIGINT came; the next call goes on from the checkpoint to the same result.
    """
    finished = finished_card(folder, config)
    if finished is not None:
        logger.info("Model %s is trained already", config.label)
        return finished
    if threads is not None:
        torch.set_num_threads(threads)
    where = resolve_device(device, environment_rank().local_rank)
    number = _run(training, validation, config, folder, where, storage or Storage(), progress, phantom, initial)
    if number:
        raise Interrupted(number)
    return load_card(folder)


def _run(
    training: Collection[CaseArrays],
    validation: Collection[CaseArrays],
    config: TrainingConfig,
    folder: Path,
    device: torch.device,
    storage: Storage,
    progress: bool,
    phantom: bool | None,
    initial: InitialModel | None,
) -> int:
    """Train to the end; returns the number of a signal that came in the last moment, or 0."""
    with connected_processes(device) as processes, _own_random_numbers(device), _removed_at_the_end(storage, processes):
        if config.cohort_prior != "none":
            training = with_prior(training, folder, fitted_to=True)
            validation = with_prior(validation, folder, fitted_to=False)
        # Images are read before signals are put off: until there is a step to finish, they end the run at once.
        loop = TrainingLoop(training, validation, config, folder, device, processes, storage, initial)
        with StopSignals() as stop:
            loop.resume()
            if not processes.agree(loop.state.epoch, loop.state.step):
                raise ModelError(f"{folder}: the processes do not see the same checkpoint; use a folder that all share")
            loop.fit(stop, progress=progress, phantom=phantom)
        processes.wait()
    return stop.number


def _own_random_numbers(device: torch.device) -> AbstractContextManager[None]:
    """The caller's random state comes back after the block."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


@contextlib.contextmanager
def _removed_at_the_end(storage: Storage, processes: Processes) -> Iterator[None]:
    try:
        yield
    finally:
        # Files that another process still maps stay readable to it.
        if processes.local_rank == 0:
            storage.remove()
