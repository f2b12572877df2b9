"""Applying a model folder to prepared cases: synthesis for all, evaluation for those it has never seen."""

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import pandas as pd
import torch

from bids_spectsynth.bids.cases import INTERICTAL
from bids_spectsynth.bids.dataset import has_phantom_data
from bids_spectsynth.bids.derivatives import PreparedCase, find_prepared, read_participants
from bids_spectsynth.bids.writing import sidecar_path
from bids_spectsynth.errors import ModelError, SpectSynthError
from bids_spectsynth.evaluation.evaluate import evaluate_case, metrics_path
from bids_spectsynth.exit_codes import Outcome
from bids_spectsynth.settings import Settings
from bids_spectsynth.synthesis.baselines import baseline_files
from bids_spectsynth.synthesis.devices import resolve_device
from bids_spectsynth.synthesis.inference import ORIGINAL_SPACE, synthesise, synthetic_path
from bids_spectsynth.synthesis.model_folder import (
    Model,
    ModelCard,
    check_fit,
    is_selection_participant,
    is_training_participant,
    load_card,
    load_model,
)

logger = logging.getLogger(__name__)

#: The model has seen nothing of these participants.
RATED = ("test", "external")


def apply_model(folder: Path, names: Collection[str], settings: Settings) -> list[Outcome]:
    """Synthesise the SPECT of prepared cases with one model, and rate it where a real one was held out.

    What is younger than the model and the prepared images is left as it is.

    Parameters
    ----------
    folder : Path
        ``models/<label>``, of this output folder or another.
    names : collection of str
        Cases (``sub-01``, ``sub-01_ses-x``); those of them that are prepared in the model's space are served.
    settings : Settings

    Returns
    -------
    list of Outcome
        A case that does not fit the model (an input is missing, say) is skipped; one whose images are damaged has
        failed.

    Raises
    ------
    ModelError
        The model is damaged.
    """
    torch.set_num_threads(settings.nprocs)
    device = resolve_device(settings.device)
    model = load_model(folder, device)
    if model.card.phantom and not has_phantom_data(settings):
        logger.warning("model %s learned from simulated heads; its images of real heads mean nothing", model.card.label)
    cases = [case for case in find_prepared(settings.output_dir, model.card.space) if case.name in names]
    fitting, outcomes = _fitting(model.card, cases, settings.voxel_size)
    logger.info("Model %s (%s): applying to %d", model.card.label, device, len(fitting))
    for case in fitting:
        outcomes.append(_serve(model, folder, case, settings))
    return outcomes


def _fitting(
    card: ModelCard, cases: Iterable[PreparedCase], voxel_size: float
) -> tuple[list[PreparedCase], list[Outcome]]:
    fitting, skipped = [], []
    for case in cases:
        try:
            check_fit(card, case, voxel_size)
            fitting.append(case)
        except ModelError as error:
            logger.warning("%s skipped: %s", case.name, error)
            skipped.append(Outcome(case.participant, case.session, "synthesise", "skipped", str(error)))
    return fitting, skipped


def check_served(outcomes: Sequence[Outcome], folders: Sequence[Path], settings: Settings) -> None:
    """Refuse models that fit none of the cases; a case that one of several models fits is served.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of all models together.
    folders : sequence of Path
        The models.
    settings : Settings

    Raises
    ------
    ModelError
        Says what the first model needs.
    """
    if any(outcome.status != "skipped" for outcome in outcomes):
        return
    if outcomes:
        raise ModelError(outcomes[0].reason)
    card = load_card(folders[0])
    spaces = " ".join(settings.output_spaces)
    raise ModelError(f"model {card.label} works in space {card.space}, not {spaces}; use --output-spaces {card.space}")


def _serve(model: Model, folder: Path, case: PreparedCase, settings: Settings) -> Outcome:
    stage = "synthesise"
    try:
        path = synthetic_path(settings.output_dir, case, model.card.label)
        sources = [*case.images.values(), *case.masks.values()]
        native = synthetic_path(settings.output_dir, case, model.card.label, space=ORIGINAL_SPACE)
        made = [path, sidecar_path(path)] + ([native] if case.space == "T1w" else [])
        if not is_younger(made, sources) or not made_by(path, model.card):
            synthesise(model, case, settings.output_dir, settings)
        stage = "evaluate"
        split = split_of(model.card, folder, case, settings)
        table = metrics_path(settings.output_dir, case, model.card.label)
        if INTERICTAL not in case.images or split not in RATED:
            # A table of an earlier training, which had not seen this participant, must not stay.
            for stale in (table, table.with_suffix(".json")):
                stale.unlink(missing_ok=True)
        elif not is_younger([table], [path, *sources, *baseline_files(folder)]) or not _is_same_rating(
            table, settings.data_range, split
        ):
            evaluate_case(case, folder, settings.output_dir, settings.data_range, split)
    except Exception as error:
        known = isinstance(error, SpectSynthError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        logger.error("%s failed: %s", case.name, reason)
        logger.debug("%s, %s", case.name, stage, exc_info=True)
        return Outcome(case.participant, case.session, stage, "failed", reason)
    return Outcome(case.participant, case.session, stage, "ok")


def split_of(card: ModelCard, folder: Path, case: PreparedCase, settings: Settings) -> str:
    """On which side of the model's split a case lies: the model's own card decides before any table.

    Returns
    -------
    str
        ``train`` or ``validation`` where the model has seen the participant; ``test`` where it was trained in this
        output folder and the participant was held out, ``excluded`` where the split file left it out; else
        ``external``.
    """
    trained_here = folder.resolve().parent == (settings.output_dir / "models").resolve()
    seen = "train" if is_training_participant(card, case.participant) else ""
    seen = seen or ("validation" if is_selection_participant(card, case.participant) else "")
    if seen:
        if not trained_here:
            logger.warning(
                "%s: not rated, because model %s was trained on a participant of this label", case.name, card.label
            )
        return seen
    table = read_participants(settings.output_dir)
    row = table.loc[table["participant_id"] == f"sub-{case.participant}", "split"]
    return row.iloc[0] if trained_here and list(row) in (["test"], ["excluded"]) else "external"


def made_by(path: Path, card: ModelCard) -> bool:
    """Whether a synthetic image was made by this very model, and not by another one of the same label."""
    try:
        content = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("ModelChecksum") == f"sha256:{card.weights_sha256}"


def is_younger(made: Iterable[Path], sources: Iterable[Path]) -> bool:
    """Whether all files exist and none is older than any source (as make decides)."""
    made = list(made)
    if not all(path.exists() for path in made):
        return False
    return min(p.stat().st_mtime_ns for p in made) >= max(p.stat().st_mtime_ns for p in sources)


def _is_same_rating(table: Path, data_range: float, split: str) -> bool:
    rated = pd.read_csv(table, sep="\t", usecols=["data_range", "split"])
    return set(rated["data_range"]) == {data_range} and set(rated["split"]) == {split}
