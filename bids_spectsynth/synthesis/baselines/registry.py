"""All baselines, in the order in which tables and figures show them.

A new one is a file of its own and an entry here; fitting, files, tables and reports take it from here.
"""

from collections.abc import Sequence

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import PET
from bids_spectsynth.synthesis.baselines.base import TEMPLATE, Baseline
from bids_spectsynth.synthesis.baselines.constant import CONSTANT
from bids_spectsynth.synthesis.baselines.copy_pet import COPY_PET
from bids_spectsynth.synthesis.baselines.mean import MEAN_SPECT, MEAN_TIMES_RATIO
from bids_spectsynth.synthesis.baselines.regression import REGRESSION
from bids_spectsynth.synthesis.baselines.template import template_of

BASELINES: dict[str, Baseline] = {
    one.name: one for one in (CONSTANT, COPY_PET, REGRESSION, MEAN_SPECT, MEAN_TIMES_RATIO)
}


def in_need_of(need: str) -> list[str]:
    """Names of the baselines that need an image of this role, or a template."""
    return [name for name, baseline in BASELINES.items() if need in baseline.needs]


def left_out_of(cases: Sequence[PreparedCase]) -> dict[str, str]:
    """Which baselines these cases cannot have, and why."""
    left_out = {}
    without_pet = [case.name for case in cases if PET not in case.images]
    if without_pet:
        left_out = dict.fromkeys(in_need_of(PET), f"{len(without_pet)} of {len(cases)} cases without PET")
    templates = {template_of(case) for case in cases}
    if None in templates or len(templates) > 1:
        left_out |= dict.fromkeys(in_need_of(TEMPLATE), "cases without a transform to one common template")
    return left_out
