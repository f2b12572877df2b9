from typing import get_args

import numpy as np
import pytest

from bids_spectsynth.phantom.plan import SubjectPlan
from bids_spectsynth.phantom.seizures import (
    DEEP,
    STRENGTH,
    SUPERFICIAL,
    VOLUME_ML,
    Lobe,
    Seizure,
    draw_seizure,
    edge_distance,
    place_seizure,
    seizure_region,
    volume_ml,
)
from bids_spectsynth.phantom.subject import plan_anatomy


@pytest.fixture(scope="module")
def anatomy():
    return plan_anatomy(SubjectPlan(0, "small", 1, "individual", "study"))


def seizure(lobe, side, volume=8.0, share=None):
    return Seizure(lobe, side, 0.3, volume, 20.0, 60.0, share)


def test_draw_seizure__every_lobe_and_side_within_the_bounds():
    drawn = [draw_seizure(np.random.default_rng(seed), widespread=False) for seed in range(200)]
    assert {(one.lobe, one.side) for one in drawn} == {(lobe, side) for lobe in get_args(Lobe) for side in "LR"}
    volumes = np.array([one.volume_ml for one in drawn])
    assert (volumes.min() >= VOLUME_ML[0], volumes.max() <= VOLUME_ML[1]) == (True, True)
    # Log-uniform: half lie below the bounds' geometric mean.
    assert abs((volumes < np.sqrt(np.prod(VOLUME_ML))).mean() - 0.5) < 0.1
    assert all(STRENGTH[0] <= one.strength <= STRENGTH[1] for one in drawn)
    assert 0.1 < np.mean([one.lobe == "deep" for one in drawn]) < 0.3


@pytest.mark.parametrize("lobe", get_args(Lobe))
@pytest.mark.parametrize("side", ["L", "R"])
def test_place_seizure__volume_side_and_depth_are_those_asked_for(anatomy, lobe, side):
    focus = place_seizure(np.random.default_rng(2), anatomy, seizure(lobe, side))
    inside = (anatomy.brain > 0.5) & (anatomy.squared_distance(focus.centre) <= focus.radius**2)
    assert volume_ml(anatomy, inside) == pytest.approx(8.0, rel=0.02)
    assert focus.name == lobe + {"L": "Left", "R": "Right"}[side]
    assert (focus.centre[0] > 0) == (side == "R")
    lower, upper = DEEP if lobe == "deep" else SUPERFICIAL
    assert lower - 1 < edge_distance(anatomy, focus.centre) < upper + 1


def test_place_seizure__share_of_the_brain(anatomy):
    focus = place_seizure(np.random.default_rng(2), anatomy, seizure("frontal", "L", share=0.2))
    brain = anatomy.brain > 0.5
    inside = brain & (anatomy.squared_distance(focus.centre) <= focus.radius**2)
    assert inside.sum() / brain.sum() == pytest.approx(0.2, rel=0.01)


def test_seizure_region__lobes_do_not_overlap_and_lie_in_order(anatomy):
    lobes = [lobe for lobe in get_args(Lobe) if lobe != "deep"]
    regions = {lobe: seizure_region(anatomy, lobe, "L") for lobe in lobes}
    assert sum(regions.values()).max() <= 1
    points = {lobe: np.argwhere(region > 0).mean(axis=0) for lobe, region in regions.items()}
    assert points["frontal"][1] > points["parietal"][1] > points["occipital"][1]
    assert points["temporal"][2] < points["frontal"][2]
