import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bids_spectsynth.images.smoothing import as_by_blurrier_camera, smooth_apart, smooth_in_mask


def brain(shape=(14, 15, 13)):
    x, y, z = np.indices(shape)
    return (x - 7) ** 2 + (y - 7) ** 2 + (z - 6) ** 2 < 30


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), fwhm=st.floats(0, 20), outside=st.floats(-1e6, 1e6))
def test_smooth_in_mask__what_lies_outside_plays_no_part(seed, fwhm, outside):
    values, mask = np.random.default_rng(seed).normal(size=(14, 15, 13)), brain()
    first = smooth_in_mask(values, mask, (2, 3, 4), fwhm)
    np.testing.assert_array_equal(smooth_in_mask(np.where(mask, values, outside), mask, (2, 3, 4), fwhm), first)
    assert not first[~mask].any()


@pytest.mark.parametrize("fwhm", [0, 3, 12])
def test_smooth_in_mask__constant_stays_constant(fwhm):
    mask = brain()
    np.testing.assert_allclose(smooth_in_mask(np.full(mask.shape, 2.5), mask, (2, 2, 2), fwhm)[mask], 2.5, rtol=1e-5)


def test_smooth_in_mask__equals_the_quotient_of_two_filtered_volumes():
    values, mask = np.random.default_rng(0).normal(size=(14, 15, 13)), brain()
    sigma = 9 / 2.3548200450309493 / np.array([2, 3, 4])
    expected = ndimage.gaussian_filter(values * mask, sigma, mode="constant") / np.where(
        mask, ndimage.gaussian_filter(mask.astype(float), sigma, mode="constant"), 1
    )
    np.testing.assert_allclose(smooth_in_mask(values, mask, (2, 3, 4), 9)[mask], expected[mask], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("mask", "fwhm"), [(np.zeros((3, 3, 3), bool), 3.0), (brain(), -1.0)])
def test_smooth_in_mask__refuses(mask, fwhm):
    with pytest.raises(ValueError, match=r"empty|width"):
        smooth_in_mask(np.zeros(mask.shape), mask, (1, 1, 1), fwhm)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), fwhm=st.floats(0, 20), size=st.integers(1, 5))
def test_smooth_apart__nothing_outside_a_part_depends_on_it(seed, fwhm, size):
    values, mask = np.random.default_rng(seed).normal(size=(14, 15, 13)), brain()
    apart = np.zeros_like(mask)
    apart[5 : 5 + size, 4 : 4 + size, 3 : 3 + size] = True
    first = smooth_apart(values, mask, apart, (2, 3, 4), fwhm)
    again = smooth_apart(np.where(apart, 99.0, values), mask, apart, (2, 3, 4), fwhm)
    np.testing.assert_array_equal(again[~apart], first[~apart])
    np.testing.assert_array_equal(first[apart], smooth_in_mask(values, mask, (2, 3, 4), fwhm)[apart])
    np.testing.assert_array_equal(first[~apart], smooth_in_mask(values, mask & ~apart, (2, 3, 4), fwhm)[~apart])


def test_smooth_apart__without_a_part_is_plain_smoothing():
    values, mask = np.random.default_rng(0).normal(size=(14, 15, 13)), brain()
    for apart in (None, ~mask):
        plain = smooth_in_mask(values, mask, (2, 3, 4), 9)
        np.testing.assert_array_equal(smooth_apart(values, mask, apart, (2, 3, 4), 9), plain)
    with pytest.raises(ValueError, match="empty"):
        smooth_apart(values, mask, mask, (2, 3, 4), 9)


def test_as_by_blurrier_camera__a_cut_field_of_view_is_no_dark_edge() -> None:
    brain = np.zeros((30, 30, 30), dtype=bool)
    brain[5:25, 5:25, 5:25] = True
    measured = brain.copy()
    measured[:, :, :12] = False
    found = as_by_blurrier_camera(np.where(measured, 2.0, 0), brain, measured, (2, 2, 2), 6.0)
    assert found[15, 15, 12] == pytest.approx(2, abs=0.02), "the brain goes on below"
    assert 1.2 < found[15, 5, 15] < 1.8, "at the surface it ends"
    assert (found[~measured] == 0).all()
    # Linear, so that units do not matter.
    again = [as_by_blurrier_camera(gain * found, brain, measured, (2, 2, 2), 5.0) for gain in (1, 3)]
    np.testing.assert_allclose(again[1], 3 * again[0], rtol=1e-5)


@pytest.mark.parametrize("sizes", [(4, 4, 4), (3, 3, 3), (1, 1, 5), (1, 1, 1)])
@pytest.mark.parametrize("fwhm", [2.5, 3.0, 3.5, 4.0, 8.0])
def test_as_by_blurrier_camera__blurs_by_as_much_as_it_is_asked_to(sizes: tuple[int, ...], fwhm: float) -> None:
    shape = tuple(2 * int(14 / size) + 5 for size in sizes)
    everywhere = np.ones(shape, dtype=bool)
    point = np.zeros(shape)
    point[tuple(n // 2 for n in shape)] = 1
    response = as_by_blurrier_camera(point, everywhere, everywhere, sizes, fwhm)
    for axis, (n, size) in enumerate(zip(shape, sizes, strict=True)):
        profile = response.sum(axis=tuple({0, 1, 2} - {axis}))
        variance = (profile * ((np.arange(n) - n // 2) * size) ** 2).sum() / profile.sum()
        assert 2.3548 * np.sqrt(variance) == pytest.approx(fwhm, rel=0.03)
