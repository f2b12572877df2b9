"""The calibrations of the models that a run applies: made where this output folder can, else read from the model's."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bids_spectsynth.app.apply import TEST, NetworkLoader, split_of
from bids_spectsynth.app.freshness import prepared_files, transform_files
from bids_spectsynth.app.model_choice import AppliedModel
from bids_spectsynth.bids.manifests import Product, make_if_outdated, manifest_path
from bids_spectsynth.bids.output_files import models_folder
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.bids.writing import folder_lock
from bids_spectsynth.errors import ModelError, SpectSynthError
from bids_spectsynth.evaluation.uncertainty.calibrate import MIN_HELD_OUT, calibrate_model, too_few
from bids_spectsynth.evaluation.uncertainty.factors import LEVELS
from bids_spectsynth.evaluation.uncertainty.files import (
    FORMAT_VERSION,
    METHOD_VERSION,
    StoredCalibrations,
    calibration_paths,
    load_calibrations,
)
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.quality.files import read_flags
from bids_spectsynth.synthesis.computing.computation import prediction_computation
from bids_spectsynth.synthesis.data.harmonising import harmonised
from bids_spectsynth.synthesis.models.fit import check_fit
from bids_spectsynth.synthesis.models.training_scans import input_widths
from bids_spectsynth.synthesis.prediction.case_prediction import Prediction, predict_case, whole_card
from bids_spectsynth.synthesis.prediction.sidecar import model_checksum

logger = logging.getLogger(__name__)


def provide_calibrations(model: AppliedModel, settings: Settings, loader: NetworkLoader) -> StoredCalibrations | None:
    """The calibrations of a model; None where they were not requested or cannot be had, with a line.

    Those of a model that was trained in this output folder are made from its held-out participants, and again where
    their images have changed; a model from elsewhere brings its own.

    Parameters
    ----------
    model : AppliedModel
    settings : Settings
    loader : NetworkLoader
    """
    if not settings.is_calibrated:
        return None
    identity = model_checksum([member.card for member in model.members])
    own = models_folder(settings.output_dir)
    try:
        if model.folder.resolve().parent == own.resolve():
            # By its place in this output folder, also where another name leads there.
            folder = own / model.folder.resolve().name
            # Jobs of a cluster share the folder: one makes the calibration, the others find it.
            with folder_lock(folder):
                _provide(model, folder, identity, settings, loader)
        found = load_calibrations(model.folder)
        if found is None:
            raise ModelError(
                f"model {model.label}: no calibrated uncertainty, because its folder has no calibration.json; copy "
                "that from where the model was trained with --uncertainty calibrated"
            )
        if found.identity != identity:
            raise ModelError(f"model {model.label}: no calibrated uncertainty, because its calibration is of another")
        widths = input_widths([member.card for member in model.members], settings.harmonise)
        if found.widths != widths:
            raise ModelError(
                f"model {model.label}: no calibrated uncertainty, because its calibration is of images from "
                f"{_inputs(found.widths)}, not from {_inputs(widths)}; use --harmonise as then, or calibrate it again "
                "where it was trained"
            )
        return found
    except SpectSynthError as error:
        logger.warning("%s", error)
        return None


def _inputs(widths: Mapping[str, float]) -> str:
    """How the inputs of images were harmonised, in words."""
    resolutions = ", ".join(f"{role} {width:g} mm" for role, width in widths.items())
    return f"inputs of one resolution ({resolutions})" if widths else "inputs as they are"


def _provide(model: AppliedModel, folder: Path, identity: str, settings: Settings, loader: NetworkLoader) -> None:
    cases = _held_out_cases(model, settings)
    n = len({case.participant for case in cases})
    if n >= MIN_HELD_OUT:
        _make(model, folder, cases, identity, settings, loader)
    elif not calibration_paths(folder)[0].exists():
        raise ModelError(too_few(model.label, n))


def _held_out_cases(model: AppliedModel, settings: Settings) -> list[PreparedCase]:
    """Cases of the test participants of a model of this output folder, with a SPECT.

    Whoever is prepared later is no part of its cohort, and of a cross-validation gets the mean of all folds.
    """
    cases = []
    for case in find_prepared(settings.output_dir, model.card.space):
        if INTERICTAL not in case.images or case.is_state_assumed:
            continue
        if not settings.include_flagged and read_flags(settings.output_dir, case):
            continue
        cards = [member.card for member in model.members_for(case.participant)]
        if split_of(cards, model.folder, case, settings) != TEST:
            continue
        try:
            check_fit(model.card, case, settings.voxel_size)
        except ModelError:
            continue
        except SpectSynthError as error:
            logger.warning("%s: left out of the calibration of %s: %s", case.name, model.label, error)
            continue
        cases.append(case)
    return cases


def _make(
    model: AppliedModel,
    folder: Path,
    cases: Sequence[PreparedCase],
    identity: str,
    settings: Settings,
    loader: NetworkLoader,
) -> None:
    paths = calibration_paths(folder)
    # What one fold predicts and another does not is known of nobody.
    alike = all(int(member.card.architecture["output_channels"]) == 2 for member in model.members)
    how = prediction_computation(loader.device, settings.precision, settings.memory_format)

    def predict(case: PreparedCase) -> Prediction:
        networks = loader.load(model.members_for(case.participant))
        case = harmonised(case, input_widths([one.card for one in networks], settings.harmonise))
        found = predict_case(networks, case, whole_card(networks, model.label), computation=how)
        return found if alike else replace(found, predicted_scale=None)

    # Of images whose inputs are harmonised it is another calibration.
    widths = input_widths([member.card for member in model.members], settings.harmonise)

    def make() -> None:
        logger.info("Model %s: calibrating its uncertainty on %d held-out images", model.label, len(cases))
        calibrate_model(folder, cases, predict, identity, widths)

    inputs = {
        f"{what} of {case.name}": path
        for case in cases
        for what, path in (prepared_files(case) | transform_files(case)).items()
    }
    product = Product(
        name=f"calibration of {model.label}",
        manifest=manifest_path(settings.output_dir, paths[0]),
        inputs=inputs,
        options={
            "the networks": [identity, widths] if widths else identity,
            "the method": [FORMAT_VERSION, METHOD_VERSION, *LEVELS],
        },
        outputs=tuple(paths),
        is_current=lambda: False,
    )
    make_if_outdated(product, make)
