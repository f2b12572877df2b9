import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.siscom.subtraction.alignment import align, displacement, inside_field, resample_ictal
from tests.siscom.conftest import AFFINE, SHAPE, ball, brain, image, moved_scan, noise, rigid, scan

STILL = np.eye(4)
#: Rigid motions within 2 mm and 2 degrees.
MOTIONS = (rigid((1.5, -0.7, 0.4), (1, -0.5, 0.3)), rigid((-0.3, 1.1, -1.4), (-0.6, 1.7, -1.9)))


def apart(first: np.ndarray, second: np.ndarray) -> float:
    """Mean distance over the brain, mm."""
    return displacement(first, second, brain(), AFFINE)[0]


# On voxels of 4 mm, linear interpolation alone costs a tenth of a millimetre.
@pytest.mark.parametrize(("number", "furthest"), [(0, 0.15), (1, 0.1)])
def test_align__finds_a_known_motion_of_a_noisy_scan(number: int, furthest: float) -> None:
    matrix = MOTIONS[number]
    assert apart(matrix, STILL) > 1.4
    ictal = image(3.1 * (moved_scan(matrix) + noise(number, 1)))
    found = align(ictal, scan() + noise(number + 10, 1), brain(), AFFINE)
    assert apart(found.matrix, matrix) < furthest
    assert found.residual_percent < 0.5 * found.start_residual_percent
    assert found.share > 0.9


def test_align__begins_where_it_is_told_to() -> None:
    far = rigid((14, -9, 6), (8, 0, -5))
    start = rigid((13, -8, 6.5), (7, 0, -5))
    found = align(image(moved_scan(far)), scan(), brain(), AFFINE, start)
    assert apart(found.matrix, far) < 0.15


@pytest.mark.parametrize(("ml", "percent", "furthest"), [(30, 100, 0.1), (180, 50, 0.3), (180, -40, 0.3)])
def test_align__a_seizure_does_not_drag_the_scan(ml: float, percent: float, furthest: float) -> None:
    # 180 mL are a fifth of this brain.
    focus = ball((38, -30, 10), ml)
    baseline = scan() + noise(5, 2)
    plain = moved_scan(MOTIONS[0]) + noise(4, 2)
    hot = plain * np.where(focus, 1 + percent / 100, 1)
    without, with_focus = (align(image(values), baseline, brain(), AFFINE).matrix for values in (plain, hot))
    assert apart(without, with_focus) <= furthest


def test_align__constant_scans_and_an_empty_mask_are_said() -> None:
    with pytest.raises(ValueError, match="the ictal scan is constant"):
        align(image(np.full(SHAPE, 7)), scan(), brain(), AFFINE)
    with pytest.raises(ValueError, match="the ictal scan is constant"):
        align(image(np.zeros(SHAPE)), scan(), brain(), AFFINE)
    with pytest.raises(ValueError, match="the baseline is constant"):
        align(image(scan()), np.full(SHAPE, 7, np.float32), brain(), AFFINE)
    with pytest.raises(ValueError, match="empty"):
        align(image(scan()), scan(), np.zeros(SHAPE, dtype=bool), AFFINE)


@given(st.tuples(*[st.floats(-9, 9)] * 3))
def test_displacement__of_a_shift_is_its_length_everywhere(shift: tuple[float, float, float]) -> None:
    matrix = rigid(shift, (0, 0, 0))
    np.testing.assert_allclose(displacement(matrix, STILL, brain(), AFFINE), np.linalg.norm(shift), atol=1e-9)


def test_displacement__of_a_rotation_grows_with_the_distance_from_its_axis() -> None:
    mean, largest = displacement(rigid((0, 0, 0), (2, 0, 0)), STILL, brain(), AFFINE)
    # The brain reaches 72 mm from the axis.
    assert largest == pytest.approx(np.deg2rad(2) * 72, rel=0.06)
    assert 0.3 * largest < mean < 0.7 * largest


def test_resample_ictal__brings_the_brain_back_and_nothing_else() -> None:
    found = resample_ictal(image(moved_scan(MOTIONS[1])), MOTIONS[1], brain(), AFFINE)
    assert found.shape == SHAPE
    assert found.dtype == np.float32
    assert not found[~brain()].any()
    assert found.min() >= 0
    # Where the spline has neighbours on all sides; the rim falls steeply.
    assert np.abs(found - scan())[ball((0, -14, 12), 500)].max() < 0.05 * scan()[brain()].mean()


def test_resample_ictal__world_coordinates_count_not_voxels() -> None:
    flipped = nib.Nifti1Image(moved_scan(STILL)[::-1].copy(), AFFINE @ np.diag([-1, 1, 1, 1]))
    flipped.affine[:3, 3] = AFFINE[:3, 3] + [4 * (SHAPE[0] - 1), 0, 0]
    plain = resample_ictal(image(moved_scan(STILL)), STILL, brain(), AFFINE)
    np.testing.assert_allclose(resample_ictal(flipped, STILL, brain(), AFFINE), plain, atol=1e-3)


def test_inside_field__ends_where_the_scan_ends() -> None:
    field = nib.Nifti1Image(np.ones((4, 5, 6), dtype=np.float32), np.eye(4))
    mask = np.ones((6, 6, 6), dtype=bool)
    assert np.array_equal(np.argwhere(inside_field(field, np.eye(4), mask, np.eye(4))).max(axis=0), (3, 4, 5))
    moved = np.eye(4)
    moved[0, 3] = 1.5
    assert np.array_equal(np.argwhere(inside_field(field, moved, mask, np.eye(4))).max(axis=0), (1, 4, 5))
