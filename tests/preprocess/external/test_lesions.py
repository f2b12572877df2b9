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
    """Stored in any order of axes it lies at the same place; and moves with the transform to another space."""
    image = nib.Nifti1Image(ball(T1W, PLACE, 18).astype(np.float32), AFFINE)
    turned = image.as_reoriented(np.array([[axis, -1 if flip else 1] for axis, flip in zip(order, flips, strict=True)]))
    nib.save(turned, tmp_path / "m.nii.gz")
    to_t1w = np.eye(4)
    to_t1w[:3, 3] = shift
    lesion = found(tmp_path / "m.nii.gz", to_t1w=to_t1w, brain=np.ones(GRID.shape, dtype=bool))
    assert dice(lesion.mask, ball(GRID, np.subtract(PLACE, shift), 18)) > 0.85


def test_lesion_on_grid__another_grid_of_the_same_world_is_resampled_with_a_line(tmp_path: Path) -> None:
    fine = Grid((60, 60, 60), np.diag([2.0, 2.0, 2.0, 1.0]))
    fine.affine[:3, 3] = (-10, -40, -30)
    lesion = found(write(tmp_path / "m.nii.gz", ball(fine, PLACE, 20), fine.affine))
    assert dice(lesion.mask, ball(GRID, PLACE, 20)) > 0.97
    assert lesion.notes == (
        "the mask lies on another grid (60 x 60 x 60 voxels, the T1w 40 x 44 x 36); resampled in world space",
    )


def test_lesion_on_grid__a_cavity_that_the_brain_mask_leaves_out_is_used(tmp_path: Path) -> None:
    """Open to the surface, and so no part of the brain mask but for its rim."""
    brain = BRAIN & ~ball(GRID, (74, 6, 10), 20)
    lesion = found(write(tmp_path / "m.nii.gz", ball(T1W, (74, 6, 10), 22)), brain=brain)
    assert 0 < lesion.brain_ml < lesion.volume_ml / 2


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
        (~ball(T1W, PLACE, 20), AFFINE, "outside the brain|covers"),
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


def test_lesion_on_grid__too_small_damaged_or_missing_is_one_line(tmp_path: Path) -> None:
    tiny = Grid((9, 9, 9), np.diag([0.5, 0.5, 0.5, 1.0]))
    tiny.affine[:3, 3] = (44, 16, 20)
    path = write(tmp_path / "m.nii.gz", ball(tiny, (46, 18, 22), 0.6), tiny.affine)
    with pytest.raises(ImageError, match="fills no voxel of the prepared images"):
        found(path)
    write(path, np.random.default_rng(0).random(SHAPE) > 0.5)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ImageError, match="damaged or truncated"):
        found(path)
    with pytest.raises(ImageError, match="no such file"):
        found(tmp_path / "nothing.nii.gz")
