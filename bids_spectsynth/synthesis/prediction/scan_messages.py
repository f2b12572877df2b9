"""What the log says of the scans of a case beside those of a model's training, from the sidecar of its image."""

import logging
from collections.abc import Mapping
from typing import Any

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.synthesis.data.harmonising import TOLERANCE
from bids_spectsynth.synthesis.models.scan_records import not_measured, recorded_differences, recorded_numbers
from bids_spectsynth.synthesis.models.training_scans import HARMONISED_FWHM, HARMONISING_FWHM, INPUT_FWHM

logger = logging.getLogger(__name__)


def log_scans(case: PreparedCase, label: str, facts: Mapping[str, Any]) -> None:
    """Say what the scans of a case have that those of the training did not, also where its image is current.

    Parameters
    ----------
    case : PreparedCase
    label : str
        Of the model.
    facts : mapping
        Sidecar of the synthetic image.
    """
    widths, kernels, targets = (recorded_numbers(facts, key) for key in (INPUT_FWHM, HARMONISING_FWHM, HARMONISED_FWHM))
    for role, target in targets.items():
        width, fwhm, name = widths.get(role), kernels.get(role, 0), role_of(role).title
        if width is None:
            continue
        if fwhm:
            words = "%s, model %s: %s of %.1f mm smoothed by %.1f mm, to %.1f mm"
            logger.info(words, case.name, label, name, width, fwhm, target)
        elif width > target * TOLERANCE:
            words = "%s, model %s: %s of %.1f mm is more blurred than %.1f mm and stays as it is"
            logger.info(words, case.name, label, name, width, target)
    for sentence in not_measured(facts):
        logger.warning("%s, model %s: %s", case.name, label, sentence)
    for one in recorded_differences(facts):
        where = f", {one.file}" if one.file else ""
        logger.warning("%s, model %s%s: %s", case.name, label, where, one.sentence)
