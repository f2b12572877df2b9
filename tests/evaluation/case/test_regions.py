import dataclasses
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_matrix
from bids_spectsynth.evaluation.case.regions import (
    BLOCK_MM,
    HEMISPHERE,
    MIN_VOLUME_ML,
    Regions,
    asymmetry_index,
    case_regions,
    regions_of,
    world_points,
)

SHAPE = (40, 48, 36)
VOXEL_MM = 4.0
VOXEL_ML = VOXEL_MM**3 / 1000
#: Voxel borders lie on x = 0 and on the borders of blocks, so that both sides hold mirror images.
AFFINE = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
AFFINE[:3, 3] = (-78, -110, -70)


def brain() -> np.ndarray:
    x, y, z = world_points(np.ones(SHAPE, dtype=bool), AFFINE).reshape(3, *SHAPE)
    return (x / 68) ** 2 + ((y + 17) / 84) ** 2 + ((z - 2) / 66) ** 2 < 1


def case(space: str = "MNI", xfm: Path | None = None) -> PreparedCase:
    return PreparedCase("01", None, space, {}, {}, xfm, "MNI" if xfm else None)


def by_name(regions: Regions, values: np.ndarray) -> pd.Series:
    names = regions.table["region"] + " " + regions.table["hemisphere"]
    return pd.Series(regions.means(values), index=names)


def test_left_and_right_mirror_each_other() -> None:
    table = case_regions(case(), brain(), AFFINE).table
    left, right = table[::2].reset_index(drop=True), table[1::2].reset_index(drop=True)
    assert set(left["hemisphere"]) == {"L"}
    assert set(right["hemisphere"]) == {"R"}
    same = ["region", "y_mm", "z_mm", "voxels", "volume_ml"]
    pd.testing.assert_frame_equal(left[same], right[same])
    blocks = left["region"] != HEMISPHERE
    np.testing.assert_array_equal(left["x_mm"][blocks], -right["x_mm"][blocks])
    assert (left["x_mm"][blocks] < 0).all()
    assert left["region"].is_unique
    assert 40 < blocks.sum() < 120


def test_blocks_are_named_by_their_centre_and_hold_what_lies_in_them() -> None:
    mask = brain()
    regions = case_regions(case(), mask, AFFINE)
    row = regions.table[(regions.table["region"] == "x36_y-12_z12") & (regions.table["hemisphere"] == "L")].iloc[0]
    assert (row["x_mm"], row["y_mm"], row["z_mm"]) == (-36, -12, 12)
    points = world_points(mask, AFFINE)
    inside = (np.abs(points - [[-36], [-12], [12]]) < BLOCK_MM / 2).all(axis=0)
    assert row["voxels"] == inside.sum() == 6**3
    assert row["volume_ml"] == pytest.approx(BLOCK_MM**3 / 1000)
    assert by_name(regions, inside.astype(float))["x36_y-12_z12 L"] == 1
    assert (by_name(regions, inside.astype(float)) == 1).sum() == 1


def test_hemispheres_hold_every_voxel_and_small_blocks_do_not_count() -> None:
    mask = brain()
    table = case_regions(case(), mask, AFFINE).table
    halves = table[table["region"] == HEMISPHERE]
    assert halves["voxels"].sum() == mask.sum()
    blocks = table[table["region"] != HEMISPHERE]
    assert blocks["volume_ml"].min() >= MIN_VOLUME_ML
    assert 0.8 * mask.sum() < blocks["voxels"].sum() < mask.sum()


def test_a_block_that_one_side_lacks_does_not_count() -> None:
    mask = brain()
    points = world_points(np.ones(SHAPE, dtype=bool), AFFINE).reshape(3, *SHAPE)
    mask &= ~((points[0] > 0) & (points[1] > 0))
    table = case_regions(case(), mask, AFFINE).table
    assert (table["y_mm"].dropna() < 0).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_mirroring_an_image_turns_its_asymmetry_round(seed: int) -> None:
    mask = brain()
    image = ndimage.gaussian_filter(np.random.default_rng(seed).uniform(1, 3, SHAPE), 1)
    regions = case_regions(case(), mask, AFFINE)
    indices = []
    for volume in (image, image[::-1]):
        means = regions.means(volume[mask])
        indices.append(asymmetry_index(means[::2], means[1::2]))
    np.testing.assert_allclose(indices[0], -indices[1], atol=1e-9)
    assert np.abs(indices[0]).max() > 0


@settings(max_examples=20, deadline=None)
@given(
    st.tuples(*[st.floats(-15, 15)] * 3),
    st.tuples(*[st.floats(-10, 10)] * 3),
)
def test_regions_follow_the_transform_to_the_template(angles: tuple[float, ...], shift: tuple[float, ...]) -> None:
    """The same world points fall into the same regions, wherever the head lay."""
    radians = np.deg2rad(angles)
    rotation = np.eye(3)
    for axis, angle in enumerate(radians):
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    to_subject = np.eye(4)
    to_subject[:3, :3], to_subject[:3, 3] = rotation, shift
    # Points off the borders of voxels and blocks, where rounding decides.
    affine = AFFINE.copy()
    affine[:3, 3] += (0.7, 0.4, 0.3)
    mask = brain()
    there = world_points(mask, affine)
    back = np.linalg.inv(to_subject)
    moved = world_points(mask, to_subject @ affine)
    wanted = regions_of(there, VOXEL_ML)
    found = regions_of(back[:3, :3] @ moved + back[:3, 3:], VOXEL_ML)
    np.testing.assert_array_equal(found.members, wanted.members)


def test_a_case_in_its_own_space_is_brought_to_the_template(tmp_path: Path) -> None:
    # Half a turn about the vertical axis: the subject's left lies at positive x.
    turned = np.diag([-1.0, -1.0, 1.0, 1.0])
    write_matrix(tmp_path / "xfm.txt", turned, {})
    mask = brain()
    bright = (world_points(np.ones(SHAPE, dtype=bool), AFFINE)[0] > 0).reshape(SHAPE)[mask].astype(float)
    own = by_name(case_regions(case("T1w", tmp_path / "xfm.txt"), mask, AFFINE), bright)
    template = by_name(case_regions(case("MNI"), mask, AFFINE), bright)
    assert (own["hemisphere L"], own["hemisphere R"]) == (1, 0)
    assert (template["hemisphere L"], template["hemisphere R"]) == (0, 1)


def test_without_a_transform_the_brain_is_halved_at_its_middle(caplog: pytest.LogCaptureFixture) -> None:
    aside = AFFINE.copy()
    aside[0, 3] += 31
    mask = brain()
    with caplog.at_level(logging.INFO):
        table = case_regions(case("T1w"), mask, aside).table
    assert table["region"].tolist() == [HEMISPHERE] * 2
    assert table["voxels"].iloc[0] == table["voxels"].iloc[1] == mask.sum() / 2
    assert [record.message for record in caplog.records] == [
        "sub-01: no transform to a template; rated by hemisphere, not by region"
    ]


def test_only_the_evaluation_mask_counts() -> None:
    mask = brain()
    half = mask.copy()
    half[..., : SHAPE[2] // 2] = False
    values = np.random.default_rng(0).uniform(0, 1, SHAPE)
    found = case_regions(case(), half, AFFINE)
    assert found.table["voxels"].iloc[-2:].sum() == half.sum()
    left = half.copy()
    left[SHAPE[0] // 2 :] = False
    assert by_name(found, values[half])["hemisphere L"] == pytest.approx(values[left].mean())


def test_a_one_sided_brain_has_no_regions() -> None:
    mask = brain()
    mask[SHAPE[0] // 2 :] = False
    regions = case_regions(dataclasses.replace(case()), mask, AFFINE)
    assert len(regions.table) == 0
    assert (regions.members == -1).all()


def test_asymmetry_index_by_hand() -> None:
    np.testing.assert_allclose(asymmetry_index([1.1, 1, 0, 3], [0.9, 1, 0, 0]), [20, 0, np.nan, 200])


@pytest.mark.parametrize(("n", "counts"), [(24, True), (23, False)])
def test_regions_of__a_block_needs_three_millilitres_on_each_side(n: int, counts: bool) -> None:
    left = np.tile([[-12.0], [-12.0], [12.0]], 24)
    right = np.tile([[12.0], [-12.0], [12.0]], n)
    table = regions_of(np.hstack([left, right]), 0.125).table
    assert MIN_VOLUME_ML == 24 * 0.125
    assert table["region"].tolist() == ["x12_y-12_z12"] * 2 * counts + [HEMISPHERE] * 2
    assert table["voxels"].tolist() == [24, n] * (1 + counts)
    assert table["volume_ml"].tolist() == [24 * 0.125, n * 0.125] * (1 + counts)


def test_regions_of__borders_belong_to_the_block_that_begins_there() -> None:
    points = np.array([[0.0, -24, 24, -24.0001], [0, 24, 24, 23.9], [-0.1, 48, 48, 0]])
    regions = regions_of(points, 10.0)
    assert regions.table["region"].tolist() == ["x36_y36_z60"] * 2 + [HEMISPHERE] * 2
    assert regions.table[["x_mm", "y_mm", "z_mm"]][:2].to_numpy().tolist() == [[-36, 36, 60], [36, 36, 60]]
    # x = 0 is right; without a partner on the other side there is no block.
    assert regions.members.tolist() == [[-1, 3], [0, 2], [1, 3], [-1, 2]]
    np.testing.assert_allclose(regions.means(np.array([1.0, 2, 4, 6])), [2, 4, 4, 2.5])
    whole = regions_of(points, 10.0, blocks=False)
    assert whole.members.tolist() == [[1], [0], [1], [0]]


def test_case_regions__volume_of_voxels_of_any_handedness() -> None:
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = (3, 0, 0)
    table = case_regions(case(), np.ones((4, 1, 1), dtype=bool), affine).table
    assert table["volume_ml"].tolist() == [pytest.approx(0.048), pytest.approx(0.048)]


def test_asymmetry_index__of_lists_and_of_a_sum_that_is_not_above_zero() -> None:
    np.testing.assert_array_equal(asymmetry_index([-1, 1, 3], [0.5, -1, 1]), [np.nan, np.nan, 100])
    np.testing.assert_allclose(asymmetry_index([3e-3], [1e-3]), [100])
