"""One simulated cohort as training sees it: scaled images, and the prior that its other heads give each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.roles import INTERICTAL, PET
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.options.choices import Scaling
from bids_spectsynth.phantom.anatomy import BOX_LOWER, BOX_UPPER
from bids_spectsynth.pretraining.heads import SimulatedHead, draw_head
from bids_spectsynth.pretraining.making import Making, draw_making
from bids_spectsynth.synthesis.baselines.base import in_brain
from bids_spectsynth.synthesis.baselines.cohort_mean import CohortMean, sample_through
from bids_spectsynth.synthesis.baselines.fitting import StraightLine
from bids_spectsynth.synthesis.baselines.mean import pet_ratio
from bids_spectsynth.synthesis.data.scaling import apply_scaling, scaling_coefficients
from bids_spectsynth.synthesis.data.slices import CaseArrays, with_image

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CohortRequest:
    """What simulated cohorts are made for; each follows from it and its own number alone.

    Parameters
    ----------
    seed : int
    n_heads : int
        Heads of a cohort, 3 at least.
    inputs : tuple of str
    voxel_size : float
        mm.
    scaling : {'slice', 'volume'}
    prior : bool
        Whether each head gets the mean of others as a last input image.
    """

    seed: int
    n_heads: int
    inputs: tuple[str, ...]
    voxel_size: float
    scaling: Scaling
    prior: bool


@dataclass(frozen=True, eq=False)
class CohortPlan:
    """What is drawn for a cohort before its heads are.

    Parameters
    ----------
    making : Making
    others : sequence of array of int
        Whose images make the prior of each head.
    seeds : sequence of SeedSequence
        One for each head.
    """

    making: Making
    others: Sequence[npt.NDArray[np.int_]]
    seeds: Sequence[np.random.SeedSequence]


def plan_cohort(request: CohortRequest, number: int) -> CohortPlan:
    """Draw what the heads of a cohort share; equal requests and numbers give equal cohorts."""
    common, *seeds = np.random.SeedSequence([request.seed, number]).spawn(request.n_heads + 1)
    rng = np.random.default_rng(common)
    making = draw_making(rng)
    everybody = np.arange(request.n_heads)
    # As many others as a small or a larger cohort has, so that both kinds of prior are known.
    n_others = int(rng.integers(2, request.n_heads))
    others = [rng.permutation(everybody[everybody != head])[:n_others] for head in everybody]
    return CohortPlan(making, others, seeds)


def draw_planned(request: CohortRequest, plan: CohortPlan, index: int) -> SimulatedHead:
    """Simulate one head of a cohort.

    Parameters
    ----------
    request : CohortRequest
    plan : CohortPlan
    index : int
        From 0.
    """
    return draw_head(np.random.default_rng(plan.seeds[index]), plan.making, request.inputs, request.voxel_size)


def scaled_cases(
    request: CohortRequest, plan: CohortPlan, heads: Sequence[SimulatedHead], name: str
) -> list[CaseArrays]:
    """The heads of a cohort as training takes them.

    Parameters
    ----------
    request : CohortRequest
    plan : CohortPlan
    heads : sequence of SimulatedHead
    name : str
        Begins their labels.
    """
    cases = [scaled_case(head, request, f"{name}x{index}") for index, head in enumerate(heads)]
    if not request.prior:
        return cases
    priors = head_priors(heads, plan.others, request)
    lines = StraightLine()
    for head, case, prior in zip(heads, cases, priors, strict=True):
        assert case.target is not None
        lines.add(prior[head.measured], case.target[head.measured])
    gain, offset = lines.result()
    return [
        with_image(case, in_brain(np.clip(gain * prior[head.mask] + offset, -1, 1), head.mask))
        for head, case, prior in zip(heads, cases, priors, strict=True)
    ]


def scaled_case(head: SimulatedHead, request: CohortRequest, label: str) -> CaseArrays:
    """A head as training takes it, without a prior.

    Parameters
    ----------
    head : SimulatedHead
    request : CohortRequest
    label : str
    """
    scaled = {}
    for role in dict.fromkeys((*request.inputs, INTERICTAL)):
        volume = head.images[role]
        slope, intercept = scaling_coefficients(volume, head.mask, request.scaling)
        scaled[role] = apply_scaling(volume, slope, intercept)
    return CaseArrays(
        participant=label,
        session=None,
        inputs=np.stack([scaled[role] for role in request.inputs]),
        target=scaled[INTERICTAL],
        mask=head.mask,
        affine=head.affine,
        target_slope=slope,
        target_mean=float(head.images[INTERICTAL][head.mask].mean(dtype=np.float64)),
        evaluation_mask=head.measured,
    )


def head_priors(
    heads: Sequence[SimulatedHead], chosen: Sequence[npt.NDArray[np.int_]], request: CohortRequest
) -> list[Float32]:
    """The mean SPECT of others, times the PET ratio where the model sees PET; as the baselines have it, uncalibrated.

    Parameters
    ----------
    heads : sequence of SimulatedHead
    chosen : sequence of array of int
        Whose images make the mean for each head.
    request : CohortRequest

    Returns
    -------
    list of array, shape (I, J, K), float32
        Scaled to [-1, 1].
    """
    size = request.voxel_size
    i, j, k = (int(np.ceil(n)) + 1 for n in (BOX_UPPER - BOX_LOWER) / size)
    affine = np.diag([size, size, size, 1.0])
    affine[:3, 3] = BOX_LOWER
    grid = Grid((i, j, k), affine)
    roles = (INTERICTAL, PET) if PET in request.inputs else (INTERICTAL,)
    sums = {role: [CohortMean(grid) for _ in heads] for role in roles}
    for role, own in sums.items():
        for one, head in zip(own, heads, strict=True):
            inside = head.measured if role == INTERICTAL else head.mask
            one.add_through(head.from_template, head.images[role], inside, head.affine)
    priors = []
    for head, others in zip(heads, chosen, strict=True):
        means = {}
        for role, own in sums.items():
            mean = CohortMean(grid).with_others([own[other] for other in others]).result()
            means[role] = sample_through(mean, grid.affine, head.from_template, head.mask, head.affine)
        image = means[INTERICTAL]
        if PET in means:
            image = image * pet_ratio(head.images[PET], means[PET], head.mask, head.affine)
        priors.append(apply_scaling(image, *scaling_coefficients(image, head.mask, request.scaling)))
    return priors
