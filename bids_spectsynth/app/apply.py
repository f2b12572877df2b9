"""Applying a model folder to prepared cases: synthesis for all, evaluation for those it has never seen."""

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from bids_spectsynth.bids.cases import INTERICTAL
from bids_spectsynth.bids.dataset import has_phantom_data
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared, read_participants
from bids_spectsynth.bids.writing import sidecar_path
from bids_spectsynth.errors import ModelError, Outcome, SpectSynthError
from bids_spectsynth.evaluation.case.calibration import calibrate_case
from bids_spectsynth.evaluation.case.evaluate import case_tables, evaluate_case, metrics_path
from bids_spectsynth.evaluation.columns import METRICS_DICTIONARY
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.options.spaces import option_of
from bids_spectsynth.synthesis.baselines.files import baseline_files
from bids_spectsynth.synthesis.computing.devices import resolve_device
from bids_spectsynth.synthesis.models.card import ModelCard, is_selection_participant, is_training_participant
from bids_spectsynth.synthesis.models.ensemble import Member, load_members, members_for, model_name
from bids_spectsynth.synthesis.models.fit import check_fit
from bids_spectsynth.synthesis.models.folder import Model, load_model
from bids_spectsynth.synthesis.prediction.names import ORIGINAL_SPACE, standard_deviation_path, synthetic_path
from bids_spectsynth.synthesis.prediction.sidecar import model_checksum
from bids_spectsynth.synthesis.prediction.synthetic_image import synthesise

logger = logging.getLogger(__name__)

#: The model has seen nothing of these participants.
RATED = ("test", "external")
_RATINGS = ("metrics", "regions", "volume", "calibration")


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
    model = _Applied(folder, load_members(folder), resolve_device(settings.device))
    card = model.members[0].card
    if any(member.card.phantom for member in model.members) and not has_phantom_data(settings):
        logger.warning("model %s learned from simulated heads; its images of real heads mean nothing", model.label)
    cases = [case for case in find_prepared(settings.output_dir, card.space) if case.name in names]
    fitting, outcomes = _fitting(card, cases, settings.voxel_size)
    logger.info("Model %s (%s): applying to %d", model.label, model.device, len(fitting))
    for case in fitting:
        outcomes.append(_serve(model, case, settings))
    return outcomes


class _Applied:
    """A model of one or more networks, each of which is loaded when the first case needs it."""

    def __init__(self, folder: Path, members: tuple[Member, ...], device: torch.device) -> None:
        self.folder, self.members, self.device = folder, members, device
        self.label = model_name(members)
        self._loaded: dict[Path, Model] = {}

    def networks(self, members: Iterable[Member]) -> list[Model]:
        """The networks of some members."""
        for member in members:
            if member.folder not in self._loaded:
                self._loaded[member.folder] = load_model(member.folder, self.device)
        return [self._loaded[member.folder] for member in members]


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
    card = load_members(folders[0])[0].card
    spaces = " ".join(settings.output_spaces)
    raise ModelError(
        f"model {card.label} works in space {card.space}, not {spaces}; use --output-spaces {option_of(card.space)}"
    )


def _serve(model: _Applied, case: PreparedCase, settings: Settings) -> Outcome:
    stage = "synthesise"
    try:
        label, output_dir = model.label, settings.output_dir
        serving = members_for(model.members, case.participant)
        cards = [member.card for member in serving]
        path = synthetic_path(output_dir, case, label)
        sources = [*case.images.values(), *case.masks.values()]
        made = [path, sidecar_path(path)]
        made += [synthetic_path(output_dir, case, label, space=ORIGINAL_SPACE)] if case.space == "T1w" else []
        made += [standard_deviation_path(output_dir, case, label)] if settings.uncertainty else []
        if serving[0].card.prior_sha256 and case.template_xfm is not None:
            sources.append(case.template_xfm)
        if (
            not is_younger(made, sources)
            or not made_by(path, cards)
            or (settings.uncertainty and not _is_same_sampling(case, label, cards, settings.uncertainty, output_dir))
        ):
            _remove_deviation(output_dir, case, label)
            synthesise(model.networks(serving), case, output_dir, settings, label=label)
        stage = "evaluate"
        split = split_of(cards, model.folder, case, settings)
        folders = [member.folder for member in serving]
        table = metrics_path(output_dir, case, label)
        if INTERICTAL not in case.images or split not in RATED:
            # A table of an earlier training, which had not seen this participant, must not stay.
            for stale in rating_tables(output_dir, case, label):
                stale.unlink(missing_ok=True)
                stale.with_suffix(".json").unlink(missing_ok=True)
        elif not is_younger(
            case_tables(output_dir, case, label), [path, *sources, *(p for f in folders for p in baseline_files(f))]
        ) or not _is_same_rating(table, settings.data_range, split):
            own, *further = folders
            evaluate_case(case, own, output_dir, settings.data_range, split, label=label, further_folders=further)
        if settings.uncertainty and split in RATED and INTERICTAL in case.images:
            _calibrate(case, label, split, serving[0].card, settings)
    except Exception as error:
        known = isinstance(error, SpectSynthError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        logger.error("%s failed: %s", case.name, reason)
        logger.debug("%s, %s", case.name, stage, exc_info=True)
        return Outcome(case.participant, case.session, stage, "failed", reason)
    return Outcome(case.participant, case.session, stage, "ok")


def _calibrate(case: PreparedCase, label: str, split: str, card: ModelCard, settings: Settings) -> None:
    """Rate the standard deviation of a synthetic image, unless that is done already."""
    synthetic = synthetic_path(settings.output_dir, case, label)
    deviation = standard_deviation_path(settings.output_dir, case, label)
    table = rating_tables(settings.output_dir, case, label)[-1]
    if is_younger([table], [synthetic, deviation, *case.images.values(), *case.masks.values()]):
        return
    sampled = _read_sidecar(deviation)
    facts = {"sampled_by": sampled.get("SampledBy", "n/a"), "samples": sampled.get("Samples", "n/a")}
    # Seeds of one configuration share it, folds and members carry the model's own label.
    configuration = card.configuration if card.label == label else label
    facts |= {"model": label, "configuration": configuration, "split": split}
    calibrate_case(case, synthetic, deviation, table, facts)


def _is_same_sampling(
    case: PreparedCase, label: str, cards: Sequence[ModelCard], samples: int, output_dir: Path
) -> bool:
    """Whether the standard deviation that lies there is of these networks and of as many samples as are asked for."""
    path = standard_deviation_path(output_dir, case, label)
    facts = _read_sidecar(path)
    wanted = ("ensemble", len(cards)) if len(cards) > 1 else ("dropout", samples)
    return made_by(path, cards) and (facts.get("SampledBy"), facts.get("Samples")) == wanted


def _remove_deviation(output_dir: Path, case: PreparedCase, label: str) -> None:
    """Remove what was said of an image that is made anew: its standard deviation and how far that was right."""
    calibrated = rating_tables(output_dir, case, label)[-1]
    for path in (standard_deviation_path(output_dir, case, label), calibrated):
        for stale in (path, sidecar_path(path)):
            stale.unlink(missing_ok=True)


def rating_tables(output_dir: Path, case: PreparedCase, label: str) -> list[Path]:
    """Tables that rate a synthetic image against the real one, whether they exist or not."""
    metrics = metrics_path(output_dir, case, label)
    return [metrics.with_name(metrics.name.replace("_metrics.tsv", f"_{suffix}.tsv")) for suffix in _RATINGS]


def split_of(cards: Sequence[ModelCard], folder: Path, case: PreparedCase, settings: Settings) -> str:
    """On which side of the model's split a case lies: the model's own cards decide before any table.

    Parameters
    ----------
    cards : sequence of ModelCard
        Of the networks that make the case's image; one that has seen the participant is enough.
    folder : Path
        Of the model.
    case : PreparedCase
    settings : Settings

    Returns
    -------
    str
        ``train`` or ``validation`` where the model has seen the participant; ``test`` where it was trained in this
        output folder and the participant was held out, ``excluded`` where the split file left it out; else
        ``external``.
    """
    trained_here = folder.resolve().parent == (settings.output_dir / "models").resolve()
    seen = "train" if any(is_training_participant(card, case.participant) for card in cards) else ""
    seen = seen or ("validation" if any(is_selection_participant(card, case.participant) for card in cards) else "")
    if seen:
        if not trained_here:
            logger.warning(
                "%s: not rated, because model %s was trained on a participant of this label", case.name, folder.name
            )
        return seen
    table = read_participants(settings.output_dir)
    row = table.loc[table["participant_id"] == f"sub-{case.participant}", "split"]
    # In a cross-validation everybody is held out by one of the folds.
    parts = {"test": "test", "cross-validated": "test", "excluded": "excluded"}
    return parts.get(row.iloc[0], "external") if trained_here and len(row) == 1 else "external"


def made_by(path: Path, cards: Sequence[ModelCard]) -> bool:
    """Whether a synthetic image was made by these very networks, and not by others of the same label."""
    return _read_sidecar(path).get("ModelChecksum") == model_checksum(cards)


def _read_sidecar(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(sidecar_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_younger(made: Iterable[Path], sources: Iterable[Path]) -> bool:
    """Whether all files exist and none is older than any source (as make decides)."""
    made = list(made)
    if not all(path.exists() for path in made):
        return False
    return min(p.stat().st_mtime_ns for p in made) >= max(p.stat().st_mtime_ns for p in sources)


def _is_same_rating(table: Path, data_range: float, split: str) -> bool:
    rated = pd.read_csv(table, sep="\t")
    # A table of an earlier version lacks what the group level needs.
    if list(rated.columns) != list(METRICS_DICTIONARY):
        return False
    return set(rated["data_range"]) == {data_range} and set(rated["split"]) == {split}
