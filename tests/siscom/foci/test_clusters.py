from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.images.grid import apply_affine
from bids_spectsynth.siscom.foci.clusters import EDGE, LARGE, SEEN, WITHIN_NULL, find_foci
from bids_spectsynth.siscom.records import Focus, Maps

SHAPE = (20, 20, 20)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = -38
BRAIN = np.zeros(SHAPE, dtype=bool)
BRAIN[1:-1, 1:-1, 1:-1] = True
VOXEL_ML = 0.064


def volume(*blocks: tuple[tuple[slice, slice, slice], float]) -> np.ndarray:
    values = np.zeros(SHAPE, dtype=np.float32)
    for where, value in blocks:
        values[where] = value
    return values


def box(i: int, j: int, k: int, *lengths: int) -> tuple[slice, slice, slice]:
    a, b, c = lengths
    return slice(i, i + a), slice(j, j + b), slice(k, k + c)


#: 12 voxels, 8 voxels of the other sign, and 1 voxel.
SMALL, COLD, SINGLE = box(4, 5, 6, 3, 2, 2), box(12, 12, 12, 2, 2, 2), box(9, 16, 9, 1, 1, 1)


def maps(z: np.ndarray, **others: Any) -> Maps:
    plain = {"mask": BRAIN, "difference": 5 * z, "z": z, "znull": 2 * z, "zcohort": None, "sd_percent": 5.0}
    return Maps(**{**plain, **others})


def foci(found: Maps, **options: Any) -> list[Focus]:
    plain = {"threshold": 2.0, "least_ml": 0.0, "p_of": lambda mass, height: 0.01, "budget": {}, "brain": BRAIN}
    return find_foci(found, options.pop("affine", AFFINE), **{**plain, **options})


def three() -> np.ndarray:
    z = volume((SMALL, 2.5), (COLD, -3), (SINGLE, 2))
    z[4, 5, 6] = 4
    return z


def test_find_foci__signs_ranks_volumes_and_points() -> None:
    first, second, third = foci(maps(three()))
    assert [focus.rank for focus in (first, second, third)] == [1, 2, 3]
    assert [focus.sign for focus in (first, second, third)] == ["hyper", "hypo", "hyper"]
    assert first.volume_ml == pytest.approx(12 * VOXEL_ML)
    assert second.volume_ml == pytest.approx(8 * VOXEL_ML)
    assert first.peak_mm == (-22, -18, -14)
    assert first.centroid_mm == pytest.approx((-18, -16, -12))
    assert (first.z_max, first.znull_max) == (4, 8)
    assert (second.z_max, second.znull_max) == (-3, -6)
    assert np.isnan(first.zcohort_max)
    assert (first.percent_max, second.percent_max) == (20, -15)
    assert first.percent_mean == pytest.approx((11 * 12.5 + 20) / 12)


def test_find_foci__threshold_belongs_to_the_cluster_and_small_ones_are_left_out() -> None:
    assert [focus.volume_ml for focus in foci(maps(three()), threshold=2.1)] == pytest.approx([0.768, 0.512])
    assert len(foci(maps(three()), threshold=2.0)) == 3
    assert [focus.sign for focus in foci(maps(three()), least_ml=0.51)] == ["hyper", "hypo"]
    assert [focus.sign for focus in foci(maps(three()), least_ml=0.52)] == ["hyper"]
    assert foci(maps(three()), threshold=4.1) == []


def test_find_foci__neighbours_share_a_face() -> None:
    z = volume((box(5, 5, 5, 1, 1, 2), 3), (box(6, 6, 7, 1, 1, 1), 3))
    assert len(foci(maps(z))) == 2
    z[5, 5, 7] = z[6, 5, 7] = 2
    assert len(foci(maps(z))) == 1


def test_find_foci__peak_and_rank_are_those_of_the_null() -> None:
    z = three()
    null = volume((SMALL, 3), (COLD, -5), (SINGLE, 9))
    null[6, 6, 7] = 4
    cohort = volume((SMALL, 3), (COLD, -7), (SINGLE, 1))
    ranked = foci(maps(z, znull=null, zcohort=cohort))
    assert [focus.znull_max for focus in ranked] == [9, -5, 4]
    assert [focus.zcohort_max for focus in ranked] == [1, -7, 3]
    assert ranked[2].peak_mm == (-14, -14, -10)


def test_find_foci__where_nobody_tells_of_a_place_there_is_no_value_against_the_cohort() -> None:
    ranked = foci(maps(three(), znull=volume((SMALL, 3), (COLD, -5), (SINGLE, 9)), zcohort=volume((COLD, -7))))
    assert [np.isnan(focus.zcohort_max) for focus in ranked] == [True, False, True]


def test_find_foci__p_is_that_of_the_mass_beyond_the_threshold() -> None:
    asked: list[float] = []
    heights: list[float] = []

    def p_of(mass: float, height: float) -> float:
        asked.append(mass)
        heights.append(height)
        return 0.04 if mass > 0.2 else 0.6

    found = foci(maps(three()), p_of=p_of)
    assert sorted(heights) == pytest.approx(sorted(abs(focus.znull_max) for focus in found))
    assert sorted(asked) == pytest.approx([0, (11 * 0.5 + 2) * VOXEL_ML, 8 * VOXEL_ML])
    assert [focus.p_corrected for focus in found] == [0.04, 0.04, 0.6]
    assert [WITHIN_NULL in focus.flags for focus in found] == [False, False, True]


def test_find_foci__flags_for_the_edge_and_for_what_the_model_has_seen() -> None:
    z = volume((box(1, 9, 9, 1, 1, 1), 3), (box(3, 14, 9, 1, 1, 1), 3.5))
    inner, outer = foci(maps(z), seen=True)
    # Voxels outside the brain are 3 and 1 voxels away.
    assert (inner.edge_mm, outer.edge_mm) == (12, 4)
    assert inner.flags == (SEEN,)
    assert outer.flags == (EDGE, SEEN)
    assert SEEN not in foci(maps(z))[0].flags


def test_find_foci__a_cluster_of_more_than_a_fifth_of_the_brain_is_no_focus() -> None:
    most = volume((box(1, 1, 1, 18, 18, 4), 3))
    few = volume((box(1, 1, 1, 18, 18, 3), 3))
    assert LARGE in foci(maps(most))[0].flags
    assert LARGE not in foci(maps(few))[0].flags


def test_find_foci__budget_is_read_at_the_peak() -> None:
    noise = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    first = foci(maps(three()), budget={"noise": noise, "registration": 0 * noise})[0]
    assert first.budget == {"noise": noise[4, 5, 6], "registration": 0}


def test_find_foci__an_empty_map_has_none() -> None:
    assert foci(maps(np.zeros(SHAPE, np.float32))) == []


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(range(3)),
    st.tuples(*[st.booleans()] * 3),
    st.sampled_from([-1, 1]),
    st.sampled_from(["hyper", "hypo"]),
)
def test_find_foci__side_is_right_in_every_orientation(
    order: list[int], flips: tuple[bool, bool, bool], side: int, sign: str
) -> None:
    world = np.moveaxis(apply_affine(AFFINE, np.indices(SHAPE).reshape(3, -1).T).reshape(*SHAPE, 3), -1, 0)
    spot = np.linalg.norm(world - np.array([side * 18, 6, -10]).reshape(3, 1, 1, 1), axis=0) < 9
    z = np.where(spot, 3 if sign == "hyper" else -3, 0).astype(np.float32)
    turned = nib.Nifti1Image(z, AFFINE).as_reoriented(
        np.array([[axis, -1 if flip else 1] for axis, flip in zip(order, flips, strict=True)])
    )
    values = np.asarray(turned.dataobj)
    (focus,) = foci(maps(values, mask=np.ones_like(values, dtype=bool)), affine=turned.affine)
    assert focus.sign == sign
    assert focus.centroid_mm == pytest.approx((side * 18, 6, -10))
    assert np.sign(focus.peak_mm[0]) == side


def test_find_foci__height_is_looked_for_where_simulated_maps_have_voxels() -> None:
    asked: list[float] = []

    def p_of(mass: float, height: float) -> float:
        asked.append(height)
        return 0.5

    null = volume((SMALL, 3), (COLD, -5), (SINGLE, 9))
    seen = np.where(null == 9, 0, null).astype(np.float32)
    foci(maps(three(), znull=null), p_of=p_of, heights=seen)
    assert sorted(asked) == [0, 3, 5]
