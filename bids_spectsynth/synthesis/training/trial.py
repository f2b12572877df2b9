"""Which number format and memory layout a training is fastest with: a few steps of each are timed before a long one.

What the hardware says of itself is not enough: where bfloat16 is supported it may be slower than float32, and channels
last is slower than the plain layout for some sizes of slices and networks.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import MemoryFormat, Precision
from bids_spectsynth.synthesis.computing.computation import Computation, has_bfloat16
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.data.cropping import Size
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.steps import Stepper

logger = logging.getLogger(__name__)

#: Shorter trainings would not earn back the time of the steps that are tried.
MIN_STEPS_TO_TRY = 2000
#: The rule without a trial is kept unless another way is faster by this: differences below are noise, and equal
#: commands should give equal weights.
CLEARLY_FASTER = 1.05
#: Each way takes its turn so often: a machine that slows down for a while slows all of them.
_ROUNDS = 2
_STEPS = 2

#: Seconds per step of a way to compute, with these settings; infinite where it cannot be computed so.
Timer = Callable[[Computation], float]


def tried(
    rule: Computation,
    config: TrainingConfig,
    levels: int,
    slice_size: Size,
    processes: Processes,
    *,
    n_steps: int,
    begun: Mapping[str, object] | None = None,
    timer: Timer | None = None,
) -> Computation:
    """The fastest way to compute a training among those that the user left open.

    Parameters
    ----------
    rule : Computation
        What hardware and options say (:func:`training_computation`); one of the ways.
    config : TrainingConfig
        ``precision`` and ``memory_format`` are tried where they are ``auto``.
    levels : int
        Halvings of the network.
    slice_size : tuple of int
        Height and width of the training slices.
    processes : Processes
        All try at once, as they will train; the first one's clock decides.
    n_steps : int
        Of the whole training; below :data:`MIN_STEPS_TO_TRY` the rule is followed.
    begun : mapping, optional
        Header of the checkpoint from which the training will go on: in the way in which it was begun.
    timer : callable, optional
        By default steps on random slices are timed.

    Returns
    -------
    Computation
        With what was measured in ``trial``, where there was a trial.

    Raises
    ------
    ModelError
        Only some of the processes see the checkpoint.
    """
    ways = ways_left_open(rule, config)
    earlier = recorded(begun, ways) if begun is not None else None
    _check_shared(0 if earlier is None else ways.index(earlier) + 1, processes)
    if earlier is not None:
        return earlier
    if len(ways) == 1 or n_steps < MIN_STEPS_TO_TRY:
        return rule
    if timer is None:
        timer = _step_timer(config, levels, slice_size)
    seconds = _least_seconds(ways, timer)
    place = processes.largest(ways.index(fastest(seconds, rule)) if processes.is_first else 0)
    # What cannot be computed has no time that JSON could hold.
    trial = {f"{way.precision}, {way.layout}": seconds[way] for way in ways if math.isfinite(seconds[way])}
    chosen = dataclasses.replace(ways[place], trial=tuple(trial.items()))
    words = "; ".join(f"{name} {value:.3g} s" for name, value in trial.items())
    logger.info("Steps tried: %s; taken: %s, %s", words, chosen.precision, chosen.layout)
    return chosen


def _check_shared(place: int, processes: Processes) -> None:
    # A process that goes on while another one tries would leave that one waiting.
    if not processes.agree(place):
        raise ModelError("the processes do not see the same checkpoint; use a folder that all share")


def _least_seconds(ways: Sequence[Computation], timer: Timer) -> dict[Computation, float]:
    """Seconds per step of each way; the first one, the rule, must be possible."""
    seconds = dict.fromkeys(ways, math.inf)
    for _ in range(_ROUNDS):
        for way in ways:
            seconds[way] = min(seconds[way], timer(way) if way == ways[0] else _seconds_or_never(timer, way))
    return seconds


def _seconds_or_never(timer: Timer, way: Computation) -> float:
    """Seconds per step; infinite where this hardware or this version of torch cannot compute so."""
    try:
        return timer(way)
    except (RuntimeError, ModelError) as error:
        logger.debug("Steps cannot be computed in %s, %s: %s", way.precision, way.layout, error)
        return math.inf


def ways_left_open(rule: Computation, config: TrainingConfig) -> list[Computation]:
    """All ways to compute that options and hardware allow, the rule first."""
    layouts: tuple[MemoryFormat, ...] = (
        ("contiguous", "channels_last") if config.memory_format == "auto" else (rule.layout,)
    )
    both = config.precision == "auto" and has_bfloat16(rule.device)
    formats: tuple[Precision, ...] = ("float32", "bfloat16") if both else (rule.precision,)
    ways = [dataclasses.replace(rule, precision=one, layout=layout) for one in formats for layout in layouts]
    return [rule, *(way for way in ways if way != rule)]


def fastest(seconds: Mapping[Computation, float], rule: Computation) -> Computation:
    """The way of the least time; the rule, unless another one is clearly faster.

    Parameters
    ----------
    seconds : mapping of Computation to float
    rule : Computation
    """
    best = min(seconds, key=lambda way: seconds[way])
    return best if seconds[best] * CLEARLY_FASTER < seconds[rule] else rule


def recorded(header: Mapping[str, object], ways: Sequence[Computation]) -> Computation | None:
    """The way that a checkpoint was computed in, with its trial; None where it is none of these."""
    kept = (header.get("device"), header.get("precision"), header.get("memory_format"))
    trial = header.get("computation_trial")
    pairs = trial.items() if isinstance(trial, dict) else ()
    trial = tuple((name, float(value)) for name, value in pairs if isinstance(value, int | float))
    # Compiling is decided by the steps of the whole training, which may be more by now.
    found = (way for way in ways if kept == (way.device.type, way.precision, way.layout))
    return next((dataclasses.replace(way, trial=trial) for way in found), None)


def _step_timer(config: TrainingConfig, levels: int, size: Size) -> Timer:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand((config.batch_size, config.recipe.n_channels, *size), generator=generator) * 2 - 1
    targets = torch.rand((config.batch_size, 1, *size), generator=generator) * 2 - 1

    def seconds(way: Computation) -> float:
        # Compiling takes longer than the steps that it is to speed up here. The networks of one way at a time are in
        # memory, as in the training.
        way = dataclasses.replace(way, compiled=False)
        try:
            stepper = Stepper(config, config.recipe.n_channels, levels, way, Processes())
            # The first step takes longer than others: memory is taken, and the state of Adam made.
            stepper.step(inputs, targets, 0).tolist()
            times = []
            for number in range(_STEPS):
                started = time.perf_counter()
                # Reading the losses waits for a GPU.
                stepper.step(inputs, targets, number).tolist()
                times.append(time.perf_counter() - started)
            return min(times)
        finally:
            if way.device.type == "cuda":
                torch.cuda.empty_cache()

    return seconds
