"""Training on a prepared cohort: who may be trained on, who is held out, and one model per space and input set."""

import logging
from collections.abc import Sequence
from pathlib import Path

from bids_spectsynth.bids.derivatives import PreparedCase
from bids_spectsynth.errors import ModelError, UsageError
from bids_spectsynth.settings import Settings
from bids_spectsynth.synthesis.split import read_split_file, split_participants

logger = logging.getLogger(__name__)

TARGET = "interictal"


def has_images(prepared: PreparedCase, roles: Sequence[str]) -> bool:
    """Whether every role is among the prepared images of the case."""
    return all(role in prepared.images for role in roles)


def trainable(cases: Sequence[PreparedCase], inputs: Sequence[str]) -> list[PreparedCase]:
    """The cases with an interictal SPECT and every input."""
    return [case for case in cases if has_images(case, [TARGET, *inputs])]


def split_cohort(cases: Sequence[PreparedCase], settings: Settings) -> dict[str, str]:
    """Assign every participant that some model can be trained on to training, validation or test.

    One split serves all models of a run, so that they are compared on the same held-out participants.
    All sessions of a participant fall on one side.

    Raises
    ------
    ModelError
        Fewer than three participants.
    UsageError
        The split file does not fit the participants.
    """
    names = sorted({case.participant for inputs in settings.inputs for case in trainable(cases, inputs)})
    if settings.split_file is not None:
        return dict(read_split_file(settings.split_file, names))
    return dict(split_participants(names, settings.split, settings.random_seed))


def model_labels(settings: Settings) -> dict[tuple[str, tuple[str, ...]], str]:
    """Label of the model of every space and input set that the settings ask for.

    Raises
    ------
    UsageError
        ``--model-label`` is given for more than one model.
    """
    from bids_spectsynth.synthesis.model_folder import model_label

    pairs = [(space, inputs) for space in settings.output_spaces for inputs in settings.inputs]
    if settings.model_label is not None:
        if len(pairs) > 1:
            raise UsageError(
                f"--model-label: {len(pairs)} models would share {settings.model_label!r}; train one a run"
            )
        return {pairs[0]: settings.model_label}
    return {
        (space, inputs): model_label(inputs, space, settings.intensity_scaling, settings.ssim_weight)
        for space, inputs in pairs
    }
