"""The inputs of a training brought to one resolution, before any image is read for it."""

import dataclasses
import logging

import numpy as np

from bids_spectsynth.synthesis.data.harmonising import case_widths, common_width, harmonised, has_width
from bids_spectsynth.synthesis.data.slices import PreparedCases
from bids_spectsynth.synthesis.training.planning import PlannedTraining

logger = logging.getLogger(__name__)


def with_common_widths(planned: PlannedTraining) -> PlannedTraining:
    """The training with PETs that are smoothed to the blurriest scanner's resolution where ``--harmonise`` says so.

    The resolution is that of the training participants alone; those of the validation are brought to the same. The
    measured SPECT stays as it is: it is what the network is to make, and what it is rated against.

    Parameters
    ----------
    planned : PlannedTraining

    Returns
    -------
    PlannedTraining
        As it was without the option, and where the model sees no PET.

    Raises
    ------
    ImageError
        An image or a mask is missing or damaged.
    """
    roles = tuple(role for role in planned.config.inputs if has_width(role))
    if planned.config.harmonise != "resolution":
        return planned
    if not roles:
        logger.info("Model %s: sees no PET that could be harmonised", planned.config.label)
        return planned
    found = {case.name: case_widths(case, roles) for case in planned.training.cases}
    common = {role: round(common_width([own[role] for own in found.values()]), 2) for role in roles}
    targets = {role: width for role, width in common.items() if np.isfinite(width)}
    parts = [_brought_to(part, targets) for part in (planned.training, planned.validation)]
    smoothed = sum(bool(case.smoothing) for part in parts for case in part.cases)
    words = ", ".join(f"{role} {width:g} mm" for role, width in targets.items()) or "no resolution could be measured"
    n = sum(map(len, parts))
    logger.info("Model %s: inputs brought to %s; %d of %d smoothed", planned.config.label, words, smoothed, n)
    return dataclasses.replace(planned, training=parts[0], validation=parts[1])


def _brought_to(part: PreparedCases, targets: dict[str, float]) -> PreparedCases:
    cases = tuple(harmonised(case, targets) for case in part.cases)
    return dataclasses.replace(part, cases=cases, widths=targets)
