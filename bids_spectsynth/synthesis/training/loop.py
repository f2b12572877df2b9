"""The training of one model: a plain loop with checkpoints, from prepared cases to a model folder."""

import contextlib
import copy
import logging
import math
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import Device
from bids_spectsynth.synthesis.baselines.files import baselines_checksum
from bids_spectsynth.synthesis.computing.computation import training_computation
from bids_spectsynth.synthesis.computing.devices import (
    Processes,
    connected_processes,
    environment_rank,
    resolve_device,
)
from bids_spectsynth.synthesis.computing.seeds import derived_seed
from bids_spectsynth.synthesis.data.dataset import (
    CohortStatistics,
    SliceData,
    gather_once,
    gather_slices,
    resident,
    shuffled_batches,
)
from bids_spectsynth.synthesis.data.orientation import slice_size
from bids_spectsynth.synthesis.data.slices import CaseArrays
from bids_spectsynth.synthesis.data.storage import Storage, decoded_on
from bids_spectsynth.synthesis.models.folder import ModelCard, load_card, save_model
from bids_spectsynth.synthesis.models.tensors import load_tensors, save_tensors
from bids_spectsynth.synthesis.network.networks import network_levels
from bids_spectsynth.synthesis.network.prior_channel import with_prior
from bids_spectsynth.synthesis.training import state as checkpoint
from bids_spectsynth.synthesis.training.card import make_card
from bids_spectsynth.synthesis.training.config import TrainingConfig, training_config
from bids_spectsynth.synthesis.training.finished import finished_card
from bids_spectsynth.synthesis.training.history import remaining_words, write_history
from bids_spectsynth.synthesis.training.state import Interrupted, StopSignals, TrainingState
from bids_spectsynth.synthesis.training.steps import LOSS_NAMES, Stepper
from bids_spectsynth.synthesis.training.validation import validate

__all__ = ["Interrupted", "TrainingConfig", "train", "training_config"]

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

    Returns
    -------
    ModelCard

    Raises
    ------
    ModelError
        Nobody to train on, images of different shapes, no such device, or a damaged checkpoint.
    Interrupted
        SIGTERM or SIGINT came; the next call goes on from the checkpoint to the same result.
    """
    finished = finished_card(folder, config)
    if finished is not None:
        logger.info("Model %s is trained already", config.label)
        return finished
    if threads is not None:
        torch.set_num_threads(threads)
    where = resolve_device(device, environment_rank().local_rank)
    storage = storage or Storage()
    with connected_processes(where) as processes, _own_random_numbers(where), _removed_at_the_end(storage, processes):
        if config.cohort_prior != "none":
            training = with_prior(training, folder, fitted_to=True)
            validation = with_prior(validation, folder, fitted_to=False)
        # Images are read before signals are put off: until there is a step to finish, they end the run at once.
        run = _Training(training, validation, config, folder, where, processes, storage)
        with StopSignals() as stop:
            run.resume()
            if not processes.agree(run.state.epoch, run.state.step):
                raise ModelError(f"{folder}: the processes do not see the same checkpoint; use a folder that all share")
            run.fit(stop, progress=progress, phantom=phantom)
        processes.wait()
    if stop.number:
        raise Interrupted(stop.number)
    return load_card(folder)


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


class _Training:
    def __init__(
        self,
        training: Collection[CaseArrays],
        validation: Collection[CaseArrays],
        config: TrainingConfig,
        folder: Path,
        device: torch.device,
        processes: Processes,
        storage: Storage,
    ) -> None:
        self.config, self.folder, self.device, self.processes = config, folder, device, processes

        def gathered(cases: Collection[CaseArrays], name: str, **how: Any) -> tuple[SliceData, CohortStatistics]:
            part = storage.part(name)
            around: dict[str, Any] = {"neighbours": config.neighbour_slices, "orientation": config.orientation}
            gather = partial(gather_slices, cases, config.slices_per_subject, storage=part, **around, **how)
            return gather_once(part, processes, gather)

        data, self.statistics = gathered(training, "training", masks=False, crop_to_brain=config.crop == "brain")
        whole = slice_size(self.statistics.grid_shape, config.orientation)
        self.slice_shape = size = (data.layout.height, data.layout.width)
        # A larger head among those that choose the epoch gets larger slices, as when the model is applied.
        apart = {"crop_to_brain": size != whole, "at_least": size}
        self.held_out, held_out_statistics = gathered(validation, "validation", masks=True, **apart)
        _check_apart(self.statistics, held_out_statistics)
        self.selection = held_out_statistics.participants
        try:
            levels = network_levels(size, whole)
        except ValueError as error:
            raise ModelError(f"{error}; prepare the images with another --voxel-size") from error
        self.data = resident(data, device)
        computation = training_computation(
            device,
            config.precision,
            config.memory_format,
            config.compile,
            n_steps=config.epochs * self._steps_per_epoch,
            n_processes=processes.count,
        )
        self.stepper = Stepper(config, config.recipe.n_channels, levels, computation, processes)
        self.state = TrainingState(sums=torch.zeros(len(LOSS_NAMES), dtype=torch.float64))

    @property
    def _steps_per_epoch(self) -> int:
        per_process = -(-len(self.data) // self.processes.count)
        return -(-per_process // self.config.batch_size)

    @property
    def checkpoint_path(self) -> Path:
        return self.folder / "checkpoint" / checkpoint.FILE_NAME

    def resume(self) -> None:
        """Take over the checkpoint, if there is one of this training."""
        if not self.checkpoint_path.exists():
            return
        tensors, header = load_tensors(self.checkpoint_path)
        if not self.config.continues(header["config"]) or header["epoch"] > self.config.epochs:
            logger.warning("%s: of another training; starting anew", self.checkpoint_path)
            return
        if header["step"] and header.get("processes") != self.processes.count:
            # Another number of processes would share out the epoch's slices otherwise: some twice, some never.
            logger.warning(
                "%s: was written in the middle of an epoch by %s process(es), now there are %d; starting anew",
                self.checkpoint_path, header.get("processes", "an unknown number of"), self.processes.count,
            )  # fmt: skip
            return
        if any(header.get(name, value) != value for name, value in self.stepper.computation.facts().items()):
            logger.warning(
                "%s: was computed otherwise or elsewhere; the result may differ slightly", self.checkpoint_path
            )
        self.stepper.restore(tensors)
        self.stepper.n_parts = int(header.get("batch_parts", 1))
        best = {k.removeprefix("best."): v for k, v in tensors.items() if k.startswith("best.")}
        numbers = {name: header[name] for name in self.state.numbers()}
        self.state = TrainingState(sums=tensors["sums"], best_weights=best, **numbers)
        logger.info("Model %s: going on after epoch %d, step %d", self.config.label, self.state.epoch, self.state.step)

    def save(self) -> None:
        """Write the checkpoint (first process only)."""
        if not self.processes.is_first:
            return
        header = {
            "config": self.config.as_json(),
            **self.stepper.computation.facts(),
            "processes": self.processes.count,
            "batch_parts": self.stepper.n_parts,
        }
        tensors = self.stepper.tensors() | {"sums": self.state.sums}
        tensors |= {f"best.{name}": value for name, value in self.state.best_weights.items()}
        save_tensors(self.checkpoint_path, tensors, header | self.state.numbers())

    def fit(self, stop: StopSignals, *, progress: bool, phantom: bool | None = None) -> None:
        """Train the remaining epochs, then write the model."""
        n_steps, state, config = self._steps_per_epoch, self.state, self.config
        how = ", ".join(f"{name} {value}" for name, value in self.stepper.computation.facts().items())
        height, width = self.slice_shape
        words = "Model %s: %d slices of %d x %d, %d steps an epoch (%s)"
        logger.info(words, config.label, len(self.data), height, width, n_steps, how)
        with tqdm(
            total=n_steps * config.epochs,
            initial=n_steps * state.epoch + state.step,
            desc=config.label,
            unit="step",
            # None: only on a terminal, so that the log of a batch job is not filled with bars.
            disable=None if progress and self.processes.is_first else True,
        ) as bar:
            while state.epoch < config.epochs:
                self._epoch(stop, bar)
                if state.epoch % config.checkpoint_every == 0 or state.epoch == config.epochs:
                    self.save()
                if state.epoch < config.epochs:
                    self._stop_if_asked(stop)
        if self.processes.is_first:
            card = make_card(
                config,
                self.statistics,
                state,
                self.stepper,
                len(self.data),
                self.selection,
                slice_shape=self.slice_shape,
                phantom=phantom,
                prior=baselines_checksum(self.folder) if config.recipe.prior else "",
            )
            save_model(self.folder, card, state.best_weights)
            rmse, ssim = state.best["rmse"], state.best["ssim"]
            words = "Model %s: best epoch %d, validation RMSE %.4f, SSIM %.4f"
            logger.info(words, config.label, state.best_epoch, rmse, ssim)

    def _epoch(self, stop: StopSignals, bar: "tqdm[Any]") -> None:
        """The steps of one epoch that are still to do, validation, and the record of both."""
        state, config = self.state, self.config
        started = time.monotonic() - state.seconds
        rate = config.rate(state.epoch)
        self.stepper.set_rate(rate)
        order = torch.Generator().manual_seed(derived_seed(config.seed, "order", state.epoch))
        rank, count = self.processes.rank, self.processes.count
        batches = shuffled_batches(len(self.data), config.batch_size, order, rank=rank, processes=count)
        state.sums, how = state.sums.to(self.device), self.stepper.computation
        for rows in batches[state.step :]:
            seed = derived_seed(config.seed, "step", state.epoch, state.step, rank)
            inputs, targets = (decoded_on(slices, how) for slices in (self.data.inputs(rows), self.data.targets[rows]))
            state.sums += self.stepper.step(inputs, targets, seed) * len(rows)
            state.step += 1
            state.seconds = time.monotonic() - started
            self._show(bar, sum(map(len, batches[: state.step])))
            self._stop_if_asked(stop)
        losses = self.processes.mean(state.sums / sum(map(len, batches))).tolist()
        metrics = self._validate(stop)
        # A stop during validation leaves the epoch with all its steps done; the next run begins with validation.
        self._stop_if_asked(stop)
        self._record(losses, metrics, rate, time.monotonic() - started)

    def _validate(self, stop: StopSignals) -> dict[str, float]:
        unknown = {"rmse": math.nan, "ssim": math.nan}
        if not self.processes.is_first:
            return unknown
        config = self.config
        generator = copy.deepcopy(self.stepper.generator) if config.ema_decay > 0 else self.stepper.generator
        if config.ema_decay > 0:
            generator.load_state_dict(self.stepper.weights())
        found = validate(
            generator,
            self.held_out,
            max(1, config.batch_size // self.stepper.n_parts),
            self.stepper.computation,
            lambda: stop.number != 0,
            config.recipe,
        )
        return found or unknown

    def _show(self, bar: "tqdm[Any]", n_seen: int) -> None:
        # Reading a loss makes the CPU wait for the GPU, so only when the bar is drawn anyway.
        if bar.update(1) and not bar.disable:
            # Two values, so that the line fits a terminal; history.tsv has them all.
            shown = {"loss": f"{float(self.state.sums[0]) / n_seen:.3g}"}
            if self.state.history:
                shown["val. rmse"] = f"{self.state.history[-1]['validation_rmse']:.4f}"
            bar.set_postfix(shown, refresh=False)

    def _stop_if_asked(self, stop: StopSignals) -> None:
        number = self.processes.largest(stop.number)
        if number:
            # One checkpoint serves all processes, each of which has summed the losses of its own slices.
            self.state.sums = self.processes.mean(self.state.sums)
            self.save()
            self.processes.wait()
            raise Interrupted(number)

    def _record(self, losses: list[float], metrics: dict[str, float], rate: float, seconds: float) -> None:
        state = self.state
        state.epoch, state.step, state.seconds = state.epoch + 1, 0, 0.0
        state.sums = torch.zeros_like(state.sums)
        row = {"epoch": float(state.epoch)}
        row |= {f"loss_{name}": value for name, value in zip(LOSS_NAMES, losses, strict=True)}
        row |= {"validation_rmse": metrics["rmse"], "validation_ssim": metrics["ssim"]}
        state.history.append(row | {"learning_rate": rate, "seconds": round(seconds, 3)})
        if not self.processes.is_first:
            return
        # Also taken where the first result is not a number, so that there is always a model to look at.
        if not state.best or metrics["rmse"] < state.best["rmse"] or math.isnan(state.best["rmse"]):
            state.best_epoch, state.best = state.epoch, metrics
            weights = self.stepper.weights()
            state.best_weights = {name: value.detach().cpu().clone() for name, value in weights.items()}
        write_history(self.folder, state.history)
        logger.info(
            "Model %s, epoch %d of %d: generator loss %.4g, validation RMSE %.4f, SSIM %.4f; %s",
            self.config.label, state.epoch, self.config.epochs, losses[0], metrics["rmse"], metrics["ssim"],
            remaining_words(state.history, self.config.epochs),
        )  # fmt: skip


def _check_apart(training: CohortStatistics, validation: CohortStatistics) -> None:
    shared = sorted(set(training.participants) & set(validation.participants))
    if shared:
        raise ModelError(f"participant {shared[0]} is in training and in validation; correct the split")
