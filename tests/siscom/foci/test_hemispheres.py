import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.siscom.foci.hemispheres import hemispheric_index

SIDES = np.repeat(np.array([-1, -1, 0, 1, 1], dtype=np.int8), 16).reshape(5, 4, 4)
MASK = np.ones(SIDES.shape, dtype=bool)


def test_hemispheric_index__volumes_index_and_share_of_a_known_map() -> None:
    difference = np.zeros(SIDES.shape)
    difference[0, 0, :4] = -20  # 4 voxels left
    difference[4, 0, 0] = -30
    difference[2, 0, 0] = -10
    difference[3, 1, :2] = 20
    difference[3, 2, :] = -9.9  # below the threshold
    found = hemispheric_index(difference, MASK, SIDES, 10.0, 0.5)
    assert (found.decrease_left_ml, found.decrease_right_ml) == (2.0, 0.5)
    assert (found.increase_left_ml, found.increase_right_ml) == (0.0, 1.0)
    assert found.index == pytest.approx((4 - 1) / (4 + 1))
    assert found.hypo_share == pytest.approx(120 / 160)
    assert (found.side, found.is_postictal_pattern) == ("L", True)
    assert found.text.startswith("postictal pattern: 75 % of the change is hypoperfusion, more of it on the left")
    assert found.as_sidecar() == {
        "HemisphericIndex": 0.6,
        "HypoperfusionShare": 0.75,
        "HemisphereOfDecreases": "L",
        "PostictalPattern": True,
    }


@given(st.integers(0, 2**32 - 1))
def test_hemispheric_index__mirrored_head_changes_the_side_and_nothing_else(seed: int) -> None:
    difference = np.random.default_rng(seed).normal(0, 10, SIDES.shape)
    one = hemispheric_index(difference, MASK, SIDES, 10.0, 1.0)
    other = hemispheric_index(difference[::-1], MASK, SIDES, 10.0, 1.0)
    assert other.index == pytest.approx(-one.index)
    assert other.decrease_left_ml == one.decrease_right_ml
    assert other.hypo_share == pytest.approx(one.hypo_share)
    assert -1 <= one.index <= 1


def test_hemispheric_index__a_half_that_is_cut_counts_by_its_share() -> None:
    mask = MASK.copy()
    mask[0] = False
    difference = np.full(SIDES.shape, -20.0)
    assert hemispheric_index(difference, mask, SIDES, 10.0, 1.0).index == 0
    difference[1, :2] = 0
    assert hemispheric_index(difference, mask, SIDES, 10.0, 1.0).side == "R"


def test_hemispheric_index__voxels_outside_the_mask_change_nothing() -> None:
    mask = MASK.copy()
    mask[:, 0] = False
    difference = np.random.default_rng(1).normal(0, 20, SIDES.shape)
    one = hemispheric_index(difference, mask, SIDES, 10.0, 1.0)
    assert one == hemispheric_index(np.where(mask, difference, np.nan), mask, SIDES, 10.0, 1.0)


def test_hemispheric_index__increases_alone_and_no_change_are_no_postictal_pattern() -> None:
    for difference in (np.full(SIDES.shape, 30.0), np.zeros(SIDES.shape)):
        found = hemispheric_index(difference, MASK, SIDES, 10.0, 1.0)
        assert (found.side, found.is_postictal_pattern, found.text) == ("n/a", False, "")
        assert "HemisphericIndex" not in found.as_sidecar()
