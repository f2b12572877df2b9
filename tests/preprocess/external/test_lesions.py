import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import Grid, apply_affine
from bids_spectsynth.preprocess.external.lesions import lesion_on_grid

#: The T1w, whose middle is neither that of the world nor that of the voxels; and the grid of the prepared images.
SHAPE, AFFINE = (40, 44, 36), np.diag([-4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = (104, -80, -60)
T1W = Grid(SHAPE, AFFINE)
GRID = Grid((64, 64, 48), np.diag([4.0, 4.0, 4.0, 1.0]))
GRID.affine[:3, 3] = (-116, -120, -84)
CENTRE = np.array([14.0, 6.0, 10.0])
PLACE = (44.0, 16.0, 20.0)


def ball(grid: Grid, centre: Any, radius: float) -> np.ndarray:
    points = apply_affine(grid.affine, np.indices(grid.shape).reshape(3, -1).T)
    return np.asarray((np.linalg.norm(points - np.asarray(centre), axis=1) < radius).reshape(grid.shape))


BRAIN = ball(GRID, CENTRE, 60)


def write(path: Path, data: Any, affine: Any = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(np.asarray(data, dtype=np.float32), affine), path)
    return path


def found(path: Path, **options: Any) -> Any:
    return lesion_on_grid(path, T1W, GRID, options.get("to_t1w", np.eye(4)), options.get("brain", BRAIN))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_lesion_on_grid__lies_where_it_was_drawn_and_says_how_large_it_is(tmp_path: Path) -> None:
    lesion = found(write(tmp_path / "m.nii.gz", 7 * ball(T1W, PLACE, 20)))
    assert dice(lesion.mask, ball(GRID, PLACE, 20)) > 0.97
    assert lesion.volume_ml == pytest.approx(4 / 3 * np.pi * 8, rel=0.1)
    assert lesion.brain_ml == pytest.approx(np.count_nonzero(lesion.mask & BRAIN) * 0.064)
    assert lesion.notes == ()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(3)),
    flips=st.tuples(*[st.booleans()] * 3),
    shift=st.tuples(*[st.floats(-15, 15)] * 3),
)
def test_lesion_on_grid__whatever_the_orientation_and_through_the_transform(
    tmp_path: Path, order: list[int], flips: tuple[bool, ...], shift: tuple[float, ...]
) -> None:
    """Stored in any order of axes it lies at the same place; and moves with the transform to another space.

    All that was drawn is in it, and nothing that is farther from it than a voxel.
    """
    image = nib.Nifti1Image(ball(T1W, PLACE, 18).astype(np.float32), AFFINE)
    turned = image.as_reoriented(np.array([[axis, -1 if flip else 1] for axis, flip in zip(order, flips, strict=True)]))
    nib.save(turned, tmp_path / "m.nii.gz")
    to_t1w = np.eye(4)
    to_t1w[:3, 3] = shift
    lesion = found(tmp_path / "m.nii.gz", to_t1w=to_t1w, brain=np.ones(GRID.shape, dtype=bool))
    drawn = apply_affine(AFFINE, np.argwhere(ball(T1W, PLACE, 18))) - shift
    voxels = np.rint(apply_affine(np.linalg.inv(GRID.affine), drawn)).astype(int)
    assert lesion.mask[tuple(voxels.T)].all()
    own = apply_affine(GRID.affine, np.argwhere(lesion.mask))
    assert np.abs(own[:, None] - drawn).max(axis=-1).min(axis=1).max() < 4 + 1e-6


def test_lesion_on_grid__another_grid_of_the_same_world_is_resampled_with_a_line(tmp_path: Path) -> None:
    fine = Grid((60, 60, 60), np.diag([2.0, 2.0, 2.0, 1.0]))
    fine.affine[:3, 3] = (-10, -40, -30)
    lesion = found(write(tmp_path / "m.nii.gz", ball(fine, PLACE, 20), fine.affine))
    np.testing.assert_allclose(apply_affine(GRID.affine, np.argwhere(lesion.mask)).mean(axis=0), PLACE, atol=0.1)
    assert lesion.brain_ml == pytest.approx(lesion.volume_ml)
    assert lesion.notes == (
        "the mask lies on another grid (60 x 60 x 60 voxels, the T1w 40 x 44 x 36); resampled in world space",
    )


def test_lesion_on_grid__a_cavity_that_the_brain_mask_leaves_out_is_used(tmp_path: Path) -> None:
    """Open to the surface, and so no part of the brain mask but for its rim."""
    brain = BRAIN & ~ball(GRID, (74, 6, 10), 20)
    lesion = found(write(tmp_path / "m.nii.gz", ball(T1W, (74, 6, 10), 22)), brain=brain)
    assert 0 < lesion.brain_ml < lesion.volume_ml / 2
    (note,) = lesion.notes
    assert note.startswith(
        f"{lesion.brain_ml:.3g} of the {lesion.volume_ml:.3g} mL that were drawn lie in the brain mask"
    )


@pytest.mark.parametrize(("centre", "radius"), [((14, 6, 10), 30), ((44, 16, 20), 16), ((60, 6, 10), 20)])
def test_lesion_on_grid__a_cavity_that_the_brain_mask_goes_around_exactly_is_used_with_a_line(
    centre: Any, radius: float, tmp_path: Path
) -> None:
    """Deep, under the surface, or open to it: the ordinary brain mask of a resected head."""
    path = write(tmp_path / "m.nii.gz", ball(T1W, centre, radius))
    cavity = found(path).mask
    lesion = found(path, brain=BRAIN & ~cavity)
    np.testing.assert_array_equal(lesion.mask, cavity)
    assert lesion.brain_ml == 0
    (note,) = lesion.notes
    assert note.startswith(f"0 of the {lesion.volume_ml:.3g} mL that were drawn lie in the brain mask")


def test_lesion_on_grid__of_a_brain_without_volume_what_is_near_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "m.nii.gz", ball(T1W, PLACE, 6))
    flat = np.zeros(GRID.shape, dtype=bool)
    flat[:, :, 26] = True
    assert found(path, brain=flat).mask.any()
    with pytest.raises(ImageError, match="more than 10 mm outside the brain"):
        found(path, brain=np.roll(flat, 9, axis=2))


def test_lesion_on_grid__small_and_thin_parts_are_not_lost(tmp_path: Path) -> None:
    """Spots of 2.5 mm, a sheet of 1 mm and a single voxel of 1 mm on a grid of 4 mm."""
    fine = Grid((70, 70, 70), np.eye(4))
    fine.affine[:3, 3] = (-20.4, -29.3, -24.6)
    spots = np.any(
        [ball(fine, (14 + x, 6 + y, 10 + z), 2.5) for x in (-24, 0, 24) for y in (-24, 0) for z in (-24, 9)], 0
    )
    sheet = np.zeros(fine.shape, dtype=bool)
    sheet[30, 20:50, 20:50] = True
    single = np.zeros(fine.shape, dtype=bool)
    single[40, 41, 42] = True
    for drawn in (spots, sheet, single):
        lesion = found(write(tmp_path / "m.nii.gz", drawn, fine.affine))
        voxels = np.rint(apply_affine(np.linalg.inv(GRID.affine) @ fine.affine, np.argwhere(drawn))).astype(int)
        assert lesion.mask[tuple(voxels.T)].all()
        assert lesion.volume_ml == pytest.approx(drawn.sum() / 1000)
        assert lesion.brain_ml == pytest.approx(lesion.volume_ml)
        assert any("coarse for the" in note for note in lesion.notes), "how much more than was drawn is left out"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (ball(T1W, (74, 6, 10), 18), r"^[0-9.]+ of the [0-9.]+ mL that were drawn lie in the brain mask"),
        (ball(T1W, CENTRE, 68) & ~ball(T1W, CENTRE, 58), r"^1[0-9]+ of the [0-9]+ mL that were drawn lie in the brain"),
        (ball(T1W, CENTRE, 57) & (np.indices(SHAPE)[0] > 23), r"^it covers [34][0-9]% of the brain"),
    ],
)
def test_lesion_on_grid__what_may_not_be_meant_is_said(data: Any, why: str, tmp_path: Path) -> None:
    (note,) = found(write(tmp_path / "m.nii.gz", data)).notes
    assert re.search(why, note), note


def test_lesion_on_grid__what_the_prepared_images_do_not_have_is_said(tmp_path: Path) -> None:
    low = Grid((64, 64, 30), GRID.affine + np.array([[0, 0, 0, 0]] * 2 + [[0, 0, 0, 100], [0, 0, 0, 0]]))
    lesion = lesion_on_grid(
        write(tmp_path / "m.nii.gz", ball(T1W, PLACE, 20)), T1W, low, np.eye(4), ball(low, CENTRE, 60)
    )
    assert any("lie in the prepared images' field of view; the rest is left off" in note for note in lesion.notes)


def moved(mm: float) -> np.ndarray:
    out = AFFINE.copy()
    out[1, 3] += mm
    return out


def mirrored_voxels() -> np.ndarray:
    out = AFFINE.copy()
    out[:3, 0] *= -1
    return out


@pytest.mark.parametrize(
    ("data", "affine", "why"),
    [
        (0 * ball(T1W, PLACE, 20), AFFINE, "the lesion mask is empty; draw the lesion, or remove the file"),
        (ball(T1W, PLACE, 20), np.diag([-1.0, 1, 1, 1]) @ AFFINE, "mirrored: its header exchanges left and right"),
        (ball(T1W, PLACE, 20), mirrored_voxels(), "mirrored: its header exchanges left and right"),
        (ball(T1W, (-40, 6, 10), 8)[::-1], AFFINE, "mirrored: [0-9]+% of it lies outside the brain"),
        (ball(T1W, PLACE, 20), moved(300), "on another grid than the T1w"),
        (ball(T1W, (14, 80, 60), 9), AFFINE, "100% of it lies more than 10 mm outside the brain, and 0 voxels in it"),
        (ball(T1W, CENTRE, 54), AFFINE, "covers [0-9]+% of the brain: it is no lesion"),
        (~ball(T1W, PLACE, 20), AFFINE, "[0-9]+ mL, more than the brain has: it is no lesion"),
        (np.arange(40)[:, None, None] * ball(T1W, PLACE, 20), AFFINE, "different values"),
        (np.where(ball(T1W, PLACE, 20), np.nan, 0), AFFINE, "finite"),
    ],
)
def test_lesion_on_grid__what_cannot_be_a_lesion_is_one_line(data: Any, affine: Any, why: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m.nii.gz", data, affine)
    with pytest.raises(ImageError, match=why) as caught:
        found(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lesion_on_grid__not_in_the_prepared_images_too_coarse_damaged_or_missing_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "m.nii.gz", ball(T1W, PLACE, 8))
    away = np.eye(4)
    away[0, 3] = 300
    with pytest.raises(
        ImageError, match="fills no voxel of the prepared images: it lies elsewhere; draw it on the T1w"
    ):
        found(path, to_t1w=away)
    coarse = np.diag([200.0, 4, 4, 1])
    coarse[:3, 3] = PLACE
    write(path, np.ones((1, 3, 3)), coarse)
    with pytest.raises(ImageError, match=r"m\.nii\.gz: its voxels of 200 mm are too coarse .* draw it on the T1w"):
        found(path)
    write(path, np.random.default_rng(0).random(SHAPE) > 0.5)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ImageError, match="damaged or truncated"):
        found(path)
    with pytest.raises(ImageError, match="no such file"):
        found(tmp_path / "nothing.nii.gz")
