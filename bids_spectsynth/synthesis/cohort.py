"""Training on a prepared cohort: who may be trained on, who is held out, and one model per space and input set."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_spectsynth.bids.cases import INTERICTAL
from bids_spectsynth.bids.dataset import add_descriptions, has_phantom_data
from bids_spectsynth.bids.derivatives import PreparedCase, find_prepared, update_participants
from bids_spectsynth.errors import ModelError, UsageError
from bids_spectsynth.exit_codes import Outcome
from bids_spectsynth.settings import Settings
from bids_spectsynth.synthesis.baselines import fit_baselines, has_baselines, remove_baselines
from bids_spectsynth.synthesis.model_folder import CARD_FILE, load_card, model_label
from bids_spectsynth.synthesis.slices import PreparedCases
from bids_spectsynth.synthesis.split import read_split_file, split_participants
from bids_spectsynth.synthesis.training import TrainingConfig, check_replaceable, finished_card, train, training_config

logger = logging.getLogger(__name__)


def trainable(cases: Sequence[PreparedCase], inputs: Sequence[str]) -> list[PreparedCase]:
    """The cases with an interictal SPECT and every input."""
    return [case for case in cases if all(role in case.images for role in (INTERICTAL, *inputs))]


def model_labels(settings: Settings) -> dict[tuple[str, tuple[str, ...]], str]:
    """Label of the model of every space and input set that the settings ask for.

    Raises
    ------
    UsageError
        ``--model-label`` is given for more than one model.
    """
    pairs = [(space, inputs) for space in settings.output_spaces for inputs in settings.inputs]
    if settings.model_label is None:
        scaling, ssim = settings.intensity_scaling, settings.ssim_weight
        return {(space, inputs): model_label(inputs, space, scaling, ssim) for space, inputs in pairs}
    if len(pairs) > 1:
        raise UsageError(f"--model-label: {len(pairs)} models would share {settings.model_label}; train one a run")
    return {pairs[0]: settings.model_label}


def model_folders(settings: Settings) -> list[Path]:
    """Finished models in the output folder, in the asked-for spaces.

    Raises
    ------
    ModelError
        There is none, or a card is damaged.
    """
    folder = settings.output_dir / "models"
    finished = [path.parent for path in sorted(folder.glob(f"*/{CARD_FILE}"))]
    fitting = [path for path in finished if load_card(path).space in settings.output_spaces]
    if not fitting:
        spaces = ", ".join(settings.output_spaces)
        raise ModelError(f"{folder}: no finished model in space {spaces}; run --mode train first or give --model")
    return fitting


@dataclass(frozen=True)
class Cohort:
    """The prepared cases by space, the split of their participants, and those that have no part in it."""

    cases: dict[str, list[PreparedCase]]
    split: dict[str, str]
    left_out: frozenset[str] = frozenset()

    def part(self, space: str, inputs: Sequence[str], part: str) -> tuple[PreparedCase, ...]:
        """Cases of one part of the split that a model of these inputs can use."""
        return tuple(c for c in trainable(self.cases[space], inputs) if self.split.get(c.participant) == part)


def make_cohort(settings: Settings, names: Collection[str] | None) -> Cohort:
    """Split everybody who can be trained on; one split serves all models of a run.

    All sessions of a participant fall on one side. The models are thus compared on the same held-out participants.

    Parameters
    ----------
    settings : Settings
    names : collection of str, optional
        Cases (``sub-01``, ``sub-01_ses-x``) to choose from; None for ``participant_label``, or all that is prepared.

    Raises
    ------
    ModelError
        Nothing is prepared, nobody has an interictal SPECT, or there are fewer than three participants.
    UsageError
        The split file does not fit the participants.
    """
    cases = {}
    for space in settings.output_spaces:
        found = find_prepared(settings.output_dir, space, settings.participant_label)
        cases[space] = [case for case in found if names is None or case.name in names]
        if not cases[space]:
            raise ModelError(f"{settings.output_dir}: nobody is prepared in {space}; run --mode preprocess first")
    everybody = {case.participant for found in cases.values() for case in found}
    usable = sorted({c.participant for found in cases.values() for i in settings.inputs for c in trainable(found, i)})
    if not usable:
        wanted = " or ".join("+".join(inputs) for inputs in settings.inputs)
        raise ModelError(
            f"{settings.output_dir}: no participant has an interictal SPECT and {wanted}, so there is nothing to train "
            "on; use --mode preprocess to prepare only, or --model to apply a trained model"
        )
    if settings.split_file is not None:
        split = dict(read_split_file(settings.split_file, usable, known=everybody))
    else:
        split = dict(split_participants(usable, settings.split, settings.random_seed))
    return Cohort(cases, {label: str(part) for label, part in split.items()}, frozenset(usable) - set(split))


def train_models(settings: Settings, names: Collection[str] | None) -> tuple[list[Path], list[Outcome]]:
    """Train the model of every space and input set, each with its baselines; finished ones are left as they are.

    Parameters
    ----------
    settings : Settings
    names : collection of str, optional
        See :func:`make_cohort`.

    Returns
    -------
    folders : list of Path
        ``models/<label>``.
    outcomes : list of Outcome
        One per participant of the split.

    Raises
    ------
    ModelError
        See :func:`make_cohort`; or a model lacks training or validation participants; or a folder holds another model.
    """
    cohort = make_cohort(settings, names)
    trainings = [
        _plan_training(settings, cohort, space, inputs, settings.output_dir / "models" / label)
        for (space, inputs), label in model_labels(settings).items()
    ]
    # Only now that no model refuses to be trained may the split of earlier models be written over.
    others = {case.participant: "n/a" for cases in cohort.cases.values() for case in cases}
    parts = {**others, **dict.fromkeys(cohort.left_out, "excluded"), **cohort.split}
    update_participants(settings.output_dir, {label: {"split": part} for label, part in parts.items()})
    counts = [f"{sum(p == part for p in cohort.split.values())} {part}" for part in ("train", "validation", "test")]
    logger.info("Split by participant: %s", ", ".join(counts))
    folders = [_train_model(settings, training) for training in trainings]
    return folders, [Outcome(label, None, "train", "ok") for label in sorted(cohort.split)]


@dataclass(frozen=True)
class _Training:
    """One model to train, checked: there is somebody to train on, and no other model lies in its folder."""

    folder: Path
    config: TrainingConfig
    training: PreparedCases
    validation: PreparedCases


def _plan_training(settings: Settings, cohort: Cohort, space: str, inputs: tuple[str, ...], folder: Path) -> _Training:
    parts = {part: cohort.part(space, inputs, part) for part in ("train", "validation")}
    for part, members in parts.items():
        if not members:
            raise ModelError(f"model {folder.name}: no {part} participant has {' and '.join(inputs)}; see --split-file")
    training, validation = (PreparedCases(members, inputs, settings.intensity_scaling) for members in parts.values())
    config = training_config(settings, inputs, space, training.digest() + validation.digest())
    check_replaceable(folder, config)
    return _Training(folder, config, training, validation)


def _train_model(settings: Settings, planned: _Training) -> Path:
    folder, config = planned.folder, planned.config
    if finished_card(folder, config) is None:
        # Baselines of an earlier training would be of another cohort.
        remove_baselines(folder)
    simulated = has_phantom_data(settings) or None
    train(
        planned.training,
        planned.validation,
        config,
        folder,
        device=settings.device,
        threads=settings.nprocs,
        phantom=simulated,
    )
    if not has_baselines(folder):
        fit_baselines(planned.training.cases, config.inputs, config.scaling).save(folder)
    inputs = " and ".join(config.inputs)
    words = f"Synthetic interictal SPECT of the pix2pix model trained on {inputs} in space {config.space}."
    add_descriptions(settings.output_dir, {folder.name: words})
    return folder
