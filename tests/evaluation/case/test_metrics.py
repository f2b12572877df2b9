import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from bids_spectsynth.evaluation.case.metrics import (
    METRICS,
    SliceStack,
    by_measure,
    each_slice,
    metrics_in,
    slice_metrics,
)
from bids_spectsynth.evaluation.group.comparisons import StatisticsOptions


def volumes(seed: int = 0, shape: tuple[int, int, int] = (24, 31, 5)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    real = rng.uniform(-1, 1, shape).astype(np.float32)
    synthetic = np.clip(real + rng.normal(0, 0.3, shape), -1, 1).astype(np.float32)
    mask = np.zeros(shape, dtype=bool)
    mask[3:-2, :-4, 1:4] = True
    mask[0, 0, 1] = True  # a brain that touches the border of the slice
    real[~mask], synthetic[~mask] = -1, -0.98
    return real, synthetic, mask


@pytest.mark.parametrize("data_range", [1.0, 2.0, 2.3])
def test_ssim_equals_scikit_image(data_range: float) -> None:
    real, synthetic, mask = volumes()
    table = slice_metrics(real, synthetic, mask, data_range)
    for row in table.itertuples():
        mean, full = structural_similarity(
            real[..., row.slice].astype(np.float64),
            synthetic[..., row.slice].astype(np.float64),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=data_range,
            full=True,
        )
        assert row.ssim == pytest.approx(mean, abs=1e-6)
        assert row.mask_ssim == pytest.approx(full[mask[..., row.slice]].mean(), abs=1e-6)


def test_rmse_and_psnr_by_definition() -> None:
    real, synthetic, mask = volumes()
    table = slice_metrics(real, synthetic, mask, 2.0).set_index("slice")
    error = (real - synthetic)[..., 2].astype(np.float64)
    inside = mask[..., 2]
    assert table.loc[2, "rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)
    assert table.loc[2, "mask_rmse"] == pytest.approx(np.sqrt(np.mean(error[inside] ** 2)), rel=1e-6)
    assert table.loc[2, "psnr"] == pytest.approx(20 * np.log10(2 / np.sqrt(np.mean(error**2))), rel=1e-6)
    assert table.loc[2, "mask_psnr"] == pytest.approx(10 * np.log10(4 / np.mean(error[inside] ** 2)), rel=1e-6)
    # 2 is the one range whose square is its double.
    wider = slice_metrics(real, synthetic, mask, 3.0).set_index("slice")
    assert wider.loc[2, "psnr"] == pytest.approx(20 * np.log10(3 / np.sqrt(np.mean(error**2))), rel=1e-6)
    assert table.loc[2, "mask_voxels"] == inside.sum()


def test_slice_metrics__mask_as_it_comes_from_a_file_and_images_in_the_usual_range() -> None:
    real, synthetic, mask = volumes()
    table = slice_metrics(real, synthetic, 2.0 * mask)
    np.testing.assert_array_equal(table, slice_metrics(real, synthetic, mask, 2.0))


def test_only_slices_with_brain_are_rated() -> None:
    real, synthetic, mask = volumes()
    assert slice_metrics(real, synthetic, mask, 2.0)["slice"].tolist() == [1, 2, 3]
    assert slice_metrics(real, synthetic, np.zeros_like(mask), 2.0).empty


def test_identical_images_have_no_error_and_infinite_psnr() -> None:
    real, _, mask = volumes()
    table = slice_metrics(real, real.copy(), mask, 2.0)
    assert (table["rmse"] == 0).all()
    assert (table["mask_rmse"] == 0).all()
    assert np.isposinf(table[["psnr", "mask_psnr"]]).all(axis=None)
    np.testing.assert_allclose(table[["ssim", "mask_ssim"]], 1, atol=1e-6)


def test_background_raises_whole_slice_but_not_in_brain_metrics() -> None:
    real, synthetic, mask = volumes()
    wide = [np.pad(v, ((20, 20), (20, 20), (0, 0)), constant_values=f) for v, f in ((real, -1), (synthetic, -1))]
    synthetic[~mask] = -1
    padded_mask = np.pad(mask, ((20, 20), (20, 20), (0, 0)))
    before = slice_metrics(real, synthetic, mask, 2.0)
    after = slice_metrics(wide[0], np.where(padded_mask, wide[1], -1), padded_mask, 2.0)
    np.testing.assert_allclose(after["mask_rmse"], before["mask_rmse"], rtol=1e-6)
    assert (after["ssim"] > before["ssim"] + 0.05).all()
    assert (after["psnr"] > before["psnr"] + 3).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_metrics_are_symmetric_in_both_images(seed: int) -> None:
    real, synthetic, mask = volumes(seed, (12, 13, 3))
    there, back = slice_metrics(real, synthetic, mask, 2.0), slice_metrics(synthetic, real, mask, 2.0)
    np.testing.assert_allclose(there[list(METRICS)], back[list(METRICS)], rtol=1e-5)
    assert (there["ssim"] <= 1).all()


def test_memory_order_does_not_matter() -> None:
    real, synthetic, mask = volumes()
    turned = slice_metrics(np.asfortranarray(real), np.asfortranarray(synthetic), np.asfortranarray(mask), 2.0)
    np.testing.assert_allclose(turned, slice_metrics(real, synthetic, mask, 2.0), rtol=1e-6)


def test_unusable_arguments() -> None:
    real, synthetic, mask = volumes()
    with pytest.raises(ValueError, match="one shape"):
        slice_metrics(real, synthetic[:-1], mask, 2.0)
    with pytest.raises(ValueError, match="mask of 23 x 31 x 5 voxels on images of 24"):
        slice_metrics(real, synthetic, mask[:-1], 2.0)
    with pytest.raises(ValueError, match="above zero"):
        slice_metrics(real, synthetic, mask, 0.0)
    with pytest.raises(ValueError, match="smaller than the window"):
        slice_metrics(real[:10], synthetic[:10], np.ones_like(mask[:10]), 2.0)
    synthetic[4, 4, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        slice_metrics(real, synthetic, mask, 2.0)


def stack() -> SliceStack:
    slices = (np.ascontiguousarray(np.moveaxis(volume, -1, 0)) for volume in volumes())
    real, synthetic, mask = (volume[1:4] for volume in slices)
    return SliceStack(real, synthetic, mask, 2.0)


def test_metrics__every_measure_is_taken_over_the_slice_and_in_the_mask() -> None:
    assert {metric.name for metric in (*metrics_in("whole"), *metrics_in("brain"))} == set(METRICS)
    for region in ("whole", "brain"):
        assert {metric.region for metric in metrics_in(region)} == {region}
    assert all(metric.region == region for found in by_measure().values() for region, metric in found.items())
    regions = {measure: list(found) for measure, found in by_measure().items()}
    assert [regions[measure] for measure in ("rmse", "ssim", "psnr")] == [["whole", "brain"]] * 3
    assert all(name == metric.name for name, metric in METRICS.items())


def test_metrics__margins_are_the_defaults_of_the_options() -> None:
    assert all(StatisticsOptions().margin(name) == metric.margin for name, metric in METRICS.items())


def test_slice_stack__computes_the_map_of_similarity_once() -> None:
    one = stack()
    values = [METRICS[name].values(one) for name in ("ssim", "mask_ssim")]
    assert one.ssim_maps is one.ssim_maps
    assert all(value.shape == (3,) for value in values)


@pytest.mark.parametrize("region", ["whole", "brain"])
def test_each_slice__gets_the_pixels_of_its_region(region) -> None:
    one = stack()
    values = each_slice(lambda x, y, data_range: float(np.square(x - y).mean()) + data_range, region)(one)
    np.testing.assert_allclose(values, 2 + (one.mse if region == "whole" else one.mask_mse), rtol=1e-5)
