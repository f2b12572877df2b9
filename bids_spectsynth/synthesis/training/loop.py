"""The epochs of a training: steps, validation, checkpoints, and the model at the end."""

import logging
import math
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.synthesis.baselines.files import baselines_checksum
from bids_spectsynth.synthesis.computing.computation import training_computation
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.computing.seeds import derived_seed
from bids_spectsynth.synthesis.data.batches import shuffled_batches
from bids_spectsynth.synthesis.data.scans import describe_scans
from bids_spectsynth.synthesis.data.slices import CaseArrays, PreparedCases
from bids_spectsynth.synthesis.data.storage import Storage, decoded_on
from bids_spectsynth.synthesis.models.card import ModelCard
from bids_spectsynth.synthesis.models.folder import save_model
from bids_spectsynth.synthesis.models.initial_model import InitialModel
from bids_spectsynth.synthesis.models.tensors import LARGEST_WEIGHT, unusable
from bids_spectsynth.synthesis.training import checkpoint
from bids_spectsynth.synthesis.training.card import make_card, with_scans
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.finite import not_finite
from bids_spectsynth.synthesis.training.history import remaining_words, write_history
from bids_spectsynth.synthesis.training.slices import gather_training_slices
from bids_spectsynth.synthesis.training.state import Interrupted, StopSignals, TrainingState
from bids_spectsynth.synthesis.training.steps import Stepper, loss_names
from bids_spectsynth.synthesis.training.trial import tried
from bids_spectsynth.synthesis.training.validation import validate

logger = logging.getLogger(__name__)


class TrainingLoop:
    """A training under way.

    Parameters
    ----------
    training, validation : collection of CaseArrays
        See :func:`bids_spectsynth.synthesis.training.train.train`.
    config : TrainingConfig
    folder : Path
        Of the model.
    device : torch.device
    processes : Processes
    storage : Storage
        Where the slices lie.
    initial : InitialModel, optional
        Whose weights the networks start from.
    """

    def __init__(
        self,
        training: Collection[CaseArrays],
        validation: Collection[CaseArrays],
        config: TrainingConfig,
        folder: Path,
        device: torch.device,
        processes: Processes,
        storage: Storage,
        initial: InitialModel | None = None,
    ) -> None:
        self.config, self.folder, self.device, self.processes = config, folder, device, processes
        self.slices = gather_training_slices(training, validation, config, device, processes, storage)
        n_steps, levels = config.epochs * self._steps_per_epoch, self.slices.levels
        rule = training_computation(
            device, config.precision, config.memory_format, config.compile,
            n_steps=n_steps, n_processes=processes.count,
        )  # fmt: skip
        begun = checkpoint.begun_header(folder, config)
        size = self.slices.slice_shape
        computation = tried(rule, config, levels, size, processes, n_steps=n_steps, begun=begun)
        self.stepper = Stepper(config, config.recipe.n_channels, levels, computation, processes, initial)
        self.initial = initial
        self._widths: Mapping[str, float] = {}
        self._scans: Mapping[str, Any] = {}
        # Arrays in memory have neither sidecars nor files that could be measured. Now, because files may change while
        # a training lasts, and none must end for that.
        if isinstance(training, PreparedCases) and processes.is_first:
            self._widths = training.widths
            self._scans = describe_scans(training.cases, (*config.inputs, INTERICTAL))
        self._losses = loss_names(config)
        self.state = TrainingState(sums=torch.zeros(len(self._losses), dtype=torch.float64))

    @property
    def _steps_per_epoch(self) -> int:
        per_process = -(-len(self.slices.data) // self.processes.count)
        return -(-per_process // self.config.batch_size)

    def resume(self) -> None:
        """Take over the checkpoint, if there is one of this training."""
        self.state = checkpoint.resume(self.folder, self.config, self.stepper, self.state)

    def save(self) -> None:
        """Write the checkpoint (first process only)."""
        if self.processes.is_first:
            checkpoint.save(self.folder, self.config, self.stepper, self.state)

    def fit(self, stop: StopSignals, *, progress: bool, phantom: bool | None = None) -> None:
        """Train the remaining epochs, then write the model.

        Parameters
        ----------
        stop : StopSignals
            Looked at after every step.
        progress : bool
            Show a bar, if the error stream is a terminal.
        phantom : bool, optional
            Whether the images are simulated, for the card.

        Raises
        ------
        Interrupted
            A signal came; a checkpoint has been written.
        ModelError
            Losses, weights or the validation are no numbers any more; the last checkpoint is of before, and there is no
            model.
        """
        n_steps, state, config = self._steps_per_epoch, self.state, self.config
        how = ", ".join(f"{name} {value}" for name, value in self.stepper.computation.facts().items())
        height, width = self.slices.slice_shape
        words = "Model %s: %d slices of %d x %d, %d steps an epoch (%s)"
        logger.info(words, config.label, len(self.slices.data), height, width, n_steps, how)
        with tqdm(
            total=n_steps * config.epochs,
            initial=n_steps * state.epoch + state.step,
            desc=config.label,
            unit="step",
            # None: only on a terminal, so that the log of a batch job is not filled with bars.
            disable=None if progress and self.processes.is_first else True,
        ) as bar:
            # A head that has learned nothing yet must not be kept.
            whole = self.initial is not None and (self.initial.has_scale or not config.predicts_scale)
            if whole and state.epoch == state.step == 0:
                self._take_start(stop)
            ended = self._is_ended()
            while not ended:
                self._epoch(stop, bar)
                ended = self._is_ended()
                if state.epoch % config.checkpoint_every == 0 or ended:
                    self.save()
                if not ended:
                    self._stop_on_signal(stop)
        if self.processes.is_first:
            self._write_model(phantom)

    def _is_ended(self) -> bool:
        """Whether all epochs are done, or so many in a row without a better one that patience is at its end."""
        state, patience = self.state, self.config.patience
        # The first process alone knows how good an epoch was.
        waited = self.processes.largest(int(self.processes.is_first and state.epoch - state.best_epoch >= patience))
        return state.epoch >= self.config.epochs or bool(patience and waited)

    def _take_start(self, stop: StopSignals) -> None:
        """Rate the model that the training starts from: it is kept where no epoch is better."""
        metrics = self._validate(stop)
        self._stop_on_signal(stop)
        if self.processes.is_first:
            self.state.start = metrics
            self._keep(metrics)
            words = "Model %s: validation RMSE %.4f, SSIM %.4f before the first epoch, with the weights of %s"
            label = self.initial.card.label if self.initial else ""
            logger.info(words, self.config.label, metrics["rmse"], metrics["ssim"], label)

    def _keep(self, metrics: dict[str, float]) -> None:
        """Take the present weights as the best so far."""
        self.state.best_epoch, self.state.best = self.state.epoch, metrics
        weights = self.stepper.weights()
        self.state.best_weights = {name: value.detach().cpu().clone() for name, value in weights.items()}

    def _write_model(self, phantom: bool | None) -> None:
        state = self.state
        save_model(self.folder, self.card(phantom), state.best_weights)
        rmse, ssim = state.best["rmse"], state.best["ssim"]
        words = "Model %s: best epoch %d of %d, validation RMSE %.4f, SSIM %.4f"
        logger.info(words, self.config.label, state.best_epoch, state.epoch, rmse, ssim)

    def card(self, phantom: bool | None) -> ModelCard:
        """What is to be known of the model; ``phantom`` as in :meth:`fit`."""
        slices = self.slices
        card = make_card(
            self.config,
            slices.statistics,
            self.state,
            self.stepper,
            len(slices.data),
            slices.selection,
            slice_shape=slices.slice_shape,
            phantom=phantom,
            prior=self._prior_checksum(),
            initial=self.initial,
        )
        return with_scans(card, self._scans, self._widths)

    def _prior_checksum(self) -> str:
        return baselines_checksum(self.folder) if self.config.recipe.prior else ""

    def _epoch(self, stop: StopSignals, bar: "tqdm[Any]") -> None:
        """The steps of one epoch that are still to do, validation, and the record of both."""
        self._begin_epoch()
        state, config, data = self.state, self.config, self.slices.data
        started = time.monotonic() - state.seconds
        rate = config.rate(state.epoch)
        self.stepper.set_rate(rate)
        order = torch.Generator().manual_seed(derived_seed(config.seed, "order", state.epoch))
        rank, count = self.processes.rank, self.processes.count
        batches = shuffled_batches(len(data), config.batch_size, order, rank=rank, processes=count)
        state.sums, how = state.sums.to(self.device), self.stepper.computation
        for rows in batches[state.step :]:
            seed = derived_seed(config.seed, "step", state.epoch, state.step, rank)
            inputs, targets = (decoded_on(slices, how) for slices in (data.inputs(rows), data.targets[rows]))
            state.sums += self.stepper.step(inputs, targets, seed) * len(rows)
            state.step += 1
            state.seconds = time.monotonic() - started
            self._show(bar, sum(map(len, batches[: state.step])))
            self._stop_on_signal(stop)
        losses = self.processes.mean(state.sums / sum(map(len, batches))).tolist()
        self._check_finite()
        metrics = self._validate(stop)
        # A stop during validation leaves the epoch with all its steps done; the next run begins with validation.
        self._stop_on_signal(stop)
        if self.processes.largest(int(not all(map(math.isfinite, metrics.values())))):
            raise not_finite(self.folder, self.config, "the error of the validation participants", self.state.epoch)
        self._record(losses, metrics, rate, time.monotonic() - started)

    def _begin_epoch(self) -> None:
        """Nothing; a training on ever new slices gets those of the epoch here."""

    def _validate(self, stop: StopSignals) -> dict[str, float]:
        if not self.processes.is_first:
            return {}
        config = self.config
        found = validate(
            self.stepper.predictor,
            self.slices.held_out,
            max(1, config.batch_size // self.stepper.n_parts),
            self.stepper.computation,
            lambda: stop.number != 0,
            config.recipe,
        )
        return found or {}

    def _check_finite(self) -> None:
        """Refuse to go on, and to write a checkpoint, with what is no number; all processes decide alike.

        The generator's loss is a sum over all of its terms; of the others, those that are off have none.
        """
        absurd = unusable(self.stepper.tensors()) or unusable(self.stepper.weights(), LARGEST_WEIGHT)
        faults = {"the loss": not bool(torch.isfinite(self.state.sums[0])), "a weight of the networks": bool(absurd)}
        for what, fault in faults.items():
            if self.processes.largest(int(fault)):
                raise not_finite(self.folder, self.config, what, self.state.epoch)

    def _show(self, bar: "tqdm[Any]", n_seen: int) -> None:
        # Reading a loss makes the CPU wait for the GPU, so only when the bar is drawn anyway.
        if bar.update(1) and not bar.disable:
            # Two values, so that the line fits a terminal; history.tsv has them all.
            shown = {"loss": f"{float(self.state.sums[0]) / n_seen:.3g}"}
            if self.state.history:
                shown["val. rmse"] = f"{self.state.history[-1]['validation_rmse']:.4f}"
            bar.set_postfix(shown, refresh=False)

    def _stop_on_signal(self, stop: StopSignals) -> None:
        number = self.processes.largest(stop.number)
        if number:
            # One checkpoint serves all processes, each of which has summed the losses of its own slices.
            self.state.sums = self.processes.mean(self.state.sums)
            self._check_finite()
            self.save()
            self.processes.wait()
            raise Interrupted(number)

    def _record(self, losses: list[float], metrics: dict[str, float], rate: float, seconds: float) -> None:
        state = self.state
        state.epoch, state.step, state.seconds = state.epoch + 1, 0, 0.0
        state.sums = torch.zeros_like(state.sums)
        row = {"epoch": float(state.epoch)}
        row |= {f"loss_{name}": value for name, value in zip(self._losses, losses, strict=True)}
        # The first process alone validates, and it alone writes the history.
        row |= {f"validation_{name}": metrics.get(name, math.nan) for name in ("rmse", "ssim")}
        state.history.append(row | {"learning_rate": rate, "seconds": round(seconds, 3)})
        if not self.processes.is_first:
            return
        if not state.best or metrics["rmse"] < state.best["rmse"]:
            self._keep(metrics)
        write_history(self.folder, state.history, self._losses)
        logger.info(
            "Model %s, epoch %d of %s%d: generator loss %.4g, validation RMSE %.4f, SSIM %.4f; %s",
            self.config.label, state.epoch, "at most " if self.config.patience else "", self.config.epochs, losses[0],
            metrics["rmse"], metrics["ssim"], remaining_words(state.history, self.config.epochs),
        )  # fmt: skip
