"""Every baseline's SPECT of one case."""

import logging

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.synthesis.baselines.base import TEMPLATE, CaseImages, Float32, calibrated
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.registry import BASELINES, in_need_of, left_out_of
from bids_spectsynth.synthesis.baselines.template import template_of
from bids_spectsynth.synthesis.data.slices import load_case

logger = logging.getLogger(__name__)


def predict(baselines: Baselines, prepared: PreparedCase) -> dict[str, Float32]:
    """Every baseline's SPECT of one case.

    Parameters
    ----------
    baselines : Baselines
    prepared : PreparedCase
        Of the baselines' space, with their inputs.

    Returns
    -------
    dict of str to array, shape (I, J, K), float32
        In [-1, 1]; -1 outside the brain. Baselines that use PET are missing for a case without one, those that use
        the cohort's mean for a case without a transform to its template; both are logged.

    Raises
    ------
    ImageError
        An image is missing or damaged.
    """
    prepared = prepared.through(baselines.template)
    absent = left_out_of([prepared]) | _not_stored(baselines) | dict(baselines.left_out)
    if baselines.template and baselines.template != template_of(prepared):
        absent |= dict.fromkeys(in_need_of(TEMPLATE), f"no transform to {baselines.template}")
    for name in sorted(absent):
        logger.info("%s: baseline %s left out: %s", prepared.name, name, absent[name])
    chosen = [baseline for name, baseline in BASELINES.items() if name not in absent]
    needed = [need for baseline in chosen for need in baseline.needs if need != TEMPLATE]
    roles = tuple(dict.fromkeys((*baselines.inputs, *needed)))
    arrays = load_case(prepared, roles, baselines.scaling, target=False)
    case = CaseImages(prepared, arrays.mask, arrays.affine, dict(zip(roles, arrays.inputs, strict=True)))
    return {baseline.name: calibrated(baselines, baseline, case) for baseline in chosen}


def _not_stored(baselines: Baselines) -> dict[str, str]:
    """Baselines that there were not when the model was trained."""
    stored = {*baselines.numbers, *baselines.arrays}
    return {
        name: "not fitted with the model; train it again"
        for name, baseline in BASELINES.items()
        if not stored.issuperset(baseline.keeps)
    }
