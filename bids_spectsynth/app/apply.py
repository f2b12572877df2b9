"""Applying models to prepared cases: synthesise, then rate what is held out from the model."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from bids_spectsynth.app.freshness import (
    calibration_product,
    image_product,
    ratings_product,
    remove_image,
    remove_ratings,
)
from bids_spectsynth.app.model_choice import AppliedModel
from bids_spectsynth.bids.dataset import has_phantom_data
from bids_spectsynth.bids.manifests import make_if_outdated
from bids_spectsynth.bids.output_files import (
    CALIBRATION,
    models_folder,
    rating_path,
    standard_deviation_path,
    synthetic_path,
)
from bids_spectsynth.bids.participants import FLAGGED, FLAGS, forget_unrated, note_unrated, read_participants
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.errors import ModelError, Outcome, reason_of
from bids_spectsynth.evaluation.case.evaluate import evaluate_case
from bids_spectsynth.evaluation.uncertainty.files import StoredCalibrations
from bids_spectsynth.evaluation.uncertainty.intervals import calibrated_maps
from bids_spectsynth.evaluation.uncertainty.rating import calibrate_case
from bids_spectsynth.evaluation.uncertainty.regional_table import write_regional_intervals
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.quality.judge import Flag, flagged_names
from bids_spectsynth.quality.marking import judging_lock, mark_as_judged
from bids_spectsynth.synthesis.computing.devices import resolve_device
from bids_spectsynth.synthesis.data.harmonising import harmonised
from bids_spectsynth.synthesis.models.card import ModelCard, is_selection_participant, is_training_participant
from bids_spectsynth.synthesis.models.ensemble import Member, holds_out_sites
from bids_spectsynth.synthesis.models.fit import check_fit
from bids_spectsynth.synthesis.models.folder import Model, load_model
from bids_spectsynth.synthesis.models.training_scans import input_widths, learned_from_several, records_scans
from bids_spectsynth.synthesis.prediction.scan_messages import log_scans
from bids_spectsynth.synthesis.prediction.synthetic_image import synthesise

logger = logging.getLogger(__name__)

#: The model has seen nothing of these participants: those of its own cohort, and others.
TEST = "test"
RATED = (TEST, "external")
#: Why a case with a SPECT is not rated, besides its flags.
STATE_ASSUMED = "not rated, because nothing in the name of its SPECT says ictal or interictal"


class NetworkLoader:
    """Networks on their device, each loaded when the first case needs it; those of one model at a time.

    Parameters
    ----------
    settings : Settings
        For ``device`` and ``nprocs``, the threads of the network.
    """

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.nprocs)
        self.device = resolve_device(settings.device)
        self._loaded: dict[Path, Model] = {}

    def clear(self) -> None:
        """Let go of the networks of the model before."""
        self._loaded.clear()

    def load(self, members: Iterable[Member]) -> list[Model]:
        """The networks of some members of the current model."""
        for member in members:
            if member.folder not in self._loaded:
                self._loaded[member.folder] = load_model(member.folder, self.device, member.card)
        return [self._loaded[member.folder] for member in members]


def begin_model(model: AppliedModel, n_cases: int, loader: NetworkLoader, settings: Settings) -> None:
    """Say which model comes next, and what is to be known of it.

    Parameters
    ----------
    model : AppliedModel
    n_cases : int
        How many cases are prepared in its space.
    loader : NetworkLoader
    settings : Settings
    """
    loader.clear()
    if any(member.card.phantom for member in model.members) and not has_phantom_data(settings):
        logger.warning("model %s learned from simulated heads; its images of real heads mean nothing", model.label)
    cards = [member.card for member in model.members]
    if not records_scans(cards):
        words = "Model %s: the scans that it learned from are not recorded; new ones are not compared with them"
        logger.info(words, model.label)
    targets = input_widths(cards, settings.harmonise)
    if settings.harmonise != "none" and not targets:
        logger.info("Model %s: sees no PET that could be harmonised", model.label)
    for sentence in learned_from_several(cards, targets):
        logger.warning("Model %s: %s", model.label, sentence)
    logger.info("Model %s (%s): applying to %d", model.label, loader.device, n_cases)


def synthesise_case(
    model: AppliedModel,
    case: PreparedCase,
    settings: Settings,
    loader: NetworkLoader,
    calibrations: StoredCalibrations | None = None,
) -> Outcome:
    """Write the synthetic image of a case, unless it is current; its sidecar has the quality flags of the case.

    Parameters
    ----------
    model : AppliedModel
    case : PreparedCase
        In the model's space.
    settings : Settings
    loader : NetworkLoader
    calibrations : StoredCalibrations, optional
        Of the model; with them standard deviation, interval and the table of regional intervals are written too.

    Returns
    -------
    Outcome
        Skipped where the case does not fit the model (an input is missing, say); failed where its images are damaged.
    """
    try:
        check_fit(model.card, case, settings.voxel_size)
    except ModelError as error:
        return Outcome(case.participant, case.session, "synthesise", "skipped", str(error))
    except Exception as error:
        return _failure(case, "synthesise", error)

    def make() -> None:
        networks = loader.load(model.members_for(case.participant))
        # Under the lock: a judge that has read the sidecars of before must not write them over those of the new image.
        with judging_lock(settings.output_dir):
            remove_image(settings.output_dir, case, model.label)
        if calibrations is None:
            synthesise(networks, case, settings.output_dir, settings, label=model.label)
            return
        own = calibrations.of(case.participant)
        maps = partial(calibrated_maps, calibration=own)
        synthesise(networks, case, settings.output_dir, settings, label=model.label, error_maps=maps)
        write_regional_intervals(settings.output_dir, case, model.label, own)

    try:
        make_if_outdated(image_product(model, case, settings, calibrated=calibrations is not None), make)
        mark_as_judged(settings.output_dir, case)
        log_scans(case, model.label, sidecar(synthetic_path(settings.output_dir, case, model.label)))
    except Exception as error:
        return _failure(case, "synthesise", error)
    return Outcome(case.participant, case.session, "synthesise", "ok")


def rate_case(
    model: AppliedModel,
    case: PreparedCase,
    settings: Settings,
    calibrations: StoredCalibrations | None = None,
    flags: Sequence[Flag] = (),
) -> Outcome:
    """Rate the synthetic image of a case against the real one, where the model has never seen the participant.

    A SPECT that is interictal by assumption alone is no reference: it may be ictal. Nor is a case whose images are
    doubtful.

    Parameters
    ----------
    model : AppliedModel
    case : PreparedCase
        With a current synthetic image.
    settings : Settings
    calibrations : StoredCalibrations, optional
        By which the image has intervals.
    flags : sequence of Flag
        Why the case is not to be rated.

    Returns
    -------
    Outcome
        Ok also where nothing is to be rated, with the reason where there is a SPECT that is no reference.
    """
    try:
        members = model.members_for(case.participant)
        split = split_of([member.card for member in members], model.folder, case, settings)
        key = settings.output_dir, case.name, case.participant, model.label
        is_reference = INTERICTAL in case.images and split in RATED and not case.is_state_assumed
        if is_reference and flags:
            note_unrated(*key)
        if flags or not is_reference:
            # A table of an earlier training, which had not seen this participant, must not stay.
            remove_ratings(settings.output_dir, case, model.label)
        else:
            warn_of_known_site(model, case, settings)
            rated = case if settings.lesion_mask == "all" else replace(case, lesion=None)
            _rate(model, rated, split, settings, calibrations)
        if not (is_reference and flags):
            forget_unrated(*key)
    except Exception as error:
        return _failure(case, "evaluate", error)
    if flags and INTERICTAL in case.images:
        return Outcome(case.participant, case.session, "evaluate", "ok", f"{FLAGGED}{flagged_names(flags)}")
    if not case.is_state_assumed:
        return Outcome(case.participant, case.session, "evaluate", "ok")
    logger.info("%s, model %s: %s", case.name, model.label, STATE_ASSUMED)
    return Outcome(case.participant, case.session, "evaluate", "ok", STATE_ASSUMED)


def warn_of_known_site(model: AppliedModel, case: PreparedCase, settings: Settings) -> None:
    """Say where a cross-validation by site rates somebody whom no fold has held out, and who may be of a known site.

    Who is held out on purpose (``test``) is of no site that trained. Any other word of ``participants.tsv`` may be of a
    later training, of another model.

    Parameters
    ----------
    model : AppliedModel
    case : PreparedCase
        To be rated.
    settings : Settings
    """
    folds = {member.fold for member in model.members_for(case.participant)}
    here = _is_trained_here(model.folder, settings)
    row = _row_of(read_participants(settings.output_dir), case)
    if here and len(folds) > 1 and row["split"].tolist() != [TEST] and holds_out_sites(model.folder):
        logger.warning(
            "%s, model %s: took no part in --cross-validate site and is rated by the networks of all folds; if it is "
            "of one of these sites, all but one know that: this is no rating at an unknown site",
            case.name,
            model.label,
        )


def _rate(
    model: AppliedModel,
    case: PreparedCase,
    split: str,
    settings: Settings,
    calibrations: StoredCalibrations | None,
) -> None:
    output_dir, label = settings.output_dir, model.label
    own, *further = members = model.members_for(case.participant)
    targets = input_widths([member.card for member in members], settings.harmonise)
    make_if_outdated(
        ratings_product(model, case, split, settings),
        lambda: evaluate_case(
            # Baselines are made from what the network has seen.
            harmonised(case, targets),
            own.folder,
            output_dir,
            settings.data_range,
            split,
            label=label,
            further_folders=[member.folder for member in further],
            card=own.card,
        ),
    )
    deviation = standard_deviation_path(output_dir, case, label)
    if settings.uncertainty and deviation.exists():
        image, table = synthetic_path(output_dir, case, label), rating_path(output_dir, case, label, "calibration")
        facts = _calibration_facts(label, own.card, split, deviation)
        regional = None
        if calibrations is not None and facts["sampled_by"] == CALIBRATION:
            regional = calibrations.of(case.participant).regional
        make_if_outdated(
            calibration_product(model, case, split, settings),
            lambda: calibrate_case(case, image, deviation, table, facts, regional),
        )


def _calibration_facts(label: str, card: ModelCard, split: str, deviation: Path) -> dict[str, Any]:
    sampled = sidecar(deviation)
    return {
        "sampled_by": sampled.get("SampledBy", "n/a"),
        "samples": sampled.get("Samples", "n/a"),
        "model": label,
        # Seeds of one configuration share it, folds and members carry the model's own label.
        "configuration": card.configuration if card.label == label else label,
        "split": split,
    }


def _failure(case: PreparedCase, stage: str, error: Exception) -> Outcome:
    logger.debug("%s, %s", case.name, stage, exc_info=error)
    return Outcome(case.participant, case.session, stage, "failed", reason_of(error))


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
    trained_here = _is_trained_here(folder, settings)
    seen = "train" if any(is_training_participant(card, case.participant) for card in cards) else ""
    seen = seen or ("validation" if any(is_selection_participant(card, case.participant) for card in cards) else "")
    if seen:
        if not trained_here:
            logger.warning(
                "%s: not rated, because model %s was trained on a participant of this label", case.name, folder.name
            )
        return seen
    table = read_participants(settings.output_dir)
    row = _row_of(table, case)["split"]
    # The table is of the last training: who takes part in it now, and whom this model has not seen, was held out from
    # it, though a later model may have learned from them. In a cross-validation everybody is held out by one fold.
    if len(row) == 1 and row.iloc[0] == "excluded" and settings.include_flagged and _is_flagged(table, case):
        # Left out for its flags alone, which do not count now: no network has seen it.
        return "external"
    parts = {**dict.fromkeys(("train", "validation", "test", "cross-validated"), "test"), "excluded": "excluded"}
    return parts.get(row.iloc[0], "external") if trained_here and len(row) == 1 else "external"


def _is_trained_here(folder: Path, settings: Settings) -> bool:
    return folder.resolve().parent == models_folder(settings.output_dir).resolve()


def _row_of(table: pd.DataFrame, case: PreparedCase) -> pd.DataFrame:
    """The row of ``participants.tsv``, if any."""
    return table.loc[table["participant_id"] == f"sub-{case.participant}"]


def _is_flagged(table: pd.DataFrame, case: PreparedCase) -> bool:
    found = _row_of(table, case)[FLAGS]
    return bool(len(found) == 1 and found.iloc[0] != "n/a")
