"""The calibrations of the models that a run applies: made where this output folder can, else read from the model's."""

import logging
from collections.abc import Sequence

from bids_spectsynth.app.apply import RATED, NetworkLoader, split_of
from bids_spectsynth.app.freshness import prepared_files, transform_files
from bids_spectsynth.app.model_choice import AppliedModel
from bids_spectsynth.bids.manifests import Product, make_if_outdated, manifest_path
from bids_spectsynth.bids.output_files import models_folder
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.errors import ModelError
from bids_spectsynth.evaluation.uncertainty.calibrate import MIN_HELD_OUT, calibrate_model, too_few
from bids_spectsynth.evaluation.uncertainty.files import StoredCalibrations, calibration_paths, load_calibrations
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.synthesis.computing.computation import prediction_computation
from bids_spectsynth.synthesis.models.fit import check_fit
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
    try:
        if model.folder.resolve().parent == models_folder(settings.output_dir).resolve():
            cases = _held_out_cases(model, settings)
            people = {case.participant for case in cases}
            if len(people) >= MIN_HELD_OUT:
                _make(model, cases, identity, settings, loader)
            elif not calibration_paths(model.folder)[0].exists():
                raise ModelError(too_few(model.label, len(people)))
        found = load_calibrations(model.folder)
        if found is None:
            raise ModelError(
                f"model {model.label}: no calibrated uncertainty, because its folder has no calibration.json; copy "
                "that from where the model was trained with --uncertainty calibrated"
            )
        if found.identity != identity:
            raise ModelError(f"model {model.label}: no calibrated uncertainty, because its calibration is of another")
        return found
    except ModelError as error:
        logger.warning("%s", error)
        return None


def _held_out_cases(model: AppliedModel, settings: Settings) -> list[PreparedCase]:
    """Cases that networks of this output folder have neither learned from nor been chosen by, with a SPECT."""
    cases = []
    for case in find_prepared(settings.output_dir, model.card.space):
        if INTERICTAL not in case.images or case.is_state_assumed:
            continue
        cards = [member.card for member in model.members_for(case.participant)]
        if split_of(cards, model.folder, case, settings) not in RATED:
            continue
        try:
            check_fit(model.card, case, settings.voxel_size)
        except ModelError:
            continue
        cases.append(case)
    return cases


def _make(
    model: AppliedModel, cases: Sequence[PreparedCase], identity: str, settings: Settings, loader: NetworkLoader
) -> None:
    paths = calibration_paths(model.folder)
    how = prediction_computation(loader.device, settings.precision, settings.memory_format)

    def predict(case: PreparedCase) -> Prediction:
        networks = loader.load(model.members_for(case.participant))
        return predict_case(networks, case, whole_card(networks, model.label), computation=how)

    def make() -> None:
        logger.info("Model %s: calibrating its uncertainty on %d held-out images", model.label, len(cases))
        calibrate_model(model.folder, cases, predict, identity)

    inputs = {
        f"{what} of {case.name}": path
        for case in cases
        for what, path in (prepared_files(case) | transform_files(case)).items()
    }
    product = Product(
        name=f"calibration of {model.label}",
        manifest=manifest_path(settings.output_dir, paths[0]),
        inputs=inputs,
        options={"the networks": identity},
        outputs=tuple(paths),
        is_current=lambda: False,
    )
    make_if_outdated(product, make)
