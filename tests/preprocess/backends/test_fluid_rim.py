"""The rim of fluid of a brain mask: taken away where it is sure, and nothing else is."""

import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.preprocess.backends.fluid_rim import remove_fluid_rim

SHAPE, SPACING = (64, 64, 64), 2.0
AFFINE = np.diag([SPACING, SPACING, SPACING, 1.0])
FLUID, GREY, WHITE = 30.0, 80.0, 110.0


def _radius(centre: tuple[float, float, float] = (63.0, 63.0, 63.0)) -> np.ndarray:
    position = np.indices(SHAPE) * SPACING
    return np.sqrt(sum((p - c) ** 2 for p, c in zip(position, centre, strict=True)))


def _head(noise: float = 3.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """T1w, a mask with a rim of fluid of 4 mm, and the brain within: white in grey, a ventricle, and a sulcus."""
    r = _radius()
    data = np.select([r < 10, r < 38, r < 50, r < 56], [FLUID, WHITE, GREY, FLUID], 8.0)
    sulcus = (np.abs(_radius((63.0, 63.0, 63.0)) - 44) < 8) & (np.abs(np.indices(SHAPE)[0] * SPACING - 64) < 1.5)
    data[sulcus & (r < 50)] = FLUID
    data += np.random.default_rng(0).normal(0, noise, SHAPE)
    return data.astype(np.float32), (r < 54).astype(np.uint8), r < 50


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero((a > 0) & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def test_remove_fluid_rim__rim_goes_and_brain_with_sulcus_stays() -> None:
    data, mask, brain = _head()
    tight = remove_fluid_rim(data, mask, AFFINE)
    assert tight.dtype == np.uint8
    assert _dice(mask, brain) < 0.9
    assert _dice(tight, brain) > 0.97
    tissue = brain & (data > (FLUID + GREY) / 2)
    assert np.count_nonzero(tissue & (tight == 0)) < 0.01 * np.count_nonzero(tissue)
    assert not np.any((tight > 0) & (mask == 0))
    assert ndimage.label(tight)[1] == 1
    assert ndimage.label(tight == 0)[1] == 1


def test_remove_fluid_rim__follows_the_coils_sensitivity() -> None:
    data, mask, brain = _head()
    shade = np.exp(0.4 * (np.indices(SHAPE)[1] * SPACING - 63) / 54).astype(np.float32)
    tight = remove_fluid_rim(data * shade, mask, AFFINE)
    assert _dice(tight, brain) > 0.95
    assert np.count_nonzero(brain & (tight == 0)) < 0.02 * np.count_nonzero(brain)


def test_remove_fluid_rim__cavity_at_the_surface_is_kept() -> None:
    data, mask, _ = _head()
    cavity = (_radius((63.0, 63.0, 107.0)) < 15) & (mask > 0)
    data[cavity] = FLUID
    tight = remove_fluid_rim(data, mask, AFFINE)
    assert np.count_nonzero(cavity & (tight > 0)) > 0.95 * np.count_nonzero(cavity)
    assert np.count_nonzero(tight) < 0.9 * np.count_nonzero(mask)


def test_remove_fluid_rim__dark_lesion_under_the_cortex_is_kept() -> None:
    data, mask, brain = _head()
    lesion = _radius((63.0, 25.0, 63.0)) < 8
    data[lesion] = FLUID
    tight = remove_fluid_rim(data, mask, AFFINE)
    assert tight[lesion & brain].all()


@pytest.mark.parametrize(
    "values",
    [
        {FLUID: 120.0, GREY: 80.0, WHITE: 60.0},  # T2w
        {FLUID: 72.0, GREY: 80.0, WHITE: 90.0},  # hardly any contrast
        {FLUID: 80.0, GREY: 80.0, WHITE: 80.0},  # none
    ],
)
def test_remove_fluid_rim__other_contrasts_leave_the_mask_unchanged(values: dict[float, float]) -> None:
    data, mask, _ = _head(noise=0)
    other = data.copy()
    for old, new in values.items():
        other[data == old] = new
    other += np.random.default_rng(1).normal(0, 3, SHAPE).astype(np.float32)
    np.testing.assert_array_equal(remove_fluid_rim(other, mask, AFFINE), mask)


def test_remove_fluid_rim__a_mask_that_is_mostly_dark_is_left_alone() -> None:
    """A mask of half the size too much is another defect than a rim."""
    data, _, _ = _head()
    wide = (_radius() < 62).astype(np.uint8)
    data[(_radius() >= 50) & (_radius() < 62)] = FLUID
    np.testing.assert_array_equal(remove_fluid_rim(data, wide, AFFINE), wide)


def test_remove_fluid_rim__any_axis_order_gives_the_same() -> None:
    data, mask, _ = _head()
    tight = remove_fluid_rim(data, mask, AFFINE)
    turned = remove_fluid_rim(data.transpose(2, 0, 1)[::-1], mask.transpose(2, 0, 1)[::-1], AFFINE)
    # Running sums round differently from the other side.
    assert np.count_nonzero(turned != tight.transpose(2, 0, 1)[::-1]) < 10


def test_remove_fluid_rim__values_of_one_kind_or_none() -> None:
    mask = _head()[1]
    for data in (np.zeros(SHAPE, np.float32), np.full(SHAPE, 5, np.float32)):
        np.testing.assert_array_equal(remove_fluid_rim(data, mask, AFFINE), mask)


def test_remove_fluid_rim__voxels_larger_than_the_rim_leave_the_mask_unchanged() -> None:
    data, mask, _ = _head()
    np.testing.assert_array_equal(remove_fluid_rim(data, mask, np.diag([5.0, 5.0, 5.0, 1.0])), mask)
