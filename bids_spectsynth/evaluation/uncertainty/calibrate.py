"""Calibration of a model's images from the held-out participants of its own cohort."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import ModelError, SpectSynthError
from bids_spectsynth.evaluation.uncertainty.calibration_fit import fit_calibration
from bids_spectsynth.evaluation.uncertainty.factors import MIN_PARTICIPANTS
from bids_spectsynth.evaluation.uncertainty.files import save_calibrations
from bids_spectsynth.evaluation.uncertainty.residuals import case_residuals
from bids_spectsynth.synthesis.prediction.case_prediction import Prediction

logger = logging.getLogger(__name__)

#: One more than a calibration needs: each participant's own is made without that participant.
MIN_HELD_OUT = MIN_PARTICIPANTS + 1


def calibrate_model(
    folder: Path,
    cases: Sequence[PreparedCase],
    predict: Callable[[PreparedCase], Prediction],
    identity: str,
    widths: Mapping[str, float] | None = None,
) -> None:
    """Write the calibrations of a model into its folder.

    Parameters
    ----------
    folder : Path
        ``models/<label>``.
    cases : sequence of PreparedCase
        Of held-out participants, with an interictal SPECT.
    predict : callable
        The synthetic image of a case, by networks that have not seen the participant.
    identity : str
        Of the networks.
    widths : mapping of str to float, optional
        Resolution (FWHM, mm) to which ``predict`` brings inputs, by role.

    Raises
    ------
    ModelError
        Too few participants have images that can be read and have signal.
    """
    residuals = []
    for case in cases:
        try:
            found = case_residuals(predict(case), case)
        except SpectSynthError as error:
            logger.warning("%s: left out of the calibration of %s: %s", case.name, folder.name, error)
            continue
        residuals += [] if found is None else [found]
    people = sorted({one.participant for one in residuals})
    if len(people) < MIN_HELD_OUT:
        raise ModelError(too_few(folder.name, len(people)))
    everybody = fit_calibration(residuals)
    held_out = {label: fit_calibration(residuals, label) for label in people}
    save_calibrations(folder, everybody, held_out, identity, widths)


def too_few(label: str, n: int) -> str:
    """Why a model has no calibration, in one line."""
    return (
        f"model {label}: no calibrated uncertainty, because {n} held-out participants with a SPECT are too few "
        f"({MIN_HELD_OUT} at least; --cross-validate holds everybody out once)"
    )
