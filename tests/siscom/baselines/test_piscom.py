import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.images.smoothing import smooth_in_mask
from bids_spectsynth.siscom.baselines.piscom import pet_as_spect

SHAPE, SIZE = (40, 48, 38), 4.0
AFFINE = np.diag([SIZE, SIZE, SIZE, 1.0])
AFFINE[:3, 3] = (-78, -112, -70)
WORLD = np.moveaxis(np.indices(SHAPE), 0, -1) @ AFFINE[:3, :3] + AFFINE[:3, 3]
X, Y, Z = np.moveaxis(WORLD, -1, 0)
MASK = (X / 68) ** 2 + ((Y + 18) / 86) ** 2 + ((Z - 5) / 66) ** 2 < 1
FULL = (MASK, MASK)


def field(seed: int, fwhm: float) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), fwhm / 2.3548 / SIZE)
    return (noise / noise[MASK].std()).astype(np.float32)


WHITE = np.where(MASK, field(0, 12) > 0.3, 0).astype(np.float32)
SYMMETRIC = 1 - 0.3 * np.exp(-((np.abs(X) - 26) ** 2 + (Y + 64) ** 2 + (Z + 36) ** 2) / 2 / 30**2)
FOCUS = np.exp(-((X - 40) ** 2 + (Y + 10) ** 2 + (Z - 10) ** 2) / 2 / 13**2)


def pet_and_spect(individual: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A sharp PET, and a SPECT of less contrast and another regional pattern, blurred."""
    shared = 1 + 0.1 * field(1, 20)
    pet = np.where(MASK, (1 - 0.75 * WHITE) * shared * SYMMETRIC, 0)
    spect = np.where(MASK, (1 - 0.6 * WHITE) * shared * (1 + individual * field(2, 30)), 0)
    return 5000 * pet.astype(np.float32), 40 * smooth_in_mask(spect, MASK, (SIZE,) * 3, 8.0)


def residual(baseline: np.ndarray, spect: np.ndarray) -> float:
    """Standard deviation at 12 mm, percent of the brain mean."""
    first, second = (smooth_in_mask(volume, MASK, (SIZE,) * 3, 12.0) for volume in (spect, baseline))
    inner = ndimage.binary_erosion(MASK)
    first, second = first[inner] / first[inner].mean(), second[inner] / second[inner].mean()
    return float(100 * np.std(first - second))


def make(pet: np.ndarray, spect: np.ndarray, to_template: np.ndarray | None = None, **options: object) -> np.ndarray:
    return pet_as_spect(pet, spect, WHITE, FULL, AFFINE, 8.0, 12.0, to_template, **options).values


def test_pet_as_spect__white_matter_and_regions_follow_the_spect() -> None:
    pet, spect = pet_and_spect()
    raw = residual(smooth_in_mask(pet, MASK, (SIZE,) * 3, 8.0), spect)
    assert raw > 4
    assert residual(make(pet, spect, np.eye(4)), spect) < 0.4 * raw
    assert residual(make(pet, spect, np.eye(4)), spect) < residual(make(pet, spect), spect) < raw


def test_pet_as_spect__a_focus_is_not_fitted_away() -> None:
    pet, spect = pet_and_spect(individual=0.05)
    ictal = (spect * (1 + 0.5 * FOCUS)).astype(np.float32)
    lost = make(pet, ictal, np.eye(4)) - make(pet, spect, np.eye(4))
    place = FOCUS > 0.8
    # Least squares would take 11 %.
    assert np.abs(lost[place].mean() / (ictal - spect)[place].mean()) < 0.06


def test_pet_as_spect__units_are_those_of_the_ictal_scan() -> None:
    pet, spect = pet_and_spect()
    made = make(pet, spect, np.eye(4))
    np.testing.assert_allclose(make(9 * pet, spect, np.eye(4)), made, rtol=2e-3)
    np.testing.assert_allclose(make(pet, 3 * spect, np.eye(4)), 3 * made, rtol=2e-3)
    assert made[MASK].mean() == pytest.approx(spect[MASK].mean(), rel=0.02)


def test_pet_as_spect__nothing_outside_the_mask_counts() -> None:
    pet, spect = pet_and_spect()
    made = make(pet, spect, np.eye(4))
    bright = [np.where(MASK, volume, 1e6).astype(np.float32) for volume in (pet, spect)]
    np.testing.assert_array_equal(make(*bright, np.eye(4)), made)
    assert not made[~MASK].any()


def test_pet_as_spect__turned_heads_give_the_same() -> None:
    pet, spect = pet_and_spect()
    made = make(pet, spect, np.eye(4))

    def turn(volume: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(volume[::-1].swapaxes(1, 2))

    flip = np.eye(4)[:, [0, 2, 1, 3]]
    flip[0, 0], flip[0, 3] = -1, SHAPE[0] - 1
    turned = pet_as_spect(
        turn(pet), turn(spect), turn(WHITE), (turn(MASK),) * 2, AFFINE @ flip, 8.0, 12.0, np.eye(4)
    ).values
    np.testing.assert_allclose(turned, turn(made), atol=0.02 * made.max())


def test_pet_as_spect__no_signal_is_refused() -> None:
    pet, spect = pet_and_spect()
    with pytest.raises(ValueError, match="signal"):
        make(0 * pet, spect)
    with pytest.raises(ValueError, match="voxel"):
        pet_as_spect(pet, spect, WHITE, (MASK, MASK & False), AFFINE, 8.0, 12.0)
