"""Simulated cohorts as training sees them."""

import dataclasses

import numpy as np
import pytest

from bids_spectsynth.pretraining import making
from bids_spectsynth.pretraining.cohort import CohortRequest, draw_planned, plan_cohort, scaled_cases

REQUEST = CohortRequest(seed=3, n_heads=3, inputs=("T1w", "pet"), voxel_size=4.0, scaling="volume", prior=True)


@pytest.fixture(scope="module")
def heads():
    plan = plan_cohort(REQUEST, 0)
    return plan, [draw_planned(REQUEST, plan, index) for index in range(REQUEST.n_heads)]


def test_draw_planned__is_the_same_whenever_it_is_drawn_and_another_for_another_number(heads):
    _, drawn = heads
    again = draw_planned(REQUEST, plan_cohort(REQUEST, 0), 2)
    assert all(np.array_equal(image, drawn[2].images[role]) for role, image in again.images.items())
    other = draw_planned(REQUEST, plan_cohort(REQUEST, 1), 2)
    assert not np.array_equal(other.images["pet"], again.images["pet"])


def test_draw_planned__a_head_fills_the_middle_of_the_prepared_grid(heads):
    for head in heads[1]:
        assert head.mask.shape == (64, 64, 48)
        assert 900 < head.mask.sum() * 4.0**3 / 1000 < 2200, "millilitres of brain"
        middle = np.argwhere(head.mask).mean(axis=0)
        assert np.abs(middle - [31.5, 31.5, 23.5]).max() < 5
        assert all((image[~head.mask] == 0).all() and image.min() >= 0 for image in head.images.values())
        assert (head.images["interictal"][head.mask & ~head.measured] == 0).all()


def test_from_template__takes_the_brain_of_the_template_to_that_of_the_head(heads):
    for head in heads[1]:
        # The middle of the template's cerebrum lies within the head's brain, its far corners outside.
        for point, inside in (((0, -20, 10), True), ((30, 20, 20), True), ((80, -20, 10), False), ((0, 95, 0), False)):
            voxel = np.rint(np.linalg.inv(head.affine) @ head.from_template @ [*point, 1])[:3].astype(int)
            assert bool(head.mask[tuple(voxel)]) == inside, point


def test_scaled_cases__uptake_follows_anatomy_and_the_prior_is_of_the_others(heads):
    plan, drawn = heads
    cases = scaled_cases(REQUEST, plan, drawn, "0")
    assert len({case.participant for case in cases}) == 3
    for case in cases:
        inside = case.evaluation_mask
        assert case.inputs.shape == (3, 64, 64, 48)
        assert np.abs(case.inputs).max() <= 1
        correlations = [np.corrcoef(image[inside], case.target[inside])[0, 1] for image in case.inputs]
        assert correlations[2] > 0.6
        assert correlations[1] > 0.5
    # Another SPECT of the first head leaves its own prior but for gain and offset as it was.
    changed = dataclasses.replace(
        drawn[0], images={**drawn[0].images, "interictal": np.roll(drawn[0].images["interictal"], 5, axis=0)}
    )
    other = scaled_cases(REQUEST, plan, [changed, *drawn[1:]], "0")[0]
    inside = cases[0].mask & (np.abs(cases[0].inputs[2]) < 0.99) & (np.abs(other.inputs[2]) < 0.99)
    assert np.corrcoef(cases[0].inputs[2][inside], other.inputs[2][inside])[0, 1] == pytest.approx(1, abs=1e-5)


def test_draw_making__cohorts_differ_in_every_part():
    first, second = (making.draw_making(np.random.default_rng(seed)) for seed in (1, 2))
    names = {field.name for field in dataclasses.fields(making.Making)} - {"folded"}
    assert all(getattr(first, name) != getattr(second, name) for name in names)
    many = [making.draw_making(np.random.default_rng(seed)) for seed in range(40)]
    assert {one.folded for one in many} == {True, False}
    widths = [one.fwhm["hmpao"] for one in many]
    assert making.SPECT_FWHM[0] <= min(widths) < 8
    assert 11 < max(widths) <= making.SPECT_FWHM[1]
