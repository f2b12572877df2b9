import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from bids_spectsynth.evaluation.case.regions import HEMISPHERE, Regions, regions_of
from bids_spectsynth.evaluation.case.residual import (
    EDGE_MM,
    FWHM_MM,
    Sampling,
    residual,
    residual_by_region,
    residual_sampling,
)
from bids_spectsynth.images.smoothing import smooth_in_mask
from bids_spectsynth.siscom.subtraction.level import levels
from bids_spectsynth.siscom.subtraction.maps import percent_difference
from bids_spectsynth.siscom.subtraction.mask import siscom_mask

SHAPE = (36, 44, 34)
VOXEL = 4.0
SIZES = (VOXEL,) * 3
#: Centre of the grid in the template's world.
POINTS = np.indices(SHAPE) * VOXEL - np.array([72.0, 88, 66])[:, None, None, None]


def brain() -> np.ndarray:
    x, y, z = POINTS
    return (x / 62) ** 2 + (y / 76) ** 2 + (z / 56) ** 2 < 1


BRAIN = brain()


def volume(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=SHAPE), 2)
    return (50 * np.exp(0.1 * smooth / smooth.std())).astype(np.float32)


def hot(where: np.ndarray, percent: float = 10) -> tuple[np.ndarray, np.ndarray]:
    """A real volume, and a synthetic one that lacks a percentage of it somewhere."""
    real = volume(0)
    return real, np.where(where, real / (1 + percent / 100), real).astype(np.float32)


def regions() -> Regions:
    return regions_of(POINTS[:, BRAIN], VOXEL**3 / 1000)


@pytest.fixture(scope="module")
def sampling() -> Sampling:
    return residual_sampling(BRAIN, SIZES)


def by_scipy(real: np.ndarray, synthetic: np.ndarray, mask: np.ndarray, voxel: float) -> tuple[np.ndarray, np.ndarray]:
    """The residual on the whole grid, at the level of a kernel density's maximum, and where it counts."""
    sigma = FWHM_MM / np.sqrt(8 * np.log(2)) / voxel
    weight = ndimage.gaussian_filter(mask.astype(float), sigma, mode="constant", truncate=6)
    x, y = (
        ndimage.gaussian_filter(np.where(mask, image, 0).astype(float), sigma, mode="constant", truncate=6)
        / np.where(mask, weight, 1)
        for image in (real, synthetic)
    )
    n = int(EDGE_MM / voxel)
    ball = np.square(np.indices((2 * n + 1,) * 3) - n).sum(axis=0) * voxel**2 <= EDGE_MM**2
    deep = ndimage.binary_erosion(mask, ball)
    logs = np.log(x[deep] / y[deep])
    candidates = np.linspace(np.percentile(logs, 5), np.percentile(logs, 95), 400)
    level = np.exp(candidates[np.argmax(stats.gaussian_kde(logs[:: max(1, logs.size // 5000)], 0.3)(candidates))])
    return 100 * (x / level - y) / y[deep].mean(), deep


@pytest.mark.parametrize("seed", [1, 2])
def test_residual__standard_deviation_equals_scipys(sampling: Sampling, seed: int) -> None:
    real, synthetic = volume(0), volume(seed)
    expected, deep = by_scipy(real, synthetic, BRAIN, VOXEL)
    found = residual(real, synthetic, sampling)
    assert found.std() == pytest.approx(expected[deep].std(), rel=5e-3)
    assert found.std() > 1
    assert np.corrcoef(found, expected[deep])[0, 1] > 0.9999


def test_residual__is_the_map_of_a_siscom_of_the_same_scans(sampling: Sampling) -> None:
    real, synthetic = volume(0), volume(1)
    mask = siscom_mask(BRAIN, SIZES)
    x, y = (smooth_in_mask(image, BRAIN, SIZES, FWHM_MM) for image in (real, synthetic))
    expected = percent_difference(x, y, levels(x, y, mask)["mode"], mask)[mask]
    np.testing.assert_allclose(residual(real, synthetic, sampling), expected, atol=1e-4)


def test_residual__of_a_fine_grid_every_nth_voxel_tells_as_much_as_all() -> None:
    fine = np.kron(BRAIN, np.ones((4, 4, 4), dtype=bool))[40:100, 70:130, 40:100]
    real, synthetic = (np.kron(volume(n), np.ones((4, 4, 4)))[40:100, 70:130, 40:100] for n in (0, 1))
    real, synthetic = (ndimage.gaussian_filter(image, 3).astype(np.float32) for image in (real, synthetic))
    sampling = residual_sampling(fine, (1, 1, 1))
    assert len(sampling.chosen) < fine.sum() / 20
    expected, deep = by_scipy(real, synthetic, fine, 1.0)
    assert residual(real, synthetic, sampling).std() == pytest.approx(expected[deep].std(), rel=0.02)


@settings(max_examples=20)
@given(
    st.floats(0.01, 1000),
    st.floats(0.01, 1000),
    st.floats(-100, 100) | st.sampled_from([float("nan"), float("inf")]),
)
def test_residual__neither_levels_nor_what_is_outside_matter(first: float, second: float, outside: float) -> None:
    one = residual_sampling(BRAIN, SIZES)
    real, synthetic = volume(0), volume(1)
    expected = residual(real, synthetic, one)
    moved = [np.where(BRAIN, image * np.float32(gain), np.float32(outside)) for image, gain in
             ((real, first), (synthetic, second))]  # fmt: skip
    np.testing.assert_allclose(residual(moved[0], moved[1], one), expected, atol=1e-3)


def test_residual__a_hot_spot_is_found_where_it_is_with_its_sign(sampling: Sampling) -> None:
    spot = (np.abs(POINTS[0] + 36) < 12) & (np.abs(POINTS[1] - 12) < 12) & (np.abs(POINTS[2] - 12) < 12) & BRAIN
    real, synthetic = hot(spot)
    values = residual(real, synthetic, sampling)
    # The mode leaves all else where it is.
    assert np.median(values) == pytest.approx(0, abs=0.05)
    expected, deep = by_scipy(real, synthetic, BRAIN, VOXEL)
    assert values.std() == pytest.approx(expected[deep].std(), rel=0.02)
    table = regions().table
    share, mean = residual_by_region(values, sampling, regions())
    block = (table["region"] == "x36_y12_z12") & (table["hemisphere"] == "L")
    assert block.sum() == 1
    assert share[block.to_numpy()][0] > 50
    blocks = (table["region"] != HEMISPHERE).to_numpy()
    assert np.argmax(np.where(blocks, mean, -np.inf)) == np.flatnonzero(block)[0]
    assert 4 < mean[block.to_numpy()][0] < 10
    opposite = residual(synthetic, real, sampling)
    assert residual_by_region(opposite, sampling, regions())[1][block.to_numpy()][0] < -4


def test_residual_by_region__hemispheres_have_all_and_blocks_what_is_theirs(sampling: Sampling) -> None:
    parts = regions()
    values = residual(volume(0), volume(1), sampling)
    share, mean = residual_by_region(values, sampling, parts)
    whole = (parts.table["region"] == HEMISPHERE).to_numpy()
    assert share[whole].sum() == pytest.approx(100)
    in_none = parts.members[sampling.chosen, 0] < 0
    rest = 100 * np.square(values - values.mean())[in_none].sum() / np.square(values - values.mean()).sum()
    assert 0 < rest < 50
    assert share[~whole].sum() + rest == pytest.approx(100)
    # By hand: one region's voxels.
    row = int(np.flatnonzero(~whole)[3])
    own = values[parts.members[sampling.chosen, 0] == row]
    assert mean[row] == pytest.approx(own.mean())
    variance = np.square(own - values.mean()).sum() / len(values) / values.var()
    assert share[row] == pytest.approx(100 * variance)


def test_residual__a_copy_in_other_units_has_none(sampling: Sampling) -> None:
    values = residual(volume(0), 3 * volume(0), sampling)
    assert values.std() < 0.01
    share, mean = residual_by_region(values, sampling, regions())
    assert np.isnan(share).all()
    assert np.nanmax(np.abs(mean)) < 0.3


def test_residual__without_smoothing() -> None:
    real, synthetic = volume(0), volume(1)
    one = residual_sampling(BRAIN, (1, 1, 1), fwhm=0)
    ratio = real[BRAIN].reshape(-1)[one.chosen] / synthetic[BRAIN][one.chosen]
    found = residual(real, synthetic, one)
    x, y = real[BRAIN][one.chosen].astype(float), synthetic[BRAIN][one.chosen].astype(float)
    level = (x / (found * y.mean() / 100 + y)).mean()
    np.testing.assert_allclose(found, 100 * (x / level - y) / y.mean(), atol=1e-6)
    assert level == pytest.approx(np.median(ratio), rel=0.05)


@pytest.mark.parametrize("thickness", [0, 1, 2])
def test_residual_sampling__mask_that_is_too_thin(thickness: int) -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:, :, 10 : 10 + thickness] = True
    with pytest.raises(ValueError, match="nowhere thick enough"):
        residual_sampling(mask, SIZES)


def test_residual__images_without_signal(sampling: Sampling) -> None:
    real = volume(0)
    holed = np.where(POINTS[0] > 0, real, np.nan).astype(np.float32)
    for synthetic, message in ((0 * real, "no signal"), (-real, "no signal"), (holed, "not finite")):
        with pytest.raises(ValueError, match=message):
            residual(real, synthetic, sampling)
    with pytest.raises(ValueError, match="no signal"):
        residual(0 * real, real, sampling)
    # A constant image is a baseline like any other.
    assert residual(real, np.full_like(real, 2), sampling).std() > 1
