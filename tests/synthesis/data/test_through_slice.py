import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.synthesis.data.gathering import gather_slices
from bids_spectsynth.synthesis.data.scaling import apply_scaling, scaling_coefficients
from bids_spectsynth.synthesis.data.slices import CaseArrays
from bids_spectsynth.synthesis.data.through_slice import brain_slices, relative_heights, slice_gains


def simulated_head(seed, shape=(40, 48, 40)):
    """A SPECT-like volume: cortex, white matter, deep nuclei, individual shape and uptake, 14 mm resolution at 4 mm."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    warp = [1 + rng.normal(0, 0.04) for _ in range(3)]
    radius = np.sqrt((x * warp[0] / 0.72) ** 2 + (y * warp[1] / 0.85) ** 2 + ((z * warp[2] + 0.1 * y) / 0.8) ** 2)

    def field(sigma):
        noise = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
        return noise / noise.std()

    folds = 1 + 0.25 * np.sin(14 * x + rng.normal()) * np.sin(13 * y) * np.sin(9 * z)
    cortex = np.exp(-(((radius - 0.85) / 0.14) ** 2)) * folds * (1 + 0.15 * z)
    nuclei = 1.3 * np.exp(-((np.abs(x) - 0.25) ** 2 + y**2 + (z + 0.05) ** 2) / 0.015)
    cerebellum = 1.2 * np.exp(-((np.abs(x) - 0.3) ** 2 + (y + 0.5) ** 2 + (z + 0.55) ** 2) / 0.03)
    uptake = (0.3 + cortex + nuclei + cerebellum) * (1 + 0.08 * field(6) + 0.06 * field(3))
    mask = radius < 1
    volume = ndimage.gaussian_filter(uptake * mask, 1.5) * mask * (1 + 0.01 * field(1))
    return (volume.clip(0) * rng.uniform(20, 200)).astype(np.float32), mask


def ideal_case(label, seed):
    volume, mask = simulated_head(seed)
    slope, intercept = scaling_coefficients(volume, mask, "slice")
    scaled = apply_scaling(volume, slope, intercept)
    return volume, CaseArrays(
        label, None, scaled[None], scaled, mask, np.eye(4), slope, float(volume[mask].mean()), "counts"
    )


def through_slice_change(volume, mask):
    """Mean absolute difference between neighbouring slices in the brain, relative to the mean in the brain."""
    both = mask[..., 1:] & mask[..., :-1]
    return np.abs(np.diff(volume, axis=2))[both].mean() / volume[mask].mean()


@pytest.fixture(scope="module")
def profiles():
    _, statistics = gather_slices([ideal_case(f"{seed:02d}", seed)[1] for seed in range(4)], 10, masks=False)
    return np.array(statistics.log_gain), np.array(statistics.log_step)


@pytest.mark.parametrize("seed", [100, 101, 102])
def test_slice_scaled_volume_is_recovered(profiles, seed):
    """The output of an ideal network, which is the slice-scaled real SPECT, becomes that SPECT again."""
    volume, case = ideal_case("99", seed)
    recovered = slice_gains(case.target, case.mask, *profiles) * (case.target + 1) / 2
    recovered *= volume[case.mask].mean() / recovered[case.mask].mean()
    stacked = (case.target + 1) * (volume[case.mask].mean() / (case.target + 1)[case.mask].mean())

    def error(image):
        return np.sqrt(np.mean((image - volume)[case.mask] ** 2)) / volume[case.mask].mean()

    assert error(recovered) < 0.08
    assert error(recovered) < error(stacked)
    ratio = through_slice_change(recovered, case.mask) / through_slice_change(volume, case.mask)
    assert ratio == pytest.approx(1, abs=0.03)


def test_gains_that_a_network_gets_wrong_are_evened_out(profiles):
    volume, case = ideal_case("99", 100)
    factors = np.random.default_rng(0).uniform(0.75, 1, volume.shape[2])
    output = (factors * (case.target + 1) - 1).astype(np.float32)
    recovered = slice_gains(output, case.mask, *profiles) * (output + 1) / 2
    ratio = through_slice_change(recovered, case.mask) / through_slice_change(volume, case.mask)
    assert through_slice_change(output + 1, case.mask) / through_slice_change(volume, case.mask) > 1.2
    assert ratio == pytest.approx(1, abs=0.05)


def test_gains_do_not_depend_on_the_unit(profiles):
    _, case = ideal_case("99", 101)
    log_gain, log_step = profiles
    first = slice_gains(case.target, case.mask, log_gain, log_step)
    np.testing.assert_allclose(slice_gains(case.target, case.mask, log_gain + 5, log_step), first, rtol=1e-6)


def test_gains_where_there_is_nothing_to_compare():
    mask = np.zeros((12, 12, 6), dtype=bool)
    zeros = np.zeros(33)
    output = np.full(mask.shape, -1, dtype=np.float32)
    assert (slice_gains(output, mask, zeros, zeros) == 0).all()
    mask[4:8, 4:8, [1, 4]] = True
    assert brain_slices(mask).tolist() == [1, 4]
    assert relative_heights(mask).tolist() == [0, 1]
    np.testing.assert_allclose(slice_gains(output, mask, zeros, zeros), [0, 1, 0, 0, 1, 0])
