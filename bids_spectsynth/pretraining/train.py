"""Training on an endless stream of simulated heads: every epoch is another cohort."""

import dataclasses
import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.pretraining.cohort import CohortRequest, plan_cohort, scaled_cases
from bids_spectsynth.pretraining.making import CONTRASTS
from bids_spectsynth.pretraining.stream import CohortStream
from bids_spectsynth.synthesis.computing.devices import Processes, resolve_device
from bids_spectsynth.synthesis.data.dataset import resident
from bids_spectsynth.synthesis.data.gathering import gather_slices
from bids_spectsynth.synthesis.data.slices import CaseArrays
from bids_spectsynth.synthesis.data.storage import Storage
from bids_spectsynth.synthesis.models.card import ModelCard, load_card
from bids_spectsynth.synthesis.study import planned_models
from bids_spectsynth.synthesis.training.config import TrainingConfig, training_config
from bids_spectsynth.synthesis.training.finished import check_replaceable, finished_card
from bids_spectsynth.synthesis.training.loop import TrainingLoop
from bids_spectsynth.synthesis.training.state import Interrupted, StopSignals

logger = logging.getLogger(__name__)

#: Changes whenever other heads come of the same seed: a model of the earlier ones is then another model.
RECIPE_VERSION = 1
#: Cohorts that choose the epoch, from this number on, where no training comes; and how many heads each has.
VALIDATION_COHORTS, _FIRST_VALIDATION, VALIDATION_HEADS = 3, 1_000_000, 5
STATEMENT = (
    "This model has learned from simulated heads alone. It is a start for a training on patients (--initial-model), "
    "and its images mean nothing."
)
#: Roles of images that can be simulated.
SIMULATED_ROLES = (*CONTRASTS, "pet")


class StreamLoop(TrainingLoop):
    """A training of which every epoch is another simulated cohort.

    Parameters
    ----------
    stream : CohortStream
    config : TrainingConfig
    folder : Path
        Of the model.
    device : torch.device
    """

    def __init__(self, stream: CohortStream, config: TrainingConfig, folder: Path, device: torch.device) -> None:
        self._stream = stream
        held_out = _validation_cases(stream)
        super().__init__(stream.cohort(0), held_out, config, folder, device, Processes(), Storage())
        self._first = self.slices
        self._n_held_out, self._present = len(held_out), 0
        self._stop = StopSignals()

    def fit(self, stop: StopSignals, *, progress: bool, phantom: bool | None = None) -> None:
        """Train as every loop does; the wait for a cohort looks at ``stop`` too.

        Parameters
        ----------
        stop : StopSignals
        progress : bool
        phantom : bool, optional
            See :meth:`bids_spectsynth.synthesis.training.loop.TrainingLoop.fit`.
        """
        self._stop = stop
        super().fit(stop, progress=progress, phantom=phantom)

    def _begin_epoch(self) -> None:
        number = self.state.epoch
        if number == self._present:
            return
        if not self._stream.wait(number, lambda: self._stop.number != 0):
            self._stop_on_signal(self._stop)
        config, size = self.config, self._first.slice_shape
        data, _ = gather_slices(
            self._stream.cohort(number),
            config.slices_per_subject,
            masks=False,
            neighbours=config.neighbour_slices,
            orientation=config.orientation,
            crop_to_brain=config.crop == "brain",
            at_least=size,
        )
        self.slices = replace(self._first, data=resident(data, self.device))
        self._present = number

    def _prior_checksum(self) -> str:
        # Every cohort has a mean of its own; none is kept.
        return ""

    def card(self, phantom: bool | None) -> ModelCard:
        """What is to be known of the model: simulated, and nobody's images."""
        card = super().card(phantom)
        n_heads, epochs = self._stream.request.n_heads, self.state.epoch
        training = {
            **card.training,
            "participants": 0,
            "validation_participants": 0,
            "slices": len(self._first.data) * epochs,
            "simulated_heads": n_heads * epochs,
            "simulated_validation_heads": self._n_held_out,
            "simulation_version": RECIPE_VERSION,
        }
        return replace(
            card,
            training=training,
            architecture={**card.architecture, "slice_shape": list(self._first.slice_shape)},
            participants=(),
            selection_participants=(),
            statement=STATEMENT,
        )


def _validation_cases(stream: CohortStream) -> list[CaseArrays]:
    """Heads of several cohorts, always the same."""
    request = dataclasses.replace(stream.request, n_heads=VALIDATION_HEADS)
    plans = {number: plan_cohort(request, _FIRST_VALIDATION + number) for number in range(VALIDATION_COHORTS)}
    begun = {number: stream.draw(request, plan) for number, plan in plans.items()}
    cases = []
    for number, plan in plans.items():
        heads = [head.result() for head in begun[number]]
        cases += scaled_cases(request, plan, heads, f"validation{_FIRST_VALIDATION + number}")
    return cases


def _check_replaceable(folder: Path, config: TrainingConfig) -> None:
    """Refuse to train over another start, in words of this command's options."""
    try:
        check_replaceable(folder, config)
    except ModelError as error:
        own, earlier = config.as_json(), config.filled(load_card(folder).config)
        differing = sorted(name for name in {*own, *earlier} if own.get(name) != earlier.get(name))
        # What is drawn also follows from other options, which then differ themselves.
        named = [name for name in differing if name != "data"] or ["heads"]
        raise ModelError(
            f"{folder}: holds a start that was trained otherwise ({', '.join(named)} differ); give those options as "
            "they were, or another OUT, or remove the folder"
        ) from error


def pretrain(settings: Settings, folder: Path, n_heads: int) -> ModelCard:
    """Train a model on simulated heads, or go on with its training, or return it where it is finished.

    Parameters
    ----------
    settings : Settings
        Those of a training, with one set of inputs.
    folder : Path
        Of the model.
    n_heads : int
        Heads of a cohort.

    Raises
    ------
    ModelError
        The folder holds another model, or there is no such device.
    Interrupted
        A signal came; the next call goes on from the checkpoint to the same result.
    """
    (model,) = planned_models(settings)
    request = CohortRequest(
        seed=settings.random_seed,
        n_heads=n_heads,
        inputs=model.inputs,
        voxel_size=settings.voxel_size,
        scaling=settings.intensity_scaling,
        prior=settings.cohort_prior != "none",
    )
    label = settings.model_label or f"{model.label}Simulated"
    recipe = hashlib.sha256(f"simulated heads {RECIPE_VERSION} {request}".encode()).hexdigest()
    config = training_config(settings, model.inputs, model.space, recipe, label=label, configuration=label)
    _check_replaceable(folder, config)
    finished = finished_card(folder, config)
    if finished is not None:
        logger.info("Model %s is trained already", label)
        return finished
    torch.set_num_threads(settings.nprocs)
    device = resolve_device(settings.device)
    with CohortStream(request, settings.nprocs) as stream:
        # Before the first step there is nothing to keep: a signal ends the drawing of the first heads at once.
        loop = StreamLoop(stream, config, folder, device)
        loop.resume()
        with StopSignals() as stop:
            loop.fit(stop, progress=True, phantom=True)
    if stop.number:
        raise Interrupted(stop.number)
    return load_card(folder)
